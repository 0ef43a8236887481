"""What lies over a picture in the reading window: the outline of its mask and the reader's mark.

Drawn by actors of the view itself: nothing of them is in the scene.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

OUTLINE_COLOUR = (1.0, 0.62, 0.1)
MARK_COLOUR = (0.25, 0.9, 1.0)
MARK_RADIUS = 14.0
"""Pixels of the mark's ring; its middle stays free, so that what is marked can be seen."""


class ReadingOverlay:
    """Outline and mark in one slice view.

    Args:
        view: the slice view.
        sliceNode: of the view.
    """

    def __init__(self, view: Any, sliceNode: Any) -> None:
        self._view, self._sliceNode = view, sliceNode
        self._renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        self._edges = np.zeros((0, 2, 3))
        self._mark: np.ndarray | None = None
        self._outlineActor, self._outlineData = _lines(OUTLINE_COLOUR)
        self._markActor, self._markData = _lines(MARK_COLOUR)
        for actor in (self._outlineActor, self._markActor):
            self._renderer.AddViewProp(actor)

    @property
    def outlineShown(self) -> bool:
        return bool(self._outlineActor.GetVisibility())

    @property
    def markShown(self) -> bool:
        return bool(self._markActor.GetVisibility())

    def setOutline(self, mask: np.ndarray | None, affine: np.ndarray, index: int, axis: int) -> None:
        """Outlines the voxels of a mask in one slice.

        Args:
            mask: bool `(I, J, K)`; None for no outline.
            affine: 4 x 4, from `(i, j, k)` to RAS millimetres.
            index: of the slice.
            axis: along which slices are counted: 0, 1 or 2.
        """
        self._edges = np.zeros((0, 2, 3)) if mask is None else edges(mask, affine, index, axis)
        self._drawOutline()

    def setMark(self, place: np.ndarray | None) -> None:
        """Shows the mark at RAS millimetres; None for none."""
        if place is None and self._mark is None:
            return
        self._mark = None if place is None else np.asarray(place, float)
        self._drawMark()

    def update(self) -> None:
        """Brings the lines in line with where the view is."""
        self._drawOutline()
        self._drawMark()

    def _drawOutline(self) -> None:
        if len(self._edges):
            _fill(self._outlineData, self.inView(self._edges.reshape(-1, 3)).reshape(-1, 2, 2))
        self._outlineActor.SetVisibility(bool(len(self._edges)))
        self._view.scheduleRender()

    def _drawMark(self) -> None:
        if self._mark is not None:
            _fill(self._markData, _ring(self.inView(self._mark[None])[0]))
        self._markActor.SetVisibility(self._mark is not None)
        self._view.scheduleRender()

    def close(self) -> None:
        for actor in (self._outlineActor, self._markActor):
            self._renderer.RemoveViewProp(actor)

    def inView(self, points: np.ndarray) -> np.ndarray:
        """RAS `(N, 3)` as pixels of the view `(N, 2)`, from the lower left."""
        toView = np.linalg.inv(_array(self._sliceNode.GetXYToRAS()))
        return (points @ toView[:3, :3].T + toView[:3, 3])[:, :2]

    def inPatient(self, x: float, y: float) -> np.ndarray:
        """A pixel of the view, in RAS."""
        return (_array(self._sliceNode.GetXYToRAS()) @ [x, y, 0.0, 1.0])[:3]


def edges(mask: np.ndarray, affine: np.ndarray, index: int, axis: int) -> np.ndarray:
    """The sides of a mask's pixels in one slice beyond which the mask ends, as RAS `(N, 2, 3)`."""
    plane = np.moveaxis(mask, axis, 0)[index]
    first, second = (each for each in range(3) if each != axis)
    padded = np.pad(plane, 1)
    found = []
    for along, across in ((0, 1), (1, 0)):
        change = np.argwhere(np.diff(padded.astype(np.int8), axis=along) != 0)
        start = change.astype(float)
        start[:, along] -= 0.5
        start[:, across] -= 1.5
        end = start.copy()
        end[:, across] += 1.0
        found.append(np.stack([start, end], axis=1))
    flat = np.concatenate(found)
    voxels = np.full((*flat.shape[:2], 3), float(index))
    voxels[..., first], voxels[..., second] = flat[..., 0], flat[..., 1]
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def _ring(centre: np.ndarray) -> np.ndarray:
    """A ring with four spokes outside it, as pixels `(N, 2, 2)`."""
    angles = np.linspace(0, 2 * np.pi, 37)
    circle = centre + MARK_RADIUS * np.column_stack([np.cos(angles), np.sin(angles)])
    spokes = [
        [centre + MARK_RADIUS * direction, centre + (MARK_RADIUS + 8) * direction]
        for direction in np.array([[1.0, 0], [0, 1.0], [-1.0, 0], [0, -1.0]])
    ]
    return np.concatenate([np.stack([circle[:-1], circle[1:]], axis=1), np.array(spokes)])


def _lines(colour: tuple[float, float, float]) -> tuple[Any, Any]:
    data, mapper, actor = vtk.vtkPolyData(), vtk.vtkPolyDataMapper2D(), vtk.vtkActor2D()
    mapper.SetInputData(data)
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*colour)
    actor.GetProperty().SetLineWidth(2.0)
    actor.SetVisibility(False)
    return actor, data


def _fill(data: Any, segments: np.ndarray) -> None:
    """Draws lines between pixels `(N, 2, 2)`."""
    places = np.zeros((2 * len(segments), 3))
    places[:, :2] = segments.reshape(-1, 2)
    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    points.SetData(numpy_to_vtk(places, deep=True))
    pairs = np.arange(2 * len(segments), dtype=np.int64)
    lines.SetData(2, numpy_to_vtkIdTypeArray(pairs, deep=True))
    data.SetPoints(points)
    data.SetLines(lines)
    data.Modified()


def _array(matrix: Any) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
