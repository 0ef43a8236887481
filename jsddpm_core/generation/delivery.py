"""Delivered versus asked: is there a lesion where one was asked for, how large, and does it stand out."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from jsddpm_core.strict import Strict

SURROUND_MM = 5.0
"""Width of the rim around a lesion that its contrast is taken against."""

BRAIN_ABOVE = 0.1
"""Tissue is what lies this far above the background, in a range of 2."""


class Delivery(Strict):
    """What one draw delivered.

    Attributes:
        finite: whether every value is a number.
        lesion_asked: whether the pathology is a lesional one.
        lesion_mm2: area of the mask; of a volume, the largest of its slices.
        lesion_found: whether that reaches the area from which a slice counts as lesional.
        contrast: mean intensity inside the mask minus that of the rim of tissue around it, in the model's range
            of -1 to 1; None without a lesion or without a rim.
        as_asked: whether all is as asked.
    """

    finite: bool
    lesion_asked: bool
    lesion_mm2: float
    lesion_found: bool
    contrast: float | None
    as_asked: bool


def check_delivery(
    image: np.ndarray, mask: np.ndarray, spacing_mm: float, minimum_mm2: float, lesion_asked: bool
) -> Delivery:
    """Looks at a slice `(X, Y)` or at a volume `(X, Y, Z)`.

    Args:
        image: float32 in [-1, 1], background -1.
        mask: bool, of the same shape.
        spacing_mm: edge of a pixel.
        minimum_mm2: the area from which a slice counts as lesional.
        lesion_asked: whether the pathology is a lesional one.
    """
    areas = mask.reshape(*mask.shape[:2], -1).sum(axis=(0, 1)) * spacing_mm**2
    finite = bool(np.isfinite(image).all())
    lesion_mm2 = float(areas.max())
    found = lesion_mm2 >= minimum_mm2
    return Delivery(
        finite=finite,
        lesion_asked=lesion_asked,
        lesion_mm2=round(lesion_mm2, 4),
        lesion_found=found,
        contrast=_contrast(image, mask, spacing_mm) if finite and mask.any() else None,
        as_asked=finite and found == lesion_asked,
    )


def _contrast(image: np.ndarray, mask: np.ndarray, spacing_mm: float) -> float | None:
    width = max(round(SURROUND_MM / spacing_mm), 1)
    in_plane = ndimage.generate_binary_structure(2, 1)
    reach = in_plane if mask.ndim == 2 else in_plane[..., None]
    grown = ndimage.binary_dilation(mask, reach, iterations=width)
    rim = grown & ~mask & (image > BRAIN_ABOVE - 1)
    if not rim.any():
        return None
    difference = image[mask].mean(dtype=np.float64) - image[rim].mean(dtype=np.float64)
    return round(float(difference), 6)
