"""Where a patient's volume and the model's slices lie to each other; plain matrices, no scene.

All coordinates are RAS millimetres. `patientToModel` maps the local coordinates of a patient's volume (before any
parent transform) to the space of the bundle, such as MNI152.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SHEAR_TOLERANCE_DEGREES = 0.25
"""How far two voxel axes may be from a right angle: 0.9 mm over a head of 200 mm, under half of the template's voxel.
Rounded headers stay far below it, a tilted gantry (5 degrees and more) far above."""


def gridProblem(ijkToRAS: np.ndarray) -> str | None:
    """Why a voxel grid cannot be used, as one sentence; None where it can.

    Oblique, flipped and anisotropic grids can; sheared and flat ones cannot.

    Args:
        ijkToRAS: 4 x 4.
    """
    axes = np.asarray(ijkToRAS, float)[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(ijkToRAS).all() or (lengths < 1e-6).any():
        return "its voxel grid is flat or not a number: load the volume again or export it anew"
    directions = axes / lengths
    cosines = np.abs(directions.T @ directions - np.eye(3)).max()
    deviation = math.degrees(math.asin(min(float(cosines), 1.0)))
    if deviation > SHEAR_TOLERANCE_DEGREES:
        return (
            f"its voxel axes are {deviation:.1f} degrees away from right angles (sheared, as by gantry tilt): "
            "resample it first, for example with Transforms and Harden"
        )
    return None


def parentProblem(localToWorld: np.ndarray) -> str | None:
    """Why what the parent transforms do to a volume cannot be followed, as one sentence; None where it can.

    Args:
        localToWorld: 4 x 4.
    """
    determinant = np.linalg.det(np.asarray(localToWorld, float)[:3, :3])
    if not np.isfinite(determinant) or abs(determinant) < 1e-6:
        return "its parent transform flattens space: take it out of that transform"
    if determinant < 0:
        return "its parent transform exchanges left and right: take it out of that transform"
    return None


@dataclass(frozen=True)
class Placement:
    """How a patient's coordinates become the model's.

    Attributes:
        patientToModel: 4 x 4, invertible, not mirroring.
    """

    patientToModel: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.asarray(self.patientToModel, float)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1]):
            raise ValueError("the transform is not an affine matrix: register again")
        determinant = np.linalg.det(matrix[:3, :3])
        if abs(determinant) < 1e-6:
            raise ValueError("the transform flattens space and cannot be inverted: register again")
        if determinant < 0:
            raise ValueError("the transform exchanges left and right: register again")
        object.__setattr__(self, "patientToModel", matrix)

    @property
    def modelToPatient(self) -> np.ndarray:
        """4 x 4, the inverse."""
        return np.linalg.inv(self.patientToModel)

    def position(self, point: np.ndarray) -> float:
        """The model's z of a point in the patient's coordinates."""
        return float((self.patientToModel @ np.append(np.asarray(point, float), 1.0))[2])

    def tiltDegrees(self, normal: np.ndarray) -> float:
        """Angle between a plane of the patient and the model's slices.

        Args:
            normal: of the plane, in the patient's coordinates.
        """
        # Normals go with the inverse transpose, not with the matrix.
        mapped = np.linalg.inv(self.patientToModel[:3, :3]).T @ np.asarray(normal, float)
        return math.degrees(math.acos(min(abs(mapped[2]) / np.linalg.norm(mapped), 1.0)))


IDENTITY = Placement(np.eye(4))
"""Of volumes that lie in the model's space already."""


def lesionCentre(mask: np.ndarray, ijkToRAS: np.ndarray) -> np.ndarray | None:
    """The middle of a mask's slice of largest area, moved to the nearest voxel of the mask; None for an empty mask.

    Args:
        mask: `(K, J, I)`, as Slicer's arrays are.
        ijkToRAS: 4 x 4.
    """
    if not mask.any():
        return None
    k = int(np.argmax((mask > 0).sum(axis=(1, 2))))
    places = np.argwhere(mask[k] > 0)
    nearest = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
    ijk = np.array([nearest[1], nearest[0], k, 1.0])
    return (np.asarray(ijkToRAS, float) @ ijk)[:3]
