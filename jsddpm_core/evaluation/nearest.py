"""Whether synthetic slices are copies of training slices.

The distance of each synthetic slice to its nearest training slice is compared with that of real slices of other
subjects. Both are first averaged over blocks: a slice that lacks fine texture would otherwise be near to everything,
and a copy of it would be missed. Mirrored training slices count too, since training mirrors them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jsddpm_core.evaluation.image_set import ImageSet, checked_images
from jsddpm_core.evaluation.measure import Measure, MeasureError
from jsddpm_core.evaluation.resampling import bootstrap, weighted_quantile

BLOCK_PX = 4
NEAR_SHARE = 0.05
"""A slice counts as suspiciously near where fewer than this share of real slices come as near."""


def block_means(images: np.ndarray, block: int = BLOCK_PX) -> np.ndarray:
    """Averages over blocks of `block` x `block` pixels: `(N, X/block * Y/block)` float32.

    Raises:
        MeasureError: where the block does not divide the image.
    """
    images = checked_images(images)
    n, width, height = images.shape
    if width % block or height % block:
        raise MeasureError(f"slices of {width} x {height} pixels have no blocks of {block}", "choose a divisor")
    parts = images.reshape(n, width // block, block, height // block, block)
    return parts.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1)


@dataclass(frozen=True)
class Nearest:
    """The nearest training slice of each image.

    Attributes:
        distances: `(N,)` float64, root mean square difference in [0, 2]; infinite where none may be compared.
        rows: `(N,)` int64, which training slice.
        mirrored: `(N,)` bool, whether its mirror image is what comes near.
    """

    distances: np.ndarray
    rows: np.ndarray
    mirrored: np.ndarray


def nearest_training(
    images: np.ndarray,
    training: np.ndarray,
    groups: np.ndarray | None = None,
    training_groups: np.ndarray | None = None,
    block: int = BLOCK_PX,
    chunk: int = 256,
) -> Nearest:
    """The nearest training slice or mirror image of each image.

    Args:
        images: `(N, X, Y)` float32; X is the axis from left to right.
        training: `(M, X, Y)` float32.
        groups, training_groups: subjects `(N,)` and `(M,)`; a slice is not compared with its own subject.
    """
    queries = block_means(images, block).astype(np.float64)
    best = np.full(len(queries), np.inf)
    rows, turned = np.zeros(len(queries), dtype=np.int64), np.zeros(len(queries), dtype=bool)
    for start in range(0, len(training), chunk):
        part = np.asarray(training[start : start + chunk])
        own = np.zeros((len(queries), len(part)), dtype=bool)
        if groups is not None and training_groups is not None:
            own = groups[:, None] == training_groups[None, start : start + chunk]
        for mirrored, candidates in ((False, part), (True, np.ascontiguousarray(part[:, ::-1]))):
            keys = block_means(candidates, block).astype(np.float64)
            squared = (queries**2).sum(1)[:, None] + (keys**2).sum(1)[None] - 2 * queries @ keys.T
            squared = np.where(own, np.inf, squared)
            nearest = squared.argmin(axis=1)
            found = squared[np.arange(len(queries)), nearest]
            nearer = found < best
            best = np.where(nearer, found, best)
            rows, turned = np.where(nearer, start + nearest, rows), np.where(nearer, mirrored, turned)
    return Nearest(np.sqrt(np.maximum(best, 0) / queries.shape[1]), rows, turned)


def nearest_distances(
    images: np.ndarray,
    training: np.ndarray,
    groups: np.ndarray | None = None,
    training_groups: np.ndarray | None = None,
    block: int = BLOCK_PX,
    chunk: int = 256,
) -> np.ndarray:
    """The distances of `nearest_training`, `(N,)` float64."""
    return nearest_training(images, training, groups, training_groups, block, chunk).distances


def median_distance(candidate: ImageSet, distances: np.ndarray) -> Measure:
    """The median of `nearest_distances` over a set."""

    def median(w: np.ndarray) -> float:
        return weighted_quantile(distances, w, 0.5)

    return Measure(
        name="distance to the nearest training slice",
        value=median(candidate.weights),
        interval=bootstrap(median, [(candidate.groups, candidate.weights)]),
        n=len(candidate),
        independent=candidate.independent,
        unit="of [-1, 1], RMS",
    )


def memorisation(
    candidate: ImageSet, distances: np.ndarray, reference: ImageSet, reference_distances: np.ndarray
) -> list[Measure]:
    """Whether candidates are nearer to training slices than real slices of other subjects are.

    Returns:
        The memorisation ratio, median distance over the reference's median (well below 1: copies), and the share of
        candidates that are nearer than all but `NEAR_SHARE` of the reference.
    """

    def ratio(w: np.ndarray, v: np.ndarray) -> float:
        below = weighted_quantile(reference_distances, v, 0.5)
        return weighted_quantile(distances, w, 0.5) / below if below > 0 else float("nan")

    def near(w: np.ndarray, v: np.ndarray) -> float:
        return float(w @ (distances < weighted_quantile(reference_distances, v, NEAR_SHARE)) / w.sum())

    both = [(candidate.groups, candidate.weights), (reference.groups, reference.weights)]
    fewest = min(candidate.independent, reference.independent)
    return [
        Measure(
            name=name,
            value=statistic(candidate.weights, reference.weights),
            interval=bootstrap(statistic, both),
            n=len(candidate),
            independent=fewest,
            unit="1",
        )
        for name, statistic in (("memorisation ratio", ratio), ("share nearer than 95 % of real slices", near))
    ]
