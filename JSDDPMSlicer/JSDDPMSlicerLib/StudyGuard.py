"""Results lie beside a patient's study and never in it, whoever moves them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .Scene import SYNTHETIC, isSynthetic

SECONDS = 10


class StudyGuard(VTKObservationMixin):
    """Watches the subject hierarchy and takes synthetic items out of patients and studies.

    Slicer itself moves them there. Before an export to DICOM it offers to put an item into a study, and takes the one
    in which anything lies that the item refers to, such as the transform of a patient's volume
    (qSlicerSubjectHierarchyDICOMPlugin.cxx); the Segment Editor puts a segmentation beside the volume that it is
    edited on (vtkSlicerSegmentEditorLogic.cxx).

    The hierarchy's node is never kept: a scene that is closed while someone holds it gets no other one.
    """

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._tags: list[int] = []
        self._waiting = False
        self._closed = False
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._unwatch)
        for event in (scene.NodeAddedEvent, scene.EndCloseEvent):
            self.addObserver(scene, event, self._watch)
        for event in (scene.EndImportEvent, scene.EndBatchProcessEvent):
            self.addObserver(scene, event, self._onChange)
        self._watch()

    def close(self) -> None:
        """Watches no longer."""
        self._closed = True
        self.removeObservers()
        self._unwatch()

    def _watch(self, _caller: Any = None, _event: Any = None) -> None:
        hierarchy = _hierarchy()
        if self._tags or hierarchy is None:
            return
        for event in (hierarchy.SubjectHierarchyItemAddedEvent, hierarchy.SubjectHierarchyItemReparentedEvent):
            self._tags.append(hierarchy.AddObserver(event, self._onChange))
        self._onChange()

    def _unwatch(self, _caller: Any = None, _event: Any = None) -> None:
        hierarchy = _hierarchy()
        for tag in self._tags if hierarchy is not None else ():
            hierarchy.RemoveObserver(tag)
        self._tags.clear()

    def _onChange(self, _caller: Any = None, _event: Any = None) -> None:
        """Later, when whoever moves items has moved them all."""
        if not self._waiting:
            self._waiting = True
            qt.QTimer.singleShot(0, self._check)

    def _check(self) -> None:
        self._waiting = False
        hierarchy = _hierarchy()
        if self._closed or hierarchy is None or slicer.mrmlScene.IsBatchProcessing():
            return
        for item in _syntheticItems(hierarchy):
            if _inStudy(hierarchy, item):
                hierarchy.SetItemParent(item, hierarchy.GetSceneItemID())
                message = _("{name} was put beside the study: synthetic results never enter a patient's study.")
                message = message.format(name=hierarchy.GetItemName(item))
                logging.info(message)
                slicer.util.showStatusMessage(message, SECONDS * 1000)


def _hierarchy() -> Any:
    """The scene's hierarchy; None where it has none at the moment, and none is made."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")


def _syntheticItems(hierarchy: Any) -> Iterator[int]:
    """Marked items and those of marked nodes; a folder comes before what lies in it."""
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    for item in (items.GetId(index) for index in range(items.GetNumberOfIds())):
        if hierarchy.GetItemAttribute(item, SYNTHETIC) == "1" or isSynthetic(hierarchy.GetItemDataNode(item)):
            yield item


def _inStudy(hierarchy: Any, item: int) -> bool:
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    levels = (constants.GetDICOMLevelStudy(), constants.GetDICOMLevelPatient())
    return any(hierarchy.GetItemAncestorAtLevel(item, level) for level in levels)
