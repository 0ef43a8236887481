"""Step 3 of the Fine-tune panel: the run under way, and all runs with their state, curves and reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from . import Bundles, Runs
from .Controls import explain, show
from .Core import makeImportable, missingLightPackages
from .FineTuneRun import FineTuneRun
from .Report import Report
from .RunRemoval import RunRemoval
from .TrainingView import TrainingView


class RunsStep:
    """Wires the third step.

    Args:
        ui: of the panel.
        run: that may be under way.
        view: of curves and samples.
        onResume: called with the folder of a run that is to go on.
        onAddModel: called with the folder of a finished run whose model is wanted among the user's.
    """

    def __init__(
        self,
        ui: Any,
        run: FineTuneRun,
        view: TrainingView,
        onResume: Callable[[Path], None],
        onAddModel: Callable[[Path], None],
    ) -> None:
        self.ui, self.run, self.view = ui, run, view
        self._onResume, self._onAddModel = onResume, onAddModel
        self.summaries: list[Any] = []
        self.report = Report(ui)
        self.removal = RunRemoval(self.say)
        self._filling = False
        self._said = ""
        self._models: set[str] = set()
        ui.runsTable.setColumnCount(4)
        ui.runsTable.setHorizontalHeaderLabels([_("Model"), _("State"), _("Steps"), _("Last news")])
        ui.runsTable.verticalHeader().setVisible(False)
        ui.runsTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        ui.runsTable.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        ui.runsTable.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        ui.runsTable.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        ui.runsTable.connect("itemSelectionChanged()", self._onRow)
        ui.resumeButton.connect("clicked(bool)", self.onResume)
        ui.watchButton.connect("toggled(bool)", self.onWatch)
        ui.addModelButton.connect("clicked(bool)", self.onAddModel)
        ui.openRunButton.connect("clicked(bool)", self.onOpen)
        ui.deleteRunButton.connect("clicked(bool)", self.onDelete)
        ui.runsFolderButton.connect("clicked(bool)", self.onChangeFolder)

    # ------------------------------------------------------------ what is there

    @property
    def chosen(self) -> Any:
        """The summary of the current row; None where none is chosen."""
        row = self.ui.runsTable.currentRow()
        return self.summaries[row] if 0 <= row < len(self.summaries) else None

    def say(self, text: str) -> None:
        """A line under the list, until another run is chosen."""
        self._said = text
        self._refreshChosen()

    def choose(self, folder: Path) -> None:
        """Makes a run the current one."""
        for row, summary in enumerate(self.summaries):
            if summary.folder == folder:
                self.ui.runsTable.setCurrentCell(row, 0)

    def reload(self) -> None:
        """Looks at the run folders anew."""
        if missingLightPackages():
            return
        makeImportable()
        from jsddpm_core.training.runs import list_runs

        before = self.chosen
        self.summaries = list_runs(Runs.trainingFolder())
        self._models = {model.bundle.digest for model in Bundles.listModels() if model.bundle is not None}
        self._fill()
        if before is not None:
            self.choose(before.folder)
        elif self.summaries:
            self.ui.runsTable.setCurrentCell(0, 0)
        self.report.show(None if self.chosen is None else self.chosen.folder)
        self._refreshChosen()

    def removeForgotten(self) -> None:
        """Removes copies of scene volumes that a window left behind when it was killed."""
        if not missingLightPackages():
            self.removal.removeForgotten()

    def close(self) -> None:
        """Before the panel goes."""
        self.removal.close()

    # ------------------------------------------------------------ actions

    def onResume(self) -> None:
        if self.chosen is not None and not self._whyNotResume():
            self._onResume(self.chosen.folder)

    def onWatch(self, shown: bool) -> None:
        if shown:
            self.view.show()
        else:
            self.view.hide()
        self._refreshChosen()

    def onAddModel(self) -> None:
        if self.chosen is not None and not self._whyNotAdd():
            self._onAddModel(self.chosen.folder)

    def onOpen(self) -> None:
        folder = Runs.trainingFolder() if self.chosen is None else self.chosen.folder
        folder.mkdir(parents=True, exist_ok=True)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def onDelete(self) -> None:
        """Removes a run's folder, after a question; a model made of it stays."""
        summary = self.chosen
        if summary is None or self._whyNotDelete():
            return
        question = _("Delete the run {title} with its checkpoints? A model that was made of it stays.").format(
            title=summary.title or summary.folder.name
        )
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Delete run")):
            return
        if self.view.folder == summary.folder:
            self.view.setRun(None)
        try:
            self.removal.remove(summary.folder)
        except OSError as error:
            self.say(_("The run could not be deleted: {reason}").format(reason=error.strerror or error))
        self.reload()

    def onChangeFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(
            self.ui.runsTable, _("Folder of training runs"), str(Runs.trainingFolder())
        )
        if path:
            Runs.setTrainingFolder(path)
            self.reload()

    # ------------------------------------------------------------ why not

    def _whyNotResume(self) -> str:
        summary = self.chosen
        if summary is None:
            return _("Choose a run first.")
        if self.run.busy:
            return _("Another run is under way: pause it first.")
        if summary.state == "finished":
            return _("This run is finished.")
        if not summary.resumable:
            return _("Another process works on this run.")
        return ""

    def _whyNotAdd(self) -> str:
        summary = self.chosen
        if summary is None:
            return _("Choose a run first.")
        if summary.bundle is None:
            return _("This run has not made a model yet.")
        return _("Its model is among yours already.") if self._digest(summary.bundle) in self._models else ""

    def _whyNotDelete(self) -> str:
        summary = self.chosen
        if summary is None:
            return _("Choose a run first.")
        if self.run.busy and summary.folder == self.run.folder:
            return _("This run is under way: stop it first.")
        return _("Another process works on this run.") if self._atWork(summary) else ""

    @staticmethod
    def _atWork(summary: Any) -> bool:
        return summary.state in ("preparing", "training", "finishing")

    @staticmethod
    def _digest(bundle: Path) -> str:
        from jsddpm_core.bundle import read_bundle
        from jsddpm_core.errors import BundleError

        try:
            return read_bundle(bundle).digest
        except BundleError:
            return ""

    # ------------------------------------------------------------ what is shown

    def _fill(self) -> None:
        table = self.ui.runsTable
        self._filling = True
        table.setRowCount(len(self.summaries))
        for row, summary in enumerate(self.summaries):
            done = f"{summary.step} / {summary.steps}" if summary.steps else ""
            texts = (summary.title or summary.folder.name, stateWords(summary.state), done, _when(summary.updated))
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(summary.reason or str(summary.folder))
                if summary.state == "failed" and column == 1:
                    item.setForeground(qt.QBrush(qt.QColor(176, 40, 30)))
                table.setItem(row, column, item)
        for column in range(1, 4):
            table.resizeColumnToContents(column)
        rows = min(max(len(self.summaries), 1), 6)
        height = table.horizontalHeader().height + table.verticalHeader().defaultSectionSize * rows + 4
        table.setMinimumHeight(height)
        table.setMaximumHeight(height)
        self._filling = False

    def refresh(self) -> None:
        """Brings every control of the step in line with the run under way."""
        ui, busy = self.ui, self.run.busy
        show(ui.currentRun, busy)
        if busy:
            ui.runTitle.text = self.run.title
            ui.runStatus.text = self.run.said
            if self.run.ending:
                ui.runBar.setValue(ui.runBar.maximum)
            why = _("The run is stopping already.") if self.run.ending else ""
            explain(ui.pauseButton, why, _("Writes a checkpoint and lets the computer rest; resume it at any time."))
            explain(ui.stopButton, why, _("Asks first; the last and the best state are kept, and it can be resumed."))
        log = "\n".join(self.run.log)
        if ui.runLog.plainText != log:
            ui.runLog.plainText = log
        self._refreshChosen()

    def showProgress(self, said: str, share: float) -> None:
        """One line and the bar, as often as the run tells."""
        self.ui.runStatus.text = said
        self.ui.runBar.setValue(round(1000 * min(max(share, 0.0), 1.0)))

    def _refreshChosen(self) -> None:
        ui, summary = self.ui, self.chosen
        there = bool(self.summaries)
        show(ui.runsIntro, not there and not self.run.busy)
        show(ui.runsTable, there)
        for button in (ui.resumeButton, ui.watchButton, ui.addModelButton, ui.deleteRunButton):
            show(button, there or self.run.busy)
        explain(ui.resumeButton, self._whyNotResume(), _("Goes on from the last checkpoint."))
        explain(ui.addModelButton, self._whyNotAdd(), _("Copies the finished model to where Generate finds it."))
        explain(ui.deleteRunButton, self._whyNotDelete(), _("Asks first, then removes the run's folder."))
        watched = bool(ui.watchButton.checked)
        nothing = "" if watched or self.view.folder is not None else _("Choose a run first.")
        explain(
            ui.watchButton,
            nothing,
            _("Back to the views of before.")
            if watched
            else _("Loss, validation and learning rate beside the newest samples."),
        )
        ui.watchButton.text = _("Hide curves and samples") if watched else _("Show curves and samples")
        ui.openRunButton.toolTip = (
            _("Shows the files of the chosen run.") if summary is not None else _("Shows the folder of all runs.")
        )
        ui.runsFolderButton.toolTip = _("Runs lie in {folder}. Those there stay there.").format(
            folder=Runs.trainingFolder()
        )
        said = self._said
        if not said and summary is not None:
            said = _describe(summary)
        ui.runDetail.text = said
        show(ui.runDetail, bool(said))
        self.report.refresh()

    def _onRow(self) -> None:
        if self._filling:
            return
        self._said = ""
        summary = self.chosen
        if summary is not None:
            if not (self.run.busy and self.view.folder == self.run.folder):
                self.view.setRun(summary.folder, summary.title)
            self.report.show(summary.folder)
        self._refreshChosen()


def stateWords(state: str) -> str:
    """A run's state as users read it."""
    return {
        "preparing": _("preparing"), "training": _("running"), "finishing": _("measuring"), "stopped": _("stopped"),
        "finished": _("finished"), "failed": _("failed"), "interrupted": _("interrupted"),
    }.get(state, state)  # fmt: skip


def _describe(summary: Any) -> str:
    if summary.state == "failed":
        return _("Failed: {reason}").format(reason=summary.reason)
    if summary.state == "interrupted":
        return _("Its process ended before it was done. Resume goes on from the last checkpoint.")
    if summary.state == "stopped":
        return _("Stopped. Resume goes on from the last checkpoint.")
    return ""


def _when(updated: str) -> str:
    try:
        return f"{datetime.fromisoformat(updated).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return updated
