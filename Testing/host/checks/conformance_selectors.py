"""Widgets that choose nodes, segments and items of the subject hierarchy."""

import numpy as np
import qt
import slicer


def selector():
    """One for scalar volumes that may be none."""
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.addEnabled = False
    box.removeEnabled = False
    return box


def run(checks):
    scene = slicer.mrmlScene
    scene.Clear(False)
    box = selector()
    checks.that("greyed without a scene", box.enabled is False and box.mrmlScene() is None)
    box.setMRMLScene(scene)
    checks.that("not with one", box.enabled is True)
    checks.equal("node types come as a tuple", box.nodeTypes, ("vtkMRMLScalarVolumeNode",))
    nodes, flags, identifiers = [], [], []
    checks.that("currentNodeChanged of a node", box.connect("currentNodeChanged(vtkMRMLNode*)", nodes.append))
    checks.that("currentNodeChanged of a flag", box.connect("currentNodeChanged(bool)", flags.append))
    checks.that("currentNodeIDChanged", box.connect("currentNodeIDChanged(QString)", identifiers.append))
    checks.that("no other argument", box.connect("currentNodeChanged(vtkMRMLVolumeNode*)", nodes.append) is False)
    checks.that("nor none", box.connect("currentNodeChanged()", nodes.append) is False)

    volume = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.float32), name="V")
    checks.that("no node is chosen by itself", box.currentNode() is None and nodes == [])
    checks.equal("but it is in the list", box.nodeCount(), 1)
    box.setCurrentNode(volume)
    checks.that("a chosen node is current", box.currentNode() is volume)
    checks.that("and told", nodes == [volume] and flags == [True] and identifiers == [volume.GetID()])
    box.setCurrentNode(volume)
    checks.equal("the same again is not told", len(nodes), 1)
    checks.equal("currentNodeID is a property", box.currentNodeID, volume.GetID())
    box.setCurrentNode(None)
    checks.that("none", box.currentNode() is None and nodes[-1] is None and flags[-1] is False)
    box.setCurrentNodeID(volume.GetID())
    checks.that("by identifier", box.currentNode() is volume)
    box.currentNodeID = ""
    checks.equal("none by identifier", box.currentNodeID, "")
    box.setCurrentNodeID("vtkMRMLNoSuchNode1")
    checks.that("an unknown identifier is none", box.currentNode() is None)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other type")
    checks.equal("other types are not listed", box.nodeCount(), 1)
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "derived type")
    checks.equal("derived types are", box.nodeCount(), 2)
    box.showChildNodeTypes = False
    checks.equal("unless told not to", box.nodeCount(), 1)
    scene.RemoveNode(labels)
    hidden = slicer.vtkMRMLScalarVolumeNode()
    hidden.SetHideFromEditors(True)
    scene.AddNode(hidden)
    checks.equal("hidden nodes are not listed", box.nodeCount(), 1)
    box.sortFilterProxyModel().hiddenNodeIDs = [volume.GetID()]
    checks.equal("nor are those that the filter leaves out", box.nodeCount(), 0)
    box.sortFilterProxyModel().hiddenNodeIDs = []
    checks.equal("until it lets them in again", box.nodeCount(), 1)
    scene.RemoveNode(hidden)
    box.setCurrentNode(volume)
    scene.RemoveNode(volume)
    checks.that("a removed node is not current", box.currentNode() is None and nodes[-1] is None)
    volume = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.float32), name="V")
    box.setCurrentNode(volume)
    scene.Clear(False)
    checks.that("nor after the scene is closed", box.currentNode() is None and nodes[-1] is None)

    maker = slicer.qMRMLNodeComboBox()
    maker.nodeTypes = ["vtkMRMLSegmentationNode"]
    maker.baseName = "Made"
    maker.setMRMLScene(scene)
    made = maker.addNode()
    checks.that("a selector makes nodes", made.IsA("vtkMRMLSegmentationNode") and made.GetName() == "Made")
    checks.that("and chooses them", maker.currentNode() is made)
    waiting = selector()
    volume = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.float32), name="V")
    waiting.setCurrentNodeID(volume.GetID())
    waiting.setMRMLScene(scene)
    checks.that("a node asked for before the scene came", waiting.currentNode() is volume)
    checks.refused("setNodeTypes is not seen by Python", lambda: box.setNodeTypes(["vtkMRMLNode"]), AttributeError)

    segments = slicer.qMRMLSegmentSelectorWidget()
    segments.setMRMLScene(scene)
    told = []
    checks.that("currentSegmentChanged", segments.connect("currentSegmentChanged(QString)", told.append))
    made.GetSegmentation().AddEmptySegment("first", "First")
    made.GetSegmentation().AddEmptySegment("second", "Second")
    segments.setCurrentNode(made)
    checks.that("the segmentation", segments.currentNode() is made)
    checks.equal("the first segment is chosen", segments.currentSegmentID(), "first")
    segments.setCurrentSegmentID("second")
    checks.that("another", segments.currentSegmentID() == "second" and told[-1] == "second")
    view = slicer.qMRMLSegmentsTableView()
    view.setMRMLScene(scene)
    view.setSegmentationNode(made)
    checks.that("the table of segments", view.segmentationNode() is made and view.segmentCount == 2)
    view.setSelectedSegmentIDs(["second"])
    checks.equal("selected segments come as a tuple", view.selectedSegmentIDs(), ("second",))

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    tree = slicer.qMRMLSubjectHierarchyTreeView()
    tree.setMRMLScene(scene)
    items = []
    checks.that("currentItemChanged", tree.connect("currentItemChanged(vtkIdType)", items.append))
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Folder")
    tree.setCurrentItem(folder)
    checks.that("an item of the hierarchy", tree.currentItem() == folder and items[-1:] == [folder])
    checks.that("its hierarchy", tree.subjectHierarchyNode() is hierarchy)
    parent = slicer.qMRMLWidget()
    parent.setLayout(qt.QVBoxLayout())
    scenes = []
    parent.connect("mrmlSceneChanged(vtkMRMLScene*)", scenes.append)
    parent.setMRMLScene(scene)
    parent.setMRMLScene(scene)
    checks.that("a widget passes its scene on, once", scenes == [scene])
    scene.Clear(False)
