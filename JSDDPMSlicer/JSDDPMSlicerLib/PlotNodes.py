"""Tables, plot series and charts in Slicer's scene: in no list of nodes, and in no scene that is saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import slicer

OWNER = "JSDDPM.Plot"
COLOURS = (
    (0.12, 0.29, 0.49), (0.90, 0.29, 0.21), (0.00, 0.63, 0.53), (0.95, 0.61, 0.10), (0.49, 0.38, 0.58),
    (0.30, 0.73, 0.84), (0.56, 0.36, 0.22), (0.40, 0.40, 0.40),
)  # fmt: skip


def newSeries(
    tableName: str, label: str, columns: Sequence[str], values: np.ndarray, colour: tuple[float, float, float]
) -> tuple[Any, Any]:
    """A table and the line that it draws.

    Args:
        tableName: of the table's node.
        label: of the line, as the legend has it.
        columns: names of both.
        values: `(N, 2)`, two points or more: a line of one point is an error to VTK.
        colour: red, green and blue between 0 and 1.
    """
    table = newNode("vtkMRMLTableNode", tableName)
    slicer.util.updateTableFromArray(table, values, list(columns))
    series = newNode("vtkMRMLPlotSeriesNode", label)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName(columns[0])
    series.SetYColumnName(columns[1])
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series.SetColor(*colour)
    series.SetLineWidth(2)
    for node in (table, series):
        node.SetHideFromEditors(True)
    return table, series


def newChart(name: str, title: str, across: str, up: str) -> Any:
    """A chart without lines, and without a legend."""
    chart = newNode("vtkMRMLPlotChartNode", name)
    chart.SetTitle(title)
    chart.SetXAxisTitle(across)
    chart.SetYAxisTitle(up)
    chart.SetLegendVisibility(False)
    return chart


def newNode(kind: str, name: str) -> Any:
    """A node that is not saved with the scene."""
    node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
    node.SetSaveWithScene(False)
    node.SetAttribute(OWNER, "1")
    return node


def removeNodes(nodes: Iterable[Any]) -> None:
    """Takes nodes out of the scene, those that are still in it."""
    for node in nodes:
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)


def showChart(view: str, chart: Any) -> None:
    """Shows a chart in the plot view of a name, where there is one."""
    node = slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLPlotViewNode")
    if node is not None:
        node.SetPlotChartNodeID(chart.GetID())
