"""Choosing segments of a segmentation."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from PySide6 import QtCore

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared, stored
from .base import Observations, qMRMLWidget
from .nodecombobox import qMRMLNodeComboBox

SEGMENT_EVENTS = (
    slicer.vtkSegmentation.SegmentAdded,
    slicer.vtkSegmentation.SegmentRemoved,
    slicer.vtkSegmentation.SegmentModified,
    slicer.vtkSegmentation.SegmentsOrderModified,
)


def segmentNames(node: Any) -> dict[str, str]:
    """Names of the segments of a segmentation node by their identifiers, in order."""
    if node is None:
        return {}
    segmentation = node.GetSegmentation()
    identifiers = (segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments()))
    return {identifier: segmentation.GetSegment(identifier).GetName() for identifier in identifiers}


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A node selector for a segmentation with a combo box of its segments; as in Slicer the first is chosen."""

    currentNodeChanged = CppSignal("currentNodeChanged(vtkMRMLNode*)")
    currentSegmentChanged = CppSignal("currentSegmentChanged(QString)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._segment = ""
        self._observations = Observations()
        self._selector = qMRMLNodeComboBox(self)
        self._selector.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._selector.addEnabled = False
        self._selector.removeEnabled = False
        self._box = qt.QComboBox(self)
        self._message = qt.QLabel(self)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._selector, self._box, self._message):
            layout.addWidget(widget)
        self._selector.currentNodeChanged.instance.connect(self._nodeChanged)
        self._box.currentIndexChanged.instance.connect(self._indexChanged)
        self._populate()

    def setMRMLScene(self, scene: Any) -> None:
        qMRMLWidget.setMRMLScene(self, scene)
        self._selector.setMRMLScene(scene)

    def _nodeChanged(self, node: Any) -> None:
        self._observations.clear()
        for event in SEGMENT_EVENTS[:2] if node is not None else ():
            self._observations.add(node, event, self._populate)
        self._populate()
        self.currentNodeChanged.emit(node)

    def _populate(self) -> None:
        names = segmentNames(self.currentNode())
        self._box.blockSignals(True)
        self._box.clear()
        missing = "No node is selected" if self.currentNode() is None else "No segments in segmentation"
        self._message.setText("" if names else missing)
        self._message.setVisible(not names)
        self._box.setVisible(bool(names))
        if names and self._selector.noneEnabled:
            self._box.addItem("None")
        for identifier, name in names.items():
            self._box.addItem(name, identifier)
        self._box.setCurrentIndex(-1)
        self._box.blockSignals(False)
        if names:
            self._box.setCurrentIndex(1 if self._selector.noneEnabled else 0)

    def _indexChanged(self, index: int) -> None:
        if self.currentNode() is None:
            return
        self._segment = self._box.itemData(index) or ""
        self.currentSegmentChanged.emit(self._segment)

    def currentNode(self) -> Any:
        return self._selector.currentNode()

    def setCurrentNode(self, node: Any) -> None:
        self._selector.setCurrentNode(node)

    def currentNodeID(self) -> str:
        return self._selector.currentNodeID

    def setCurrentNodeID(self, identifier: str) -> None:
        self._selector.setCurrentNodeID(identifier)

    def currentSegmentID(self) -> str:
        return self._segment

    def setCurrentSegmentID(self, identifier: str) -> None:
        index = 0 if not identifier and self._selector.noneEnabled else self._box.findData(identifier)
        if index >= 0:
            self._box.setCurrentIndex(index)

    def _setNone(self, enabled: bool) -> None:
        self._selector.noneEnabled = enabled

    def _setSelectorVisible(self, visible: bool) -> None:
        self._selector.setVisible(visible)

    noneEnabled = declared(bool, lambda self: self._selector.noneEnabled, _setNone)
    segmentationNodeSelectorVisible = declared(bool, lambda self: self._selector.isVisible(), _setSelectorVisible)


def _column(name: str) -> Any:
    """The property that shows or hides a column; the host draws that of the colour only."""

    def show(self: Any, visible: bool) -> None:
        self._columns[name] = visible
        self._table.setColumnHidden(0, not self._columns["color"])

    return declared(bool, lambda self: self._columns[name], show)


class qMRMLSegmentsTableView(qMRMLWidget):
    """The segments of a segmentation in a table, for reading and selecting."""

    selectionChanged = CppSignal("selectionChanged(QItemSelection,QItemSelection)")
    segmentAboutToBeModified = CppSignal("segmentAboutToBeModified(QString)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._observations = Observations()
        self._readOnly = False
        self._filterBar = False
        self._columns = {"visibility": True, "color": True, "opacity": True, "status": True}
        self._table = qt.QTableWidget(0, 2, self)
        self._table.setHorizontalHeaderLabels(["Color", "Name"])
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.verticalHeader().setVisible(False)
        self._table.setSelectionBehavior(qt.QTableWidget.SelectRows)
        self._table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._table.itemSelectionChanged.instance.connect(self._selected)

    def _selected(self) -> None:
        self.selectionChanged.emit(QtCore.QItemSelection(), QtCore.QItemSelection())

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        self._observations.clear()
        self._node = node
        for event in SEGMENT_EVENTS if node is not None else ():
            self._observations.add(node, event, self._fill)
        self._fill()

    def _fill(self) -> None:
        chosen = self.selectedSegmentIDs()
        names = segmentNames(self._node)
        self._table.blockSignals(True)
        self._table.setRowCount(len(names))
        for row, (identifier, name) in enumerate(names.items()):
            colour = qt.QTableWidgetItem()
            colour.setBackground(qt.QColor.fromRgbF(*self._node.GetSegmentation().GetSegment(identifier).GetColor()))
            item = qt.QTableWidgetItem(name)
            item.setData(qt.Qt.UserRole, identifier)
            self._table.setItem(row, 0, colour)
            self._table.setItem(row, 1, item)
        self._table.blockSignals(False)
        self.setSelectedSegmentIDs(chosen)

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        rows = (index.row() for index in self._table.selectionModel().selectedRows())
        return tuple(self.segmentIDForRow(row) for row in sorted(rows))

    def setSelectedSegmentIDs(self, identifiers: Any) -> None:
        self.clearSelection()
        for row in range(self._table.rowCount):
            if self.segmentIDForRow(row) in identifiers:
                for column in range(self._table.columnCount):
                    self._table.item(row, column).setSelected(True)

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def segmentIDForRow(self, row: int) -> str:
        item = self._table.item(row, 1)
        return item.data(qt.Qt.UserRole) if item is not None else ""

    def rowForSegmentID(self, identifier: str) -> int:
        return next((row for row in range(self._table.rowCount) if self.segmentIDForRow(row) == identifier), -1)

    def setSelectionMode(self, mode: Any) -> None:
        self._table.setSelectionMode(mode)

    def setHeaderVisible(self, visible: bool) -> None:
        self._table.horizontalHeader().setVisible(visible)

    segmentCount = declared(int, lambda self: self._table.rowCount)
    headerVisible = declared(bool, lambda self: not self._table.horizontalHeader().isHidden(), setHeaderVisible)
    readOnly = stored(bool, "_readOnly")
    filterBarVisible = stored(bool, "_filterBar")
    visibilityColumnVisible = _column("visibility")
    colorColumnVisible = _column("color")
    opacityColumnVisible = _column("opacity")
    statusColumnVisible = _column("status")
