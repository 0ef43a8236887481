"""The application object, `slicer.app`, and how it is put together."""

from __future__ import annotations

import contextlib
import platform
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import matplotlib
import qt
import slicer
import slicer.util
from PySide6 import QtCore

from . import dicom, i18n, packaging, parameternode, sampledata, scripted
from .files import FileManager
from .modules import (
    ModuleManager,
    load_module,
    qSlicerScriptedLoadableModule,
    qSlicerScriptedLoadableModuleWidget,
    unload_module,
)
from .pythonqt import CppSignal
from .pythonqt.properties import declared
from .scene import addColours, createScene, loadLogics
from .subjecthierarchy import keepItems

__all__ = ["create", "load_module", "qSlicerApplication", "qSlicerScriptedLoadableModule", "unload_module"]

VERSION = (5, 13, 0)
REVISION = "31053"
SYSTEMS = {"Linux": "linux", "Darwin": "macosx", "Windows": "win"}


class qSlicerApplication(qt.QApplication):
    """What `slicer.app` offers. `slotErrors` is the host's own: errors of slots and observers, which Qt swallows."""

    startupCompleted = CppSignal("startupCompleted()")
    mrmlSceneChanged = CppSignal("mrmlSceneChanged(vtkMRMLScene*)")

    def __init__(self, testing: bool) -> None:
        super().__init__(["slicerhost"])
        self.slotErrors: list[tuple[type, BaseException, TracebackType | None]] = []
        self._testing = testing
        self._renderPauses = 0
        self._folder = tempfile.TemporaryDirectory(prefix="slicerhost-")
        home = Path(self._folder.name)
        self._paths = {name: str(home / name) for name in ("temporary", "extensions", "cache", "home")}
        for path in self._paths.values():
            Path(path).mkdir()
        self.setApplicationName("Slicer")
        self.setOrganizationName("slicerhost")
        self.setFont(_sameEverywhere())
        self.setApplicationVersion(".".join(map(str, VERSION)) + "-host")
        # Never the settings of whoever runs this.
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(home))
        self._settings = qt.QSettings()
        self._modules = ModuleManager()
        self._files = FileManager()
        self._layout: Any = None
        self._logic: Any = None
        self._scene: Any = None
        self._held: tuple[Any, ...] = ()  # what the logics do not own

    # -- what modules ask the application for

    def testingEnabled(self) -> bool:
        return self._testing

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._logic

    def moduleLogic(self, name: str) -> Any:
        return self._logic.GetModuleLogic(name)

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def layoutManager(self) -> Any:
        return self._layout

    def coreIOManager(self) -> FileManager:
        return self._files

    def ioManager(self) -> FileManager:
        return self._files

    def settings(self) -> Any:
        return self._settings

    def userSettings(self) -> Any:
        return self._settings

    def revisionUserSettings(self) -> Any:
        return self._settings

    def pythonConsole(self) -> None:
        return None

    def commandOptions(self) -> Any:
        return SimpleNamespace(
            noMainWindow=slicer.util.mainWindow() is None, runPythonAndExit=False, isTestingEnabled=self._testing
        )

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def environment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}/user_guide/modules/{name.lower()}.html"

    def setRenderPaused(self, paused: bool) -> None:
        self._renderPauses = max(0, self._renderPauses + (1 if paused else -1))
        self._layout.setRenderPaused(self._renderPauses > 0)

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)

    def restart(self) -> None:
        raise NotImplementedError("the host does not restart")

    slicerHome = declared(str, lambda self: self._paths["home"])
    temporaryPath = declared(
        str, lambda self: self._paths["temporary"], lambda self, value: self._paths.update(temporary=value)
    )
    cachePath = declared(str, lambda self: self._paths["cache"], lambda self, value: self._paths.update(cache=value))
    extensionsInstallPath = declared(
        str, lambda self: self._paths["extensions"], lambda self, value: self._paths.update(extensions=value)
    )
    defaultScenePath = declared(str, lambda self: self._paths["temporary"])
    slicerUserSettingsFilePath = declared(str, lambda self: self._settings.fileName())
    startupWorkingPath = declared(str, lambda self: str(Path.cwd()))
    launcherExecutableFilePath = declared(str, lambda self: "")  # empty where Slicer was started without its launcher
    majorVersion = declared(int, lambda self: VERSION[0])
    minorVersion = declared(int, lambda self: VERSION[1])
    revision = declared(str, lambda self: REVISION)
    repositoryRevision = declared(str, lambda self: REVISION)
    mainApplicationName = declared(str, lambda self: "Slicer")
    documentationBaseUrl = declared(str, lambda self: "https://slicer.readthedocs.io/en/latest")
    os = declared(str, lambda self: SYSTEMS[platform.system()])
    arch = declared(str, lambda self: {"x86_64": "amd64", "AMD64": "amd64"}.get(platform.machine(), platform.machine()))
    platform = declared(str, lambda self: f"{self.os}-{self.arch}")
    isInstalled = declared(bool, lambda self: True)


def _sameEverywhere() -> Any:
    """DejaVu Sans, which comes with matplotlib and so with VTK: texts look the same on every machine."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    qt.QFontDatabase.addApplicationFont(str(folder / "DejaVuSans-Bold.ttf"))  # headers of tables leave room for it
    number = qt.QFontDatabase.addApplicationFont(str(folder / "DejaVuSans.ttf"))
    font = qt.QFont(qt.QFontDatabase.applicationFontFamilies(number)[0], 9)
    font.setHintingPreference(qt.QFont.PreferVerticalHinting)  # else as the machine's settings of fonts say
    font.setStyleStrategy(qt.QFont.PreferAntialias | qt.QFont.NoSubpixelAntialias)
    return font


def create(testing: bool) -> qSlicerApplication:
    """Put the application, its scene, its logics and its widgets together; `slicer.app` is it from then on."""
    app = slicer.app = qSlicerApplication(testing)
    recordSlotErrors(app)
    slicer.modules = SimpleNamespace()
    app._logic, app._scene = createScene(app)
    slicer.mrmlScene = app._scene
    loadLogics(app)
    addColours(app)
    keepItems(app._scene)
    i18n.install()
    from . import mrmlwidgets
    from .layout import qSlicerLayoutManager

    mrmlwidgets.install()
    scripted.install()
    parameternode.install()
    sampledata.install()
    packaging.install()
    dicom.install()
    slicer.qSlicerApplication = qSlicerApplication
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
    app._layout = qSlicerLayoutManager()
    app._layout.setMRMLScene(app._scene)
    return app


def deleteWhatIsDue() -> None:
    """Deletes what `deleteLater` was said of; Qt leaves that to an event loop, and `processEvents` is none."""
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete.value)


def recordSlotErrors(app: qSlicerApplication) -> None:
    """Note what slots and observers raise: Qt and VTK hand it to `sys.excepthook` and go on.

    To be called again where something else, such as a command line in the same process, has taken the hook over.
    """
    if getattr(sys.excepthook, "recordsSlotErrors", False):
        return

    def record(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the application is gone already
            app.slotErrors.append((kind, error, traceback))
        sys.__excepthook__(kind, error, traceback)

    record.recordsSlotErrors = True  # type: ignore[attr-defined]
    sys.excepthook = record
