"""Step 1 of the Fine-tune panel: which cases, what they show, and what is done to them on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from . import Cases, Runs, SceneCases
from .Cases import CaseRow
from .CaseTable import CaseTable
from .Controls import explain, show
from .Core import missingLightPackages
from .Corrections import Corrections
from .Gallery import Gallery
from .Jobs import Job, JobState, removePath
from .ScenePicker import ScenePicker
from .Vocabulary import Vocabulary
from .Worker import Worker

LAST_FOLDER = "JSDDPMSlicer/LastCasesFolder"


class CasesStep:
    """Wires the first step.

    Args:
        ui: of the panel.
        worker: that looks at cases; not the one that trains.
        onChanged: called after every change of what a run would learn from.
        model: gives the start model or the configuration whose grid the gallery shows.
    """

    def __init__(
        self, ui: Any, worker: Worker, onChanged: Callable[[], None], model: Callable[[], dict[str, Any]]
    ) -> None:
        self.ui, self.worker, self._onChanged, self._model = ui, worker, onChanged, model
        self.job: Job | None = None
        self.draft: Path | None = None
        self._said = ""
        self.table = CaseTable(ui.casesTable, self._onRows, self._onSelected)
        self.scene = ScenePicker(ui, self._draftFolder, self._onSceneWritten, _("No mask"))
        self.gallery = Gallery(ui, worker, self._galleryParams)
        self.corrections = Corrections(ui, onChanged)
        ui.folderButton.connect("clicked(bool)", self.onFolder)
        ui.clearButton.connect("clicked(bool)", self.onClear)
        ui.surveyCancelButton.connect("clicked(bool)", self.onCancel)
        ui.pathologyButton.connect("clicked(bool)", self.onSetPathology)
        for box in (ui.correctionsBox, ui.galleryBox):
            box.connect("toggled(bool)", self._onUnfolded)

    # ------------------------------------------------------------ what is chosen

    @property
    def rows(self) -> list[CaseRow]:
        return self.table.rows

    @property
    def taken(self) -> list[CaseRow]:
        return [row for row in self.rows if row.taken]

    @property
    def vocabulary(self) -> Vocabulary:
        return self.table.vocabulary

    def setVocabulary(self, vocabulary: Vocabulary) -> None:
        """Takes other known pathologies, of another start model."""
        names = [self.vocabulary.meaning(row.says) for row in self.rows]
        self.table.vocabulary = vocabulary
        for row, (name, free) in zip(self.rows, names, strict=True):
            known = vocabulary.label(name, free)
            row.says = known if name is None or vocabulary.canonical(name) == known else row.says
        self.table.refreshLabels()
        self._fillPathologies()

    def request(self) -> dict[str, Any]:
        """The part of a request that this step says."""
        return {
            "cases": [row.request(self.vocabulary) for row in self.taken],
            "pathologies": self.vocabulary.entries([row.says for row in self.taken if row.entry.get("mask")]),
            **self.corrections.request(),
        }

    def whyNot(self) -> str:
        """Why no run can be started with these cases; empty where one can."""
        if self.job is not None:
            return _("The cases are being looked at.")
        return self.corrections.whyNot() or Cases.problem(self.rows, self.vocabulary)

    def takeDraft(self, run: Path) -> None:
        """Moves what was written of the scene into a run's folder, which keeps it from now on.

        Raises:
            OSError: if it cannot be moved.
        """
        if self.draft is None:
            return
        before, after = self.draft / SceneCases.DATASET, run / SceneCases.DATASET
        if before.is_dir() and any(Path(row.entry["image"]).is_relative_to(before) for row in self.taken):
            before.rename(after)
            Cases.moved(self.rows, before, after)
        self._removeDraft()

    # ------------------------------------------------------------ life

    def sceneClosed(self) -> None:
        """The scene's nodes are gone; copies that were made of them stay."""
        self.scene.sceneClosed()
        self.gallery.sceneClosed()

    def close(self) -> None:
        """Before the panel goes: nothing of a patient stays behind that belongs to no run."""
        if self.scene.steps is not None:
            self.scene.steps.cancel()
        self.table.close()
        self.gallery.close()
        self._removeDraft()

    # ------------------------------------------------------------ finding cases

    def onFolder(self) -> None:
        last = slicer.util.settingsValue(LAST_FOLDER, "", converter=str)
        path = qt.QFileDialog.getExistingDirectory(self.ui.casesTable, _("Folder of cases"), last)
        if path:
            slicer.app.userSettings().setValue(LAST_FOLDER, path)
            self.look(Path(path))

    def look(self, folder: Path) -> None:
        """Finds the cases of a folder, and adds them to those of others; what the user said of a case stays said."""
        if self.job is None:
            self._survey({"folder": str(folder)})

    def _survey(self, params: dict[str, Any]) -> None:
        self.job = Job("survey", params, onChanged=self._onSurvey, onProgress=self._onProgress)
        self._said = _("Looking at the scans...")
        self.ui.surveyBar.setValue(0)
        self.worker.submit(self.job)
        self._onChanged()

    def onCancel(self) -> None:
        if self.job is not None:
            self.worker.cancel(self.job)

    def onClear(self) -> None:
        """An empty table; no file is touched but copies of the scene."""
        self.gallery.close()
        self._removeDraft()
        self.table.setRows([])
        self._said = ""
        self._onChanged()

    def onSetPathology(self) -> None:
        """The chosen cases show what the box says."""
        text = self.vocabulary.canonical(self.ui.pathologyCombo.currentText) or self.vocabulary.unknown
        for row in self.table.selected():
            row.says = text
        self.table.refreshLabels()
        self._onChanged()

    def _onProgress(self, progress: dict[str, Any]) -> None:
        self.ui.surveyBar.setValue(round(1000 * progress["done"] / max(progress["total"], 1)))

    def _onSurvey(self, job: Job) -> None:
        if not job.ended or job is not self.job:
            return
        self.job = None
        if job.state is JobState.SUCCEEDED:
            self._take(job)
            return
        self._said = job.error.message if job.error is not None else _("Cancelled. The table is as it was.")
        self._onChanged()

    def _take(self, job: Job) -> None:
        """Shows what was found; cases of several folders are compared with each other first."""
        found = [CaseRow.of(told, self.vocabulary) for told in job.result["cases"]]
        datasets = {row.entry["dataset"] for row in found}
        others = [row for row in self.rows if row.entry["dataset"] not in datasets]
        twice = self._sameNameElsewhere(job.params.get("folder"), datasets)
        if twice:
            self._said = _("Two folders are called {name}: rename one of them.").format(name=twice)
            self._onChanged()
            return
        if others and "folder" in job.params:
            entries = [row.request(self.vocabulary) for row in others] + [row.entry for row in found]
            self._survey({"cases": entries})
            return
        before = {(row.name, row.entry["image"]): row for row in self.rows}
        for row in found:
            known = before.get((row.name, row.entry["image"]))
            if known is not None:
                row.says, row.used = known.says, known.used and row.usable
        self._said = ""
        self.table.setRows(found)
        self._fillPathologies()
        self._onChanged()

    def _sameNameElsewhere(self, folder: str | None, datasets: set[str]) -> str:
        """The data set that the table has from another folder than this one; empty where there is none."""
        if folder is None or Path(folder).name == SceneCases.DATASET:  # the copies of a scene move with their run
            return ""
        here = Path(folder).resolve()
        for row in self.rows:
            parent = Path(row.entry["image"]).parent.resolve()
            if row.entry["dataset"] in datasets and here not in (parent, *parent.parents):
                return row.entry["dataset"]
        return ""

    def _draftFolder(self) -> Path:
        if self.draft is None:
            self.draft = Runs.newDraftFolder()
        return self.draft / SceneCases.DATASET

    def _onSceneWritten(self, folder: Path) -> None:
        self.look(folder)

    def _removeDraft(self) -> None:
        draft, self.draft = self.draft, None
        if draft is not None:
            removePath(draft)

    def _galleryParams(self) -> dict[str, Any] | None:
        if self.whyNot():
            return None
        said = self.request()
        return {"cases": said["cases"], "corrections": said["corrections"], **self._model()}

    # ------------------------------------------------------------ what is shown

    def refresh(self, splits: dict[str, int] | None) -> None:
        """Brings every control of the step in line.

        Args:
            splits: people in each split; None where that is not known.
        """
        ui, looking, there = self.ui, self.job is not None, bool(self.rows)
        lacking = missingLightPackages()
        why = _("Packages are missing: install them in Setup.") if lacking else ""
        why = _("The scans are being looked at.") if looking else why
        explain(
            ui.folderButton, why, _("A folder with sub-X/anat/sub-X_FLAIR.nii.gz and masks, or images/ and masks/.")
        )
        explain(ui.sceneButton, why, _("Volumes and segmentations that are loaded in Slicer."))
        explain(ui.clearButton, why or ("" if there else _("The table is empty.")), _("Empty the table; no file goes."))
        show(ui.casesIntro, not there)
        for control in (ui.surveyBar, ui.surveyCancelButton):
            show(control, looking)
        for control in (ui.casesTable, ui.pathologyRow, ui.caseDetail):
            show(control, there)
        ui.casesTable.enabled = not looking
        explain(ui.pathologyButton, "" if there else _("Choose cases first."), self._whatIsSet())
        ui.pathologyCombo.enabled = there
        ui.casesSummary.text = self._said or (Cases.summary(self.rows, self.vocabulary, splits) if there else "")
        show(ui.casesSummary, bool(ui.casesSummary.text))
        self.corrections.refresh()
        self.scene.refresh()
        self.gallery.refresh()
        self._onCurrent()

    def _whatIsSet(self) -> str:
        chosen = {item.row() for item in self.ui.casesTable.selectedItems()}
        if chosen:
            return _("Say this of the {n} chosen rows.").format(n=len(chosen))
        return _("Say this of all cases; choose rows to say it of those only.")

    def _onCurrent(self) -> None:
        row = self.table.current
        said = ""
        if row is not None:
            problems = row.problems(self.vocabulary)
            said = f"{row.name}: {'; '.join(problems)}." if problems else ""
        self.ui.caseDetail.text = said
        show(self.ui.caseDetail, bool(said))
        self.ui.pathologyButton.toolTip = self._whatIsSet()

    def _onSelected(self) -> None:
        row = self.table.current
        if row is not None:
            self.ui.pathologyCombo.setEditText(row.says)
        self._onCurrent()

    def _onRows(self) -> None:
        self._fillPathologies()
        self._onChanged()

    def _onUnfolded(self, _open: bool) -> None:
        self._onChanged()

    def _fillPathologies(self) -> None:
        combo, before = self.ui.pathologyCombo, self.ui.pathologyCombo.currentText
        labels = list(dict.fromkeys([*self.vocabulary.labels()[:-2], *(row.says for row in self.rows)]))
        fixed = [self.vocabulary.free, self.vocabulary.unknown]
        labels = [label for label in labels if label not in fixed] + fixed
        combo.clear()
        combo.addItems(labels)
        combo.setEditText(before or labels[0])
