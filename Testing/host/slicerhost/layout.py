"""The layout manager: arranges views as the layout node describes, with the real layout logic."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import qt
import slicer
import vtk

from .mrmlwidgets.base import Observations
from .mrmlwidgets.plotview import qMRMLPlotWidget
from .mrmlwidgets.slicewidget import qMRMLSliceWidget
from .mrmlwidgets.tableview import qMRMLTableWidget
from .pythonqt import CppSignal
from .pythonqt.properties import declared, stored


class qSlicerLayoutManager(qt.QObject):
    """`slicer.app.layoutManager()`. Views of the classes that the host lacks are grey boxes."""

    layoutChanged = CppSignal("layoutChanged(int)")

    def __init__(self) -> None:
        super().__init__()
        self._observations = Observations()
        self._scene: Any = None
        self._enabled = True
        self._arranged: tuple[int, str] | None = None
        self._widgets: dict[str, Any] = {}  # by the identifier of the view node
        self._viewport = qt.QWidget()
        self._viewport.setStyleSheet("QWidget#viewport { background: #33363a; }")
        self._viewport.setObjectName("viewport")
        self._viewport.setLayout(qt.QVBoxLayout())
        self._viewport.layout().setContentsMargins(0, 0, 0, 0)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._root: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._logic.SetMRMLScene(scene)
        node = self._logic.GetLayoutNode()
        self._observations.add(node, vtk.vtkCommand.ModifiedEvent, self._arrange)
        self._observations.add(scene, slicer.vtkMRMLScene.EndBatchProcessEvent, self._arrange)
        if node.GetViewArrangement() <= slicer.vtkMRMLLayoutNode.SlicerLayoutDefaultView:
            node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
        self._arrange()

    def mrmlScene(self) -> Any:
        return self._scene

    def layoutLogic(self) -> Any:
        return self._logic

    def viewport(self) -> Any:
        return self._viewport

    def setViewport(self, viewport: Any) -> None:
        """Show the views inside another widget."""
        viewport.layout().addWidget(self._viewport)
        self._viewport.setVisible(True)  # whatever became of the window that it was in before

    def setLayout(self, layout: int) -> None:
        if not isinstance(layout, int):
            raise ValueError(f"Called setLayout with wrong arguments: {layout!r}")
        self._logic.GetLayoutNode().SetViewArrangement(layout)

    # -- views

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._sliceWidgets())

    def _ofKind(self, kind: type) -> list[Any]:
        return [widget for widget in self._widgets.values() if isinstance(widget, kind)]

    def _sliceWidgets(self) -> dict[str, qMRMLSliceWidget]:
        return {widget.mrmlSliceNode().GetLayoutName(): widget for widget in self._ofKind(qMRMLSliceWidget)}

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._sliceWidgets().get(name)

    def _nth(self, kind: type, index: int) -> Any:
        widgets = self._ofKind(kind)
        return widgets[index] if 0 <= index < len(widgets) else None

    def plotWidget(self, index: int) -> qMRMLPlotWidget | None:
        return self._nth(qMRMLPlotWidget, index)

    def tableWidget(self, index: int) -> qMRMLTableWidget | None:
        return self._nth(qMRMLTableWidget, index)

    def threeDWidget(self, index: int) -> None:
        raise NotImplementedError("the host has no 3D views")

    def viewWidget(self, node: Any) -> Any:
        return self._widgets.get(node.GetID())

    def mrmlSliceLogics(self) -> Any:
        return slicer.app.applicationLogic().GetSliceLogics()

    def resetSliceViews(self) -> None:
        for widget in self._sliceWidgets().values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """There are none to reset."""

    def setRenderPaused(self, paused: bool) -> None:
        for widget in self._sliceWidgets().values():
            widget.sliceView()._paused = paused
            if not paused:
                widget.sliceView().scheduleRender()

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)

    # -- arranging

    def _arrange(self) -> None:
        """Show the views of the current layout; the others stay alive, hidden."""
        node = self._logic.GetLayoutNode()
        if not self._enabled or node is None or self._scene.IsBatchProcessing():
            return
        wanted = (node.GetViewArrangement(), node.GetCurrentLayoutDescription() or "")
        if wanted == self._arranged or not wanted[1]:
            return
        self._arranged = wanted
        for widget in self._widgets.values():
            widget.setParent(self._viewport)
            widget.setVisible(False)
        if self._root is not None:
            self._viewport.layout().removeWidget(self._root)
            self._root.setVisible(False)
            self._root.deleteLater()
        self._root = self._built(ElementTree.fromstring(wanted[1]))
        self._viewport.layout().addWidget(self._root)
        self._markMapped()
        self.layoutChanged.emit(wanted[0])

    def _built(self, element: ElementTree.Element) -> Any:
        """The widget for a layout, or for a view, of a description."""
        if element.tag == "view":
            return self._view(element)
        kind = element.get("type", "vertical")
        children = [(item, self._built(child)) for item in element.findall("item") for child in item]
        if kind == "tab":
            tabs = qt.QTabWidget()
            for item, widget in children:
                tabs.addTab(widget, item.get("name", widget.objectName))
                widget.setVisible(True)
            return tabs
        if kind == "grid":
            box = qt.QWidget()
            grid = qt.QGridLayout(box)
            grid.setContentsMargins(0, 0, 0, 0)
            grid.setSpacing(2)
            for item, widget in children:
                place = (
                    item.get("row", "0"),
                    item.get("column", "0"),
                    item.get("rowspan", "1"),
                    item.get("colspan", "1"),
                )
                grid.addWidget(widget, *map(int, place))
                widget.setVisible(True)
            return box
        splitter = qt.QSplitter(qt.Qt.Horizontal if kind == "horizontal" else qt.Qt.Vertical)
        for item, widget in children:
            splitter.addWidget(widget)
            splitter.setStretchFactor(splitter.indexOf(widget), int(item.get("splitSize", "1") != "0"))
            widget.setVisible(True)
        splitter.setSizes([1000] * len(children))
        return splitter

    def _view(self, element: ElementTree.Element) -> Any:
        node = self._viewNode(element)
        if node is None:
            return self._placeholder(element.get("class", ""), element.get("singletontag", ""))
        if node.GetID() not in self._widgets:
            self._widgets[node.GetID()] = self._viewWidgetFor(node)
        widget = self._widgets[node.GetID()]
        widget.setObjectName(f"{type(widget).__name__}{node.GetLayoutName()}")
        return widget

    def _viewNode(self, element: ElementTree.Element) -> Any:
        """The view node of a description; the layout logic has made it."""
        className, tag = element.get("class", ""), element.get("singletontag", "")
        node = self._scene.GetSingletonNode(tag, className)
        if node is not None and className == "vtkMRMLSliceNode":
            properties = {entry.get("name"): entry.text for entry in element.findall("property")}
            if properties.get("viewlabel"):
                node.SetLayoutLabel(properties["viewlabel"])
        return node

    def _viewWidgetFor(self, node: Any) -> Any:
        kinds = {
            "vtkMRMLSliceNode": (qMRMLSliceWidget, "setMRMLSliceNode"),
            "vtkMRMLPlotViewNode": (qMRMLPlotWidget, "setMRMLPlotViewNode"),
            "vtkMRMLTableViewNode": (qMRMLTableWidget, "setMRMLTableViewNode"),
        }
        if node.GetClassName() not in kinds:
            return self._placeholder(node.GetClassName(), node.GetLayoutName())
        kind, setter = kinds[node.GetClassName()]
        widget = kind(self._viewport)
        widget.setMRMLScene(self._scene)
        getattr(widget, setter)(node)
        return widget

    @staticmethod
    def _placeholder(className: str, name: str) -> Any:
        label = qt.QLabel({"vtkMRMLViewNode": "3D view"}.get(className, f"{className} {name}"))
        label.setAlignment(qt.Qt.AlignCenter)
        label.setStyleSheet("background: #9a9ad0; color: #404070;")
        label.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)
        return label

    def _markMapped(self) -> None:
        """Note in the view nodes which of them the layout shows."""
        shown = self._logic.GetViewNodes()
        identifiers = {shown.GetItemAsObject(index).GetID() for index in range(shown.GetNumberOfItems())}
        for identifier in self._widgets:
            node = self._scene.GetNodeByID(identifier)
            if node is not None:
                node.SetMappedInLayout(identifier in identifiers)

    layout = declared(int, lambda self: self._logic.GetLayoutNode().GetViewArrangement(), setLayout)
    enabled = stored(bool, "_enabled", "_arrange")
    threeDViewCount = declared(int, lambda self: 0)
    plotViewCount = declared(int, lambda self: len(self._ofKind(qMRMLPlotWidget)))
    tableViewCount = declared(int, lambda self: len(self._ofKind(qMRMLTableWidget)))
