"""What an image looks like, measured on the image alone: whether the skull is on it, and whether it is a T1.

Both are judged at 2 mm over the foreground that the preparation would use, and by its depth under the surface. The
limits were set on 836 slices, 17 FLAIR and 14 T1-weighted volumes, all stripped, and on heads painted around them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from jsddpm_core.data.preprocess import filled, foreground, resample, smoothed, to_ras
from jsddpm_core.data.volumes import Volume

SPACING_MM = 2.0
SHELLS = 16
LEAST_IN_SHELL = 30  # voxels
SKULL_VALLEY = 0.45  # of the brain's brightness; the worst of 853 stripped images has 0.36, painted heads 0.6 and more
MOST_BRAIN_ML = 2400.0  # a brain in MNI152 space has some 1900
FAINT = 0.25  # of the brain's brightness; fat and muscle are brighter even where fat is suppressed, air is darker
MOST_BEYOND = 0.05
LEAST_RIM_MM = 4.0  # thinner than bone
DEEP_MM = 8.0
FLUID = 0.6  # of the median: below lies fluid
EVEN_SHARE = 0.2  # of the bright voxels, those with the least gradient: white matter
T1_RANK = 0.6  # FLAIR volumes lie between 0.38 and 0.53, T1 volumes between 0.68 and 0.86
T1_RANK_OF_SLICE = 0.66  # one slice says less: between 0.31 and 0.66 but for one in four hundred


@dataclass(frozen=True)
class Looks:
    """Measures of an image.

    Attributes:
        valley: how far brightness falls below what lies outside and what lies inside of it, on the way from the
            surface in, as a share of the brain's brightness: the bone between scalp and brain.
        beyond: volume of what is not black outside the foreground, as a share of the foreground: a scalp that bone
            parts from the brain.
        foreground_ml: volume of the foreground, None of one slice.
        white_rank: share of the bright voxels that are darker than the evenest ones, which are white matter: some 0.4
            in a FLAIR image, where grey matter is brighter, and 0.8 in a T1; None where there is too little to judge.
    """

    valley: float
    beyond: float
    foreground_ml: float | None
    white_rank: float | None

    @property
    def too_large(self) -> bool:
        """Whether the foreground is larger than any brain."""
        return (self.foreground_ml or 0.0) > MOST_BRAIN_ML

    @property
    def has_skull(self) -> bool:
        """Whether the skull, or much else beside the brain, is in the image."""
        return self.valley > SKULL_VALLEY or self.beyond > MOST_BEYOND or self.too_large

    @property
    def is_t1(self) -> bool:
        """Whether white matter is among the brightest, as in a T1-weighted image."""
        limit = T1_RANK if self.foreground_ml is not None else T1_RANK_OF_SLICE
        return self.white_rank is not None and self.white_rank > limit


@dataclass(frozen=True)
class Coarse:
    """An image at 2 mm along its own axes, turned to RAS.

    Attributes:
        values: (I, J, K) float32, the image's least value at 0; a slice stays one voxel thick.
        inside: bool, the foreground with its holes filled.
        rim: voxels around the foreground, by axis, that hold part of it: as wide as a voxel of the image.
    """

    values: np.ndarray
    inside: np.ndarray
    rim: tuple[int, int, int]


def coarse_of(volume: Volume) -> Coarse:
    """Brings an image to 2 mm, whatever its orientation."""
    ras, _ = to_ras(volume)
    inside = filled(foreground(ras.data))
    sizes = np.array(ras.data.shape)
    step = np.where(sizes > 1, SPACING_MM / np.array(ras.spacing_mm), 1.0)
    shape = tuple(int(size) for size in np.maximum(1, np.ceil(sizes / step)))
    back = np.diag([*step, 1.0])
    values = resample(smoothed(ras.data - ras.data.min(), back), back, shape, "linear")
    lengths = np.maximum(ras.spacing_mm, LEAST_RIM_MM)
    rim = tuple(int(width) for width in np.where(sizes > 1, np.ceil(lengths / SPACING_MM), 0))
    return Coarse(values, resample(inside.astype(np.float32), back, shape, "linear") > 0.5, rim)


def has_skull(volume: Volume) -> bool:
    """Whether the skull is in an image."""
    return looks_of(coarse_of(volume)).has_skull


def looks_of(coarse: Coarse) -> Looks:
    """Measures an image."""
    inside = coarse.inside
    values, depth = np.where(inside, coarse.values, 0), _depth_mm(inside)
    brain = float(np.median(values[depth >= np.percentile(depth[depth > 0], 70)])) if depth.any() else 0.0
    valley = _valley(values, depth, brain)
    outside = ~ndimage.maximum_filter(inside, size=[2 * width + 1 for width in coarse.rim])
    beyond = float((coarse.values[outside] > FAINT * brain).sum() / max(1, inside.sum())) if brain > 0 else 0.0
    whole = float(inside.sum()) * SPACING_MM**3 / 1000 if inside.shape[2] > 1 else None
    rough = Looks(valley, beyond, whole, None)
    # Under scalp and bone the brain begins deeper.
    deep = valley > SKULL_VALLEY or rough.too_large
    return replace(rough, white_rank=_white_rank(values, depth, 3 * DEEP_MM if deep else 0.0))


def _depth_mm(inside: np.ndarray) -> np.ndarray:
    """Distance to the surface, within the plane for a slice; 0 outside."""
    flat = inside.shape[2] == 1
    padded = np.pad(inside[..., 0] if flat else inside, 1)
    depth = ndimage.distance_transform_edt(padded)[(slice(1, -1),) * padded.ndim] * SPACING_MM
    return depth[..., None] if flat else depth


def _valley(values: np.ndarray, depth: np.ndarray, brain: float) -> float:
    shells = []
    for number in range(SHELLS):
        shell = values[(depth > number * SPACING_MM) & (depth <= (number + 1) * SPACING_MM)]
        if shell.size > LEAST_IN_SHELL:
            shells.append(float(np.median(shell)))
    if brain <= 0 or len(shells) < 3:
        return 0.0
    falls = [min(max(shells[:at]), max(shells[at + 1 :])) - shells[at] for at in range(1, len(shells) - 1)]
    return max(0.0, *falls) / brain


def _white_rank(values: np.ndarray, depth: np.ndarray, surface_mm: float) -> float | None:
    within = depth > surface_mm
    if within.sum() <= LEAST_IN_SHELL:
        return None
    bright = within & (values > FLUID * np.median(values[within]))
    deep = bright & (depth > surface_mm + DEEP_MM)
    if deep.sum() < LEAST_IN_SHELL:
        return None
    plane = values[..., 0] if values.shape[2] == 1 else values
    steepness = ndimage.gaussian_gradient_magnitude(plane, 1.0).reshape(values.shape)
    even = deep & (steepness <= np.quantile(steepness[deep], EVEN_SHARE))
    return float((values[bright] < np.median(values[even])).mean())
