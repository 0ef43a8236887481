"""qMRMLNodeComboBox: choosing a node of the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared, stored
from .base import Observations

SCENE_EVENTS = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.NodeRemovedEvent,
    slicer.vtkMRMLScene.EndCloseEvent,
    slicer.vtkMRMLScene.EndImportEvent,
    slicer.vtkMRMLScene.EndBatchProcessEvent,
)
MODIFIED = 33  # vtkCommand::ModifiedEvent


class qMRMLSortFilterProxyModel:
    """Which nodes a selector leaves out by their identifiers."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed, self._hidden = changed, ()

    @property
    def hiddenNodeIDs(self) -> tuple[str, ...]:
        return self._hidden

    @hiddenNodeIDs.setter
    def hiddenNodeIDs(self, identifiers: list[str]) -> None:
        if self._hidden != tuple(identifiers):
            self._hidden = tuple(identifiers)
            self._changed()


class qMRMLNodeComboBox(qt.QWidget):
    """
    A combo box of the scene's nodes of some types.

    It has no scene, and is greyed, until `setMRMLScene`. As in Slicer no node is chosen by itself, with two exceptions:
    when the current node is removed the one that takes its place is chosen, and a box without any other entry chooses
    the first node that arrives.
    """

    currentNodeChanged = CppSignal("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)")
    currentNodeIDChanged = CppSignal("currentNodeIDChanged(QString)")
    nodeActivated = CppSignal("nodeActivated(vtkMRMLNode*)")
    nodeAdded = CppSignal("nodeAdded(vtkMRMLNode*)")
    nodeAddedByUser = CppSignal("nodeAddedByUser(vtkMRMLNode*)")
    nodeAddedByUserAction = CppSignal("nodeAddedByUserAction(vtkMRMLNode*)")
    nodeAboutToBeRemoved = CppSignal("nodeAboutToBeRemoved(vtkMRMLNode*)")
    nodeAboutToBeEdited = CppSignal("nodeAboutToBeEdited(vtkMRMLNode*)")
    currentNodeRenamed = CppSignal("currentNodeRenamed(QString)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._types: list[str] = []
        self._hiddenTypes: list[str] = []
        self._attributes: dict[tuple[str, str], str | None] = {}
        self._labels: dict[str, str] = {}
        self._baseNames: dict[str, str] = {}
        self._noneDisplay = "None"
        self._none, self._add, self._remove = False, True, True
        self._edit, self._rename, self._showHidden = False, False, False
        self._showChildren, self._selectNew = True, True
        self._shown: list[str] = []  # identifiers of the nodes in the list
        self._id = ""
        self._requested = ""
        self._proxyModel = qMRMLSortFilterProxyModel(self._refilter)
        self._observations = Observations()
        self._nodeObservations = Observations()
        self._box = ctk.ctkComboBox(self)
        self._box.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.activated.instance.connect(self._activated)
        self._fill()
        self.setEnabled(False)

    # -- scene

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._observations.clear()
        self._scene = scene
        for event in SCENE_EVENTS if scene is not None else ():
            self._observations.add(scene, event, self._sceneChanged)
        requested = self._requested or self._id
        self._requested = ""
        self._id = ""
        self._shown = []
        self._fill()
        self._choose(requested if requested in self._shown else "", tell=bool(requested))
        self.setEnabled(scene is not None)

    def _sceneChanged(self) -> None:
        if self._scene.IsBatchProcessing():
            return
        before = self._shown
        lone = not (before or self._id or self._none or self._add or self._remove or self._edit or self._rename)
        self._fill()
        for identifier in self._shown:
            if identifier not in before:
                self.nodeAdded.emit(self._scene.GetNodeByID(identifier))
        if self._id and self._id not in self._shown:
            self._choose(self._successor(before), tell=True)
        elif lone and self._shown:
            self._choose(self._shown[0], tell=True)

    def _successor(self, before: list[str]) -> str:
        """The node that takes the place of the current one, which is gone."""
        if not self._shown:
            return ""
        row = before.index(self._id) if self._id in before else len(self._shown)
        return self._shown[row] if row < len(self._shown) else self._shown[-1]

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._accepts(node)]

    def _accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self._showHidden:
            return False
        if any(node.IsA(hidden) for hidden in self._hiddenTypes) or node.GetID() in self._proxyModel.hiddenNodeIDs:
            return False
        for kind in self._types:
            if node.GetClassName() == kind or (self._showChildren and node.IsA(kind)):
                return all(
                    node.GetAttribute(name) is not None if value is None else node.GetAttribute(name) == value
                    for (owner, name), value in self._attributes.items()
                    if owner == kind
                )
        return False

    # -- list

    def _fill(self) -> None:
        nodes = self._nodes()
        self._shown = [node.GetID() for node in nodes]
        self._box.blockSignals(True)
        self._box.clear()
        if self._none:
            self._box.addItem(self._noneDisplay, "")
        for node in nodes:
            self._box.addItem(node.GetName() or "", node.GetID())
        actions = self._actions() if self._scene is not None else []
        if actions:
            self._box.insertSeparator(self._box.count)
        for text, data in actions:
            self._box.addItem(text, data)
        label = self.nodeTypeLabel(self._types[0] if self._types else "")
        self._box.defaultText = f"Select a {label}"
        self._show()
        self._box.blockSignals(False)

    def _actions(self) -> list[tuple[str, str]]:
        label = self.nodeTypeLabel(self._types[0] if len(self._types) == 1 else "")
        actions = []
        if self._rename:
            actions.append((f"Rename current {label}", "rename:"))
        if self._edit:
            actions.append((f"Edit current {label}", "edit:"))
        if self._add:
            actions += [(f"Create new {self.nodeTypeLabel(kind)}", f"create:{kind}") for kind in self._types]
        if self._remove:
            actions.append((f"Delete current {label}", "delete:"))
        return actions

    def _show(self) -> None:
        self._box.setCurrentIndex(self._box.findData(self._id) if self._id or self._none else -1)

    def _choose(self, identifier: str, tell: bool) -> None:
        changed = identifier != self._id
        self._id = identifier
        self._box.blockSignals(True)
        self._show()
        self._box.blockSignals(False)
        self._nodeObservations.clear()
        self._nodeObservations.add(self.currentNode(), MODIFIED, self._nodeModified)
        if changed and tell:
            self._tell()

    def _tell(self) -> None:
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self._currentNodeChanged_1.emit(node is not None)
        self.currentNodeIDChanged.emit(self._id)

    def _nodeModified(self) -> None:
        """A new name counts as a change of the current node."""
        node = self.currentNode()
        row = self._box.findData(self._id)
        if node is not None and row >= 0 and self._box.itemText(row) != (node.GetName() or ""):
            self._box.setItemText(row, node.GetName() or "")
            self._tell()

    def _activated(self, row: int) -> None:
        data = self._box.itemData(row) or ""
        action, _, kind = data.partition(":")
        if action == "create" and kind:
            self._show()
            node = self.addNode(kind)
            self.setCurrentNode(node)
            self.nodeAddedByUserAction.emit(node)
        elif action == "delete" and data.endswith(":"):
            self._show()
            self.removeCurrentNode()
        elif action in ("edit", "rename") and data.endswith(":"):
            self._show()
            self.editCurrentNode() if action == "edit" else self.renameCurrentNode()
        else:
            self._choose(data, tell=True)
            self.nodeActivated.emit(self.currentNode())

    # -- what Python sees

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._id) if self._scene is not None and self._id else None

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise ValueError(f"Could not find matching overload for given arguments: {node!r} is no node")
        self.setCurrentNodeID("" if node is None else node.GetID() or "")

    def setCurrentNodeID(self, identifier: str) -> None:
        if self._scene is None:
            self._requested = identifier
            return
        self._choose(identifier if identifier in self._shown else "", tell=True)

    def setCurrentNodeIndex(self, index: int) -> None:
        self._choose(self._shown[index] if 0 <= index < len(self._shown) else "", tell=True)

    def nodeCount(self) -> int:
        return len(self._shown)

    def nodeFromIndex(self, index: int) -> Any:
        return self._scene.GetNodeByID(self._shown[index]) if 0 <= index < len(self._shown) else None

    def addNode(self, kind: str = "") -> Any:
        """Make a node of one of the types; the first without an argument."""
        if not self._types or (kind and kind not in self._types):
            return None
        kind = kind or self._types[0]
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        base = self._baseNames.get(kind) or self._scene.GetTagByClassName(kind)
        node.SetName(self._scene.GenerateUniqueName(base))
        for (owner, name), value in self._attributes.items():
            if owner == kind:
                node.SetAttribute(name, value or "")
        node = self._scene.AddNode(node)
        if self._selectNew:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self.nodeAboutToBeRemoved.emit(self.currentNode())
            self._scene.RemoveNode(self.currentNode())

    def editCurrentNode(self) -> None:
        self.nodeAboutToBeEdited.emit(self.currentNode())

    def renameCurrentNode(self) -> None:
        raise NotImplementedError("the host asks for no names")

    def addAttribute(self, kind: str, name: str, value: str | None = None) -> None:
        self._attributes[kind, name] = value
        self._refilter()

    def removeAttribute(self, kind: str, name: str) -> None:
        self._attributes.pop((kind, name), None)
        self._refilter()

    def sortFilterProxyModel(self) -> qMRMLSortFilterProxyModel:
        return self._proxyModel

    def nodeTypeLabel(self, kind: str) -> str:
        if kind in self._labels:
            return self._labels[kind]
        named = self._scene.GetTypeDisplayNameByClassName(kind) if self._scene is not None and kind else ""
        return named or "node"

    def setNodeTypeLabel(self, label: str, kind: str) -> None:
        self._labels[kind] = label
        self._fill()

    def _refilter(self) -> None:
        self._fill()
        if self._id and self._id not in self._shown:
            self._choose("", tell=True)

    def _setTypes(self, types: list[str]) -> None:
        self._types = [kind for kind in types if kind]
        self._refilter()

    def _setHiddenTypes(self, types: list[str]) -> None:
        self._hiddenTypes = [kind for kind in types if kind]
        self._refilter()

    def _setBaseName(self, name: str) -> None:
        self._baseNames = dict.fromkeys(self._types, name)

    nodeTypes = declared("QStringList", lambda self: tuple(self._types), _setTypes)
    hideChildNodeTypes = declared("QStringList", lambda self: tuple(self._hiddenTypes), _setHiddenTypes)
    currentNodeID = declared(str, lambda self: self._id, setCurrentNodeID)
    baseName = declared(str, lambda self: self._baseNames.get(self._types[0], "") if self._types else "", _setBaseName)
    noneDisplay = stored(str, "_noneDisplay", "_fill")
    noneEnabled = stored(bool, "_none", "_fill")
    addEnabled = stored(bool, "_add", "_fill")
    removeEnabled = stored(bool, "_remove", "_fill")
    editEnabled = stored(bool, "_edit", "_fill")
    renameEnabled = stored(bool, "_rename", "_fill")
    showHidden = stored(bool, "_showHidden", "_refilter")
    showChildNodeTypes = stored(bool, "_showChildren", "_refilter")
    selectNodeUponCreation = stored(bool, "_selectNew")
