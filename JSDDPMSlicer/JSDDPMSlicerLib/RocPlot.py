"""The ROC curves of an analysis as plots in Slicer: one chart a question, a line a reader, and the diagonal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from .OwnLayout import OwnLayout, plotView
from .PlotNodes import COLOURS, newChart, newSeries, removeNodes, showChart
from .Tables import readTable

TABLE = "roc_points"
"""Name of the analysis' table."""

LAYOUT = 50_460
"""Number in Slicer of the layout with one chart; those with more follow."""

COLUMNS = ("false_positive_rate", "true_positive_rate")
DIAGONAL = (0.45, 0.45, 0.45)

Curves = dict[str, dict[str, np.ndarray]]
"""Points `(N, 2)` by question and reader."""


class RocPlot:
    """The curves of one analysis, and whether they are shown."""

    def __init__(self) -> None:
        self._curves: Curves = {}
        self._layout: OwnLayout | None = None
        self._nodes: list[Any] = []
        self.charts: list[Any] = []

    @property
    def there(self) -> bool:
        """Whether there is a curve."""
        return bool(self._curves)

    @property
    def shown(self) -> bool:
        return self._layout is not None

    def read(self, path: Path | None) -> None:
        """Takes the curves of another analysis, or none.

        Raises:
            OSError: if the table cannot be read.
        """
        self.hide()
        self._curves = {}
        if path is None:
            return
        header, *rows = readTable(path)
        reader, item, x, y = (header.index(name) for name in ("reader", "item", *COLUMNS))
        points: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for row in rows:
            points.setdefault(row[item], {}).setdefault(row[reader], []).append((float(row[x]), float(row[y])))
        self._curves = {name: {who: np.array(own) for who, own in of.items()} for name, of in points.items()}

    def show(self) -> None:
        """A plot view a question, in place of what is shown."""
        if self.shown or not self.there:
            return
        views = [f"ReadingStudyRoc{number}" for number in range(1, len(self._curves) + 1)]
        plots = "".join(plotView(name, number) for number, name in enumerate(views, start=1))
        self._layout = OwnLayout(LAYOUT + len(views), f'<layout type="vertical" split="true">{plots}</layout>')
        self._layout.show()
        for view, (item, readers) in zip(views, self._curves.items(), strict=True):
            self.charts.append(self._addChart(item, readers))
            showChart(view, self.charts[-1])

    def hide(self) -> None:
        """Back to what was shown before; the nodes go."""
        layout, self._layout = self._layout, None
        if layout is not None:
            layout.hide()
        removeNodes(self._nodes)
        self._nodes, self.charts = [], []

    def sceneClosed(self) -> None:
        """The nodes are gone; the curves stay and can be shown again."""
        if self._layout is not None:
            self._layout.sceneClosed()
        self.hide()

    def _addChart(self, item: str, readers: dict[str, np.ndarray]) -> Any:
        title = _("ROC curves: {item}").format(item=item)
        chart = newChart(title, title, _("false-positive rate"), _("true-positive rate"))
        chart.SetLegendVisibility(True)
        for setAuto, setRange in (
            (chart.SetXAxisRangeAuto, chart.SetXAxisRange), (chart.SetYAxisRangeAuto, chart.SetYAxisRange),
        ):  # fmt: skip
            setAuto(False)
            setRange(0.0, 1.0)
        self._nodes.append(chart)
        self._addLine(chart, item, _("guessing"), np.array([[0.0, 0.0], [1.0, 1.0]]), DIAGONAL).SetLineStyle(
            slicer.vtkMRMLPlotSeriesNode.LineStyleDash
        )
        for number, (reader, points) in enumerate(readers.items()):
            line = self._addLine(chart, item, reader, points, COLOURS[number % len(COLOURS)])
            line.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
        return chart

    def _addLine(self, chart: Any, item: str, label: str, points: np.ndarray, colour: tuple[float, ...]) -> Any:
        table, series = newSeries(f"ROC, {item}, {label}", label, COLUMNS, points, colour)
        self._nodes[:0] = [series, table]
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
        return series
