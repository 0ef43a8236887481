"""Where a study's real cases come from: a folder, volumes of the scene, or a prepared cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
from slicer.i18n import tr as _

from . import SceneCases
from .Controls import show
from .Core import makeImportable
from .Jobs import removePath
from .Runs import newDraftFolder
from .ScenePicker import ScenePicker

FOLDER, SCENE, CACHE = range(3)
"""Places of the box."""


class RealSource:
    """The controls of the real arm.

    Args:
        ui: of the panel.
        onChanged: called after every change.
    """

    def __init__(self, ui: Any, onChanged: Callable[[], None]) -> None:
        self.ui, self._onChanged = ui, onChanged
        self._drafts: list[Path] = []
        self._cases: list[dict[str, Any]] = []
        self._problem = ""
        ui.realSourceCombo.addItems([_("a folder"), _("volumes of the scene"), _("a prepared cache")])
        self.scene = ScenePicker(ui, self._newDraft, self._onWritten, _("No lesion"))
        for combo in (ui.realSourceCombo, ui.lesionsCombo):
            combo.connect("currentIndexChanged(int)", self._onAny)
        for edit in (ui.realFolderEdit, ui.realCacheEdit):
            edit.filters = ctk.ctkPathLineEdit.Dirs
            edit.connect("currentPathChanged(QString)", self._onAny)
        self._splits = {"test": ui.testCheck, "validation": ui.validationCheck, "train": ui.trainCheck}
        for check in self._splits.values():
            check.connect("toggled(bool)", self._onAny)

    @property
    def source(self) -> int:
        return self.ui.realSourceCombo.currentIndex

    def request(self) -> dict[str, Any]:
        """The source of a design's real arm as plain values."""
        ui, lesions = self.ui, self.ui.lesionsCombo.currentData
        if self.source == SCENE:
            return {"cases": [{**case, "pathology": lesions} for case in self._cases]}
        splits = [name for name, check in self._splits.items() if check.checked]
        if self.source == CACHE:
            return {"cache": ui.realCacheEdit.currentPath, "splits": splits}
        return {"folder": ui.realFolderEdit.currentPath, "splits": splits, **({"lesions": lesions} if lesions else {})}

    def whyNot(self) -> str:
        """Why there are no real cases; empty where there are."""
        ui = self.ui
        if self.source == SCENE:
            if not self._cases:
                return self._problem or _("Take volumes of the scene for the real images.")
            if not ui.lesionsCombo.currentData and any(case["mask"] for case in self._cases):
                return _("Choose what the lesions of the volumes are.")
            return ""
        if self.source == FOLDER and not ui.realFolderEdit.currentPath:
            return _("Choose the folder of real cases.")
        if self.source == CACHE and not ui.realCacheEdit.currentPath:
            return _("Choose the folder of the prepared cache.")
        if not any(check.checked for check in self._splits.values()):
            return _("Tick at least one split whose people may be shown.")
        return ""

    def whyNotKept(self) -> str:
        """Why a request with these cases cannot be kept in a file; empty where it can."""
        if self.source == SCENE:
            return _("The copies of the scene's volumes go with the panel: choose a folder to keep a request.")
        return ""

    # ------------------------------------------------------------ volumes of the scene

    def _newDraft(self) -> Path:
        self._drafts.append(newDraftFolder())  # a study that is being made may still read the former one
        return self._drafts[-1] / SceneCases.DATASET

    def _onWritten(self, folder: Path) -> None:
        """Takes the copies as cases: a volume of which no segment is the lesion shows none."""
        makeImportable()
        from jsddpm_core.data.cases import discover
        from jsddpm_core.data.entries import entry_of
        from jsddpm_core.errors import CaseError

        try:
            found = [entry_of(case, None).model_copy(update={"lesion_free": case.mask is None})
                     for case in discover(folder)]  # fmt: skip
            self._cases, self._problem = [entry.model_dump(mode="json") for entry in found], ""
        except CaseError as error:
            self._cases, self._problem = [], str(error)
        self._onChanged()

    def sceneClosed(self) -> None:
        """The nodes are gone; copies that were made of them stay."""
        self.scene.sceneClosed()

    def close(self) -> None:
        """Before the panel goes: nothing of a patient stays behind."""
        if self.scene.steps is not None:
            self.scene.steps.cancel()
        for draft in self._drafts:
            removePath(draft)
        self._drafts, self._cases = [], []

    # ------------------------------------------------------------ what is shown

    def refresh(self) -> None:
        """Brings the controls in line with the chosen source."""
        ui, source = self.ui, self.source
        for control, wanted in (
            (ui.realFolderLabel, FOLDER), (ui.realFolderEdit, FOLDER), (ui.realCacheLabel, CACHE),
            (ui.realCacheEdit, CACHE), (ui.sceneButton, SCENE),
        ):  # fmt: skip
            show(control, source == wanted)
        if source != SCENE:
            ui.sceneButton.setChecked(False)
        self.scene.refresh()
        taken = len(self._cases)
        ui.sceneButton.text = _("{n} taken; choose anew...").format(n=taken) if taken else _("Choose volumes...")
        for control in (ui.splitsLabel, ui.testCheck, ui.validationCheck, ui.trainCheck):
            show(control, source != SCENE)
        for control in (ui.lesionsLabel, ui.lesionsCombo):
            show(control, source != CACHE)
        if ui.lesionsCombo.count:
            ui.lesionsCombo.setItemText(0, _("Choose...") if source == SCENE else _("as participants.tsv says"))

    def _onAny(self, _value: Any) -> None:
        self._onChanged()
