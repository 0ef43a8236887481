"""Step 1 of the Reading study panel: what is shown to whom, and the making of the study."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from .Bundles import listModels, titles
from .Controls import explain, show
from .Core import makeImportable, missingLightPackages
from .Jobs import removePath
from .Runs import newScratchFolder, resultsFolder
from .StudyCommand import StudyCommand
from .StudyForm import StudyForm
from .StudySize import StudySize
from .Tables import chosenFile

LONGEST_NAME = 50
"""Letters of a folder's name: four bytes each are fewer than file systems take."""

SHORTEST = 12
"""Letters of a passphrase; the command holds it to more than that."""


class DesignStep:
    """Wires the first step.

    Args:
        ui: of the panel.
        onStudy: called with the folder of a study that was made.
    """

    def __init__(self, ui: Any, onStudy: Callable[[Path], None]) -> None:
        self.ui, self._onStudy = ui, onStudy
        self._said = ""
        self._notes: list[str] = []
        self._scratch: Path | None = None
        self._models: list[Any] = []
        self._lesional: dict[str, bool] = {}
        self._filling = False
        self.form = StudyForm(ui, self.refresh)
        self.size = StudySize(ui, self.form)
        self.command = StudyCommand(self._onProgress, self._notes.append, self._onEnded)
        for edit in (ui.passphraseEdit, ui.passphraseAgainEdit):
            edit.setEchoMode(qt.QLineEdit.Password)
            edit.connect("textChanged(QString)", self._onAny)
        ui.studyParentEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.studyParentEdit.connect("currentPathChanged(QString)", self._onAny)
        ui.designButton.connect("clicked(bool)", self.onMake)
        ui.saveDesignButton.connect("clicked(bool)", self.onSave)
        ui.sourceCombo.connect("currentIndexChanged(int)", self._onSource)

    # ------------------------------------------------------------ what can be chosen

    def enter(self) -> None:
        """The panel has come to the front: models may be others now."""
        if not missingLightPackages():
            self._fillSources()
        self.refresh()

    def _fillSources(self) -> None:
        combo, before = self.ui.sourceCombo, self.ui.sourceCombo.currentData
        self._models = [model for model in listModels() if model.problem is None]
        self._filling = True
        combo.clear()
        for model, title in zip(self._models, titles(self._models), strict=True):
            combo.addItem(_("made by {model}").format(model=title), str(model.folder))
        combo.addItem(_("results that are there"), None)
        index = combo.findData(before) if before else 0
        combo.setCurrentIndex(max(index, 0))
        self._filling = False
        self._fillPathologies()

    def _fillPathologies(self) -> None:
        """Those of the chosen model, or of all models, ticked where they were."""
        ui, chosen = self.ui, self.ui.sourceCombo.currentData
        ticked = set(self.form.pathologies())
        offered = [model for model in self._models if chosen in (None, str(model.folder))]
        known = {each.name: each.label for model in offered for each in model.pathologies()}
        self._lesional = {each.name: each.lesional for model in offered for each in model.pathologies()}
        ui.pathologyList.blockSignals(True)
        ui.pathologyList.clear()
        for name, label in known.items():
            item = qt.QListWidgetItem(label)
            item.setData(qt.Qt.UserRole, name)
            item.setCheckState(qt.Qt.Checked if name in ticked or not ticked else qt.Qt.Unchecked)
            ui.pathologyList.addItem(item)
        ui.pathologyList.blockSignals(False)
        before = ui.lesionsCombo.currentData
        ui.lesionsCombo.blockSignals(True)
        ui.lesionsCombo.clear()
        ui.lesionsCombo.addItem(_("as participants.tsv says"), None)
        for name, label in known.items():
            ui.lesionsCombo.addItem(label, name)
        ui.lesionsCombo.setCurrentIndex(max(ui.lesionsCombo.findData(before), 0) if before else 0)
        ui.lesionsCombo.blockSignals(False)

    # ------------------------------------------------------------ making it

    @property
    def target(self) -> Path:
        """Where the study is going to lie."""
        title = self.ui.studyTitleEdit.text.strip()
        words = "".join(letter if letter.isalnum() else " " for letter in title.lower())[:LONGEST_NAME].split()
        name = "-".join(words) or "study"
        return Path(self.ui.studyParentEdit.currentPath or str(resultsFolder().parent / "Studies")) / name

    def whyNot(self) -> str:
        """Why no study can be made; empty where one can."""
        lacking = missingLightPackages()
        if lacking:
            return _("Packages are missing ({names}): install them in Setup.").format(names=", ".join(lacking))
        ui = self.ui
        if not ui.studyTitleEdit.text.strip():
            return _("Give the study a title.")
        if self.form.real.whyNot():
            return self.form.real.whyNot()
        if not ui.sourceCombo.currentData and not ui.resultsEdit.currentPath:
            return _("Choose the folder of synthetic results.")
        if not self.form.pathologies():
            return _("Tick at least one pathology.")
        if self.form.whyNotAsked():
            return self.form.whyNotAsked()
        makeImportable()
        from jsddpm_core.errors import StudyError
        from jsddpm_core.reading_study.design import check_lesions, parse_design

        try:
            check_lesions(parse_design(self.form.request()), self._lesional)
        except StudyError as error:
            return str(error)
        if len(ui.passphraseEdit.text) < SHORTEST:
            return _("Type a passphrase of {n} letters or more for the answer key.").format(n=SHORTEST)
        if ui.passphraseEdit.text != ui.passphraseAgainEdit.text:
            return _("The two passphrases differ.")
        if self.target.exists():
            return _("{folder} is there already: choose another title or place.").format(folder=self.target)
        return ""

    def onMake(self) -> None:
        """Makes the study, or stops making it."""
        if self.command.busy:
            self.command.cancel()
            return
        if self.whyNot():
            return
        self._said, self._notes[:] = "", []
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._scratch = newScratchFolder("study")
            request = self._scratch / "request.json"
            request.write_text(json.dumps(self.form.request()), encoding="utf-8")
        except OSError as error:
            self._said = _("The study could not be begun: {reason}").format(reason=error)
            self.refresh()
            return
        self.ui.designBar.setValue(0)
        self.command.start(["new", str(request), "--out", str(self.target)], self.ui.passphraseEdit.text)
        self.refresh()

    def onSave(self) -> None:
        """Writes the request to a file that `jsddpm study new` takes."""
        path = chosenFile(
            qt.QFileDialog.getSaveFileName(self.ui.designButton, _("Save the request"), "study.json", "JSON (*.json)")
        )
        if not path:
            return
        try:
            Path(path).write_text(json.dumps(self.form.request(), indent=1), encoding="utf-8")
            self._said = _("Saved {file}; make it with: jsddpm study new {file} --out FOLDER").format(file=path)
        except OSError as error:
            self._said = _("{file} could not be written: {reason}").format(file=path, reason=error.strerror or error)
        self.refresh()

    def _onProgress(self, stage: str, share: float) -> None:
        self._said = _("{stage}...").format(stage=stage.capitalize())
        self.ui.designBar.setValue(round(1000 * share))
        self.refresh()

    def _onEnded(self, done: dict[str, Any] | None, error: str) -> None:
        self._removeScratch()
        if done is None:
            self._said = error
            self.refresh()
            return
        self._said = "\n".join([
            _("The study is in {folder}.").format(folder=done["folder"]),
            _("Its answer key is {key}, locked with the passphrase.").format(key=done["key"]),
            *self._notes,
        ])  # fmt: skip
        for edit in (self.ui.passphraseEdit, self.ui.passphraseAgainEdit):
            edit.text = ""
        self.refresh()
        self._onStudy(Path(done["folder"]))

    def _removeScratch(self) -> None:
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            removePath(scratch)

    # ------------------------------------------------------------ what is shown

    def refresh(self) -> None:
        """Brings every control of the step in line."""
        ui, busy = self.ui, self.command.busy
        why = "" if busy else self.whyNot()
        task = ui.taskCombo.currentIndex
        for control in (ui.scaleLabel, ui.scaleCombo):
            show(control, not self.form.pairs)
        for control in (ui.radiusLabel, ui.radiusSpin):
            show(control, task in (2, 3))
        for control in (ui.resultsLabel, ui.resultsEdit):
            show(control, not ui.sourceCombo.currentData)
        show(ui.drawingBox, bool(ui.sourceCombo.currentData))
        self.form.real.refresh()
        explain(
            ui.saveDesignButton, self.form.real.whyNotKept(), _("For jsddpm study new, on this machine or another.")
        )
        ui.syntheticSpin.enabled = not self.form.pairs
        ui.toleranceSpin.enabled = ui.matchedCheck.checked
        ui.lowSpin.enabled = ui.highSpin.enabled = ui.positionCheck.checked
        ui.removeQuestionButton.enabled = ui.likertTable.rowCount > 0
        show(ui.likertTable, ui.likertTable.rowCount > 0)
        self.size.refresh()
        ui.designButton.text = _("Cancel") if busy else _("Make the study")
        explain(
            ui.designButton, why, _("Nothing is kept.") if busy else _("Writes {folder}.").format(folder=self.target)
        )
        show(ui.designBar, busy)
        ui.designStatus.text = self._said or why
        show(ui.designStatus, bool(ui.designStatus.text))

    def _onSource(self, _index: int) -> None:
        if not self._filling:
            self._fillPathologies()
            self.refresh()

    def _onAny(self, _value: Any) -> None:
        self.refresh()

    def sceneClosed(self) -> None:
        """The scene's nodes are gone; copies that were made of them stay."""
        self.form.real.sceneClosed()

    def close(self) -> None:
        """Before the panel goes."""
        self.command.close()
        self.form.real.close()
        self.size.close()
        self._removeScratch()
