"""Where readers said that a lesion is: hits, and the area under the alternative free-response curve (AFROC).

A reader sets at most one mark a case. On a case with a lesion, a mark within the radius of any voxel of it is a hit and
carries the rating of the answer; a mark elsewhere, and none, is a miss, which ranks below every mark. On a case
without, every mark is false and carries its rating. The area is the share of pairs of cases in which the hit is rated
above the false mark, ties counting a half (Chakraborty & Winter 1990). It has no chance level: whoever marks nothing
scores 0.5, whoever marks at random less.
"""

from __future__ import annotations

import numpy as np

from jsddpm_core.evaluation.resampling import resampled_weights
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.roc import placements

UNMARKED = 0.0
"""Below every rating."""


def lesion_points_mm(runs: tuple[int, ...], shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Centres of a lesion's voxels.

    Args:
        runs: (start, length, ...) in the flattened array, C order.
        shape: of the array, two or three dimensions.
        affine: `(4, 4)`, voxel indices to RAS millimetres.

    Returns:
        `(V, 3)` RAS millimetres.

    Raises:
        ValueError: if the runs leave the array.
    """
    if len(runs) % 2:
        raise ValueError("runs are pairs of start and length")
    pairs = np.asarray(runs, dtype=np.int64).reshape(-1, 2)
    size = int(np.prod(shape))
    if (pairs < 0).any() or (pairs.sum(axis=1) > size).any():
        raise ValueError("runs leave the array")
    flat = np.concatenate([np.arange(start, start + length) for start, length in pairs] or [np.empty(0, np.int64)])
    indices = np.zeros((len(flat), 3))
    indices[:, : len(shape)] = np.stack(np.unravel_index(flat, shape), axis=1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def distance_mm(mark: np.ndarray, lesion: np.ndarray) -> float:
    """From a mark `(3,)` to the nearest voxel's centre `(V, 3)`; inf where there is no lesion."""
    if len(lesion) == 0:
        return float("inf")
    return float(np.sqrt(((lesion - mark) ** 2).sum(axis=1).min()))


def mark_ratings(ratings: np.ndarray, distances: np.ndarray, signal: np.ndarray, radius_mm: float) -> np.ndarray:
    """The rating that each case enters the AFROC curve with.

    Args:
        ratings: `(..., N)`; NaN where there is no answer.
        distances: `(..., N)` of marks to the lesion in millimetres, inf where there is none; NaN without a mark.
        signal: `(N,)` bool: whether there is a lesion.
        radius_mm: within which a mark hits.

    Returns:
        `(..., N)`: the rating of a hit or of a false mark, `UNMARKED` of a miss or where nothing was marked; NaN where
        there is no answer.
    """
    marked = ~np.isnan(distances)
    counts = np.where(signal, marked & (np.nan_to_num(distances, nan=np.inf) <= radius_mm), marked)
    return np.where(np.isnan(ratings), np.nan, np.where(counts, ratings, UNMARKED))


def afroc_area(
    marked: np.ndarray,
    signal: np.ndarray,
    clusters: np.ndarray,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """One reader's area, with the percentile interval of resampled subjects.

    Args:
        marked: `(N,)` as `mark_ratings` gives them.
        signal: `(N,)` bool.
        clusters: `(N,)` numbers, of subjects.
        resamples: of the interval.
        seed: of these.
        level: of the interval.
    """
    known = ~np.isnan(marked)
    marked, signal, clusters = marked[known], signal[known], clusters[known]
    n = len(marked)
    if signal.all() or not signal.any():
        return Estimate(None, n=n)
    above = marked[signal][:, None] - marked[~signal][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    value = float(placements(marked, signal)[0].mean())
    sets = [(clusters[of], np.ones(int(of.sum()))) for of in (signal, ~signal)]
    if any(len(np.unique(groups)) < 2 for groups, _ in sets):
        return Estimate(value, n=n)
    drawn = [
        float(a @ wins @ b / (a.sum() * b.sum()))
        for a, b in resampled_weights(sets, resamples, seed)
        if a.any() and b.any()
    ]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), n=n)
