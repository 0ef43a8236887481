"""qMRMLSliceWidget: a slice view under its bar."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk

from ..pythonqt.properties import declared
from .base import Observations, qMRMLWidget
from .sliceview import qMRMLSliceView

STEPS = 1000
BAR_COLOURS = {"Red": "#f34a33", "Yellow": "#edd54c", "Green": "#6eb04b"}
OTHER_COLOUR = "#8c8c8c"


class qMRMLSliceControllerWidget(qMRMLWidget):
    """The bar above a slice view: its name, its offset and a slider for it."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._observations = Observations()
        self._logic: Any = None
        self._name = "Red"
        self._bar = qt.QWidget(self)
        self._label = qt.QLabel(self._bar)
        self._slider = qt.QSlider(qt.Qt.Horizontal, self._bar)
        self._slider.setRange(0, STEPS)
        self._offset = qt.QLabel(self._bar)
        inner = qt.QHBoxLayout(self._bar)
        inner.setContentsMargins(6, 1, 6, 1)
        inner.addWidget(self._label)
        inner.addWidget(self._slider, 1)
        inner.addWidget(self._offset)
        outer = qt.QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._bar)
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Fixed)
        self._slider.valueChanged.instance.connect(self._slid)

    def _observe(self, logic: Any) -> None:
        self._logic = logic
        colour = BAR_COLOURS.get(self._name, OTHER_COLOUR)
        self._bar.setStyleSheet(f"QWidget {{ background: {colour}; color: black; }}")
        self._label.setText(logic.GetSliceNode().GetLayoutLabel() or self._name[0])
        for observed in (logic, logic.GetSliceNode()):
            self._observations.add(observed, vtk.vtkCommand.ModifiedEvent, self._refresh)
        self._refresh()

    def _range(self) -> tuple[float, float]:
        extent = [0.0, 0.0]
        valid = self._logic.GetSliceOffsetRangeResolution(extent, vtk.reference(1.0))
        return (extent[0], extent[1]) if valid and extent[1] > extent[0] else (0.0, 0.0)

    def _refresh(self) -> None:
        low, high = self._range()
        offset = self._logic.GetSliceOffset()
        self._offset.setText(f"{self._logic.GetSliceNode().GetOrientation()}  {offset:.1f} mm")
        self._slider.setEnabled(high > low)
        self._slider.blockSignals(True)
        self._slider.setValue(round((offset - low) / (high - low) * STEPS) if high > low else 0)
        self._slider.blockSignals(False)

    def _slid(self, position: int) -> None:
        low, high = self._range()
        self.setSliceOffsetValue(low + (high - low) * position / STEPS)
        self._logic.SnapSliceOffsetToIJK()

    def barWidget(self) -> Any:
        return self._bar

    def barLayout(self) -> Any:
        return self._bar.layout()

    def viewLabel(self) -> Any:
        return self._label

    def setSliceOffsetValue(self, offset: float) -> None:
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset)
        self._logic.EndSliceOffsetInteraction()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()
        self._logic.SnapSliceOffsetToIJK()

    def setSliceOrientation(self, orientation: str) -> None:
        self._logic.GetSliceNode().SetOrientation(orientation)

    def setSliceLink(self, linked: bool) -> None:
        composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        for composite in composites:
            composite.SetLinkedControl(linked)

    sliceViewName = declared(str, lambda self: self._name, lambda self, name: setattr(self, "_name", name))


class qMRMLSliceWidget(qMRMLWidget):
    """A slice view with its bar. It shows something once it has a scene and a slice node, as in Slicer."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic: Any = None
        self._controller = qMRMLSliceControllerWidget(self)
        self._view = qMRMLSliceView(self)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._controller)
        layout.addWidget(self._view, 1)

    def setMRMLSliceNode(self, node: Any) -> None:
        """Show the slice of a node; once."""
        if node is None or self._logic is not None:
            return
        application = slicer.app.applicationLogic()
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application)
        self._logic.SetMRMLScene(self._scene)
        self._logic.SetSliceNode(node)
        application.GetSliceLogics().AddItem(self._logic)
        self._controller._name = node.GetLayoutName()
        self._view._observe(self._logic)
        self._controller._observe(self._logic)

    def sliceController(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode() if self._logic is not None else None

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode() if self._logic is not None else None

    def interactorStyle(self) -> Any:
        return self._view.sliceViewInteractorStyle()

    def imageDataConnection(self) -> Any:
        return self._logic.GetImageDataConnection()

    def fitSliceToBackground(self) -> None:
        self._controller.fitSliceToBackground()

    def setSliceOrientation(self, orientation: str) -> None:
        self._controller.setSliceOrientation(orientation)

    def _close(self) -> None:
        """Let go of the scene, before the widget is deleted."""
        self._controller._observations.clear()
        if self._logic is not None:
            slicer.app.applicationLogic().GetSliceLogics().RemoveItem(self._logic)
        self._view._close()

    sliceOrientation = declared(
        str, lambda self: self.mrmlSliceNode().GetOrientation() if self._logic else "", setSliceOrientation
    )
