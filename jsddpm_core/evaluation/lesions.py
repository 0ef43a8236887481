"""Whether the lesion that was asked for is there, how large it is, and whether the image shows it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, stats

from jsddpm_core.evaluation.image_set import ImageSet
from jsddpm_core.evaluation.measure import Measure, MeasureError
from jsddpm_core.evaluation.resampling import LEVEL, bootstrap, weighted_mean, weighted_quantile

MINIMUM_MM2 = 20.0
RING_PX = 4
RING_GAP_PX = 1
TISSUE = -0.8


def areas_mm2(masks: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Lesion area of each bool mask `(N, X, Y)` with square pixels: `(N,)` in mm^2."""
    if masks.dtype != np.bool_ or masks.ndim != 3:
        raise MeasureError(f"masks are {masks.dtype} of shape {masks.shape}", "give bool (N, X, Y)")
    return masks.sum(axis=(1, 2)) * float(spacing_mm) ** 2


def wilson(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share among n independent trials (Wilson 1927)."""
    z = stats.norm.ppf((1 + level) / 2)
    share = successes / n
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return float(max(low, 0.0)), float(min(high, 1.0))


def share_with_lesion(images: ImageSet, spacing_mm: float, *, wanted: bool, minimum: float = MINIMUM_MM2) -> Measure:
    """Share of requests that were answered: with a lesion from `minimum` mm^2 where one was wanted, without else.

    Draws are independent, so the interval is Wilson's; where a subject gives several slices it resamples subjects.
    """
    has = areas_mm2(images.masks, spacing_mm) >= minimum
    right = (has if wanted else ~has).astype(np.float64)
    value = weighted_mean(right, images.weights)
    if images.independent == len(images) and np.all(images.weights == images.weights[0]):
        interval: tuple[float, float] | None = wilson(right.sum(), len(images))
    else:
        interval = bootstrap(lambda w: weighted_mean(right, w), [(images.groups, images.weights)])
    name = "lesion requests with a lesion" if wanted else "requests for none without a lesion"
    return Measure(name, value, interval, len(images), images.independent, "1")


def median_area(images: ImageSet, spacing_mm: float) -> Measure | None:
    """Median lesion area of the slices with a lesion; None without any."""
    areas = areas_mm2(images.masks, spacing_mm)
    there = areas >= MINIMUM_MM2
    if not there.any():
        return None
    groups, weights = images.groups[there], images.weights[there]

    def median(w: np.ndarray) -> float:
        return weighted_quantile(areas[there], w, 0.5)

    return Measure(
        name="median lesion area",
        value=median(weights),
        interval=bootstrap(median, [(groups, weights)]),
        n=int(there.sum()),
        independent=len(np.unique(groups)),
        unit="mm^2",
    )


def area_comparison(candidate: ImageSet, reference: ImageSet, spacing_mm: float) -> list[Measure]:
    """Lesion areas of slices with a lesion against the reference's; empty where a set has fewer than two such slices.

    Two numbers that are free of bias for samples of any size: the chance that a lesion of the candidate is larger than
    one of the reference, ties counted half (Mann & Whitney 1947; 0.5 for equal distributions), and the ratio of the
    standard deviations of log area (1 for equal spread).
    """
    ours, theirs = areas_mm2(candidate.masks, spacing_mm), areas_mm2(reference.masks, spacing_mm)
    mine, other = ours >= MINIMUM_MM2, theirs >= MINIMUM_MM2
    if mine.sum() < 2 or other.sum() < 2:
        return []
    log_ours, log_theirs = np.log(ours[mine]), np.log(theirs[other])
    larger = 0.5 + 0.5 * np.sign(log_ours[:, None] - log_theirs[None])

    def chance(w: np.ndarray, v: np.ndarray) -> float:
        return float(w @ larger @ v / (w.sum() * v.sum()))

    def spread(w: np.ndarray, v: np.ndarray) -> float:
        below = _deviation(log_theirs, v)
        return _deviation(log_ours, w) / below if below > 0 else float("nan")

    sets = [(candidate.groups[mine], candidate.weights[mine]), (reference.groups[other], reference.weights[other])]
    return [
        Measure(
            name=name,
            value=statistic(sets[0][1], sets[1][1]),
            interval=bootstrap(statistic, sets),
            n=int(mine.sum()),
            independent=min(len(np.unique(groups)) for groups, _ in sets),
            unit="1",
        )
        for name, statistic in (("chance of a larger lesion than a real one", chance), ("spread of log area", spread))
    ]


def _deviation(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.sqrt(weighted_mean((values - weighted_mean(values, weights)) ** 2, weights)))


def contrasts(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Mean intensity in the lesion less that in a ring of tissue around it, `(N,)`; NaN without lesion or ring."""
    values = np.full(len(images), np.nan)
    cross = ndimage.generate_binary_structure(2, 1)
    for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if not mask.any():
            continue
        near = ndimage.binary_dilation(mask, cross, iterations=RING_GAP_PX)
        ring = ndimage.binary_dilation(near, cross, iterations=RING_PX) & ~near & (image > TISSUE)
        if ring.any():
            values[row] = image[mask].mean(dtype=np.float64) - image[ring].mean(dtype=np.float64)
    return values


def lesion_contrast(images: ImageSet, spacing_mm: float) -> Measure | None:
    """Mean contrast of the lesions from 20 mm^2: whether the image shows what the mask claims. None without any."""
    values = contrasts(images.images, images.masks)
    there = np.isfinite(values) & (areas_mm2(images.masks, spacing_mm) >= MINIMUM_MM2)
    if not there.any():
        return None
    values, groups, weights = values[there], images.groups[there], images.weights[there]
    return Measure(
        name="lesion contrast",
        value=weighted_mean(values, weights),
        interval=bootstrap(lambda w: weighted_mean(values, w), [(groups, weights)]),
        n=len(values),
        independent=len(np.unique(groups)),
        unit="of [-1, 1]",
    )
