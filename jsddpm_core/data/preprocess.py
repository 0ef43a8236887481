"""Bringing an image to the model's grid, and back.

A `Placement` keeps all that the way back needs: both grids, the rigid transform between them and the intensity map.
Resampling is SimpleITK's, in index space: one affine map from output to input indices holds orientation, spacing, shear
and registration alike, so flipped and oblique images need no case of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage
from skimage.filters import threshold_otsu

from jsddpm_core.config import DataConfig, GridConfig
from jsddpm_core.data.volumes import Volume
from jsddpm_core.errors import ImageError

Interpolation = Literal["nearest", "linear", "spline"]
INTERPOLATORS = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear, "spline": sitk.sitkBSpline}
SPLINE_SUPPORT = 4  # voxels that a cubic B-spline needs along each axis
BACKGROUND = -1.0


@dataclass(frozen=True)
class IntensityMap:
    """The linear map that takes `low` to -1 and `high` to +1, clipped; its inverse loses only what was clipped."""

    low: float
    high: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        scaled = (values.astype(np.float32) - self.low) * np.float32(2.0 / (self.high - self.low)) - 1.0
        return np.clip(scaled, -1.0, 1.0).astype(np.float32)

    def invert(self, values: np.ndarray) -> np.ndarray:
        return ((values.astype(np.float32) + 1.0) * np.float32((self.high - self.low) / 2.0) + self.low).astype(
            np.float32
        )


@dataclass(frozen=True)
class Placement:
    """Where an image lies on the model's grid.

    Attributes:
        native_shape, native_affine: the image's own grid, voxel indices to RAS millimetres.
        grid_shape, grid_affine: the model's grid; one slice thick for an image of one slice.
        to_template: (4, 4) rigid map from native RAS to template RAS; the identity in template space.
        intensity: the map of values.
    """

    native_shape: tuple[int, int, int]
    native_affine: np.ndarray
    grid_shape: tuple[int, int, int]
    grid_affine: np.ndarray
    to_template: np.ndarray
    intensity: IntensityMap

    @property
    def native_to_grid(self) -> np.ndarray:
        """(4, 4) from native voxel indices to grid voxel indices."""
        return _in_plane(np.linalg.inv(self.grid_affine) @ self.to_template @ self.native_affine, self.grid_shape)

    def to_tree(self) -> dict[str, Any]:
        """Plain values for JSON; `from_tree` reads them."""
        return {
            "native_shape": list(self.native_shape),
            "native_affine": self.native_affine.tolist(),
            "grid_shape": list(self.grid_shape),
            "grid_affine": self.grid_affine.tolist(),
            "to_template": self.to_template.tolist(),
            "intensity": asdict(self.intensity),
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Placement:
        """Reads what `to_tree` made."""
        return cls(
            native_shape=tuple(tree["native_shape"]),
            native_affine=np.array(tree["native_affine"]),
            grid_shape=tuple(tree["grid_shape"]),
            grid_affine=np.array(tree["grid_affine"]),
            to_template=np.array(tree["to_template"]),
            intensity=IntensityMap(**tree["intensity"]),
        )


@dataclass(frozen=True)
class Prepared:
    """An image on the model's grid, axes (X, Y, Z) in RAS order.

    Attributes:
        image: float32 in [-1, 1], background exactly -1.
        mask: uint8 of 0 and 1, or None where no mask is known.
        mask_trace: bool, wherever any part of a lesion reaches the voxel; None like the mask.
        brain: bool, the foreground with its holes filled.
        placement: the way back.
    """

    image: np.ndarray
    mask: np.ndarray | None
    mask_trace: np.ndarray | None
    brain: np.ndarray
    placement: Placement


def _in_plane(index_map: np.ndarray, input_shape: tuple[int, int, int]) -> np.ndarray:
    """An index map into an image of one slice stays in its plane, however the slice is tilted."""
    flat = index_map.copy()
    if input_shape[2] == 1:
        flat[2] = 0.0
    return flat


def grid_affine(grid: GridConfig) -> np.ndarray:
    """(4, 4) from indices of the model's grid to RAS millimetres of its space."""
    affine = np.diag([grid.spacing_mm] * 3 + [1.0])
    affine[:3, 3] = grid.origin_mm
    return affine


def resample(
    data: np.ndarray, index_map: np.ndarray, shape: tuple[int, int, int], how: Interpolation, outside: float = 0.0
) -> np.ndarray:
    """Resamples (I, J, K) values onto a grid of another shape.

    Args:
        data: the values; an axis of length 1 is one voxel thick.
        index_map: (4, 4) from output indices to input indices.
        shape: of the output.
        how: `nearest`, `linear` or `spline` (cubic B-spline; may overshoot at edges).
        outside: the value beyond the input.

    Returns:
        float32 of `shape`.
    """
    matrix = np.asarray(index_map, dtype=np.float64).copy()
    values = np.asarray(data, dtype=np.float32)
    if how == "spline" and min(values.shape) < SPLINE_SUPPORT:
        wings = [SPLINE_SUPPORT // 2 if size < SPLINE_SUPPORT else 0 for size in values.shape]
        values = np.pad(values, [(wing, wing) for wing in wings], mode="edge")
        matrix[:3, 3] += wings
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    reference = sitk.Image([int(size) for size in shape], sitk.sitkFloat32)
    out = sitk.Resample(image, reference, transform, INTERPOLATORS[how], float(outside), sitk.sitkFloat32)
    return np.ascontiguousarray(sitk.GetArrayFromImage(out).T)


def foreground(data: np.ndarray) -> np.ndarray:
    """What belongs to the head: (I, J, K) bool.

    Where the background is one constant value (skull-stripped and masked images) it is what differs from it;
    elsewhere it is the largest component above half of Otsu's threshold.
    """
    border = np.concatenate([np.take(data, index, axis=axis).ravel() for axis in (0, 1) for index in (0, -1)])
    values, counts = np.unique(border, return_counts=True)
    if counts.max() >= 0.5 * border.size:
        return data != values[counts.argmax()]
    if data.min() == data.max():
        return np.zeros(data.shape, dtype=bool)
    bright = data > 0.5 * (threshold_otsu(data) + data.min())
    labels, count = ndimage.label(bright)
    if count == 0:
        return bright
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))


def filled(mask: np.ndarray) -> np.ndarray:
    """The foreground with the holes of each axial plane filled (axes in RAS order)."""
    return np.stack([ndimage.binary_fill_holes(mask[..., z]) for z in range(mask.shape[2])], axis=2)


def _background(data: np.ndarray, inside: np.ndarray) -> float:
    return float(np.median(data[~inside])) if not inside.all() else float(data.min())


def intensity_map(data: np.ndarray, inside: np.ndarray, percentiles: tuple[float, float], name: str) -> IntensityMap:
    """The map from the percentiles of the whole foreground.

    Raises:
        ImageError: if there is no foreground, or it has one value only.
    """
    if not inside.any():
        raise ImageError(f"{name} is empty: every voxel has the value {data.flat[0]:g}", "choose another file")
    low, high = (float(value) for value in np.percentile(data[inside], percentiles))
    if not high > low:
        raise ImageError(f"{name} has no contrast: its foreground is {low:g} throughout", "choose another file")
    return IntensityMap(low=low, high=high)


def to_ras(volume: Volume, mask: np.ndarray | None = None) -> tuple[Volume, np.ndarray | None]:
    """Flips and permutes the axes so that they grow to the patient's right, front and top as nearly as they can."""
    orientation = nib.io_orientation(volume.affine)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.data.shape)
    data = nib.orientations.apply_orientation(volume.data, orientation)
    turned = None if mask is None else nib.orientations.apply_orientation(mask, orientation)
    return Volume(np.ascontiguousarray(data), affine, volume.declared_template), turned


def place(
    volume: Volume, ras: Volume, inside: np.ndarray, data: DataConfig, name: str, to_template: np.ndarray | None = None
) -> Placement:
    """Decides where an image lies on the model's grid; an image of one slice keeps its own position.

    Args:
        volume: the image in its own grid.
        ras: the same, axes turned to RAS.
        inside: foreground of `ras`.
        data: grid and percentiles.
        name: how errors call the image.
        to_template: (4, 4) rigid map from native RAS to template RAS, None for the identity.

    Raises:
        ImageError: if the image is empty or without contrast.
    """
    transform = np.eye(4) if to_template is None else np.asarray(to_template, dtype=np.float64)
    affine, shape = grid_affine(data.grid), tuple(data.grid.shape)
    if ras.data.shape[2] == 1:
        centre = (np.array(ras.data.shape) - 1) / 2
        affine[2, 3] = float((transform @ ras.affine @ np.append(centre, 1.0))[2])
        shape = (shape[0], shape[1], 1)
    return Placement(
        native_shape=volume.data.shape,
        native_affine=volume.affine,
        grid_shape=shape,
        grid_affine=affine,
        to_template=transform,
        intensity=intensity_map(ras.data, inside, data.percentiles, name),
    )


def smoothed(data: np.ndarray, index_map: np.ndarray) -> np.ndarray:
    """Low-pass before a coarser grid, so that detail which it cannot hold does not fold back as false texture."""
    step = np.abs(index_map[:3, :3]).max(axis=1)
    sigma = [max(0.0, (length - 1.0) / 2) if size > 1 else 0.0 for length, size in zip(step, data.shape, strict=True)]
    return ndimage.gaussian_filter(data, sigma) if max(sigma) > 0.2 else data


def to_grid(
    volume: Volume, mask: np.ndarray | None, data: DataConfig, name: str, to_template: np.ndarray | None = None
) -> Prepared:
    """Brings an image and its mask to the model's grid.

    Args:
        volume: the image in its own grid, of any orientation.
        mask: (I, J, K) uint8 of 0 and 1 in the same grid, or None.
        data: grid, percentiles.
        name: how errors call the image.
        to_template: (4, 4) rigid map from native RAS to template RAS, None where the image is there already.

    Raises:
        ImageError: if the image is empty, without contrast, or lies outside the grid.
    """
    ras, ras_mask = to_ras(volume, mask)
    if ras.data.shape[2] > 1 and 1 in ras.data.shape:
        raise ImageError(f"{name} is a single slice that is not axial (sizes {ras.data.shape})", "give an axial slice")
    inside = foreground(ras.data)
    placement = place(volume, ras, inside, data, name, to_template)
    head = filled(inside)
    back = np.linalg.inv(placement.to_template @ ras.affine) @ placement.grid_affine
    back = _in_plane(back, ras.data.shape)
    shape = placement.grid_shape
    brain = resample(head, back, shape, "linear") > 0.5
    if not brain.any():
        raise ImageError(f"{name} lies outside the model's grid", "check its affine")
    outside = _background(ras.data, inside)
    values = np.where(head, ras.data, np.float32(outside))
    image = placement.intensity.apply(resample(smoothed(values, back), back, shape, "spline", outside))
    image[~brain] = BACKGROUND
    lesion = trace = None
    if ras_mask is not None:
        share = resample(ras_mask, back, shape, "linear")
        lesion, trace = ((share > 0.5) & brain).astype(np.uint8), share > 0.0
    return Prepared(image=image, mask=lesion, mask_trace=trace, brain=brain, placement=placement)


def to_native(
    values: np.ndarray, placement: Placement, how: Interpolation = "linear", outside: float = 0.0
) -> np.ndarray:
    """Brings values on the model's grid back to the image's own grid.

    Args:
        values: (X, Y, Z) of the placement's grid shape.
        placement: from `to_grid`.
        how: `nearest` for masks.
        outside: the value beyond the model's grid.

    Returns:
        float32 of the native shape, in the axis order of `placement.native_affine`.
    """
    if tuple(values.shape) != tuple(placement.grid_shape):
        raise ImageError(f"the values have the sizes {values.shape}", f"give the grid's {placement.grid_shape}")
    return resample(values, placement.native_to_grid, placement.native_shape, how, outside)
