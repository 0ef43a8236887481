"""The energy of the finest detail, where blurred and noisy images differ most from real ones."""

from __future__ import annotations

import numpy as np
import pywt

from jsddpm_core.evaluation.image_set import ImageSet, checked_images
from jsddpm_core.evaluation.measure import Measure
from jsddpm_core.evaluation.resampling import bootstrap, weighted_mean

WAVELET = "db2"


def diagonal_energy(images: np.ndarray) -> np.ndarray:
    """Mean squared diagonal coefficient of the finest level for each image, `(N,)`.

    The transform is orthonormal and periodic, so white noise of variance v has energy v.
    """
    images = checked_images(images)
    return np.array(
        [np.square(pywt.dwt2(image.astype(np.float64), WAVELET, mode="periodization")[1][2]).mean() for image in images]
    )


def diagonal_energy_ratio(candidate: ImageSet, reference: ImageSet) -> Measure:
    """Mean finest-level diagonal energy of the candidate over that of the reference; 1 is equal, less is blur."""
    ours, theirs = diagonal_energy(candidate.images), diagonal_energy(reference.images)

    def ratio(w: np.ndarray, v: np.ndarray) -> float:
        below = weighted_mean(theirs, v)
        return weighted_mean(ours, w) / below if below > 0 else float("nan")

    return Measure(
        name="finest diagonal wavelet energy ratio",
        value=ratio(candidate.weights, reference.weights),
        interval=bootstrap(ratio, [(candidate.groups, candidate.weights), (reference.groups, reference.weights)]),
        n=len(candidate),
        independent=min(candidate.independent, reference.independent),
        unit="1",
    )
