"""Step 2 of the Reading study panel: which study, which slot, who reads; and the way into the reading."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _

from .Controls import explain, show
from .Core import missingLightPackages
from .ReadingRun import ReadingRun
from .Steps import Steps

LAST_FOLDER = "JSDDPMSlicer/LastStudyFolder"
PIECE_S = 0.03
"""Of checking images at a stretch."""


def receiptsFolder() -> Path:
    """Where receipts are kept: beside the user's settings, apart from any study."""
    return Path(slicer.app.slicerUserSettingsFilePath).parent / "JSDDPMSlicer-receipts"


class ReadStep:
    """Wires the second step.

    Args:
        ui: of the panel.
        onChanged: called when another study was chosen, or a reading has begun or ended.
    """

    def __init__(self, ui: Any, onChanged: Callable[[], None]) -> None:
        self.ui, self._onChanged = ui, onChanged
        self.run: ReadingRun | None = None
        self.manifest: Any = None
        self._folder: Path | None = None
        self._problem = ""
        self._said = ""
        self._steps: Steps | None = None
        self._checked = 0
        self._files: list[tuple[str, str]] = []
        self._names: dict[int, str] = {}
        ui.studyFolderEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.experienceCombo.addItems(
            [_("Neuroradiologist"), _("Radiologist"), _("Radiologist in training"), _("Other physician"), _("Other")]
        )
        ui.experienceCombo.setCurrentIndex(-1)
        ui.studyFolderEdit.connect("currentPathChanged(QString)", self._onFolder)
        ui.slotCombo.connect("currentIndexChanged(int)", self._onAny)
        ui.readerEdit.connect("textChanged(QString)", self._onAny)
        ui.readButton.connect("clicked(bool)", self.onRead)

    # ------------------------------------------------------------ the study

    @property
    def folder(self) -> Path | None:
        """The chosen study's; None where none is chosen."""
        return self._folder

    def choose(self, folder: Path | None) -> None:
        """Looks at the folder of a study."""
        self._stop()
        self.manifest, self._problem, self._said = None, "", ""
        self._folder = folder
        if folder is not None and not folder.is_dir():
            self._problem = _("There is no folder {folder}.").format(folder=folder)
        elif folder is not None and not missingLightPackages():
            from jsddpm_core.errors import StudyError
            from jsddpm_core.reading_study.manifest import read_manifest
            from jsddpm_core.reading_study.pictures import files_of

            try:
                self.manifest = read_manifest(folder)
            except StudyError as error:
                self._problem = str(error)
            else:
                slicer.app.userSettings().setValue(LAST_FOLDER, str(folder))
                self._files, self._checked = files_of(self.manifest), 0
                self._steps = Steps(self._check(folder), self._onChecked, self._onCheckFailed)
        self._fillSlots()
        self._onChanged()

    def _check(self, folder: Path) -> Iterator[str]:
        """Holds every image against its hash, some at a time."""
        from jsddpm_core.reading_study.pictures import problem_of

        began = time.perf_counter()
        for number, (name, digest) in enumerate(self._files, start=1):
            self._problem = problem_of(folder, name, digest)
            self._checked = number
            if self._problem:
                return
            if time.perf_counter() - began > PIECE_S:
                self.ui.checkBar.setValue(number)
                yield "check"
                began = time.perf_counter()

    def _onChecked(self) -> None:
        self._steps = None
        self._onChanged()

    def _onCheckFailed(self, error: Exception) -> None:
        self._problem = str(error)
        self._onChecked()

    def _stop(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.cancel()

    def _fillSlots(self) -> None:
        """The slots, each with who reads it and how far."""
        combo, chosen = self.ui.slotCombo, max(self.ui.slotCombo.currentIndex, 0)
        combo.blockSignals(True)
        combo.clear()
        self._names = {}
        for slot in self.manifest.slots if self.manifest is not None else ():
            combo.addItem(self._slotLabel(slot), slot.number)
        combo.setCurrentIndex(min(chosen, combo.count - 1))
        combo.blockSignals(False)

    def _slotLabel(self, slot: Any) -> str:
        from jsddpm_core.errors import StudyError
        from jsddpm_core.reading_study.reader_log import read_log

        try:
            log = read_log(self._folder, slot.number, self.manifest)
        except StudyError:
            return _("{n}: cannot be read").format(n=slot.number)
        if not log.reader:
            return _("{n}: free").format(n=slot.number)
        self._names[slot.number] = log.reader
        if log.complete:
            return _("{n}: {reader}, finished").format(n=slot.number, reader=log.reader)
        total = len(self.manifest.training) + len(slot.order)
        return _("{n}: {reader}, {done} of {total} read").format(
            n=slot.number, reader=log.reader, done=len(log.readings), total=total
        )

    # ------------------------------------------------------------ the reading

    def whyNot(self) -> str:
        """Why no reading can be started; empty where one can."""
        lacking = missingLightPackages()
        if lacking:
            return _("Packages are missing ({names}): install them in Setup.").format(names=", ".join(lacking))
        if self._folder is None:
            return _("Choose the folder of a study.")
        if self._problem:
            return self._problem
        if self._steps is not None:
            return _("The images are being checked.")
        if not self.ui.readerEdit.text.strip():
            return _("Type your name.")
        return ""

    def _elsewhere(self) -> str:
        """Where the chosen slot is free and the typed name stands on another: who comes again may have missed it."""
        chosen, typed = self.ui.slotCombo.currentData, self.ui.readerEdit.text
        if chosen is None or int(chosen) in self._names or not typed.strip():
            return ""
        from jsddpm_core.reading_study.names import same_name

        number = next((number for number, name in self._names.items() if same_name(name, typed)), None)
        said = _("{name} has begun slot {n}: choose that to go on there.")
        return "" if number is None else said.format(name=typed.strip(), n=number)

    def onRead(self) -> None:
        """Opens the slot and fills the screen with it."""
        if self.whyNot() or self.run is not None:
            return
        from jsddpm_core.errors import StudyError
        from jsddpm_core.reading_study.session import Session

        ui, years = self.ui, self.ui.yearsSpin.value
        session = None
        try:
            session = Session.open(
                self._folder, int(ui.slotCombo.currentData), ui.readerEdit.text, ui.experienceCombo.currentText,
                None if years < 0 else float(years), receipts=receiptsFolder(),
            )  # fmt: skip
            self.run = ReadingRun(session, self._onEnded)
        except StudyError as error:
            if session is not None:
                session.close()
            self._said = str(error)
            self.refresh()
            return
        self._said = ""
        self.run.start()
        self._onChanged()

    def _onEnded(self) -> None:
        session, self.run = self.run.session, None
        done, total, code = session.done, len(session.places), session.receipt.code
        if session.ended:
            told = _("All {total} cases are read and saved. Receipt: {code}")
        else:
            told = _("{done} of {total} cases are read and saved; start again to go on. Receipt: {code}")
        self._said = told.format(done=done, total=total, code=code)
        self._fillSlots()
        self.refresh()
        self._onChanged()

    # ------------------------------------------------------------ what is shown

    def refresh(self) -> None:
        """Brings every control of the step in line."""
        ui, manifest, why = self.ui, self.manifest, self.whyNot()
        checking = self._steps is not None
        ui.studySummary.text = "" if manifest is None else _summary(manifest)
        show(ui.studySummary, manifest is not None)
        ui.checkBar.setMaximum(max(len(self._files), 1))
        ui.checkBar.setValue(self._checked)
        show(ui.checkBar, checking)
        ui.slotCombo.enabled = manifest is not None
        explain(ui.readButton, why, _("Fills the screen; Esc leaves at any time, and nothing is lost."))
        log = ui.slotCombo.currentText if manifest is not None else ""
        ui.readButton.text = _("Go on reading") if "," in log else _("Start reading")
        ui.readStatus.text = (
            self._said or self._problem or (why if self._folder is not None else "") or self._elsewhere()
        )
        show(ui.readStatus, bool(ui.readStatus.text))

    def _onFolder(self, path: str) -> None:
        self.choose(Path(path) if path else None)

    def _onAny(self, _value: Any) -> None:
        self._said = ""
        self.refresh()

    def enter(self) -> None:
        """The panel has come to the front: what other readers did meanwhile shows."""
        last = slicer.util.settingsValue(LAST_FOLDER, "", converter=str)
        if self._folder is None and last and Path(last).is_dir():
            self.ui.studyFolderEdit.currentPath = last
        elif self.manifest is not None and self.run is None:
            self._fillSlots()
        self.refresh()

    def close(self) -> None:
        """Before the panel goes."""
        self._stop()
        if self.run is not None:
            self.run.close()


def _summary(manifest: Any) -> str:
    cases = len(manifest.slots[0].order)
    said = [_("{title}: {n} cases").format(title=manifest.title, n=cases)]
    if manifest.training:
        said.append(_("{n} for training first").format(n=len(manifest.training)))
    if manifest.display.time_limit_s is not None:
        said.append(_("{s:g} seconds each").format(s=manifest.display.time_limit_s))
    return ", ".join(said) + "."
