"""What the Design step's form says, as `jsddpm study new` takes it."""

from __future__ import annotations

from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from .RealSource import RealSource
from .Tables import fitHeight

TASKS = ("real", "pair", "lesion", "both")
QUESTION, LOW, HIGH, POINTS = range(4)
"""Columns of the table of own questions."""

FEWEST_POINTS, MOST_POINTS = 2, 9
"""Of a scale: digits answer."""

ROW_HEIGHT = 24


class StudyForm:
    """The controls that make a request, and nothing but their values.

    Args:
        ui: of the panel.
        onChanged: called after every change.
    """

    def __init__(self, ui: Any, onChanged: Any) -> None:
        self.ui, self._onChanged = ui, onChanged
        for combo, entries in (
            (ui.taskCombo, (_("Real or synthetic?"), _("Two side by side: which is real?"),
                            _("Is there a lesion, and where?"), _("Real or synthetic, and is there a lesion?"))),
            (ui.scaleCombo, (_("Rating from 1 to 6"), _("Choice of two"))),
            (ui.primaryCombo, (_("Area under the ROC curve"), _("Proportion correct"), _("d'"))),
            (ui.timeoutsCombo, (_("an error"), _("the middle of the scale"), _("left out"))),
            (ui.correctionCombo, (_("Holm"), _("Bonferroni"), _("none"))),
        ):  # fmt: skip
            combo.addItems(list(entries))
            combo.connect("currentIndexChanged(int)", self._onAny)
        self.real = RealSource(ui, onChanged)
        ui.resultsEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.resultsEdit.connect("currentPathChanged(QString)", self._onAny)
        for spin in (ui.realSpin, ui.syntheticSpin, ui.trainingSpin, ui.repeatsSpin, ui.slotsSpin, ui.limitSpin,
                     ui.breakSpin, ui.studyAttemptsSpin, ui.studySeedSpin, ui.studyStepsSpin):  # fmt: skip
            spin.connect("valueChanged(int)", self._onAny)
        for spin in (ui.radiusSpin, ui.marginSpin, ui.lowSpin, ui.highSpin, ui.toleranceSpin):
            spin.connect("valueChanged(double)", self._onAny)
        for check in (ui.matchedCheck, ui.overlayCheck, ui.freeCheck, ui.positionCheck):
            check.connect("toggled(bool)", self._onAny)
        ui.studyTitleEdit.connect("textChanged(QString)", self._onAny)
        ui.instructionsEdit.connect("textChanged()", self._onText)
        ui.pathologyList.connect("itemChanged(QListWidgetItem*)", self._onAny)
        ui.sourceCombo.connect("currentIndexChanged(int)", self._onAny)
        table = ui.likertTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Question"), _("1 means"), _("Highest means"), _("Points")])
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setSectionResizeMode(QUESTION, qt.QHeaderView.Stretch)
        for column, width in ((LOW, 80), (HIGH, 105), (POINTS, 48)):
            table.setColumnWidth(column, width)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.connect("itemChanged(QTableWidgetItem*)", self._onAny)
        ui.addQuestionButton.connect("clicked(bool)", self.addQuestion)
        ui.removeQuestionButton.connect("clicked(bool)", self.removeQuestion)
        fitHeight(table, 3)

    # ------------------------------------------------------------ own questions

    def addQuestion(self) -> None:
        """A row to be filled in."""
        table = self.ui.likertTable
        table.blockSignals(True)
        row = table.rowCount
        table.setRowCount(row + 1)
        for column, text in enumerate((_("How natural does the image look?"), _("artificial"), _("natural"), "5")):
            table.setItem(row, column, qt.QTableWidgetItem(text))
        table.blockSignals(False)
        fitHeight(table, 3)
        self._onChanged()

    def removeQuestion(self) -> None:
        """The chosen row goes, or the last one."""
        table = self.ui.likertTable
        if table.rowCount:
            row = table.currentRow()
            table.removeRow(row if row >= 0 else table.rowCount - 1)
            fitHeight(table, 3)
            self._onChanged()

    def _questions(self) -> list[dict[str, Any]]:
        table = self.ui.likertTable
        found = []
        for row in range(table.rowCount):
            text, low, high, points = (table.item(row, column).text().strip() for column in range(4))
            asked = {"kind": "likert", "name": f"question-{row + 1}", "text": text, "low": low, "high": high}
            found.append({**asked, "points": int(points) if points.isdecimal() else points})
        return found

    def whyNotAsked(self) -> str:
        """What a question of one's own lacks; empty where nothing does."""
        for number, asked in enumerate(self._questions(), start=1):
            if not (asked["text"] and asked["low"] and asked["high"]):
                return _("Say in question {n} what is asked, and what both ends of its scale mean.").format(n=number)
            if asked["points"] not in range(FEWEST_POINTS, MOST_POINTS + 1):
                return _("Give question {n} between {fewest} and {most} points.").format(
                    n=number, fewest=FEWEST_POINTS, most=MOST_POINTS
                )
        return ""

    # ------------------------------------------------------------ the request

    @property
    def pairs(self) -> bool:
        return TASKS[self.ui.taskCombo.currentIndex] == "pair"

    def items(self) -> list[dict[str, Any]]:
        """What is asked of every case."""
        ui, task = self.ui, TASKS[self.ui.taskCombo.currentIndex]
        scale = ("rating", "forced")[ui.scaleCombo.currentIndex]
        lesion = {"kind": "lesion", "scale": scale, "radius_mm": float(ui.radiusSpin.value)}
        asked = {
            "real": [{"kind": "real", "scale": scale}],
            "pair": [{"kind": "pair"}],
            "lesion": [lesion],
            "both": [{"kind": "real", "scale": scale}, lesion],
        }[task]
        return [*asked, *self._questions()]

    def pathologies(self) -> list[str]:
        """Those that are ticked."""
        rows = (self.ui.pathologyList.item(row) for row in range(self.ui.pathologyList.count))
        return [item.data(qt.Qt.UserRole) for item in rows if item.checkState() == qt.Qt.Checked]

    def synthetic(self) -> dict[str, Any]:
        """Where synthetic images come from."""
        ui = self.ui
        if not ui.sourceCombo.currentData:
            return {"results": [ui.resultsEdit.currentPath]}
        steps = {"steps": ui.studyStepsSpin.value} if ui.studyStepsSpin.value else {}
        attempts, seed = ui.studyAttemptsSpin.value, ui.studySeedSpin.value
        return {"model": ui.sourceCombo.currentData, "attempts": attempts, "seed": seed, **steps}

    def request(self) -> dict[str, Any]:
        """A design as plain values; what is not said is left out."""
        ui = self.ui
        count, synthetic = ui.realSpin.value, ui.realSpin.value if self.pairs else ui.syntheticSpin.value
        display = {
            "mask_overlay": ui.overlayCheck.checked,
            "window_level": "free" if ui.freeCheck.checked else "locked",
            "time_limit_s": float(ui.limitSpin.value) if ui.limitSpin.value else None,
            "break_every": ui.breakSpin.value or None,
        }
        plan = {
            "primary": ("auc", "accuracy", "d-prime")[ui.primaryCombo.currentIndex],
            "margin": float(ui.marginSpin.value) or None,
            "timeouts": ("wrong", "middle", "left-out")[ui.timeoutsCombo.currentIndex],
            "correction": ("holm", "bonferroni", "none")[ui.correctionCombo.currentIndex],
        }
        return {
            "version": 1, "task": "study", "title": ui.studyTitleEdit.text.strip(),
            "instructions": ui.instructionsEdit.plainText, "items": self.items(), "display": display, "plan": plan,
            "real": {"count": count, **self.real.request()},
            "synthetic": {"count": synthetic, **self.synthetic()},
            "pathologies": self.pathologies(),
            "position_range_mm": [float(ui.lowSpin.value), float(ui.highSpin.value)] if ui.positionCheck.checked
            else None,
            "matched": ui.matchedCheck.checked, "tolerance_mm": float(ui.toleranceSpin.value),
            "training": ui.trainingSpin.value, "repeats": ui.repeatsSpin.value, "slots": ui.slotsSpin.value,
        }  # fmt: skip

    def _onAny(self, _value: Any) -> None:
        self._onChanged()

    def _onText(self) -> None:
        self._onChanged()
