"""Tissue from the image itself: CSF, grey and white matter of a skull-stripped FLAIR, and how deep each voxel lies.

Three classes are fitted to the intensities (multi-level Otsu of scikit-image, a Gaussian for each). On FLAIR grey and
white matter overlap widely, more so with lesions and receive-field shading; so the image is evened first, and depth
below the pial surface decides between grey and white where the intensities do not: the cortex is 2.5 mm thick on
average (Fischl & Dale 2000), and hardly anywhere more than 4.5 mm.

In a slice only what is plainly dark counts as CSF. In a volume narrow sulci count too, in which CSF shares its voxels
with cortex: they are valleys of the image that reach the surface, which one slice alone does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_multiotsu

from jsddpm_core.errors import ImageError

CORTEX_MM = 2.5
CORTEX_SPREAD_MM = 1.0
SHADING_MM = 25.0
LEAST_FITTED = 300
VENTRICLE_DEPTH_MM = 22.0
"""CSF that lies deeper below the brain's hull is taken for ventricle; sulci and fissures reach less deep mostly."""

LEAST_VENTRICLE_MM = 4.0
"""Side of the smallest ventricle."""

LEAST_SULCUS_MM = 5.0
"""Side of the smallest pool of CSF that counts as surface; what is smaller is noise or a vessel."""

SULCUS_MM = 3.0
"""Widest valley that is looked for as a narrow sulcus."""

SULCUS_DROP, SULCUS_LEVEL = 0.16, 0.82
"""How far a narrow sulcus drops below its banks, and how dark it is, of the evened image whose mean is 1."""

SULCUS_CSF = 0.75
"""Probability of CSF in a narrow sulcus."""

NECK_MM = 1.5
"""Half the width of the necks by which a ventricle is joined to the CSF around the brain."""


@dataclass(frozen=True)
class Tissue:
    """Where what is; arrays of the image's shape, 2-D or 3-D.

    Attributes:
        csf, grey, white: float32 probabilities, 0 outside the brain, summing to 1 inside.
        depth_mm: float32 distance to the pial surface (CSF of sulci, or the outside), 0 there.
        ventricle: bool, CSF deep in the brain.
        background: the value outside the brain.
        white_level, grey_level, csf_level: typical values of the image in each.
    """

    csf: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    depth_mm: np.ndarray
    ventricle: np.ndarray
    background: float
    white_level: float
    grey_level: float
    csf_level: float


def tissue_of(
    image: np.ndarray,
    spacing_mm: Sequence[float],
    brain: np.ndarray | None = None,
    maps: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Tissue:
    """Classes, depth and ventricles of a skull-stripped FLAIR.

    Args:
        image: 2-D or 3-D, any linear intensity scale.
        spacing_mm: of each axis.
        brain: bool of the same shape; by default all that differs from the lowest value, holes filled.
        maps: probabilities of CSF, grey and white matter, where better ones are at hand.

    Raises:
        ImageError: if it is empty, or its classes cannot be told apart.
    """
    background = float(image.min())
    brain = ndimage.binary_fill_holes(image > background) if brain is None else brain.astype(bool)
    if brain.sum() < LEAST_FITTED:
        raise ImageError(f"the image shows only {int(brain.sum())} voxels of brain", "choose another slice or scan")
    if image.ndim == 2:
        return _fitted(image, spacing_mm, brain, maps, background)
    box = _box(brain)  # most of a volume is air
    inner = None if maps is None else (maps[0][box], maps[1][box], maps[2][box])
    return _spread(_fitted(image[box], spacing_mm, brain[box], inner, background), box, image.shape)


def _fitted(
    image: np.ndarray,
    spacing_mm: Sequence[float],
    brain: np.ndarray,
    maps: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    background: float,
) -> Tissue:
    evened = _evened(image, brain, spacing_mm, background)
    csf, grey, white = _classes(evened, brain) if maps is None else maps
    csf = _without_specks(csf, brain, spacing_mm)
    hull_mm = ndimage.distance_transform_edt(brain, sampling=spacing_mm)
    ventricle = _ventricle((csf > 0.5) & brain, hull_mm, spacing_mm)
    if maps is None and image.ndim == 3:
        csf = np.where(_narrow_sulci(evened, csf > 0.5, brain, spacing_mm), np.maximum(csf, SULCUS_CSF), csf)
    outside = ~brain | (csf > 0.5)
    depth = ndimage.distance_transform_edt(~outside | ventricle, sampling=spacing_mm)
    depth[ventricle] = 0
    if maps is None:
        # Between grey and white matter depth has the last word: a logistic of the cortex's usual thickness.
        shallow = 1 / (1 + np.exp((depth - CORTEX_MM - 0.75) / (CORTEX_SPREAD_MM / 2)))
        solid = 1 - csf
        odds = shallow * (0.3 + grey) / (shallow * (0.3 + grey) + (1 - shallow) * (0.3 + white))
        grey, white = solid * odds, solid * (1 - odds)
    levels = [_level(image, weight, brain) for weight in (csf, grey, white)]
    if not np.isfinite(levels).all() or levels[2] - background <= 0 or levels[0] >= levels[2]:
        raise ImageError("grey matter, white matter and CSF cannot be told apart", "choose a skull-stripped FLAIR")
    return Tissue(
        csf=np.where(brain, csf, 0).astype(np.float32),
        grey=np.where(brain, grey, 0).astype(np.float32),
        white=np.where(brain, white, 0).astype(np.float32),
        depth_mm=depth.astype(np.float32),
        ventricle=ventricle,
        background=background,
        csf_level=levels[0],
        grey_level=levels[1],
        white_level=levels[2],
    )


def _box(brain: np.ndarray) -> tuple[slice, ...]:
    """The brain's bounding box with a margin of one voxel."""
    (box,) = ndimage.find_objects(brain.astype(np.uint8))
    return tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)


def _spread(tissue: Tissue, box: tuple[slice, ...], shape: tuple[int, ...]) -> Tissue:
    """The tissue of a box, in the array that it was cut from."""
    parts: dict[str, Any] = {}
    for name in ("csf", "grey", "white", "depth_mm", "ventricle"):
        values = getattr(tissue, name)
        parts[name] = np.zeros(shape, values.dtype)
        parts[name][box] = values
    return replace(tissue, **parts)


def _evened(image: np.ndarray, brain: np.ndarray, spacing_mm: Sequence[float], background: float) -> np.ndarray:
    """The image divided by its slow shading, 1 on average; what is very bright or dark does not count as shading."""
    values = image.astype(np.float64) - background
    low, high = np.percentile(values[brain], [25, 95])
    counted = brain & (values >= low) & (values <= high)
    sigma = [SHADING_MM / spacing for spacing in spacing_mm]
    weight = ndimage.gaussian_filter(counted.astype(np.float64), sigma)
    shading = ndimage.gaussian_filter(np.where(counted, values, 0), sigma) / np.maximum(weight, 1e-3)
    return values / np.maximum(shading, 0.25 * np.median(values[counted]))


def _classes(image: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of CSF, grey and white matter; hyperintense tails count to the brightest class."""
    values = image[brain]
    fitted = values[values < np.percentile(values, 98)]
    try:
        low, high = threshold_multiotsu(fitted, classes=3)
    except ValueError as error:
        raise ImageError("the image shows fewer than three intensities", "choose a skull-stripped FLAIR") from error
    hard = [fitted[fitted < low], fitted[(fitted >= low) & (fitted < high)], fitted[fitted >= high]]
    if any(len(part) < 2 for part in hard):
        raise ImageError("grey matter, white matter and CSF cannot be told apart", "choose a skull-stripped FLAIR")
    means = [float(part.mean()) for part in hard]
    spreads = [max(float(part.std()), 0.02 * (means[2] - means[0])) for part in hard]
    clipped = np.clip(values, means[0], means[2])
    likely = [
        len(part) / spread * np.exp(-0.5 * ((clipped - mean) / spread) ** 2)
        for part, mean, spread in zip(hard, means, spreads, strict=True)
    ]
    found = [np.zeros(image.shape) for _ in range(3)]
    for part, share in zip(found, likely, strict=True):
        part[brain] = share / sum(likely)
    csf, white, grey = found  # on FLAIR the cortex is the brighter of the two
    return csf, grey, white


def _without_specks(csf: np.ndarray, brain: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """The probability without small pools that do not reach the outside; their voxels become solid tissue."""
    labels, count = ndimage.label((csf > 0.5) | ~brain)
    sizes = ndimage.sum_labels(np.ones(csf.shape), labels, range(count + 1))
    speck = (sizes < LEAST_SULCUS_MM**csf.ndim / float(np.prod(spacing_mm)))[labels] & (labels > 0)
    return np.where(speck, 0.0, csf)


def _narrow_sulci(evened: np.ndarray, csf: np.ndarray, brain: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Bool: valleys of a volume, darker than tissue, that reach its CSF or its outside."""
    smooth = ndimage.gaussian_filter(np.where(brain, evened, 1.0), [0.6 / step for step in spacing_mm])
    size = [max(3, 2 * round(SULCUS_MM / step) + 1) for step in spacing_mm]
    closed = ndimage.grey_erosion(ndimage.grey_dilation(smooth, size=size), size=size)
    valley = brain & (closed - smooth > SULCUS_DROP) & (smooth < SULCUS_LEVEL)
    surface = ndimage.binary_dilation(csf | ~brain)
    labels, _ = ndimage.label(valley, ndimage.generate_binary_structure(valley.ndim, valley.ndim))
    reaching = np.unique(labels[surface & valley])
    return np.isin(labels, reaching[reaching > 0])


def _ventricle(csf: np.ndarray, hull_mm: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Pools of CSF whose middle lies deep below the hull; those of a volume are cut off first where they are narrow."""
    joined = csf.ndim == 3  # through foramina and cisterns all CSF of a head is one
    pools = ndimage.distance_transform_edt(csf, sampling=spacing_mm) > NECK_MM if joined else csf
    labels, count = ndimage.label(pools)
    found = np.zeros(csf.shape, bool)
    least = LEAST_VENTRICLE_MM**csf.ndim / float(np.prod(spacing_mm))
    numbers = range(1, count + 1)
    for number, size, depth in zip(
        numbers, ndimage.sum(pools, labels, numbers), ndimage.median(hull_mm, labels, numbers), strict=True
    ):
        if size >= least and depth >= VENTRICLE_DEPTH_MM:
            found |= labels == number
    if joined and found.any():
        found = csf & (ndimage.distance_transform_edt(~found, sampling=spacing_mm) <= 2 * NECK_MM)
    return found


def _level(image: np.ndarray, weight: np.ndarray, brain: np.ndarray) -> float:
    sure = brain & (weight > 0.8)
    if not sure.any():
        sure = brain & (weight > 0.5)
    return float(np.median(image[sure])) if sure.any() else float("nan")
