"""Tables of the panels: as wide as the panel and as high as what they hold; files of tables, and of dialogs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import qt

ROWS_SHOWN = 6


def prepare(table: Any, headers: Sequence[str], stretched: int | None = None) -> None:
    """Gives a table its columns; rows are chosen whole, one at a time, and nothing is edited.

    Args:
        table: a QTableWidget.
        headers: of the columns.
        stretched: column that takes what is left; the last one where not given.
    """
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(list(headers))
    table.verticalHeader().setVisible(False)
    chosen = len(headers) - 1 if stretched is None else stretched
    table.horizontalHeader().setSectionResizeMode(chosen, qt.QHeaderView.Stretch)
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)


def fill(table: Any, rows: Sequence[Sequence[str]], rowsShown: int = ROWS_SHOWN) -> None:
    """Shows texts, and makes the table as high as they are, up to some rows."""
    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            table.setItem(row, column, qt.QTableWidgetItem(text))
    for column in range(table.columnCount - 1):  # the last one takes what is left
        table.resizeColumnToContents(column)
    fitHeight(table, rowsShown)


def fitHeight(table: Any, rowsShown: int = ROWS_SHOWN) -> None:
    """Makes a table as high as its rows, up to some."""
    shown = min(max(table.rowCount, 1), rowsShown)
    height = table.horizontalHeader().height + table.verticalHeader().defaultSectionSize * shown
    table.setMinimumHeight(height + 4)
    table.setMaximumHeight(height + 4)


def readTable(path: Path) -> list[list[str]]:
    """The cells of a tab-separated file, its header first.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream, delimiter="\t"))


def chosenFile(answer: Any) -> str:
    """PySide answers with the filter too, PythonQt without."""
    return answer[0] if isinstance(answer, tuple) else answer
