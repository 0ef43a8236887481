"""
The items that Slicer makes in the subject hierarchy for new nodes.

In Slicer plugins written with Qt do so; slicer-core has the hierarchy alone.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

# Nodes that a plugin of Slicer claims.
CLAIMED = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTransformNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLPlotChartNode",
    "vtkMRMLPlotSeriesNode",
)


def keepItems(scene: Any) -> None:
    """From now on new nodes of the scene get items, and items of removed nodes go."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(caller: Any, event: str, node: Any) -> None:
        if isinstance(node, slicer.vtkMRMLNode):
            addItem(scene, node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def aboutToBeRemoved(caller: Any, event: str, node: Any) -> None:
        hierarchy = existing(scene)
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None and node is not None else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, added)
    scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, aboutToBeRemoved)


def existing(scene: Any) -> Any:
    """The scene's hierarchy; None where it has none at the moment."""
    return scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")


def addItem(scene: Any, node: Any) -> None:
    """Make the item of a node that a plugin would claim."""
    if node.GetHideFromEditors() or not any(node.IsA(kind) for kind in CLAIMED) or scene.IsImporting():
        return
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if not hierarchy.GetItemByDataNode(node):
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
