"""How the power of an image falls with spatial frequency, as one slope.

A slope that is too steep says that fine structure is missing; one too flat says that there is noise.
"""

from __future__ import annotations

import numpy as np

from jsddpm_core.evaluation.image_set import ImageSet, checked_images
from jsddpm_core.evaluation.measure import Measure
from jsddpm_core.evaluation.resampling import bootstrap, weighted_mean

BAND = (0.05, 0.45)
"""Cycles a pixel between which the slope is fitted: above the size of the brain, below the corner of the grid."""


def radial_power(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radially averaged power spectra.

    Args:
        images: `(N, X, X)` float32. A slice lies on a constant background, so it is periodic without a window.

    Returns:
        Frequencies `(K,)` in cycles a pixel, one for each whole radius, and power `(N, K)`.
    """
    images = checked_images(images)
    n, width, height = images.shape
    fx = np.fft.fftfreq(width)[:, None]
    fy = np.fft.rfftfreq(height)[None, :]
    size = max(width, height)
    ring = np.rint(np.hypot(fx, fy) * size).astype(int).ravel()
    rings = np.arange(1, size // 2)
    # In the half plane of a real transform the inner columns stand for two coefficients each.
    twice = np.full(fy.shape[1], 2.0)
    twice[0] = 1.0
    if height % 2 == 0:
        twice[-1] = 1.0
    counts = np.broadcast_to(twice, (width, len(twice))).ravel()
    total = np.bincount(ring, counts, minlength=size)[rings]
    power = np.empty((n, len(rings)))
    for row, image in enumerate(images):
        centred = image.astype(np.float64) - image.mean(dtype=np.float64)
        squared = np.abs(np.fft.rfft2(centred)) ** 2 / (width * height)
        power[row] = np.bincount(ring, squared.ravel() * counts, minlength=size)[rings] / total
    return rings / size, power


def slopes(images: np.ndarray) -> np.ndarray:
    """The exponent a of power ~ f^a for each image, `(N,)`: a straight line through log power over log f.

    White noise has slope 0. An image without any power in the band has slope NaN.
    """
    frequency, power = radial_power(images)
    band = (frequency >= BAND[0]) & (frequency <= BAND[1])
    x = np.log(frequency[band])
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(power[:, band])
        y = np.where(np.isfinite(y), y, np.nan)
        return (y - y.mean(axis=1, keepdims=True)) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()


def slope_difference(candidate: ImageSet, reference: ImageSet) -> Measure:
    """Mean slope of the candidate less that of the reference; negative: the candidate is too smooth."""
    ours, theirs = slopes(candidate.images), slopes(reference.images)

    def difference(w: np.ndarray, v: np.ndarray) -> float:
        return weighted_mean(ours, w) - weighted_mean(theirs, v)

    return Measure(
        name="spectral slope difference",
        value=difference(candidate.weights, reference.weights),
        interval=bootstrap(difference, [(candidate.groups, candidate.weights), (reference.groups, reference.weights)]),
        n=len(candidate),
        independent=min(candidate.independent, reference.independent),
        unit="1",
    )
