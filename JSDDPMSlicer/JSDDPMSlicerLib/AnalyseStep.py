"""Step 3 of the Reading study panel: unlocks the key, analyses what was read, and shows the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from .Controls import explain, show
from .Core import missingLightPackages
from .RocPlot import TABLE, RocPlot
from .StudyCommand import StudyCommand
from .Tables import fill, readTable

ROWS_SHOWN = 8
ROW_HEIGHT, SCROLL_BAR = 24, 18
"""Pixels."""


class AnalyseStep:
    """Wires the third step.

    Args:
        ui: of the panel.
        study: gives the folder of the chosen study; None where none is chosen.
    """

    def __init__(self, ui: Any, study: Callable[[], Path | None]) -> None:
        self.ui, self._study = ui, study
        self._said = ""
        self._notes: list[str] = []
        self._report: Path | None = None
        self._tables: list[Path] = []
        self.roc = RocPlot()
        self.command = StudyCommand(self._onProgress, self._notes.append, self._onEnded)
        ui.keyEdit.filters = ctk.ctkPathLineEdit.Files
        ui.keyPassphraseEdit.setEchoMode(qt.QLineEdit.Password)
        ui.keyEdit.connect("currentPathChanged(QString)", self._onAny)
        ui.keyPassphraseEdit.connect("textChanged(QString)", self._onAny)
        ui.resultTable.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        ui.resultTable.verticalHeader().setVisible(False)
        ui.resultTable.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        ui.analyseButton.connect("clicked(bool)", self.onAnalyse)
        ui.openReportButton.connect("clicked(bool)", self.onOpen)
        ui.rocButton.connect("toggled(bool)", self.onRoc)
        ui.resultCombo.connect("currentIndexChanged(int)", self._onTable)

    def whyNot(self) -> str:
        """Why nothing can be analysed; empty where it can."""
        lacking = missingLightPackages()
        if lacking:
            return _("Packages are missing ({names}): install them in Setup.").format(names=", ".join(lacking))
        study = self._study()
        if study is None:
            return _("Choose the folder of a study, under 2.")
        if not any((study / "responses").glob("slot-*.jsonl")):
            return _("Nobody has read a case of this study yet.")
        if not (self.ui.keyEdit.currentPath or self.ui.keyPassphraseEdit.text):
            return _("Type the passphrase of the answer key.")
        return ""

    def onAnalyse(self) -> None:
        """Analyses, or stops analysing."""
        if self.command.busy:
            self.command.cancel()
            return
        if self.whyNot():
            return
        self._said, self._notes[:] = "", []
        arguments = ["analyse", str(self._study()), "--overwrite"]
        if self.ui.keyEdit.currentPath:
            arguments += ["--key", self.ui.keyEdit.currentPath]
        self.command.start(arguments, self.ui.keyPassphraseEdit.text or " ")  # or it would be asked for
        self.refresh()

    def onOpen(self) -> None:
        """The report, in the web browser."""
        if self._report is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._report)))

    def onRoc(self, shown: bool) -> None:
        """The ROC curves, in Slicer's plot views."""
        if shown:
            self.roc.show()
        else:
            self.roc.hide()
        self.refresh()

    def _onProgress(self, stage: str, share: float) -> None:
        self._said = _("{stage}, {percent:.0f} %").format(stage=stage.capitalize(), percent=100 * share)
        self.refresh()

    def _onEnded(self, done: dict[str, Any] | None, error: str) -> None:
        if done is None:
            self._said = error
        else:
            self.ui.keyPassphraseEdit.text = ""
            self._report = Path(done["report"])
            self._tables = [Path(path) for path in done["tables"]]
            self._said = "\n".join(filter(None, [str(done.get("verdict") or ""), *self._notes]))
            combo = self.ui.resultCombo
            combo.blockSignals(True)
            combo.clear()
            for path in self._tables:
                combo.addItem(path.stem.replace("_", " ").capitalize(), str(path))
            combo.blockSignals(False)
            self._onTable(0)
            self._readRoc(next((path for path in self._tables if path.stem == TABLE), None))
        self.refresh()

    def _readRoc(self, path: Path | None) -> None:
        self.ui.rocButton.setChecked(False)
        try:
            self.roc.read(path)
        except OSError as error:
            self._unreadable(path, error)

    def _unreadable(self, path: Path | None, error: OSError) -> None:
        self._said = _("{file} could not be read: {reason}").format(file=path, reason=error.strerror or error)

    def _onTable(self, index: int) -> None:
        """Shows a table of the analysis."""
        table = self.ui.resultTable
        rows: list[list[str]] = []
        if 0 <= index < len(self._tables):
            try:
                rows = [[_shortened(cell) for cell in row] for row in readTable(self._tables[index])]
            except OSError as error:
                self._unreadable(self._tables[index], error)
        table.clear()
        table.setColumnCount(len(rows[0]) if rows else 0)
        if rows:
            table.setHorizontalHeaderLabels([name.replace("_", " ") for name in rows[0]])
            fill(table, rows[1:], ROWS_SHOWN)
            height = table.maximumHeight + SCROLL_BAR  # wide tables scroll sideways, and the bar would hide a row
            table.setMinimumHeight(height)
            table.setMaximumHeight(height)

    def refresh(self) -> None:
        """Brings every control of the step in line."""
        ui, busy = self.ui, self.command.busy
        why = "" if busy else self.whyNot()
        ui.analyseButton.text = _("Cancel") if busy else _("Analyse")
        explain(ui.analyseButton, why, _("Opens the key for this analysis only; the study is not changed."))
        there = self._report is not None and not busy
        show(ui.openReportButton, there)
        show(ui.rocButton, there and self.roc.there)
        ui.rocButton.text = _("Hide ROC curves") if self.roc.shown else _("Show ROC curves")
        show(ui.resultCombo, there)
        show(ui.resultTable, there)
        ui.analyseStatus.text = self._said or (_("Analysing...") if busy else why)
        show(ui.analyseStatus, bool(ui.analyseStatus.text))

    def _onAny(self, _value: Any) -> None:
        self.refresh()

    def forget(self) -> None:
        """Another study was chosen: what is shown belongs to the former."""
        self._report, self._tables, self._said = None, [], ""
        self._readRoc(None)
        self.refresh()

    def sceneClosed(self) -> None:
        """The scene's nodes are gone, and with them the plots."""
        self.roc.sceneClosed()
        self.ui.rocButton.setChecked(False)

    def close(self) -> None:
        """Before the panel goes."""
        self.command.close()
        self.roc.hide()


def _shortened(cell: str) -> str:
    """Four digits of a number."""
    try:
        return cell if cell.lstrip("-").isdigit() else f"{float(cell):.4g}"
    except ValueError:
        return cell
