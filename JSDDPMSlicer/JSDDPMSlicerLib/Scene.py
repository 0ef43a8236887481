"""Generated files to MRML nodes (volumes, segmentations, sequences, folders), each of them marked as synthetic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from .Geometry import Placement, lesionCentre

SYNTHETIC = "JSDDPM.Synthetic"
"""Attribute of every node that a model made."""

SIDECAR = "JSDDPM.Sidecar"
FOLDER = "JSDDPM.Folder"
SEGMENT = "lesion"
CATEGORY = "SCT^49755003^Morphologically Altered Structure"
UNCODED = "SCT^52988006^Lesion"


@dataclass(frozen=True)
class Pathology:
    """What is drawn as the lesion: a class of the bundle, as its manifest has it."""

    name: str
    label: str
    code: str | None
    colour: tuple[int, int, int]

    @property
    def terminology(self) -> str:
        """The segment's terminology entry, serialised as Slicer does."""
        kind = UNCODED if self.code is None else f"{self.code.replace(':', '^')}^{self.label}"
        return f"Segmentation category and type - 3D Slicer General Anatomy list~{CATEGORY}~{kind}~^^~~^^~^^"


@dataclass(frozen=True)
class Sample:
    """The files of one sample or volume."""

    image: Path
    mask: Path
    sidecarFile: Path
    sidecar: dict[str, Any]

    @property
    def delivery(self) -> dict[str, Any]:
        """The checks of the draw that was kept."""
        return self.sidecar["attempts"][-1]


def readSample(sidecarFile: Path) -> Sample:
    """The sample that a sidecar describes; the files it names must lie beside it.

    Raises:
        ValueError: if it names anything else.
    """
    sidecar = json.loads(sidecarFile.read_text(encoding="utf-8"))
    names = {ending: record["name"] for ending, record in sidecar["files"].items()}
    for name in names.values():
        if Path(name).name != name:
            raise ValueError(f"{sidecarFile.name} names the file '{name}', which does not lie beside it")
    image = next(name for ending, name in names.items() if not ending.endswith("mask"))
    mask = next(name for ending, name in names.items() if ending.endswith("mask"))
    return Sample(sidecarFile.with_name(image), sidecarFile.with_name(mask), sidecarFile, sidecar)


@dataclass
class Result:
    """The nodes of one run."""

    name: str
    samples: list[Sample]
    volume: Any = None
    segmentation: Any = None
    browser: Any = None
    transform: Any = None
    reference: Any = None
    folderItem: int = 0
    nodes: list[Any] = field(default_factory=list)

    @property
    def shown(self) -> Sample:
        """The sample that the views show."""
        return self.samples[0 if self.browser is None else self.browser.GetSelectedItemNumber()]

    def remove(self) -> None:
        """Takes the run out of the scene; its files stay."""
        scene = slicer.mrmlScene
        for node in reversed(self.nodes):
            if scene.IsNodePresent(node):
                scene.RemoveNode(node)
        self.nodes.clear()
        hierarchy = subjectHierarchy()
        if self.folderItem and hierarchy is not None:
            hierarchy.RemoveItem(self.folderItem)
        self.folderItem = 0


def subjectHierarchy() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


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
    result.segmentation = addSegmentation(result.volume, mask, pathology, f"{result.name} lesion")
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
    node.GetSegmentation().AddEmptySegment(SEGMENT, f"{pathology.label} (synthetic)", colour)
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


def volumeMatrix(volume: Any) -> np.ndarray:
    """IJKToRAS of a volume, 4 x 4, without its parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def localToWorld(node: Any) -> np.ndarray | None:
    """A node's parent transforms as one matrix, 4 x 4; None where they are not linear."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def toWorld(point: np.ndarray, node: Any) -> np.ndarray:
    """A point in a node's coordinates, in the world's."""
    matrix = localToWorld(node)
    if matrix is None:
        raise ValueError(f"{node.GetName()} lies under a transform that is not linear: harden it first")
    return (matrix @ np.append(point, 1.0))[:3]


def isSynthetic(node: Any) -> bool:
    return node is not None and node.GetAttribute(SYNTHETIC) == "1"


def _mark(node: Any, sample: Sample) -> None:
    node.SetAttribute(SYNTHETIC, "1")
    node.SetAttribute(SIDECAR, sample.sidecarFile.read_text(encoding="utf-8"))
    node.SetAttribute(FOLDER, str(sample.sidecarFile.parent))
    node.SetDescription(sample.sidecar["notice"])


def _transformTo(reference: Any, placement: Placement) -> Any:
    """The node that carries the model's space into the patient's."""
    name = f"Model space to {reference.GetName()}"
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(placement.modelToPatient))
    if reference.GetParentTransformNode() is not None:
        node.SetAndObserveTransformNodeID(reference.GetParentTransformNode().GetID())
    return node


def _sequence(result: Result, others: list[Sample], pathology: Pathology) -> Iterator[str]:
    """Turns the first sample's nodes into the proxies of a sequence over all samples."""
    scene = slicer.mrmlScene
    images = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{result.name} samples")
    masks = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{result.name} lesion samples")
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
            segmentation = addSegmentation(volume, mask, pathology, f"{result.name} lesion")
            _mark(segmentation, sample)
            masks.SetDataNodeAtValue(segmentation, str(number))
            scene.RemoveNode(segmentation)
        finally:
            scene.RemoveNode(volume)
        yield "sequence"
    result.browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{result.name} browser")
    result.nodes.append(result.browser)
    with slicer.util.NodeModify(result.browser):  # or proxies of its own are made before ours are named
        for sequence, proxy in ((images, result.volume), (masks, result.segmentation)):
            result.browser.AddSynchronizedSequenceNode(sequence)
            result.browser.AddProxyNode(proxy, sequence, False)
            result.browser.SetOverwriteProxyName(sequence, False)
        result.browser.SetSelectedItemNumber(0)
    yield "sequence browser"


def _file(result: Result) -> None:
    """One folder a run, beside and never inside a patient's study."""
    hierarchy = subjectHierarchy()
    result.folderItem = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), result.name)
    hierarchy.SetItemAttribute(result.folderItem, SYNTHETIC, "1")
    for node in result.nodes:
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, result.folderItem)
