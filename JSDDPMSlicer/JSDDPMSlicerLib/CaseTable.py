"""The table of cases in the Fine-tune panel: ticks, what each shows, and its problems in words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .Cases import CaseRow
from .Steps import Steps
from .Tables import fitHeight
from .Vocabulary import Vocabulary

SUBJECT, SHOWS, VOLUME, PROBLEMS, SPACING, ORIENTATION, IMAGE, MASK = range(8)
ROWS_SHOWN = 8
ROWS_AT_ONCE = 15
ROW_HEIGHT = 24
NARROWEST = 60
GREY, AMBER, RED = (130, 130, 130), (165, 82, 0), (176, 40, 30)


class CaseTable:
    """Keeps a table widget and its rows in step.

    Args:
        table: a QTableWidget.
        onChanged: called when the user ticked or said something.
        onCurrent: called when another row was chosen.
    """

    def __init__(self, table: Any, onChanged: Callable[[], None], onCurrent: Callable[[], None]) -> None:
        self.table, self._onChanged = table, onChanged
        self.rows: list[CaseRow] = []
        self.vocabulary = Vocabulary()
        self.filling: Steps | None = None
        self._filling = False
        headers = (
            _("Case"), _("Shows"), _("ml"), _("To look at"), _("Voxels, mm"), _("Axes"), _("FLAIR"), _("Mask"),
        )  # fmt: skip
        table.setColumnCount(len(headers))
        table.setHorizontalHeaderLabels(list(headers))
        table.verticalHeader().setVisible(False)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.ExtendedSelection)
        table.setWordWrap(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.connect("itemChanged(QTableWidgetItem*)", self._onItem)
        table.connect("itemSelectionChanged()", onCurrent)

    def setRows(self, rows: list[CaseRow]) -> None:
        """Shows other rows: the first of them now, more of them in the next turns of the event loop."""
        if self.filling is not None:
            self.filling.cancel()
        self.rows = rows
        self.table.clearContents()
        self.table.setRowCount(len(rows))
        pieces = self._fill()
        next(pieces, None)
        self.filling = Steps(pieces, self._onFilled, self._onError) if len(rows) > ROWS_AT_ONCE else None
        fitHeight(self.table, ROWS_SHOWN)

    def _fill(self) -> Iterator[str]:
        for first in range(0, len(self.rows), ROWS_AT_ONCE):
            self._filling = True
            for number, row in enumerate(self.rows[first : first + ROWS_AT_ONCE], start=first):
                self._fillRow(number, row)
            self._filling = False
            if first == 0:
                self._fitColumns()
            yield "fill the table"

    def _fitColumns(self) -> None:
        for column in range(self.table.columnCount):
            self.table.resizeColumnToContents(column)
        for column, widest in ((SUBJECT, 115), (SHOWS, 115), (PROBLEMS, 170), (IMAGE, 190), (MASK, 190)):
            width = min(max(self.table.columnWidth(column), NARROWEST), widest)
            self.table.setColumnWidth(column, width)

    def _onFilled(self) -> None:
        self.filling = None

    def _onError(self, error: Exception) -> None:
        self.filling = None
        logging.error(f"JSDDPMSlicer: the table of cases could not be filled: {error}")

    def close(self) -> None:
        """Before the panel goes."""
        if self.filling is not None:
            self.filling.cancel()

    def refreshLabels(self) -> None:
        """Shows anew what the cases show, after the rows or the vocabulary have changed."""
        for number in range(len(self.rows)):
            self._showSaid(number)

    def _showSaid(self, number: int) -> None:
        item = self.table.item(number, SHOWS)
        if item is None:  # its turn has not come yet
            return
        self._filling = True
        item.setText(self.rows[number].says)
        self._showProblems(self.table.item(number, PROBLEMS), self.rows[number])
        self._filling = False

    @property
    def current(self) -> CaseRow | None:
        number = self.table.currentRow()
        return self.rows[number] if 0 <= number < len(self.rows) else None

    def selected(self) -> list[CaseRow]:
        """The chosen rows; all of them where none is."""
        numbers = sorted({item.row() for item in self.table.selectedItems()})
        return [self.rows[number] for number in numbers] or list(self.rows)

    def _fillRow(self, number: int, row: CaseRow) -> None:
        spacing = " x ".join(f"{value:.3g}" for value in row.spacing)
        volume = "" if row.lesionMl is None else f"{row.lesionMl:.1f}"
        files = [Path(row.entry[key]).name if row.entry.get(key) else "" for key in ("image", "mask")]
        several = len({row.entry["dataset"] for row in self.rows}) > 1
        name = row.name if several else row.name.partition("/")[2] or row.name
        texts = (name, row.says, volume, "", spacing, row.orientation, *files)
        tips = {
            SUBJECT: _("{case} of {subject}").format(case=row.name, subject=row.entry["subject"]),
            VOLUME: _("Volume of the lesions in the mask, ml."),
            SHOWS: _("Double-click to type, or choose below for several cases at once."),
            IMAGE: str(row.entry["image"]),
            MASK: str(row.entry.get("mask") or _("There is no mask.")),
        }
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            flags = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
            if column == SUBJECT and row.usable:
                flags = flags | qt.Qt.ItemIsUserCheckable
            if column == SHOWS and row.usable:
                flags = flags | qt.Qt.ItemIsEditable
            item.setFlags(flags)
            if column == SUBJECT:
                item.setCheckState(qt.Qt.Checked if row.taken else qt.Qt.Unchecked)
            if column == VOLUME:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            item.setToolTip(tips.get(column, text))
            if not row.usable:
                item.setForeground(qt.QBrush(qt.QColor(*GREY)))
            if column == PROBLEMS:
                self._showProblems(item, row)
            self.table.setItem(number, column, item)

    def _showProblems(self, item: Any, row: CaseRow) -> None:
        problems = row.problems(self.vocabulary)
        item.setText("; ".join(problems))
        item.setToolTip("\n".join(problems) or _("Nothing was found that needs a look."))
        item.setForeground(qt.QBrush(qt.QColor(*(AMBER if row.usable else RED))))

    def _onItem(self, item: Any) -> None:
        if self._filling:
            return
        row = self.rows[item.row()]
        if item.column() == SUBJECT:
            row.used = item.checkState() == qt.Qt.Checked
        elif item.column() == SHOWS:
            row.says = self.vocabulary.canonical(item.text()) or self.vocabulary.unknown
        self._showSaid(item.row())
        self._onChanged()
