"""The pictures of a case in slice views of the reading window's own: updated in place, and what the reader does noted.

The views belong to no layout, so that nothing of the user's layout is touched; they have an interaction node of their
own, so that no mouse mode, crosshair or context menu of the application reaches them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from .ReadingOverlay import ReadingOverlay

NAME = "JSDDPMReading"
PAUSE_S = 0.4
"""Changes that follow each other more quickly are one change: a drag of the mouse."""

CLICK_PIXELS = 3
"""A button that goes down and up within this distance has clicked."""

_ORIENTATIONS = ("SetOrientationToSagittal", "SetOrientationToCoronal", "SetOrientationToAxial")


class ReadingView(VTKObservationMixin):
    """One slice view and the volume in it.

    Args:
        number: from 0, of the views beside each other.
        holder: layout that the view is put into.
        display: of the study's manifest.
        onRendered: called after each drawing.
        onClick: called with RAS millimetres where the left button was clicked.
        onMoved: called after zoom, pan, slice, window or level have changed.
    """

    def __init__(
        self,
        number: int,
        holder: Any,
        display: Any,
        onRendered: Callable[[], None],
        onClick: Callable[[np.ndarray], None],
        onMoved: Callable[[ReadingView], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._display = display
        self._onRendered, self._onClick, self._onMoved = onRendered, onClick, onMoved
        self._data: Any = None
        self._mask: np.ndarray | None = None
        self._axis = 2
        self._pressed: tuple[int, int] | None = None
        self._quiet = True
        self._forgetChanges()
        scene = slicer.mrmlScene
        self._interaction = _interactionNode(number)
        self._owner = _hidden(slicer.vtkMRMLScriptedModuleNode(), f"{NAME}{number}")
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(scene)
        self.sliceNode = logic.AddSliceNode(f"{NAME}{number}")
        self.sliceNode.SetSaveWithScene(False)
        self.sliceNode.SetHideFromEditors(True)
        self.sliceNode.SetAndObserveParentLayoutNodeID(self._owner.GetID())
        self.sliceNode.SetInteractionNode(self._interaction)
        self.sliceNode.SetOrientationMarkerType(self.sliceNode.OrientationMarkerTypeNone)
        self.sliceNode.SetRulerType(self.sliceNode.RulerTypeNone)
        self.sliceNode.SetViewGroup(1000)  # nobody else's: nothing is linked with it
        self.widget = slicer.qMRMLSliceWidget()
        self.widget.setMRMLScene(scene)
        self.widget.setMRMLSliceNode(self.sliceNode)
        logics = slicer.app.applicationLogic().GetSliceLogics()
        if not logics.IsItemPresent(self.widget.sliceLogic()):
            logics.AddItem(self.widget.sliceLogic())
        holder.addWidget(self.widget)
        self.widget.sliceController().setVisible(False)
        self.composite = self.widget.sliceLogic().GetSliceCompositeNode()
        self.composite.SetSaveWithScene(False)
        self.composite.SetHideFromEditors(True)
        self.volume = _volume(number)
        self.view = self.widget.sliceView()
        self.overlay = ReadingOverlay(self.view, self.sliceNode)
        self._allowOnly(scrolling=False)
        free = display.window_level == "free"
        mode = self._interaction.AdjustWindowLevel if free else self._interaction.ViewTransform
        self._interaction.SetCurrentInteractionMode(mode)
        self.addObserver(self.view.renderWindow(), vtk.vtkCommand.EndEvent, self._rendered)
        interactor = self.view.interactor()
        self.addObserver(interactor, vtk.vtkCommand.LeftButtonPressEvent, self._onPress)
        self.addObserver(interactor, vtk.vtkCommand.LeftButtonReleaseEvent, self._onRelease)
        self.addObserver(interactor, vtk.vtkCommand.MouseMoveEvent, self._forgetCursor, priority=-1.0)
        self.addObserver(self.sliceNode, vtk.vtkCommand.ModifiedEvent, self._onView)
        self.addObserver(self.volume.GetDisplayNode(), vtk.vtkCommand.ModifiedEvent, self._onView)
        self.addObserver(self.composite, vtk.vtkCommand.ModifiedEvent, self._onLayers)

    # ------------------------------------------------------------ what is shown

    def show(self, data: Any, mask: np.ndarray | None) -> None:
        """Puts a picture into the view, whole, at the study's window and level.

        Args:
            data: the picture.
            mask: bool `(K, J, I)` that is outlined; None for no outline.
        """
        self._quiet = True
        self._data, self._mask = data, None if mask is None else mask.T
        slicer.util.updateVolumeFromArray(self.volume, data.voxels)
        self.volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(data.affine))
        self._setWindowLevel(self._display.window, self._display.level)
        self.composite.SetBackgroundVolumeID(self.volume.GetID())
        shape = data.voxels.T.shape
        self._axis = int(np.argmin(shape)) if min(shape) == 1 else 2
        self._allowOnly(scrolling=shape[self._axis] > 1)
        normal = int(np.argmax(np.abs(data.affine[:3, self._axis])))
        getattr(self.sliceNode, _ORIENTATIONS[normal])()
        self.sliceNode.RotateToVolumePlane(self.volume)
        self.widget.sliceLogic().FitSliceToBackground()
        middle = data.affine @ np.append((np.array(shape) - 1) // 2, 1.0)
        self.sliceNode.JumpSliceByOffsetting(*middle[:3])
        self._fitted = tuple(self.sliceNode.GetFieldOfView()), tuple(self.sliceNode.GetXYZOrigin())
        self._index = self._sliceIndex()
        self.overlay.setMark(None)
        self.overlay.setOutline(self._mask, data.affine, self._index, self._axis)
        self._forgetChanges()
        self._quiet = False
        self.view.scheduleRender()

    def clear(self) -> None:
        """Shows nothing."""
        self._quiet = True
        self._data = self._mask = None
        self.composite.SetBackgroundVolumeID(None)
        self.overlay.setMark(None)
        self.overlay.setOutline(None, np.eye(4), 0, 2)

    def outline(self, mask: np.ndarray | None) -> None:
        """Outlines another mask, bool `(K, J, I)`."""
        self._mask = None if mask is None else mask.T
        self.overlay.setOutline(self._mask, self._data.affine, self._index, self._axis)

    def inPicture(self, place: np.ndarray) -> bool:
        """Whether RAS millimetres lie on the picture."""
        return self._data is not None and bool(self._inside(place))

    def nudged(self, place: np.ndarray | None, right: int, up: int) -> np.ndarray:
        """A place that lies some pixels of the picture further, or the middle of the view where there was none."""
        toPatient = _matrix(self.sliceNode.GetSliceToRAS())
        if place is None:
            middle = self._data.affine @ np.append((np.array(self._data.voxels.T.shape) - 1) / 2, 1.0)
            place = np.asarray(middle[:3])
            return place + toPatient[:3, 2] * (toPatient[:3, 2] @ (toPatient[:3, 3] - place))
        spacing = np.linalg.norm(self._data.affine[:3, :3], axis=0)
        step = np.delete(spacing, self._axis).min()
        moved = place + step * (right * toPatient[:3, 0] + up * toPatient[:3, 1])
        return moved if self._inside(moved) else place

    def _inside(self, place: np.ndarray) -> bool:
        index = np.linalg.inv(self._data.affine) @ np.append(place, 1.0)
        return bool(((index[:3] > -0.5) & (index[:3] < np.array(self._data.voxels.T.shape) - 0.5)).all())

    # ------------------------------------------------------------ what the reader made of it

    @property
    def state(self) -> dict[str, Any]:
        """As the session records it."""
        (width, *_), (x, y, *_) = self._fitted
        now, place = self.sliceNode.GetFieldOfView(), self.sliceNode.GetXYZOrigin()
        shown = self.volume.GetDisplayNode()
        return {
            "window": float(shown.GetWindow()), "level": float(shown.GetLevel()), "zoom": float(width / now[0]),
            "pan": (float(place[0] - x), float(place[1] - y)), "scrolls": self._scrolls, "changes": self._changes,
        }  # fmt: skip

    def follow(self, other: ReadingView) -> None:
        """Looks at the same place as another view, with its window and level."""
        self._quiet = True
        mine, theirs = self.sliceNode, other.sliceNode
        mine.SetFieldOfView(*theirs.GetFieldOfView())
        mine.SetXYZOrigin(*theirs.GetXYZOrigin())
        shown = other.volume.GetDisplayNode()
        self._setWindowLevel(shown.GetWindow(), shown.GetLevel())
        self.overlay.update()
        self._quiet = False

    def _forgetChanges(self) -> None:
        self._scrolls = self._changes = 0
        self._changed = 0.0
        self._index = 0

    def _onView(self, _caller: Any = None, _event: Any = None) -> None:
        if self._quiet or self._data is None:
            return
        self._keepLocked()
        index = self._sliceIndex()
        now = time.monotonic()
        if index != self._index:
            self._index = index
            self._scrolls += 1
            self.overlay.setOutline(self._mask, self._data.affine, index, self._axis)
        else:
            if now - self._changed > PAUSE_S:
                self._changes += 1
            self._changed = now
            self.overlay.update()
        self._onMoved(self)

    def _keepLocked(self) -> None:
        """Where window and level are locked, nobody changes them."""
        shown = self.volume.GetDisplayNode()
        wanted = self._display.window, self._display.level
        if self._display.window_level == "locked" and (shown.GetWindow(), shown.GetLevel()) != wanted:
            self._quiet = True
            self._setWindowLevel(*wanted)
            self._quiet = False

    def _onLayers(self, _caller: Any = None, _event: Any = None) -> None:
        """Whatever the application puts into all slice views does not stay in this one."""
        wanted = self.volume.GetID() if self._data is not None else None
        if self.composite.GetBackgroundVolumeID() != wanted:
            self.composite.SetBackgroundVolumeID(wanted)
        for layer in ("Foreground", "Label"):
            if getattr(self.composite, f"Get{layer}VolumeID")() is not None:
                getattr(self.composite, f"Set{layer}VolumeID")(None)

    def _setWindowLevel(self, window: float, level: float) -> None:
        shown = self.volume.GetDisplayNode()
        shown.SetAutoWindowLevel(0)
        shown.SetWindowLevel(window, level)

    def _sliceIndex(self) -> int:
        middle = _matrix(self.sliceNode.GetSliceToRAS())[:, 3]
        return round(float((np.linalg.inv(self._data.affine) @ middle)[self._axis]))

    # ------------------------------------------------------------ mouse

    def _allowOnly(self, scrolling: bool) -> None:
        """Zoom, pan and, where there are several slices, scrolling: nothing that touches another view or layer."""
        crosshair = self.view.displayableManagerByClassName("vtkMRMLCrosshairDisplayableManager")
        mouse = crosshair.GetSliceIntersectionWidget() if crosshair is not None else None
        if mouse is not None:
            mouse.SetActionsEnabled(
                mouse.ActionZoom | mouse.ActionTranslate | (mouse.ActionBrowseSlice if scrolling else 0)
            )
        bar = self.view.displayableManagerByClassName("vtkMRMLScalarBarDisplayableManager")
        if bar is not None:
            bar.SetAdjustForegroundWindowLevelEnabled(False)
            bar.SetAdjustBackgroundWindowLevelEnabled(self._display.window_level == "free")

    def _onPress(self, caller: Any, _event: Any) -> None:
        self._pressed = tuple(caller.GetEventPosition())

    def _onRelease(self, caller: Any, _event: Any) -> None:
        pressed, self._pressed = self._pressed, None
        x, y = caller.GetEventPosition()
        if pressed is None or self._data is None or max(abs(x - pressed[0]), abs(y - pressed[1])) > CLICK_PIXELS:
            return
        place = self.overlay.inPatient(x, y)
        if self.inPicture(place):
            self._onClick(place)

    @staticmethod
    def _forgetCursor(_caller: Any, _event: Any) -> None:
        """After Slicer has noted where the mouse is: the Data Probe has nothing to tell of."""
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is not None:
            crosshair.SetCursorPositionInvalid()

    def _rendered(self, _caller: Any, _event: Any) -> None:
        self._onRendered()

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Takes the view and its nodes away."""
        self._quiet = True
        self._data = None
        self.removeObservers()
        self.overlay.close()
        scene, logics = slicer.mrmlScene, slicer.app.applicationLogic().GetSliceLogics()
        if logics.IsItemPresent(self.widget.sliceLogic()):
            logics.RemoveItem(self.widget.sliceLogic())
        self.widget.setParent(None)
        self.widget.deleteLater()
        display = self.volume.GetDisplayNode()
        for node in (self.volume, display, self.composite, self.sliceNode, self._owner):
            if node is not None and scene.IsNodePresent(node):
                scene.RemoveNode(node)


def _interactionNode(number: int) -> Any:
    """The views' own interaction node, which stays: Slicer's other views make much of a new one."""
    there = slicer.mrmlScene.GetNodeByID(f"vtkMRMLInteractionNode{NAME}{number}")
    if there is not None:
        there.SetSingletonTag(f"{NAME}{number}")  # a scene that was closed has taken it
        return there
    return _hidden(slicer.vtkMRMLInteractionNode(), f"{NAME}{number}")


def _hidden(node: Any, tag: str) -> Any:
    """A node of the scene that no list shows and no file keeps."""
    node.SetSingletonTag(tag)
    node.SetName(NAME)
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    node.SetUndoEnabled(False)
    return slicer.mrmlScene.AddNode(node)


def _volume(number: int) -> Any:
    """The one volume of a view: every case comes into it, whichever arm it is of."""
    node = _hidden(slicer.vtkMRMLScalarVolumeNode(), f"{NAME}{number}")
    excluded = slicer.vtkMRMLSubjectHierarchyConstants.GetSubjectHierarchyExcludeFromTreeAttributeName()
    node.SetAttribute(excluded, "1")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetName(NAME)
    display.SetSaveWithScene(False)
    display.SetHideFromEditors(True)
    return node


def _matrix(matrix: Any) -> np.ndarray:
    return slicer.util.arrayFromVTKMatrix(matrix)


def holderOf(widget: Any) -> Any:
    """A layout without margins in a widget."""
    layout = qt.QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(12)
    return layout
