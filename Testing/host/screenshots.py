"""
Draw every panel, with images that the demo model makes, into `Resources/Screenshots/`.

`make screenshots` runs it; the README shows what it draws.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicerhost

PROJECT = Path(__file__).resolve().parents[2]
sys.path += [str(PROJECT / folder) for folder in ("JSDDPMSlicer", "Testing/module")]
MODULE = PROJECT / "JSDDPMSlicer" / "JSDDPMSlicer.py"
TEMPLATE = PROJECT / "Resources" / "Templates" / "flair-mni152-2mm.nii.gz"
SIZE = (1440, 960)
PATIENCE_S = 900
FINE_TUNING_SETTINGS = {
    "training.max_steps": 40, "training.batch_size": 2, "training.warmup_steps": 4, "training.validation_samples": 4,
    "training.validation_steps": 8, "sampling.steps": 8,
}  # fmt: skip
"""A run of minutes on a laptop's processor."""


FINE_TUNING_PICTURES = (
    "fine-tune-start", "fine-tune-cases", "fine-tune-training", "fine-tune-running", "fine-tune-runs",
)  # fmt: skip
"""Drawn where real cases are at hand, of a run of minutes."""

STUDY_PICTURES = (
    "study-design", "study-read", "study-instructions", "study-case", "study-lesion", "study-feedback", "study-break",
    "study-analysis",
)  # fmt: skip
"""The same, of a small study with two readers."""

VOLATILE = {
    "estimateLabel", "statusLabel", "progressBar", "resultLabel", "packagesTable", "gpuLabel", "memoryLabel",
    "interpreterLabel", "workerLabel",
}  # fmt: skip
"""Widgets that show times, versions or numbers of this machine."""

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Picture:
    """The main window as it is drawn.

    Attributes:
        name: of the file, without its ending.
        image: the window.
        views: x, y, width and height of the slice views.
        volatile: the same of what is in `VOLATILE` and on the screen.
    """

    name: str
    image: Any
    views: tuple[Rectangle, ...]
    volatile: tuple[Rectangle, ...]

    def save(self, folder: Path) -> None:
        path = folder / f"{self.name}.png"
        if not self.image.save(str(path)):
            raise OSError(f"{path} could not be written")
        print(path)


class Photographer:
    """Draws the main window.

    Args:
        window: the main window.
        onPicture: given each picture.
    """

    def __init__(self, window: Any, onPicture: Callable[[Picture], None]) -> None:
        self.window, self.onPicture = window, onPicture

    def draw(self, name: str, window: Any = None) -> None:
        """One picture, once everything has been drawn on the screen; of the main window where no other is given."""
        import slicer

        if window is not None:
            self._drawOther(name, window)
            return

        for _ in range(20):
            slicer.app.processEvents()
        layout = slicer.app.layoutManager()
        views = [layout.sliceWidget(view).sliceView() for view in layout.sliceViewNames()]
        changing = [widget for name in sorted(VOLATILE) for widget in slicer.util.findChildren(self.window, name)]
        self.onPicture(Picture(name, self.window.grab(), self._rectangles(views), self._rectangles(changing)))

    def _drawOther(self, name: str, window: Any) -> None:
        import slicer

        for step in (window.showNormal, lambda: window.resize(*SIZE), lambda: None):
            step()
            for _ in range(10):
                slicer.app.processEvents()
        self.onPicture(Picture(name, window.grab(), (), ()))

    def _rectangles(self, widgets: Iterable[Any]) -> tuple[Rectangle, ...]:
        import qt

        found = []
        for widget in widgets:
            if widget.visible:
                corner = widget.mapTo(self.window, qt.QPoint(0, 0))
                found.append((corner.x(), corner.y(), widget.width, widget.height))
        return tuple(found)


@contextmanager
def studio() -> Iterator[tuple[Any, Any]]:
    """The module in a main window: the window and the module's widget."""
    import slicer
    from slicerhost import application, mainwindow

    loaded = application.load_module(str(MODULE))
    with tempfile.TemporaryDirectory() as results:
        for name in ("Results", "Models"):
            slicer.app.userSettings().setValue(f"JSDDPMSlicer/{name}Folder", f"{results}/JSDDPMSlicer/{name}")
        window = mainwindow.openMainWindow([loaded])
        window.resize(*SIZE)
        window.show()
        # Arranged anew, whatever was shown before: a layout that stays the same is left as it is.
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
        slicer.app.processEvents()
        try:
            yield window, loaded.widgetRepresentation().self()
        finally:
            application.unload_module("JSDDPMSlicer")
            slicer.app.layoutManager().viewport().setParent(None)  # the views outlive the window
            window.close()
            for name in ("Results", "Models"):
                slicer.app.userSettings().remove(f"JSDDPMSlicer/{name}Folder")


def generated(panel: Any, seed: int, **wishes: Any) -> Any:
    """The result of one run of the Generate panel."""
    from fixtures import until

    panel.parameters.seed = seed
    for name, value in wishes.items():
        setattr(panel.parameters, name, value)
    if panel.whyNot():
        raise RuntimeError(panel.whyNot())
    panel.ui.applyButton.click()
    until(lambda: not panel.busy, PATIENCE_S)
    if panel.result is None:
        raise RuntimeError(panel.ui.statusLabel.text)
    return panel.result


def choose(panel: Any, pathology: str) -> None:
    combo = panel.ui.pathologyCombo
    combo.setCurrentIndex(combo.findData(pathology))


def take(photographer: Photographer, module: Any) -> None:
    """All pictures, in the order of the README's tutorial."""
    import slicer
    from fixtures import until

    panel = module.generate
    layout = slicer.app.layoutManager()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    until(lambda: panel._measuring is None, PATIENCE_S)
    photographer.draw("generate-start")

    choose(panel, "ms")
    panel.parameters.positionMm = 18.0
    panel.parameters.seed = 3
    panel.parameters.steps = 50
    panel.ui.applyButton.click()
    until(
        lambda: not panel.busy or (panel.run.preview is not None and "tep 3" in panel.ui.statusLabel.text), PATIENCE_S
    )
    photographer.draw("generate-running")
    until(lambda: not panel.justStarted, PATIENCE_S)
    panel.ui.applyButton.click()
    until(lambda: not panel.busy, PATIENCE_S)

    choose(panel, "infarct")
    generated(panel, seed=1, steps=20)
    photographer.draw("generate-infarct")
    choose(panel, "ms")
    generated(panel, seed=1, positionMm=18.0)
    photographer.draw("generate-ms")

    patient = slicer.util.loadVolume(str(TEMPLATE), {"name": "Average FLAIR"})
    panel.ui.referenceSection.collapsed = False
    panel.parameters.reference = patient
    panel.parameters.referenceIsAligned = True
    generated(panel, seed=5)
    panel.ui.sideBySideButton.click()
    photographer.draw("generate-beside-patient")
    panel.ui.referenceSection.collapsed = True
    panel.ui.advancedSection.collapsed = False
    photographer.draw("generate-advanced")

    panel.ui.advancedSection.collapsed = True
    slicer.mrmlScene.Clear(False)

    module.tabs.setCurrentIndex(3)
    until(lambda: module.settings._probe.answered, 30)
    photographer.draw("setup")


def take_fine_tuning(photographer: Photographer, module: Any, cases: Path) -> None:
    """The Fine-tune panel in its four states, with a short run on real cases."""
    import slicer
    from fixtures import until

    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    module.tabs.setCurrentIndex(1)
    panel, ui = module.fineTune, module.fineTune.ui
    photographer.draw("fine-tune-start")
    panel.cases.look(cases)
    until(lambda: panel.cases.job is None, PATIENCE_S)
    for row in panel.cases.rows:
        row.says = panel.cases.vocabulary.canonical("ms")
    panel.cases.table.setRows(panel.cases.rows)
    until(lambda: panel.training.settings.config is not None, PATIENCE_S)
    ui.galleryBox.collapsed = False
    ui.galleryButton.click()
    until(lambda: panel.cases.gallery.job is None, PATIENCE_S)
    ui.casesTable.setCurrentCell(0, 0)
    photographer.draw("fine-tune-cases")
    ui.galleryButton.click()

    ui.casesSection.collapsed = True
    ui.trainingSection.collapsed = False
    ui.titleEdit.text = "MS lesions of our clinic"
    panel.training.settings.set(FINE_TUNING_SETTINGS)
    ui.replaySpin.value = 4
    ui.settingsBox.collapsed = False
    panel.refresh()
    until(lambda: panel.training.settings.config is not None and not panel.training.settings.stale, PATIENCE_S)
    until(lambda: panel._found() is not None, PATIENCE_S)
    panel.training.settings.type("training.learning_rate", "0.0002")
    until(lambda: panel._found() is not None, PATIENCE_S)
    photographer.draw("fine-tune-training")

    ui.startButton.click()
    ui.watchButton.click()
    curve = panel.view.curves
    until(lambda: panel.view.samples.node is not None and len(curve.points("train/loss")) > 1, PATIENCE_S)
    until(lambda: not panel.run.busy or panel.run.stage == "training", PATIENCE_S)
    photographer.draw("fine-tune-running")
    until(lambda: not panel.run.busy and not panel.newModel.busy, PATIENCE_S)
    if "is among your models" not in ui.runDetail.text:
        raise RuntimeError(ui.runDetail.text)
    ui.reportBox.collapsed = False
    photographer.draw("fine-tune-runs")
    ui.watchButton.click()


def take_study(photographer: Photographer, module: Any, cases: Path, folder: Path) -> None:
    """The Reading study panel and its window: a study designed, made, read by two readers, and analysed."""
    import qt
    import slicer
    from fixtures import until
    from study_reader import State, begin, press, ready

    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    module.tabs.setCurrentIndex(2)
    panel, ui = module.readingStudy, module.readingStudy.ui
    ui.designSection.collapsed = False
    ui.readSection.collapsed = True
    ui.studyTitleEdit.text = "Real or synthetic infarcts"
    ui.taskCombo.setCurrentIndex(3)
    scans = folder / "infarcts"  # a name that is the same everywhere
    scans.symlink_to(cases.resolve())
    ui.realFolderEdit.currentPath = str(scans)
    for row in range(ui.pathologyList.count):
        item = ui.pathologyList.item(row)
        wanted = item.data(qt.Qt.UserRole) in ("none", "infarct")
        item.setCheckState(qt.Qt.Checked if wanted else qt.Qt.Unchecked)
    ui.lesionsCombo.setCurrentIndex(ui.lesionsCombo.findData("infarct"))
    ui.realSpin.value = ui.syntheticSpin.value = 6
    ui.trainingSpin.value, ui.repeatsSpin.value, ui.slotsSpin.value, ui.breakSpin.value = 2, 1, 2, 4
    ui.limitSpin.value = 600
    ui.studyParentEdit.currentPath = str(folder)
    for edit in (ui.passphraseEdit, ui.passphraseAgainEdit):
        edit.text = "nine sparrows under the old bridge"
    panel.refresh()
    if panel.design.whyNot():
        raise RuntimeError(panel.design.whyNot())
    photographer.draw("study-design")
    ui.designButton.click()
    until(lambda: not panel.design.command.busy, PATIENCE_S)
    if panel.read.manifest is None:
        raise RuntimeError(ui.designStatus.text)
    ui.designSection.collapsed, ui.readSection.collapsed = True, False
    ui.readerEdit.text = "A. Reader"
    ui.experienceCombo.setCurrentIndex(0)
    ui.yearsSpin.value = 12
    until(lambda: not panel.read.whyNot(), PATIENCE_S)
    photographer.draw("study-read")

    run = begin(panel, panel.read.folder)
    window = run.window.widget
    photographer.draw("study-instructions", window)
    press(window, " ")
    ready(run)
    photographer.draw("study-case", window)
    press(window, "26>>>>^^^^")
    photographer.draw("study-lesion", window)
    press(window, " ")
    ready(run, State.FEEDBACK)
    photographer.draw("study-feedback", window)
    _read_on(run, photographer)
    until(lambda: panel.read.run is None, PATIENCE_S)
    _read_on(begin(panel, panel.read.folder, "B. Reader", 2), None)
    ui.readSection.collapsed, ui.analyseSection.collapsed = True, False
    ui.keyPassphraseEdit.text = "nine sparrows under the old bridge"
    ui.analyseButton.click()
    until(lambda: not panel.analyse.command.busy, PATIENCE_S)
    panel.refresh()
    ui.rocButton.click()
    photographer.draw("study-analysis")
    ui.rocButton.click()


def _read_on(run: Any, photographer: Photographer | None) -> None:
    """Reads to the end; the break is drawn where somebody draws."""
    from study_reader import State, press, ready

    window = run.window.widget
    while run.state != State.OVER:
        ready(run, State.CASE, State.FEEDBACK, State.TEXT)
        if run.state == State.CASE:
            press(window, f"{1 + run.session.done % 6}1 ")
        else:
            if photographer is not None and "break" in run.window.ui.titleLabel.text:
                photographer.draw("study-break", window)
            press(window, " ")


def main(arguments: list[str]) -> int:
    """Draw, and clean up."""
    parser = argparse.ArgumentParser(description="Draw every panel with images that the demo model makes.")
    parser.add_argument("--out", type=Path, default=PROJECT / "Resources" / "Screenshots")
    named = os.environ.get("JSDDPM_DATA")
    data = Path(named) if named else PROJECT.parent / "shared" / "data"
    parser.add_argument("--cases", type=Path, default=data / "ms-volumes", help="real cases for the Fine-tune panel")
    parser.add_argument("--infarcts", type=Path, default=data / "soop-axial", help="the same for the Reading study")
    parser.add_argument("--only", choices=("generate", "fine-tune", "study"), help="draw only these")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    app = slicerhost.start()
    with studio() as (window, module):
        photographer = Photographer(window, lambda picture: picture.save(options.out))
        if options.only in (None, "generate"):
            take(photographer, module)
        if options.only in (None, "fine-tune"):
            if options.cases.is_dir():
                take_fine_tuning(photographer, module, options.cases.resolve())
            else:
                print(f"{options.cases} is not there: the Fine-tune panel is not drawn")
        if options.only in (None, "study"):
            if options.infarcts.is_dir():
                with tempfile.TemporaryDirectory(prefix="clinic-") as folder:
                    take_study(photographer, module, options.infarcts, Path(folder))
            else:
                print(f"{options.infarcts} is not there: the Reading study panel is not drawn")
    return 1 if app.slotErrors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
