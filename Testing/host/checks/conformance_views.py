"""Layouts, slice views, plots and tables. Without a layout manager (no main window) only the widgets by themselves."""

import numpy as np
import slicer

LAYOUT = 9917
DESCRIPTION = """<layout type="horizontal" split="true"><item><view class="vtkMRMLSliceNode" singletontag="Beside">
<property name="orientation" action="default">Axial</property><property name="viewlabel" action="default">B</property>
<property name="viewcolor" action="default">#8C8C8C</property></view></item>
<item><view class="vtkMRMLSliceNode" singletontag="Red"><property name="orientation" action="default">Axial</property>
<property name="viewlabel" action="default">R</property><property name="viewcolor" action="default">#F34A33</property>
</view></item></layout>"""


def run(checks):
    slicer.mrmlScene.Clear(False)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    slicer.util.updateTableFromArray(table, np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), ["a", "b"])
    view = slicer.qMRMLTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(table)
    checks.that("a table view", view.mrmlTableNode() is table)
    slicer.app.processEvents()
    checks.that("has the cells", view.model().columnCount() >= 2)

    manager = slicer.app.layoutManager()
    if manager is not None:
        layouts(checks, manager)
        sliceViews(checks, manager)
        plots(checks, manager)
    slicer.mrmlScene.Clear(False)


def layouts(checks, manager):
    nodes = slicer.vtkMRMLLayoutNode
    before = manager.layout
    manager.setLayout(nodes.SlicerLayoutOneUpRedSliceView)
    checks.equal("the layout is a property", manager.layout, nodes.SlicerLayoutOneUpRedSliceView)
    told = []
    checks.that("layoutChanged", manager.connect("layoutChanged(int)", told.append))
    manager.setLayout(nodes.SlicerLayoutConventionalView)
    checks.that("is told", nodes.SlicerLayoutConventionalView in told)
    checks.that("names of slice views come as a tuple", isinstance(manager.sliceViewNames(), tuple))
    checks.that("the three slice views", {"Red", "Yellow", "Green"} <= set(manager.sliceViewNames()))
    checks.that("a view that is not there is None", manager.sliceWidget("NoSuchView") is None)
    node = manager.layoutLogic().GetLayoutNode()
    checks.that("a layout of one's own", node.AddLayoutDescription(LAYOUT, DESCRIPTION))
    checks.that("once", node.IsLayoutDescription(LAYOUT))
    manager.setLayout(LAYOUT)
    slicer.app.processEvents()
    beside = manager.sliceWidget("Beside")
    checks.that("makes its views", beside is not None and beside.mrmlSliceNode().GetOrientation() == "Axial")
    manager.setLayout(nodes.SlicerLayoutOneUpRedSliceView)
    checks.that("another layout", manager.layout == nodes.SlicerLayoutOneUpRedSliceView)
    manager.setLayout(before)


def sliceViews(checks, manager):
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    array = np.zeros((20, 30, 40), np.float32)
    array[10, 15, 20] = 100
    volume = slicer.util.addVolumeFromArray(array, name="V")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    widget = manager.sliceWidget("Red")
    composite = widget.mrmlSliceCompositeNode()
    checks.equal("the background", composite.GetBackgroundVolumeID(), volume.GetID())
    slicer.util.setSliceViewerLayers(background=None)
    checks.that("no background", not composite.GetBackgroundVolumeID())
    slicer.util.setSliceViewerLayers(background=volume, foreground=volume, foregroundOpacity=0.5)
    checks.equal("the foreground's opacity", composite.GetForegroundOpacity(), 0.5)
    logic = widget.sliceLogic()
    logic.SetSliceOffset(7.0)
    checks.equal("the offset", round(logic.GetSliceOffset(), 6), 7.0)
    node = widget.mrmlSliceNode()
    node.JumpSliceByCentering(0.0, 0.0, 9.0)
    checks.equal("a jump", round(logic.GetSliceOffset(), 6), 9.0)
    checks.equal("its name", node.GetLayoutName(), "Red")
    widget.setSliceOrientation("Sagittal")
    checks.equal("its orientation", node.GetOrientation(), "Sagittal")
    widget.setSliceOrientation("Axial")
    widget.fitSliceToBackground()
    view = widget.sliceView()
    annotation = view.cornerAnnotation()
    annotation.SetText(2, "SYNTHETIC")
    checks.equal("a corner annotation", annotation.GetText(2), "SYNTHETIC")
    view.scheduleRender()
    view.forceRender()
    checks.that("a picture of the view", not widget.grab().isNull())
    checks.that("the bar above the view", widget.sliceController().barWidget().isWidgetType())
    slicer.app.pauseRender()
    slicer.app.resumeRender()
    slicer.util.resetSliceViews()
    slicer.util.forceRenderAllViews()
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(80.0, 40.0)
    checks.that("window and level", display.GetWindow() == 80.0 and display.GetLevel() == 40.0)


def plots(checks, manager):
    nodes = {}
    data = np.column_stack([np.arange(5.0), np.arange(5.0) ** 2])
    chart = slicer.util.plot(data, xColumnIndex=0, columnNames=["x", "square"], title="Plot", nodes=nodes)
    slicer.app.processEvents()
    checks.equal("the series of a plot", chart.GetNumberOfPlotSeriesNodes(), 1)
    checks.that("a plot is shown in the layout", manager.plotViewCount >= 1)
    widget = manager.plotWidget(0)
    checks.that("by its view node", widget.mrmlPlotViewNode().GetPlotChartNodeID() == chart.GetID())
    checks.that("and drawn", not widget.plotView().grab().isNull())
    nodes["series"][0].SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeBar)
    widget.plotView().fitToContent()
    slicer.app.processEvents()
    checks.that("as bars too", not widget.plotView().grab().isNull())
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    slicer.app.processEvents()
    checks.that("a table in the layout", manager.tableViewCount >= 1)
    slicer.app.applicationLogic().GetSelectionNode().SetActiveTableID(nodes["table"].GetID())
    slicer.app.applicationLogic().PropagateTableSelection()
    checks.that("shows its table", manager.tableWidget(0).tableView().mrmlTableNode() is nodes["table"])
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
