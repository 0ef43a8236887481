"""The Setup panel: packages, machine, models and a text for fault reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from . import Bundles, Estimates, Installation, Interpreter, Runs
from .Core import memoryBytes, missingLightPackages
from .Jobs import Job, JobState
from .ModelJobs import ModelJobs
from .Tables import chosenFile, fill, prepare
from .Worker import Worker


class SetupPanel:
    """Wires one `Setup.ui`.

    Args:
        widget: the loaded user interface.
        worker: whose state is shown.
        onChanged: called when packages or models have changed.
        others: workers whose last words belong into a fault report too.
    """

    def __init__(
        self, widget: Any, worker: Worker, onChanged: Callable[[], None], others: Sequence[Worker] = ()
    ) -> None:
        self.widget, self.worker, self._onChanged, self._others = widget, worker, onChanged, others
        self.ui = slicer.util.childWidgetVariables(widget)
        self.gpus: list[str] = []
        self._models: list[Bundles.Model] = []
        self._probe: Installation.GpuProbe | None = None
        self.modelJobs = ModelJobs(self.say, self._onModelJob)
        prepare(self.ui.packagesTable, [_("Package"), _("Version"), _("State")])
        prepare(self.ui.modelsTable, [_("Model"), _("Origin"), _("State")])
        self._connect()
        self.refresh()

    def _connect(self) -> None:
        ui = self.ui
        ui.installButton.connect("clicked(bool)", self.onInstall)
        ui.interpreterButton.connect("clicked(bool)", self.onChooseInterpreter)
        ui.ownInterpreterButton.connect("clicked(bool)", self.onOwnInterpreter)
        ui.resultsButton.connect("clicked(bool)", self.onChooseResults)
        ui.openResultsButton.connect("clicked(bool)", self.onOpenResults)
        ui.importFileButton.connect("clicked(bool)", self.onImportFile)
        ui.importFolderButton.connect("clicked(bool)", self.onImportFolder)
        ui.checkButton.connect("clicked(bool)", self.onCheck)
        ui.cancelButton.connect("clicked(bool)", self.onCancel)
        ui.deleteButton.connect("clicked(bool)", self.onDelete)
        ui.revealButton.connect("clicked(bool)", self.onReveal)
        ui.folderButton.connect("clicked(bool)", self.onChangeFolder)
        ui.copyButton.connect("clicked(bool)", self.onCopy)
        ui.modelsTable.connect("itemSelectionChanged()", self._refreshModelButtons)

    def enter(self) -> None:
        """The panel has come to the front."""
        if self._probe is None:
            self._probe = Installation.GpuProbe(self._onGpus)
        self.refresh()

    def close(self) -> None:
        """Before the panel goes."""
        self.modelJobs.close()
        if self._probe is not None:
            self._probe.stop()

    # ------------------------------------------------------------ what is shown

    def refresh(self) -> None:
        """Looks at everything anew."""
        found = Installation.packages()
        rows = [(package.name, package.found or "", package.status) for package in found]
        fill(self.ui.packagesTable, rows)
        lacking = [package.name for package in found if not package.serves]
        foreign = Interpreter.currentInterpreter().foreign
        if not lacking:
            said = _("Everything is there. No network connection is needed.")
        elif foreign and not missingLightPackages():
            said = _("Slicer's own Python lacks {names}; the chosen Python computes.").format(names=", ".join(lacking))
        else:
            said = _("Missing: {names}.").format(names=", ".join(lacking))
        self.ui.packagesLabel.text = said
        self.ui.installButton.enabled = bool(lacking)
        self.ui.installButton.toolTip = (
            _("Asks first, then installs {what}.").format(what=Installation.howToInstall())
            if lacking
            else _("Nothing is missing.")
        )
        memory = memoryBytes()
        self.ui.memoryLabel.text = Estimates.size(memory)
        self.ui.gpuLabel.text = "\n".join(self.gpus) if self.gpus else self._noGpu()
        interpreter = Interpreter.currentInterpreter()
        self.ui.interpreterLabel.text = interpreter.path.name if interpreter.foreign else _("Slicer's own")
        self.ui.interpreterLabel.toolTip = str(interpreter.path)
        self.ui.ownInterpreterButton.enabled = interpreter.foreign
        self.ui.ownInterpreterButton.toolTip = (
            _("Compute with Slicer's own Python again.") if interpreter.foreign else _("It computes already.")
        )
        folder = Runs.resultsFolder()
        self.ui.resultsStatus.text = "/".join(["...", *folder.parts[-2:]])
        self.ui.resultsStatus.toolTip = str(folder)
        self.ui.interpreterStatus.setVisible(bool(self.ui.interpreterStatus.text))
        self.refreshWorker()
        self._refreshModels()
        self.ui.diagnosticsText.plainText = Installation.diagnostics(self._log(), self.gpus)

    def _log(self) -> list[str]:
        return [line for worker in (*self._others, self.worker) for line in worker.log]

    def _noGpu(self) -> str:
        asked = self._probe is not None and self._probe.answered
        return _("None found; the processor computes.") if asked else _("Looking...")

    def refreshWorker(self) -> None:
        """Only the line about the computing process."""
        running = self.worker.running
        self.ui.workerLabel.text = _("running, kept ready") if running else _("starts with the first job")

    def _refreshModels(self) -> None:
        self._models = Bundles.listModels()
        rows = [
            (
                name,
                _("with the extension") if model.shipped else _("yours"),
                _("ready") if model.problem is None else _("damaged"),
            )
            for model, name in zip(self._models, Bundles.names(self._models), strict=True)
        ]
        fill(self.ui.modelsTable, rows)
        for row, model in enumerate(self._models):
            if model.problem is not None:
                self.ui.modelsTable.item(row, 2).setToolTip(model.problem)
        lacking, busy = bool(missingLightPackages()), self.modelJobs.busy
        for button in (self.ui.importFileButton, self.ui.importFolderButton):
            button.enabled = not lacking and not busy
        self.ui.cancelButton.setVisible(busy)
        if lacking:
            self.say(_("Models can be read once the packages are installed."))
        self._refreshModelButtons()

    def _refreshModelButtons(self) -> None:
        chosen, busy = self.chosen, self.modelJobs.busy
        self.ui.checkButton.enabled = chosen is not None and not busy
        self.ui.checkButton.toolTip = (
            _("Compare all files with their recorded digests.") if chosen is not None else _("Choose a model first.")
        )
        own = chosen is not None and not chosen.shipped
        self.ui.deleteButton.enabled = own and not busy
        self.ui.deleteButton.toolTip = (
            _("Delete this model from the disk, after a question.")
            if own
            else _("Choose a model first.") if chosen is None else _("It came with the extension and stays.")
        )  # fmt: skip

    @property
    def chosen(self) -> Bundles.Model | None:
        """The model of the current row."""
        row = self.ui.modelsTable.currentRow()
        return self._models[row] if 0 <= row < len(self._models) else None

    def say(self, text: str) -> None:
        self.ui.modelsStatus.text = text

    def _onGpus(self, found: list[str]) -> None:
        self.gpus = found
        self.refresh()

    # ------------------------------------------------------------ actions

    def onInstall(self) -> None:
        what = Installation.howToInstall()
        question = _("Install {what} into Slicer's Python? This needs the network and some minutes.").format(what=what)
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Install packages")):
            return
        try:
            with slicer.util.WaitCursor():
                Installation.install()
        except Exception as error:  # pip and PyTorchUtils raise what they like
            slicer.util.errorDisplay(str(error), windowTitle=_("Install packages"))
        self.worker.stop()  # the next job starts with what is installed now
        self.refresh()
        self._onChanged()

    def onChooseInterpreter(self) -> None:
        path = chosenFile(qt.QFileDialog.getOpenFileName(self.widget, _("Choose a Python executable"), ""))
        if path:
            self._useInterpreter(path)

    def onOwnInterpreter(self) -> None:
        self._useInterpreter("")

    def _useInterpreter(self, path: str) -> None:
        Interpreter.chooseInterpreter(path)
        self.worker.stop()
        self.refresh()
        self._onChanged()
        self.worker.submit(Job("describe", {}, onChanged=self._onDescribed))

    def _onDescribed(self, job: Job) -> None:
        """Says at once whether the chosen Python serves."""
        if job.state is JobState.FAILED:
            self._tellOfInterpreter(job.error.message)
        elif job.state is JobState.SUCCEEDED:
            wanted = ("torch", "monai", "pydantic", "safetensors", "nibabel", "SimpleITK")
            lacking = [name for name in wanted if name not in job.result["packages"]]
            told = (
                _("Python {version} lacks {names}: install them there.") if lacking else _("Python {version} serves.")
            )
            self._tellOfInterpreter(told.format(version=job.result["python"], names=", ".join(lacking)))

    def _tellOfInterpreter(self, text: str) -> None:
        self.ui.interpreterStatus.text = text
        self.ui.interpreterStatus.setVisible(bool(text))

    def onChooseResults(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(self.widget, _("Results folder"), str(Runs.resultsFolder()))
        if path:
            Runs.setResultsFolder(path)
            self.refresh()

    def onOpenResults(self) -> None:
        """Shows the folder of all runs, which is made where it is not there yet."""
        folder = Runs.resultsFolder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            told = _("The results folder {folder} cannot be made ({reason}): choose another.")
            self.ui.resultsStatus.text = told.format(folder=folder, reason=error.strerror or error)
            return
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def onImportFile(self) -> None:
        path = chosenFile(qt.QFileDialog.getOpenFileName(self.widget, _("Import a model"), "", _("Zip files (*.zip)")))
        if path:
            self.importModel(Path(path))

    def onImportFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(self.widget, _("Import a model"), "")
        if path:
            self.importModel(Path(path))

    def importModel(self, source: Path) -> None:
        """Copies a model into the models folder, and says how that went."""
        self.modelJobs.importModel(source)

    def _onModelJob(self, folder: Path | None) -> None:
        self._refreshModels()
        if folder is not None:
            self._onChanged()

    def onCheck(self) -> None:
        if self.chosen is not None:
            self.modelJobs.check(self.chosen)

    def onCancel(self) -> None:
        self.modelJobs.cancel()

    def onDelete(self) -> None:
        model = self.chosen
        if model is None:
            return
        if self.worker.uses(model.folder):
            self.say(
                _("{name} is drawing: wait for the run or cancel it, then delete the model.").format(name=model.name)
            )
            return
        question = _("Delete the model {name} from the disk?").format(name=model.name)
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Delete model")):
            return
        try:
            Bundles.deleteModel(model)
        except (ValueError, OSError) as error:
            self.say(str(error))
            return
        self.say(_("{name} was deleted.").format(name=model.name))
        self._refreshModels()
        self._onChanged()

    def onReveal(self) -> None:
        folder = Bundles.modelsFolder()
        folder.mkdir(parents=True, exist_ok=True)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def onChangeFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(self.widget, _("Models folder"), str(Bundles.modelsFolder()))
        if path:
            Bundles.setModelsFolder(path)
            self.refresh()
            self._onChanged()

    def onCopy(self) -> None:
        self.ui.diagnosticsText.plainText = Installation.diagnostics(self._log(), self.gpus)
        qt.QApplication.clipboard().setText(self.ui.diagnosticsText.plainText)
