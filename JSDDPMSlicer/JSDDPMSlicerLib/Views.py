"""What the slice views show: results, the emerging image, the way back to what the user saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from .Geometry import Placement, parentProblem
from .NodeFrames import localToWorld, toWorld, volumeMatrix
from .Scene import Result, isSynthetic, lesionCentreInWorld

RED, YELLOW = "Red", "Yellow"
LAYERS = ("Background", "Foreground", "Label")

MARGIN = 1.04
"""How much more than a slice its view shows: a lesion at the edge of the brain is seen whole, with its outline."""


def sliceNode(view: str = RED) -> Any:
    return slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{view}")


def compositeNode(view: str = RED) -> Any:
    return slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view}")


@dataclass(frozen=True)
class SliceState:
    """Layers and place of one slice view."""

    view: str
    layers: tuple[str | None, ...]
    opacities: tuple[float, float]
    sliceToRAS: np.ndarray
    fieldOfView: tuple[float, float, float]

    @classmethod
    def of(cls, view: str = RED) -> SliceState | None:
        """The state of a view; None where there is no such view."""
        place, layers = sliceNode(view), compositeNode(view)
        if place is None or layers is None:
            return None
        return cls(
            view,
            tuple(getattr(layers, f"Get{layer}VolumeID")() for layer in LAYERS),
            (layers.GetForegroundOpacity(), layers.GetLabelOpacity()),
            slicer.util.arrayFromVTKMatrix(place.GetSliceToRAS()),
            tuple(place.GetFieldOfView()),
        )

    def restore(self) -> None:
        """Brings the view back, as far as its volumes are still there."""
        place, layers = sliceNode(self.view), compositeNode(self.view)
        if place is None or layers is None:
            return
        for layer, identifier in zip(LAYERS, self.layers, strict=True):
            there = identifier is not None and slicer.mrmlScene.GetNodeByID(identifier) is not None
            getattr(layers, f"Set{layer}VolumeID")(identifier if there else None)
        layers.SetForegroundOpacity(self.opacities[0])
        layers.SetLabelOpacity(self.opacities[1])
        place.GetSliceToRAS().DeepCopy(slicer.util.vtkMatrixFromArray(self.sliceToRAS))
        place.UpdateMatrices()
        place.SetFieldOfView(*self.fieldOfView)


_before: dict[str, SliceState] = {}
"""The views that show results, and what each showed before that."""


def remember() -> None:
    """Keeps what the slice views show, but for those that show something synthetic already."""
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        state = SliceState.of(node.GetLayoutName())
        volumes = [slicer.mrmlScene.GetNodeByID(name) for name in state.layers if name] if state is not None else []
        if any(volumes) and not any(isSynthetic(volume) for volume in volumes):
            _before[state.view] = state


def restore() -> None:
    """Brings back what the views showed before a result, where the result has gone and nothing took its place."""
    for view, state in list(_before.items()):
        layers = compositeNode(view)
        if layers is None or not any(getattr(layers, f"Get{layer}VolumeID")() for layer in LAYERS):
            del _before[view]
            state.restore()


def forget() -> None:
    """The scene goes, and with it what the views showed."""
    _before.clear()


def currentPosition(placement: Placement | None, reference: Any) -> tuple[float, float]:
    """The model's z at the centre of the red view, and the angle between the view and the model's slices.

    Args:
        placement: of the patient's volume in the model's space; None where the world is that space.
        reference: the patient's volume.

    Returns:
        Millimetres and degrees.

    Raises:
        ValueError: if there is no red view, or the volume lies under a transform that cannot be followed.
    """
    if sliceNode() is None:
        raise ValueError(_("There is no red slice view: choose a layout that has one."))
    sliceToRAS = slicer.util.arrayFromVTKMatrix(sliceNode().GetSliceToRAS())
    centre, normal = sliceToRAS[:3, 3], sliceToRAS[:3, 2]
    toPatient = np.eye(4)
    if reference is not None:
        toWorldMatrix = localToWorld(reference)
        if toWorldMatrix is None:
            raise ValueError(f"{reference.GetName()} lies under a transform that is not linear: harden it first")
        wrong = parentProblem(toWorldMatrix)
        if wrong is not None:
            raise ValueError(f"{reference.GetName()}: {wrong}.")
        toPatient = np.linalg.inv(toWorldMatrix)
    chosen = Placement(np.eye(4)) if placement is None else placement
    whole = Placement(chosen.patientToModel @ toPatient)
    return whole.position(centre), whole.tiltDegrees(normal)


def showResult(result: Result) -> None:
    """Puts a result into the slice views, fits the red one to it and goes to its lesion in all."""
    remember()
    slicer.util.setSliceViewerLayers(background=result.volume, foreground=None, label=None)
    _hideOtherLesions(result)
    if sliceNode(RED) is not None:
        _align(sliceNode(RED), result.volume)
    jumpTo(result)


def jumpTo(result: Result) -> None:
    """Goes to the lesion in the slice views, or to the middle of a result without one; the red view shows all of it.

    Nothing happens where the result is no longer in the scene.
    """
    if not result.present:
        return
    centre = lesionCentreInWorld(result)
    if centre is None:
        size = np.array(result.volume.GetImageData().GetDimensions(), float)
        middle = volumeMatrix(result.volume) @ np.append((np.floor((size - 1) / 2)), 1.0)
        centre = toWorld(middle[:3], result.volume)
    _fit(RED)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        node.JumpSliceByOffsetting(*centre)


def _fit(view: str) -> None:
    """Shows the whole slice of a view's background, where there is such a view, with a margin."""
    node = sliceNode(view)
    logic = slicer.app.applicationLogic().GetSliceLogic(node) if node is not None else None
    if logic is not None:
        logic.FitSliceToBackground()
        width, height, depth = node.GetFieldOfView()
        node.SetFieldOfView(width * MARGIN, height * MARGIN, depth)


def showSideBySide(result: Result) -> None:
    """The result in the red view and its reference in the yellow one, in the same plane and field of view."""
    manager = slicer.app.layoutManager()
    if manager is None or not result.present or result.patient is None:
        return
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
    remember()
    _hideOtherLesions(result)
    compositeNode(RED).SetBackgroundVolumeID(result.volume.GetID())
    compositeNode(YELLOW).SetBackgroundVolumeID(result.patient.GetID())
    for view in (RED, YELLOW):
        _align(sliceNode(view), result.volume)
    _showAlike(result)
    # Once more when the views have got their new sizes.
    qt.QTimer.singleShot(0, lambda: _showAlike(result))


def _showAlike(result: Result) -> None:
    """Fits the red view to a result and gives the yellow one the same plane and field of view.

    Nothing happens where the result is no longer in the scene, which may be closed or hold another one by now.
    """
    red, yellow = sliceNode(RED), sliceNode(YELLOW)
    if not result.present or red is None or yellow is None:
        return
    jumpTo(result)
    yellow.GetSliceToRAS().DeepCopy(red.GetSliceToRAS())
    yellow.UpdateMatrices()
    yellow.SetFieldOfView(*red.GetFieldOfView())


def _hideOtherLesions(result: Result) -> None:
    """Lesions of earlier results would lie over this one."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if isSynthetic(node) and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(node == result.segmentation)


def _align(place: Any, volume: Any) -> None:
    """Turns a slice view into the plane of a result's slices, head up, patient's left on the right."""
    axes = localToWorld(volume)[:3, :3] @ volumeMatrix(volume)[:3, :3]
    if np.allclose(axes, np.diag(np.diag(axes)), atol=1e-6):
        place.SetOrientationToAxial()
        return
    normal, left = axes[:, 2] / np.linalg.norm(axes[:, 2]), -axes[:, 0] / np.linalg.norm(axes[:, 0])
    origin = place.GetSliceToRAS()
    position = [origin.GetElement(row, 3) for row in range(3)]
    place.SetSliceToRASByNTP(*normal, *left, *position, 0)


class Preview:
    """The emerging image in the red view: one node, updated in place, gone and forgotten afterwards."""

    NAME = "Emerging image (synthetic)"

    def __init__(self, affine: np.ndarray, intensityRange: tuple[float, float]) -> None:
        self._affine, self._range = affine, intensityRange
        self._node: Any = None
        self._before = SliceState.of(RED)
        self.updates = 0

    @property
    def node(self) -> Any:
        return self._node

    def show(self, image: np.ndarray, position: float) -> None:
        """Shows an image of a slice.

        Args:
            image: float32 `(X, Y)`.
            position: z of the slice in the model's space.
        """
        voxels = np.ascontiguousarray(image.T[None])
        if self._node is None:
            self._node = self._add(voxels)
        else:
            slicer.util.updateVolumeFromArray(self._node, voxels)
        affine = self._affine.copy()
        affine[2, 3] = position
        self._node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
        place = sliceNode(RED)
        if self.updates == 0 and place is not None and compositeNode(RED) is not None:
            place.SetOrientationToAxial()
            compositeNode(RED).SetBackgroundVolumeID(self._node.GetID())
            compositeNode(RED).SetForegroundVolumeID(None)
            _fit(RED)
        if place is not None:
            place.SetSliceOffset(position)
        self.updates += 1

    def close(self) -> None:
        """Removes the node and brings the user's view back."""
        if self._node is not None and slicer.mrmlScene.IsNodePresent(self._node):
            slicer.mrmlScene.RemoveNode(self._node)
        if self._node is not None and self._before is not None:
            self._before.restore()
        self._node, self._before = None, None

    def _add(self, voxels: np.ndarray) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        node.UnRegister(None)
        node.SetName(self.NAME)
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node.SetUndoEnabled(False)
        node.SetAttribute("JSDDPM.Synthetic", "1")
        slicer.mrmlScene.AddNode(node)
        slicer.util.updateVolumeFromArray(node, voxels)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetAutoWindowLevel(0)
        display.SetWindowLevelMinMax(*self._range)
        return node
