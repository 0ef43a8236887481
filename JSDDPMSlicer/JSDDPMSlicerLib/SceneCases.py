"""Volumes and segments of the scene as cases: written as NIfTI files of the run's own, nothing in the scene changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from .Geometry import gridProblem
from .NodeFrames import localToWorld, volumeMatrix
from .Scene import isSynthetic, subjectHierarchy

DATASET = "scene"
"""Name of the folder that the files lie in, and so of the data set that they make up."""

IMAGES, MASKS = "images", "masks"


@dataclass(frozen=True)
class Lesion:
    """A segment that may be the lesion of a volume.

    Attributes:
        segmentation: the node.
        segment: identifier of the segment.
        label: as users see it.
    """

    segmentation: Any
    segment: str
    label: str


@dataclass(frozen=True)
class SceneCase:
    """What is to be written.

    Attributes:
        volume: the FLAIR.
        lesion: that belongs to it; None where there is none.
    """

    volume: Any
    lesion: Lesion | None = None


def volumes() -> list[Any]:
    """The scalar volumes of the scene that a person may choose; label maps are none."""
    found = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [
        node for node in found if not node.IsA("vtkMRMLLabelMapVolumeNode") and not node.GetHideFromEditors()
    ]  # fmt: skip


def lesions() -> list[Lesion]:
    """Every segment of the scene that was not made by a model."""
    found = []
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if isSynthetic(node):
            continue
        segmentation = node.GetSegmentation()
        for number in range(segmentation.GetNumberOfSegments()):
            identifier = segmentation.GetNthSegmentID(number)
            name = segmentation.GetSegment(identifier).GetName()
            found.append(Lesion(node, identifier, _("{node}: {segment}").format(node=node.GetName(), segment=name)))
    return found


def suggested(volume: Any, known: Sequence[Lesion]) -> Lesion | None:
    """The only segment that was drawn on a volume; None where there are several or none."""
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    own = [lesion for lesion in known if lesion.segmentation.GetNodeReferenceID(role) == volume.GetID()]
    return own[0] if len(own) == 1 else None


def problem(volume: Any) -> str:
    """Why a volume cannot be a case, a sentence; empty where it can."""
    name = volume.GetName()
    if isSynthetic(volume):
        return _("{name} is synthetic: choose volumes of patients.").format(name=name)
    if volume.GetImageData() is None or volume.GetImageData().GetNumberOfPoints() == 0:
        return _("{name} holds no image: choose another volume.").format(name=name)
    if volume.GetImageData().GetNumberOfScalarComponents() != 1:
        return _("{name} has several values a voxel: choose a grey-scale volume.").format(name=name)
    toWorld = localToWorld(volume)
    if toWorld is None:
        return _("{name} lies under a transform that is not linear: harden it first.").format(name=name)
    wrong = gridProblem(toWorld @ volumeMatrix(volume))
    return f"{name}: {wrong}." if wrong is not None else ""


def isThere(case: SceneCase) -> bool:
    """Whether the volume and the segment of a case are still in the scene."""
    if not slicer.mrmlScene.IsNodePresent(case.volume):
        return False
    if case.lesion is None:
        return True
    node, segment = case.lesion.segmentation, case.lesion.segment
    return bool(slicer.mrmlScene.IsNodePresent(node)) and node.GetSegmentation().GetSegment(segment) is not None


def write(cases: Sequence[SceneCase], folder: Path) -> Iterator[str]:
    """Writes `images/NAME.nii` and `masks/NAME.nii`, one piece of work per `yield`.

    Args:
        cases: whose volumes have no `problem`.
        folder: that they are written into; what lies there already stays.

    Raises:
        OSError: if a file cannot be written.
        ValueError: if a segment cannot be brought to its volume's grid.
    """
    for kind in (IMAGES, MASKS):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for case in cases:
        stem = freeStem(case.volume, folder)
        if not isThere(case):  # each piece of work is in a turn of its own
            raise ValueError(f"{case.volume.GetName()} or its segment has left the scene")
        if case.lesion is not None:
            mask = _lesionOnGrid(case)
            yield "resample the segment"
            _write(case.volume, mask, folder / MASKS / f"{stem}.nii")
            yield "write mask"
        _write(case.volume, case.volume.GetImageData(), folder / IMAGES / f"{stem}.nii")
        yield "write volume"


def freeStem(volume: Any, folder: Path) -> str:
    """A file name for a volume, each once; with the patient where the scene knows: a person stays in one split."""
    patient, own = _plain(_patient(volume)), _plain(volume.GetName()) or "volume"
    stem = f"sub-{patient}_{own}" if patient else own
    for number in range(1, 10_000):
        chosen = stem if number == 1 else f"{stem}-{number}"
        if not any((folder / kind / f"{chosen}.nii").exists() for kind in (IMAGES, MASKS)):
            return chosen
    raise OSError(f"{folder} is full of volumes named {stem}")


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _patient(volume: Any) -> str:
    hierarchy = subjectHierarchy()
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None else 0
    if not item:
        return ""
    level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelPatient()
    patient = hierarchy.GetItemAncestorAtLevel(item, level)
    return hierarchy.GetItemName(patient) if patient else ""


def _lesionOnGrid(case: SceneCase) -> Any:
    """The segment as an image on its volume's grid, where both lie in the world; the scene is as before."""
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode")}
    labelmap = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "lesion")
    labelmap.SetHideFromEditors(True)
    try:
        logic = slicer.modules.segmentations.logic()
        segments = [case.lesion.segment]
        if not logic.ExportSegmentsToLabelmapNode(case.lesion.segmentation, segments, labelmap, case.volume):
            raise ValueError(f"{case.lesion.label} could not be brought to the grid of {case.volume.GetName()}")
        image = labelmap.GetImageData()
        if image.GetDimensions() != case.volume.GetImageData().GetDimensions():
            raise ValueError(f"{case.lesion.label} came out on another grid than {case.volume.GetName()}")
        return image
    finally:
        display = labelmap.GetDisplayNode()  # the export makes one, with a colour table of its own
        colours = display.GetColorNode() if display is not None else None
        own = colours is not None and colours.GetID() not in before
        for node in (labelmap, display, colours if own else None):
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)


def _write(volume: Any, image: Any, path: Path) -> None:
    """Writes an image on a volume's grid as it lies in the world, uncompressed: that takes less time."""
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.SetAndObserveImageData(image)
    matrix = np.ascontiguousarray(localToWorld(volume) @ volumeMatrix(volume))
    copy.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(0)
    if not storage.WriteData(copy) or not path.is_file():
        path.unlink(missing_ok=True)
        raise OSError(f"{path.name} could not be written")
