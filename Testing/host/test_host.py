"""The host is no friend: it refuses what Slicer refuses, and the conformance assertions hold in it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures import until

HERE = Path(__file__).resolve().parent
LEAST_ASSERTIONS = 400
MODULE = """
import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *

class Sample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Sample")
        self.parent.categories = ["Examples"]

class SampleWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.log = []
        self.button = qt.QPushButton("Apply")
        self.layout.addWidget(self.button)
        self.button.connect("clicked(bool)", self.onApply)

    def onApply(self):
        self.log.append("applied")

    def enter(self):
        self.log.append("entered")

    def exit(self):
        self.log.append("left")

    def cleanup(self):
        self.log.append("cleaned up")

class SampleLogic(ScriptedLoadableModuleLogic):
    pass

class SampleTest(ScriptedLoadableModuleTest):
    ran = 0

    def runTest(self):
        SampleTest.ran += 1
"""


@pytest.fixture
def sample_file(tmp_path: Path) -> Path:
    path = tmp_path / "Sample.py"
    path.write_text(MODULE, encoding="utf-8")
    return path


def test_conformance_holds_in_the_host() -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    ran = subprocess.run(
        [sys.executable, str(HERE / "conformance.py")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=environment,
    )
    report = ran.stdout.strip().splitlines()
    assert ran.returncode == 0, "\n".join(line for line in report if line.startswith("FAILED")) or ran.stderr[-3000:]
    assert int(report[-1].split()[0]) >= LEAST_ASSERTIONS


def test_a_module_lives_as_in_slicer(app, sample_file: Path) -> None:
    import slicer
    import slicer.util
    from slicerhost import application

    module = application.load_module(sample_file)
    assert slicer.modules.sample is module
    assert (module.title, module.categories) == ("Sample", ("Examples",))
    panel = module.widgetRepresentation()
    widget = panel.self()
    assert slicer.modules.SampleWidget is widget and slicer.util.getModuleWidget("Sample") is widget
    panel.enter()
    widget.button.click()
    panel.exit()
    slicer.selfTests["Sample"]()
    assert sys.modules["Sample"].SampleTest.ran == 1
    application.unload_module("Sample")
    assert widget.log == ["entered", "applied", "left", "cleaned up"]
    assert not hasattr(slicer.modules, "sample")


def test_a_module_is_reloaded_from_its_changed_source(app, sample_file: Path) -> None:
    import slicer.util
    from slicerhost import application

    module = application.load_module(sample_file)
    first = module.widgetRepresentation().self()
    sample_file.write_text(MODULE.replace('"Apply"', '"Changed"'), encoding="utf-8")
    slicer.util.reloadScriptedModule("Sample")
    second = module.widgetRepresentation().self()
    assert first.log == ["cleaned up"]
    assert second is not first and second.button.text == "Changed"
    application.unload_module("Sample")


@pytest.mark.parametrize("connect", ["string", "attribute"])
def test_a_slot_that_raises_is_noted(app, connect: str) -> None:
    import qt

    def fails() -> None:
        raise ZeroDivisionError

    button = qt.QPushButton("x")
    button.connect("clicked()", fails) if connect == "string" else button.clicked.connect(fails)
    button.click()
    assert [kind for kind, _, _ in app.slotErrors] == [ZeroDivisionError]
    app.slotErrors.clear()


def test_a_timers_call_that_raises_is_noted_and_the_event_loop_goes_on(app) -> None:
    import qt

    later = []
    qt.QTimer.singleShot(0, lambda: 1 / 0)
    qt.QTimer.singleShot(0, lambda: later.append(1))
    app.processEvents()
    assert later == [1]
    assert [kind for kind, _, _ in app.slotErrors] == [ZeroDivisionError]
    app.slotErrors.clear()


def test_an_observer_that_raises_is_noted(app, scene) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver("ModifiedEvent", lambda caller, event: 1 / 0)
    node.Modified()
    assert [kind for kind, _, _ in app.slotErrors] == [ZeroDivisionError]
    app.slotErrors.clear()


def test_a_signal_that_does_not_exist_fails_the_test_that_connects_it(app) -> None:
    import qt

    assert qt.QPushButton("x").connect("clicked(int)", print) is False
    assert "clicked(int)" in str(app.slotErrors[0][1])
    app.slotErrors.clear()


REFUSED = {
    "a text property gets None": (
        "qt.QLabel('a').setProperty and setattr(qt.QLabel('a'), 'text', None)",
        AttributeError,
    ),
    "a text property gets a number": ("setattr(qt.QLabel('a'), 'text', 5)", AttributeError),
    "a text property gets a path": ("setattr(qt.QLabel('a'), 'text', Path('a'))", AttributeError),
    "a whole number gets a fraction": ("setattr(qt.QSpinBox(), 'value', 1.5)", AttributeError),
    "a method gets a path": ("qt.QLabel('a').setText(Path('a'))", ValueError),
    "a static method gets a path": ("qt.QUrl.fromLocalFile(Path('a'))", ValueError),
    "a process gets a path": ("qt.QProcess().start(Path('a'), [])", ValueError),
    "an enumerator is compared with a number": ("qt.QProcess().exitStatus() == 0", TypeError),
    "a scoped enumerator": ("qt.QMessageBox.StandardButton.Ok", AttributeError),
    "a scoped enumerator of Qt": ("qt.Qt.Orientation.Horizontal", AttributeError),
    "a scoped enumerator of an image": ("qt.QImage.Format.Format_RGB32", AttributeError),
    "a signal defined in Python": ("qt.Signal", AttributeError),
    "a slot defined in Python": ("qt.Slot", AttributeError),
    "a property defined in Python": ("qt.Property", AttributeError),
    "something of Qt 6 only": ("qt.QCheckBox().checkStateChanged", AttributeError),
    "starting a command line": ("qt.QProcess().startCommand('ls')", AttributeError),
    "something that left with Qt 6": ("qt.QTextCodec", AttributeError),
    "bytes of a QByteArray": ("bytes(qt.QByteArray(b'a'))", TypeError),
    "going through a QByteArray": ("list(qt.QByteArray(b'a'))", TypeError),
    "an overload of a signal": ("qt.QPushButton().clicked[bool]", TypeError),
    "an action with a function": ("qt.QMenu().addAction('a', print)", ValueError),
    "a shortcut from a text": ("qt.QPushButton().setShortcut('Ctrl+A')", ValueError),
    "an icon from a file": ("qt.QPushButton().setIcon('a.png')", ValueError),
    "connecting nothing": ("qt.QPushButton().connect('clicked()', None)", ValueError),
    "a widget that the host lacks": ("ctk.ctkThumbnailLabel()", NotImplementedError),
    "a widget of MRML that the host lacks": ("slicer.qMRMLThreeDView()", NotImplementedError),
    "an input dialog": ("qt.QInputDialog.getText(None, 'a', 'b')", NotImplementedError),
    "a setter that Python does not see": ("slicer.qMRMLNodeComboBox().setNoneEnabled(True)", AttributeError),
    "a range that Python does not see": ("ctk.ctkSliderWidget().setRange(0, 1)", AttributeError),
    "a text for a node": ("slicer.qMRMLNodeComboBox().setCurrentNode('vtkMRMLScalarVolumeNode1')", ValueError),
    "an installation that does not wait": ("slicer.util.pip_install('a', blocking=False)", NotImplementedError),
    "a keyword that pip_ensure lacks": ("slicer.packaging.pip_ensure([], prompt=False)", TypeError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_host_refuses(app, case: str) -> None:
    import ctk
    import qt
    import slicer

    expression, error = REFUSED[case]
    with pytest.raises(error):
        eval(expression, {"qt": qt, "ctk": ctk, "slicer": slicer, "Path": Path})


def test_a_class_with_a_signal_of_its_own_is_refused(app) -> None:
    import qt
    from PySide6 import QtCore

    with pytest.raises(TypeError, match="cannot be defined in Python"):
        type("Own", (qt.QWidget,), {"changed": QtCore.Signal(int)})


@pytest.mark.parametrize(
    ("annotation", "error"),
    [("list[int]", NotImplementedError), ("int | None", NotImplementedError), ("object", NotImplementedError)],
)
def test_types_of_parameters_that_the_host_lacks_are_refused(app, annotation: str, error: type) -> None:
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(error):
        parameterNodeWrapper(type("Typed", (), {"__annotations__": {"value": eval(annotation)}}))


def test_a_misspelt_property_in_a_form_is_refused(app, tmp_path: Path) -> None:
    import slicer.util

    form = tmp_path / "form.ui"
    text = '<property name="txet"><string>a</string></property>'
    form.write_text(
        f'<ui version="4.0"><class>F</class><widget class="QLabel" name="F">{text}</widget></ui>', encoding="utf-8"
    )
    with pytest.raises(AttributeError, match="txet"):
        slicer.util.loadUI(str(form))


def test_a_class_in_a_form_that_the_host_lacks_is_refused(app, tmp_path: Path) -> None:
    import slicer.util

    form = tmp_path / "form.ui"
    form.write_text(
        '<ui version="4.0"><class>F</class><widget class="qMRMLNoSuchWidget" name="F"/></ui>', encoding="utf-8"
    )
    with pytest.raises(NotImplementedError, match="qMRMLNoSuchWidget"):
        slicer.util.loadUI(str(form))


def test_dialogs_in_testing_mode_confirm_nothing(app) -> None:
    import slicer.util

    assert app.testingEnabled()
    assert not slicer.util.confirmOkCancelDisplay("Sure?")


def test_a_parameter_node_outlives_the_wrapper_that_was_connected_to_it(app, scene) -> None:
    import qt
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    wrap = parameterNodeWrapper(type("Counted", (), {"__annotations__": {"count": int}}))
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    identifier = node.GetID()
    parameters = wrap(node)
    parameters.connectParametersToGui({"count": qt.QSpinBox()})
    garbage = [parameters, node]
    garbage.append(garbage)  # goes when the collector comes, with the observer of a node that stays
    del parameters, node, garbage
    gc.collect()
    scene.GetNodeByID(identifier).SetParameter("count", "3")
    assert wrap(scene.GetNodeByID(identifier)).count == 3


def test_a_selector_that_is_gone_leaves_nothing_behind(app, scene) -> None:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLTextNode"]
    box.setMRMLScene(scene)
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    box.setCurrentNode(node)
    identifier = node.GetID()
    del box, node
    gc.collect()
    scene.GetNodeByID(identifier).SetName("renamed")
    scene.RemoveNode(scene.GetNodeByID(identifier))
    assert scene.GetNodeByID(identifier) is None


def test_settings_are_not_those_of_whoever_runs_the_tests(app) -> None:
    import qt

    assert app.userSettings().fileName().startswith(str(Path(app.temporaryPath).parent))
    assert qt.QSettings().fileName() == app.userSettings().fileName()


def test_a_process_of_slicer_util_runs(app) -> None:
    import slicer.util

    lines, codes = [], []
    slicer.util.launchConsoleProcess(
        [sys.executable, "-c", "print(1); print(2)"],
        blocking=False,
        logCallback=lines.append,
        completedCallback=codes.append,
    )
    assert until(lambda: codes, 60)
    assert (lines, codes) == (["1", "2"], [0])


def test_a_view_shows_the_volume(app, scene) -> None:
    import numpy as np
    import qt
    import slicer
    import slicer.util

    app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    volume = slicer.util.addVolumeFromArray(np.full((4, 30, 40), 100, np.float32), name="V")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(100, 50)
    viewport = app.layoutManager().viewport()
    viewport.resize(400, 300)
    viewport.show()
    app.processEvents()
    slicer.util.resetSliceViews()
    app.layoutManager().sliceWidget("Red").sliceView().forceRender()
    picture = viewport.grab().toImage()
    width, height = picture.width(), picture.height()  # of a window's viewport, the window says
    assert picture.pixelColor(width // 2, height // 2 + 10).lightness() > 200
    assert picture.pixelColor(5, height - 5).lightness() < 20
    viewport.setVisible(False)
    assert qt.QImage(picture).width() == width
