"""The application object, testing mode and the helpers of slicer.util."""

import logging
import os

import qt
import slicer


def run(checks):
    app = slicer.app
    checks.that("the version", app.majorVersion >= 5 and isinstance(app.minorVersion, int))
    checks.that("the revision is a text", isinstance(app.revision, str) and app.revision != "")
    checks.that("the version as a text", isinstance(app.applicationVersion, str))
    checks.equal("its name", app.applicationName, "Slicer")
    checks.that("the operating system", app.os in ("linux", "win", "macosx"))
    checks.that("the platform", app.platform == f"{app.os}-{app.arch}")
    checks.that("the temporary folder exists", os.path.isdir(app.temporaryPath))  # noqa: PTH112
    checks.that("Slicer's home is a text", isinstance(app.slicerHome, str))
    checks.that("the folder of extensions is a text", isinstance(app.extensionsInstallPath, str))
    checks.that("the launcher is a text", isinstance(app.launcherExecutableFilePath, str))
    checks.refused("calling a path", lambda: app.temporaryPath(), TypeError)
    checks.that("the scene", app.mrmlScene() == slicer.mrmlScene)
    checks.that("its logic", app.applicationLogic().GetSelectionNode() is not None)
    checks.that("settings", app.userSettings().fileName() == app.settings().fileName())
    checks.that("the environment before Slicer", "PATH" in list(app.startupEnvironment().keys()))
    checks.that("a module manager", app.moduleManager().module("Volumes") is not None)
    checks.that("modules of Slicer", slicer.modules.volumes.logic() is not None)
    checks.that("a logic by the name of its module", app.moduleLogic("Segmentations") is not None)
    checks.refused("a module that is not there", lambda: slicer.modules.noSuchModule, AttributeError)

    def quits():
        logging.info("about to quit")

    checks.that("the end of the application can be observed", app.connect("aboutToQuit()", quits) is True)
    checks.that("and not", app.disconnect("aboutToQuit()", quits) is True)
    unloading = "moduleAboutToBeUnloaded(QString)"
    checks.that("the end of a module can be observed", app.moduleManager().connect(unloading, quits) is True)
    app.moduleManager().disconnect(unloading, quits)
    called = []
    qt.QTimer.singleShot(0, lambda: called.append(1))
    app.processEvents()
    app.processEvents()
    checks.equal("processEvents handles what waits", called, [1])

    checks.equal(
        "toBool", [slicer.util.toBool(text) for text in ("true", "false", "1", "0")], [True, False, True, False]
    )
    checks.that("a temporary folder of one's own", os.path.isdir(slicer.util.tempDirectory()))  # noqa: PTH112
    with slicer.util.WaitCursor():
        checks.that("a wait cursor", qt.QApplication.overrideCursor() is not None)
    from slicer.i18n import tr, translate

    checks.equal("a text of ours is not translated", tr("A text of JSDDPM"), "A text of JSDDPM")
    checks.equal("nor one with a context", translate("JSDDPM", "Another"), "Another")
    checks.refused("tr takes one text", lambda: tr("text", "context"), TypeError)
    checks.that("a status message needs a main window", slicer.util.showStatusMessage("x") in (True, False))
    checks.that("the main window, or None", slicer.util.mainWindow() is None or slicer.util.mainWindow().isWidgetType())

    def fails():
        with slicer.util.tryWithErrorDisplay("It failed", show=False):
            raise ValueError("inside")

    checks.refused("tryWithErrorDisplay raises again", fails, ValueError)
    if app.testingEnabled():
        checks.that("a confirmation says no", not slicer.util.confirmOkCancelDisplay("Sure?"))
        checks.that("whatever its buttons", not slicer.util.confirmYesNoDisplay("Sure?"))
        slicer.util.errorDisplay("an error")
        slicer.util.infoDisplay("an information")
        slicer.util.warningDisplay("a warning")
        checks.that("messages do not wait for anybody", True)
