"""Matrices of nodes: a volume's voxels and what lies under transforms, in the world."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _


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
        told = _("{name} lies under a transform that is not linear: take it out of that transform first.")
        raise ValueError(told.format(name=node.GetName()))
    return (matrix @ np.append(point, 1.0))[:3]
