"""qMRMLTableView: a table node as a table."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from PySide6 import QtGui

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared
from .base import Observations, qMRMLWidget
from .nodecombobox import MODIFIED


class qMRMLTableView(qt.QTableView):
    """The cells of a table node, for reading: the host does not write back."""

    mrmlSceneChanged = CppSignal("mrmlSceneChanged(vtkMRMLScene*)")
    selectionChanged = CppSignal("selectionChanged()")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self._transposed, self._firstRow, self._firstColumn = False, False, False
        self._observations = Observations()
        self._items = QtGui.QStandardItemModel()
        self.setModel(self._items)
        self.setEditTriggers(qt.QTableView.NoEditTriggers)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlTableNode(self) -> Any:
        return self._node

    def setMRMLTableNode(self, node: Any) -> None:
        self._observations.clear()
        self._node = node if isinstance(node, slicer.vtkMRMLTableNode) else None
        self._observations.add(self._node, MODIFIED, self._fill)
        self._fill()
        self.selectionChanged.emit()

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows as they are shown."""
        table = self._node.GetTable() if self._node is not None else None
        if table is None:
            return [], []
        columns = range(table.GetNumberOfColumns())
        names = [table.GetColumnName(column) or "" for column in columns]
        values = [
            [self._text(table.GetValue(row, column)) for column in columns] for row in range(table.GetNumberOfRows())
        ]
        if self._firstRow and values:
            names, values = values[0], values[1:]
        if self._transposed:
            return [], [list(row) for row in zip(names, *values, strict=True)]
        return names, values

    @staticmethod
    def _text(value: Any) -> str:
        if value.IsDouble() or value.IsFloat():
            return f"{value.ToDouble():.6g}"
        return value.ToString()

    def _fill(self) -> None:
        names, rows = self._cells()
        self._items.clear()
        self._items.setHorizontalHeaderLabels(names)
        for row in rows:
            self._items.appendRow([QtGui.QStandardItem(text) for text in row])

    def setTransposed(self, transposed: bool) -> None:
        self._transposed = transposed
        self._fill()

    def setFirstRowLocked(self, locked: bool) -> None:
        self._firstRow = locked
        self._fill()

    def setFirstColumnLocked(self, locked: bool) -> None:
        self._firstColumn = locked

    transposed = declared(bool, lambda self: self._transposed, setTransposed)
    firstRowLocked = declared(bool, lambda self: self._firstRow, setFirstRowLocked)
    firstColumnLocked = declared(bool, lambda self: self._firstColumn, setFirstColumnLocked)


class qMRMLTableWidget(qMRMLWidget):
    """The table of a layout."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._viewNode: Any = None
        self._observations = Observations()
        self._view = qMRMLTableView(self)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def tableView(self) -> qMRMLTableView:
        return self._view

    def mrmlTableViewNode(self) -> Any:
        return self._viewNode

    def setMRMLTableViewNode(self, node: Any) -> None:
        self._observations.clear()
        self._viewNode = node
        self._observations.add(node, MODIFIED, self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        node = self._viewNode.GetTableNode() if self._viewNode is not None else None
        if node is not self._view.mrmlTableNode():
            self._view.setMRMLTableNode(node)
