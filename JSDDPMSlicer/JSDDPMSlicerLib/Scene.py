"""Generated files to MRML nodes (volumes, segmentations, sequences, folders), each of them marked as synthetic."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from .Geometry import Placement, lesionCentre
from .NodeFrames import localToWorld, toWorld, volumeMatrix
from .Pathology import Pathology
from .SampleFiles import Sample, sampleOf

SYNTHETIC = "JSDDPM.Synthetic"
"""Attribute of every node that a model made."""

SIDECAR = "JSDDPM.Sidecar"
SIDECAR_FILE = "JSDDPM.SidecarFile"
FOLDER = "JSDDPM.Folder"
"""Of every node of a run: where its files lie, which tells it from any other run."""

PATIENT = "JSDDPM.patient"
"""Role of the reference from the transform of a result to the patient's volume in whose frame it lies."""

SEGMENT = "lesion"


@dataclass(eq=False)
class Result:
    """The nodes of one run.

    Attributes:
        asked: what the panel asked for, where it was in this session.
    """

    name: str
    samples: list[Sample]
    volume: Any = None
    segmentation: Any = None
    browser: Any = None
    transform: Any = None
    reference: Any = None
    folderItem: int = 0
    nodes: list[Any] = field(default_factory=list)
    asked: Any = None

    @property
    def number(self) -> int:
        """Of the sample that the views show, from 0."""
        number = 0 if self.browser is None else self.browser.GetSelectedItemNumber()
        return min(max(number, 0), len(self.samples) - 1)

    @property
    def shown(self) -> Sample:
        """The sample that the views show."""
        return self.samples[self.number]

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""
        return self.samples[0].sidecarFile.parent

    @property
    def present(self) -> bool:
        """Whether the scene still holds what the run cannot be shown without."""
        needed = [self.volume, self.segmentation, *([self.browser] if len(self.samples) > 1 else [])]
        return all(node is not None and slicer.mrmlScene.IsNodePresent(node) for node in needed)

    @property
    def whole(self) -> bool:
        """Whether the scene still holds every node that was made so far."""
        return all(slicer.mrmlScene.IsNodePresent(node) for node in self.nodes)

    @property
    def filesThere(self) -> bool:
        """Whether the files of the sample that is shown are still on the disk."""
        sample = self.shown
        return all(file.is_file() for file in (sample.image, sample.mask, sample.sidecarFile))

    @property
    def patient(self) -> Any:
        """The patient's volume in whose frame the result lies; None where there is none, or none any more."""
        there = self.reference is not None and slicer.mrmlScene.IsNodePresent(self.reference)
        return self.reference if there else None

    @property
    def toWorld(self) -> np.ndarray | None:
        """4 x 4, what the result's parent transforms do to it; None where they are not linear."""
        return localToWorld(self.volume)

    @property
    def hasLesion(self) -> bool:
        """Whether the sample that is shown was made with a lesion."""
        return self.shown.delivery["lesion_mm2"] > 0

    def editedMask(self) -> np.ndarray | None:
        """The lesion of the sample that is shown as the user changed it, bool `(K, J, I)`; None where nobody did."""
        if self.segmentation.GetSegmentation().GetSegment(SEGMENT) is None:
            return None
        made = loadMask(self.shown)
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentation, SEGMENT, self.volume)
        now = np.zeros_like(made) if mask is None else mask > 0
        return None if np.array_equal(made, now) else now

    def ownsFolder(self) -> bool:
        """Whether the folder holds this run, and so may be deleted with it: a scene's file can name any folder."""
        try:
            same = all(json.loads(sample.sidecarFile.read_text("utf-8")) == sample.sidecar for sample in self.samples)
        except (OSError, ValueError):
            return False
        return same and self.folder.name.startswith("synthetic-")

    def remove(self) -> None:
        """Takes the run out of the scene; its files stay."""
        scene = slicer.mrmlScene
        for node in reversed(self.nodes):
            if scene.IsNodePresent(node):
                scene.RemoveNode(node)
        self.nodes.clear()
        hierarchy = subjectHierarchy()
        if self.folderItem in _items(hierarchy):
            hierarchy.RemoveItem(self.folderItem)
        self.folderItem = 0


def subjectHierarchy() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def findResults(known: Iterable[Result] = ()) -> list[Result]:
    """The results of the scene, oldest first, whoever made them: this session, or the one that saved the scene.

    Args:
        known: results of which those that are still present are taken over as they are.
    """
    results = {result.volume.GetID(): result for result in known if result.present}
    taken = {str(result.folder) for result in results.values()}
    for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        folder = volume.GetAttribute(FOLDER)
        if not isSynthetic(volume) or folder is None or folder in taken:
            continue
        try:
            result = _rebuild(volume, folder)
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            logging.warning(f"JSDDPMSlicer: {volume.GetName()} is not taken for a result ({error!r})")
            continue
        if result is not None:
            results[volume.GetID()] = result
            taken.add(folder)
    order = [node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    return [results[identifier] for identifier in order if identifier in results]


def _rebuild(volume: Any, folder: str) -> Result | None:
    """The result that a volume belongs to, from what its nodes say; None where its lesion is gone."""

    def nodesOf(kind: str) -> list[Any]:
        return [node for node in slicer.util.getNodesByClass(kind) if node.GetAttribute(FOLDER) == folder]

    result = Result(volume.GetName(), [], volume=volume)
    result.segmentation = next(iter(nodesOf("vtkMRMLSegmentationNode")), None)
    if result.segmentation is None:
        return None
    result.browser = next(iter(nodesOf("vtkMRMLSequenceBrowserNode")), None)
    sequences = nodesOf("vtkMRMLSequenceNode")
    if sequences and result.browser is None:
        return None
    result.transform = next(iter(nodesOf("vtkMRMLLinearTransformNode")), None)
    if result.transform is not None:
        result.reference = result.transform.GetNodeReference(PATIENT)
    made = [volume]
    if result.browser is not None:
        # A scene's file keeps the attributes of lesions in a sequence, and not those of volumes.
        lesions = result.browser.GetSequenceNode(result.segmentation)
        made = [lesions.GetNthDataNode(number) for number in range(lesions.GetNumberOfDataNodes())]
    for node in made:
        place = Path(folder) / Path(node.GetAttribute(SIDECAR_FILE)).name
        result.samples.append(sampleOf(place, json.loads(node.GetAttribute(SIDECAR))))
    found = [result.transform, volume, result.segmentation, *sequences, result.browser]
    result.nodes = [node for node in found if node is not None]
    hierarchy = subjectHierarchy()
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume))
    if hierarchy.GetItemAttribute(parent, SYNTHETIC) == "1":
        result.folderItem = parent
    return result


def _items(hierarchy: Any) -> set[int]:
    """All items of the subject hierarchy; asking it for one that is gone is an error."""
    items = vtk.vtkIdList()
    if hierarchy is not None:
        hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    return {items.GetId(index) for index in range(items.GetNumberOfIds())}


def importResult(
    result: Result, pathology: Pathology, placement: Placement | None = None, reference: Any = None
) -> Iterator[str]:
    """Builds the nodes of a run, one piece of work per `yield`.

    Args:
        result: filled in place; `result.samples` says which files.
        pathology: what the mask shows.
        placement: where the patient lies, if the run belongs to one.
        reference: that patient's volume.
    """
    result.reference = reference
    if placement is not None and reference is not None:
        result.transform = _transformTo(reference, placement)
        result.nodes.append(result.transform)
        yield "transform"

    first, *others = result.samples
    result.volume = loadVolume(first, result.name)
    result.nodes.append(result.volume)
    yield "load FLAIR"
    mask = loadMask(first)
    yield "load mask"
    result.segmentation = addSegmentation(result.volume, mask, pathology, _lesionName(result))
    _mark(result.segmentation, first)
    result.nodes.append(result.segmentation)
    yield "segmentation"

    if others:
        yield from _sequence(result, others, pathology)
    if result.transform is not None:
        for node in (result.volume, result.segmentation):
            node.SetAndObserveTransformNodeID(result.transform.GetID())
        yield "place"
    _file(result)
    yield "subject hierarchy"


def _lesionName(result: Result) -> str:
    return _("{result} lesion").format(result=result.name)


def loadVolume(sample: Sample, name: str) -> Any:
    """The FLAIR of a sample as a scalar volume, window and level at the model's range."""
    node = slicer.util.loadVolume(str(sample.image), {"name": name, "show": False, "singleFile": True})
    low, high = sample.sidecar["geometry"]["intensity_range"]
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(0)
    display.SetWindowLevelMinMax(low, high)
    _mark(node, sample)
    return node


def loadMask(sample: Sample) -> np.ndarray:
    """The mask of a sample, bool `(K, J, I)`."""
    node = slicer.util.loadVolume(str(sample.mask), {"name": "mask", "show": False, "singleFile": True})
    try:
        return slicer.util.arrayFromVolume(node) > 0
    finally:
        slicer.mrmlScene.RemoveNode(node)


def addSegmentation(volume: Any, mask: np.ndarray, pathology: Pathology, name: str) -> Any:
    """A segmentation with one segment, on a volume's grid; the segment may be empty."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    colour = [part / 255 for part in pathology.colour]
    node.GetSegmentation().AddEmptySegment(SEGMENT, pathology.segmentName, colour)
    segment = node.GetSegmentation().GetSegment(SEGMENT)
    segment.SetTag(segment.GetTerminologyEntryTagName(), pathology.terminology)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, SEGMENT, volume)
    display = node.GetDisplayNode()
    display.SetAllSegmentsVisibility2DFill(True)
    display.SetAllSegmentsVisibility2DOutline(True)
    display.SetAllSegmentsOpacity2DFill(0.3)
    display.SetAllSegmentsOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(2)
    return node


def lesionCentreInWorld(result: Result) -> np.ndarray | None:
    """RAS of the lesion's middle in the world; None for a result without one."""
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(result.segmentation, SEGMENT, result.volume)
    centre = None if mask is None else lesionCentre(mask, volumeMatrix(result.volume))
    return None if centre is None else toWorld(centre, result.volume)


def isSynthetic(node: Any) -> bool:
    return node is not None and node.GetAttribute(SYNTHETIC) == "1"


def _mark(node: Any, sample: Sample) -> None:
    node.SetAttribute(SYNTHETIC, "1")
    node.SetAttribute(SIDECAR, sample.sidecarFile.read_text(encoding="utf-8"))
    node.SetAttribute(SIDECAR_FILE, sample.sidecarFile.name)
    node.SetAttribute(FOLDER, str(sample.sidecarFile.parent))
    node.SetDescription(sample.sidecar["notice"])


def _transformTo(reference: Any, placement: Placement) -> Any:
    """The node that carries the model's space into the patient's."""
    name = _("Model space to {patient}").format(patient=reference.GetName())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(placement.modelToPatient))
    if slicer.mrmlScene.IsNodePresent(reference):
        node.SetNodeReferenceID(PATIENT, reference.GetID())
    if reference.GetParentTransformNode() is not None:
        node.SetAndObserveTransformNodeID(reference.GetParentTransformNode().GetID())
    return node


def _sequence(result: Result, others: list[Sample], pathology: Pathology) -> Iterator[str]:
    """Turns the first sample's nodes into the proxies of a sequence over all samples."""
    scene = slicer.mrmlScene
    images = scene.AddNewNodeByClass("vtkMRMLSequenceNode", _("{result} samples").format(result=result.name))
    masks = scene.AddNewNodeByClass("vtkMRMLSequenceNode", _("{result} lesion samples").format(result=result.name))
    result.nodes += [images, masks]
    for sequence in (images, masks):
        sequence.SetIndexName("sample")
        sequence.SetIndexUnit("")
        sequence.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
        sequence.SetAttribute(SYNTHETIC, "1")
    images.SetDataNodeAtValue(result.volume, "1")
    masks.SetDataNodeAtValue(result.segmentation, "1")
    yield "sequence"
    for number, sample in enumerate(others, start=2):
        volume = loadVolume(sample, result.name)
        try:
            images.SetDataNodeAtValue(volume, str(number))
            yield "load FLAIR"
            mask = loadMask(sample)
            yield "load mask"
            segmentation = addSegmentation(volume, mask, pathology, _lesionName(result))
            _mark(segmentation, sample)
            masks.SetDataNodeAtValue(segmentation, str(number))
            scene.RemoveNode(segmentation)
        finally:
            scene.RemoveNode(volume)
        yield "sequence"
    result.browser = scene.AddNewNodeByClass(
        "vtkMRMLSequenceBrowserNode", _("{result} browser").format(result=result.name)
    )
    result.nodes.append(result.browser)
    with slicer.util.NodeModify(result.browser):  # or proxies of its own are made before ours are named
        for sequence, proxy in ((images, result.volume), (masks, result.segmentation)):
            result.browser.AddSynchronizedSequenceNode(sequence)
            result.browser.AddProxyNode(proxy, sequence, False)
            result.browser.SetOverwriteProxyName(sequence, False)
        result.browser.SetSelectedItemNumber(0)
    yield "sequence browser"


def _file(result: Result) -> None:
    """One folder a run, beside and never inside a patient's study; every node says which run it belongs to."""
    hierarchy = subjectHierarchy()
    result.folderItem = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), result.name)
    hierarchy.SetItemAttribute(result.folderItem, SYNTHETIC, "1")
    for node in result.nodes:
        node.SetAttribute(FOLDER, str(result.folder))
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, result.folderItem)
