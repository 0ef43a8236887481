"""qMRMLSubjectHierarchyTreeView: the subject hierarchy as a tree."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt import CppSignal
from ..pythonqt.properties import stored
from .base import Observations

ITEM_ROLE = QtCore.Qt.ItemDataRole.UserRole + 1


class qMRMLSubjectHierarchyTreeView(qt.QTreeView):
    """The items of the subject hierarchy by name, for looking and selecting."""

    currentItemChanged = CppSignal("currentItemChanged(vtkIdType)")
    currentItemsChanged = CppSignal("currentItemsChanged(QList<vtkIdType>)")
    currentItemModified = CppSignal("currentItemModified(vtkIdType)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self._root = 0
        self._types: list[str] = []
        self._nameFilter = ""
        self._multi = False
        self._contextMenu = True
        self._observations = Observations()
        self._items = QtGui.QStandardItemModel()
        self.setModel(self._items)
        self.setHeaderHidden(True)
        self.setEditTriggers(qt.QTreeView.NoEditTriggers)
        QtWidgets.QTreeView.selectionModel(self).selectionChanged.connect(self._selected)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._observations.clear()
        self._scene = scene
        self._node = None
        if scene is not None:
            self._node = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
            for event in (
                slicer.vtkMRMLSubjectHierarchyNode.SubjectHierarchyItemAddedEvent,
                slicer.vtkMRMLSubjectHierarchyNode.SubjectHierarchyItemRemovedEvent,
                slicer.vtkMRMLSubjectHierarchyNode.SubjectHierarchyItemModifiedEvent,
            ):
                self._observations.add(self._node, event, self._fill)
            self._observations.add(scene, slicer.vtkMRMLScene.EndCloseEvent, self._reset)
        self._fill()

    def _reset(self) -> None:
        scene, self._scene = self._scene, None
        self.setMRMLScene(scene)

    def subjectHierarchyNode(self) -> Any:
        return self._node

    def _fill(self) -> None:
        chosen = self.currentItem()
        self._items.blockSignals(True)
        self._items.clear()
        self._items.blockSignals(False)
        if self._node is not None:
            self._append(self._items.invisibleRootItem(), self._root or self._node.GetSceneItemID())
        self.reset()
        self.expandAll()
        self.setCurrentItem(chosen)

    def _append(self, parent: QtGui.QStandardItem, itemID: int) -> None:
        children = vtk.vtkIdList()
        self._node.GetItemChildren(itemID, children)
        for index in range(children.GetNumberOfIds()):
            child = children.GetId(index)
            item = QtGui.QStandardItem(self._node.GetItemName(child))
            item.setData(child, ITEM_ROLE)
            self._append(item, child)
            if self._accepts(child) or item.rowCount():
                parent.appendRow(item)

    def _accepts(self, itemID: int) -> bool:
        data = self._node.GetItemDataNode(itemID)
        if data is not None and data.GetHideFromEditors():
            return False
        if self._nameFilter and self._nameFilter.lower() not in self._node.GetItemName(itemID).lower():
            return False
        return not self._types or (data is not None and any(data.IsA(kind) for kind in self._types))

    def _found(self, itemID: int) -> QtCore.QModelIndex:
        flags = QtCore.Qt.MatchFlag.MatchExactly | QtCore.Qt.MatchFlag.MatchRecursive
        found = self._items.match(self._items.index(0, 0), ITEM_ROLE, itemID, 1, flags)
        return found[0] if found else QtCore.QModelIndex()

    def _selected(self, *_: Any) -> None:
        self.currentItemChanged.emit(self.currentItem())
        self.currentItemsChanged.emit(self._selectedItems())

    def _selectedItems(self) -> tuple[int, ...]:
        return tuple(index.data(ITEM_ROLE) for index in QtWidgets.QTreeView.selectedIndexes(self))

    def currentItem(self) -> int:
        return next(iter(self._selectedItems()), 0)

    def currentItems(self, selected: Any) -> None:
        """Put the selected items into a vtkIdList."""
        selected.Reset()
        for itemID in self._selectedItems():
            selected.InsertNextId(itemID)

    def setCurrentItem(self, itemID: int) -> None:
        index = self._found(itemID) if itemID else QtCore.QModelIndex()
        if index.isValid():
            QtWidgets.QTreeView.setCurrentIndex(self, index)
        else:
            self.clearSelection()

    def setCurrentItems(self, items: Any) -> None:
        self.clearSelection()
        flags = QtCore.QItemSelectionModel.SelectionFlag.Select
        for position in range(items.GetNumberOfIds()):
            QtWidgets.QTreeView.selectionModel(self).select(self._found(items.GetId(position)), flags)

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentItem(self._node.GetItemByDataNode(node) if node is not None else 0)

    def rootItem(self) -> int:
        return self._root or (self._node.GetSceneItemID() if self._node is not None else 0)

    def setRootItem(self, itemID: int) -> None:
        self._root = itemID
        self._fill()

    def displayedItemCount(self) -> int:
        flags = QtCore.Qt.MatchFlag.MatchContains | QtCore.Qt.MatchFlag.MatchRecursive
        return len(self._items.findItems("", flags))

    def expandItem(self, itemID: int) -> None:
        QtWidgets.QTreeView.expand(self, self._found(itemID))

    def collapseItem(self, itemID: int) -> None:
        QtWidgets.QTreeView.collapse(self, self._found(itemID))

    def setMultiSelection(self, enabled: bool) -> None:
        self._multi = enabled
        self.setSelectionMode(qt.QTreeView.ExtendedSelection if enabled else qt.QTreeView.SingleSelection)

    nodeTypes = stored("QStringList", "_types", "_fill")
    nameFilter = stored(str, "_nameFilter", "_fill")
    contextMenuEnabled = stored(bool, "_contextMenu")
