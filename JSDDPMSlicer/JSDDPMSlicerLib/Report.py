"""What a finished run measured of its model: held-out quality with intervals, and whether it copies its patients."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .Controls import show
from .Tables import fitHeight

FILE = "report.json"
ROWS_SHOWN = 10
ROW_HEIGHT = 24
WIDEST = 210
RATIO = "memorisation ratio"
TOGETHER = "all requests"


class Report:
    """Wires the report part of the Runs step.

    Args:
        ui: of the panel.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        table = ui.reportTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Measure"), _("Synthetic (95 % interval)"), _("Real")])
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.setWordWrap(False)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setSelectionMode(qt.QAbstractItemView.NoSelection)
        self._there = False
        self.refresh()

    def refresh(self) -> None:
        """Shows the report where there is one."""
        show(self.ui.reportBox, self._there)

    def show(self, run: Path | None) -> None:
        """Shows the report of a run; nothing where it has none."""
        told = _read(run / FILE) if run is not None else None
        self._there = told is not None
        self.refresh()
        if told is None:
            return
        rows = told.get("rows", [])
        self.ui.reportSummary.text = _memorisation(rows)
        self.ui.reportNotes.plainText = "\n".join(told.get("notes", []))
        table = self.ui.reportTable
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            name = f"{row['synthetic']['name']}, {row['group']}" if row["group"] else row["synthetic"]["name"]
            for column, text in enumerate((name, value(row["synthetic"]), value(row["real"]))):
                item = qt.QTableWidgetItem(text)
                target = row.get("target")
                item.setToolTip(f"{name}. " + (_("Aimed at: {target}.").format(target=target) if target else ""))
                table.setItem(number, column, item)
        for column in range(table.columnCount):
            table.resizeColumnToContents(column)
        table.setColumnWidth(0, min(table.columnWidth(0), WIDEST))
        fitHeight(table, ROWS_SHOWN)


def value(measure: dict[str, Any] | None) -> str:
    """A measure as people read it."""
    if measure is None or measure.get("value") is None or not math.isfinite(measure["value"]):
        return ""
    said = f"{measure['value']:.3g}"
    unit, interval = measure.get("unit", "1"), measure.get("interval_95")
    said += "" if unit == "1" else f" {unit}"
    return said if interval is None else f"{said} ({interval[0]:.3g} to {interval[1]:.3g})"


def _memorisation(rows: list[dict[str, Any]]) -> str:
    """One sentence on whether the model copies; of all draws where they were measured together."""
    found = [row for row in rows if row["synthetic"]["name"] == RATIO and value(row["synthetic"])]
    if not found:
        return _("Whether it copies its patients could not be measured: too few real slices are at hand.")
    chosen = next((row for row in found if row["group"] == TOGETHER), found[0])
    return _(
        "Does it copy its patients? Its images lie {ratio} times as far from the nearest slice that it learned from as "
        "other people's real slices do; well below 1 would mean copying."
    ).format(ratio=value(chosen["synthetic"]))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None
