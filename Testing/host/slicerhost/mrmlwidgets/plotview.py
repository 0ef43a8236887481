"""qMRMLPlotView: a plot chart node drawn with VTK's charts, as in Slicer."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk

from ..pythonqt import CppSignal
from .base import Observations, qMRMLWidget
from .canvas import RenderedWidget
from .nodecombobox import MODIFIED

AXES = {"XAxis": vtk.vtkAxis.BOTTOM, "YAxis": vtk.vtkAxis.LEFT}


class qMRMLPlotView(RenderedWidget):
    """The canvas of a plot."""

    mrmlSceneChanged = CppSignal("mrmlSceneChanged(vtkMRMLScene*)")
    dataSelected = CppSignal("dataSelected(vtkStringArray*,vtkCollection*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._viewNode: Any = None
        self._observations = Observations()
        self._chart = vtk.vtkChartXY()
        self._context = vtk.vtkContextView()
        self._context.SetRenderWindow(self._window)
        self._context.SetInteractor(self._interactor)
        self._context.GetRenderer().SetBackground(1.0, 1.0, 1.0)
        self._context.GetScene().AddItem(self._chart)

    def _drawn(self) -> None:
        """Draw the chart of the view node anew."""
        self._observations.clear()
        self._chart.ClearPlots()
        self._observations.add(self._viewNode, MODIFIED, self._drawn)
        node = self._viewNode.GetPlotChartNode() if self._viewNode is not None else None
        self._observations.add(node, MODIFIED, self._drawn)
        self._observations.add(node, slicer.vtkMRMLPlotChartNode.PlotModifiedEvent, self._drawn)
        if node is not None:
            self._setAxes(node)
            for index in range(node.GetNumberOfPlotSeriesNodes()):
                self._addSeries(node.GetNthPlotSeriesNode(index))
        self._chart.RecalculateBounds()
        self.scheduleRender()

    def _setAxes(self, node: Any) -> None:
        self._chart.SetTitle(node.GetTitle() or "" if node.GetTitleVisibility() else "")
        self._chart.SetShowLegend(bool(node.GetLegendVisibility()))
        for name, place in AXES.items():
            axis = self._chart.GetAxis(place)
            axis.SetTitle(getattr(node, f"Get{name}Title")() or "")
            axis.SetGridVisible(bool(node.GetGridVisibility()))
            axis.SetLogScale(bool(getattr(node, f"Get{name}LogScale")()))
            if getattr(node, f"Get{name}RangeAuto")():
                axis.SetBehavior(vtk.vtkAxis.AUTO)
            else:
                axis.SetBehavior(vtk.vtkAxis.FIXED)
                axis.SetRange(*getattr(node, f"Get{name}Range")())

    def _addSeries(self, series: Any) -> None:
        node = series.GetTableNode()
        table = node.GetTable() if node is not None else None
        y = series.GetYColumnName() or ""
        if table is None or table.GetColumnByName(y) is None:
            return
        kinds = {series.PlotTypeBar: vtk.vtkChart.BAR, series.PlotTypeScatterBar: vtk.vtkChart.BAR}
        plot = self._chart.AddPlot(kinds.get(series.GetPlotType(), vtk.vtkChart.LINE))
        x = series.GetXColumnName() or ""
        if x and table.GetColumnByName(x) is not None and series.IsXColumnRequired():
            plot.SetInputData(table, x, y)
        else:
            plot.SetInputData(table, y, y)
            plot.SetUseIndexForXSeries(True)
        plot.SetLabel(series.GetName())
        plot.SetColorF(*series.GetColor())
        plot.SetWidth(series.GetLineWidth())
        plot.GetPen().SetLineType(series.GetLineStyle())
        if isinstance(plot, vtk.vtkPlotPoints):
            plot.SetMarkerStyle(series.GetMarkerStyle())
            plot.SetMarkerSize(series.GetMarkerSize())

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._viewNode = node
        self._drawn()

    def fitToContent(self) -> None:
        self._chart.RecalculateBounds()
        self.scheduleRender()

    def _close(self) -> None:
        self._observations.clear()
        self._window.Finalize()


class qMRMLPlotWidget(qMRMLWidget):
    """The plot of a layout."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._viewNode: Any = None
        self._view = qMRMLPlotView(self)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def setMRMLScene(self, scene: Any) -> None:
        qMRMLWidget.setMRMLScene(self, scene)
        self._view.setMRMLScene(scene)

    def plotView(self) -> qMRMLPlotView:
        return self._view

    def mrmlPlotViewNode(self) -> Any:
        return self._viewNode

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._viewNode = node
        self._view.setMRMLPlotViewNode(node)

    def _close(self) -> None:
        self._view._close()
