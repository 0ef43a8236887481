"""The curves of a training run as Slicer's tables, plot series and charts; updated in place, never added twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from .PlotNodes import COLOURS, newChart, newSeries, removeNodes

Points = dict[int, float]
"""Value by optimiser step."""

LOSSES, VALIDATION, RATE = "losses", "validation", "rate"
INTERVAL_MS = 1000
"""At most one update of the plots a second."""

MOST_POINTS = 2000
"""That are drawn of a curve; of more, every so manyth."""

STEP = "step"


def group(name: str) -> str:
    """The chart that a curve belongs to."""
    if name.startswith("validation/"):
        return VALIDATION
    return RATE if "learning_rate" in name or name.startswith("lr") else LOSSES


@dataclass
class Plot:
    """The nodes of one chart."""

    title: str
    axis: str
    chart: Any = None
    series: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)


class Curves:
    """What a run has logged, and the nodes that show it."""

    def __init__(self) -> None:
        self.plots = {
            LOSSES: Plot(_("Loss by term"), _("loss")),
            VALIDATION: Plot(_("Validation"), _("value")),
            RATE: Plot(_("Learning rate"), _("rate")),
        }
        self._points: dict[str, Points] = {}
        self._changed: set[str] = set()
        self.updates = 0
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._show)

    @property
    def names(self) -> list[str]:
        return sorted(self._points)

    def points(self, name: str) -> Points:
        return dict(self._points.get(name, {}))

    def replace(self, curves: dict[str, Iterable[tuple[int, float]]]) -> None:
        """Takes the curves of a run as its folder has them, in place of all that was shown."""
        self._removeNodes()
        self._points = {name: dict(points) for name, points in curves.items()}
        self._changed = set(self._points)
        self._showSoon(0)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Takes numbers of a step, and shows them when their turn has come."""
        for name, value in values.items():
            if np.isfinite(value):
                self._points.setdefault(name, {})[step] = float(value)
                self._changed.add(name)
        self._showSoon(INTERVAL_MS)

    def charts(self) -> list[Any]:
        """The chart nodes in the order in which they are shown; made now where they are not there yet."""
        for plot in self.plots.values():
            if plot.chart is None:
                plot.chart = self._addChart(plot)
        return [plot.chart for plot in self.plots.values()]

    def sceneClosed(self) -> None:
        """The nodes are gone; the numbers stay."""
        for plot in self.plots.values():
            plot.chart, plot.series, plot.tables = None, {}, {}
        self._changed = set(self._points)

    def close(self) -> None:
        """Takes the nodes out of the scene."""
        self._timer.stop()
        self._removeNodes()

    # ------------------------------------------------------------ nodes

    def _showSoon(self, milliseconds: int) -> None:
        if not self._timer.isActive():
            self._timer.start(milliseconds)

    def _show(self) -> None:
        if slicer.mrmlScene.IsClosing():
            return
        changed, self._changed = self._changed, set()
        for name in sorted(changed):
            self._update(self.plots[group(name)], name)
        self.updates += 1

    def _update(self, plot: Plot, name: str) -> None:
        points = sorted(self._points[name].items())
        stride = -(-len(points) // MOST_POINTS)
        kept = points[::stride] if stride else []
        if points and kept[-1] != points[-1]:
            kept.append(points[-1])
        if name not in plot.tables:
            self._addSeries(plot, name)
        values = np.array(kept * 2 if len(kept) == 1 else kept, float)  # a line of one point is an error to VTK
        slicer.util.updateTableFromArray(plot.tables[name], values, [STEP, name])
        plot.series[name].Modified()
        if plot.chart is not None:
            plot.chart.Modified()

    def _addSeries(self, plot: Plot, name: str) -> None:
        label = name.partition("/")[2] or name
        title, colour = _("Training, {name}").format(name=name), COLOURS[len(plot.series) % len(COLOURS)]
        table, series = newSeries(title, label.replace("_", " "), (STEP, name), np.zeros((2, 2)), colour)
        plot.tables[name], plot.series[name] = table, series
        if plot.title == self.plots[VALIDATION].title:
            series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
        if plot.chart is None:
            plot.chart = self._addChart(plot)
        plot.chart.AddAndObservePlotSeriesNodeID(series.GetID())
        plot.chart.SetLegendVisibility(len(plot.series) > 1)

    def _addChart(self, plot: Plot) -> Any:
        name = _("Training: {title}").format(title=plot.title)
        return newChart(name, plot.title, _("training steps"), plot.axis)

    def _removeNodes(self) -> None:
        for plot in self.plots.values():
            removeNodes([*plot.series.values(), *plot.tables.values(), plot.chart])
            plot.chart, plot.series, plot.tables = None, {}, {}
