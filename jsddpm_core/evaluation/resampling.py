"""Confidence intervals by resampling whole subjects.

Slices of one subject resemble one another, so they are no independent samples: a resample draws subjects with
replacement and takes all slices of each (the cluster bootstrap; Field & Welsh 2007). Synthetic slices are drawn
independently, so each is a group of its own. A resample is expressed as weights: a slice counts as often as its
group was drawn, times its own weight in the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95

Weighted: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Groups `(N,)`, as names or numbers, and weights `(N,)` of one set."""


def resampled_weights(sets: Sequence[Weighted], resamples: int, seed: int) -> Iterator[list[np.ndarray]]:
    """Yields, for each resample, one array of weights `(N,)` a set.

    A group that stands in several sets is drawn together with itself: it is one subject.
    """
    rng = np.random.default_rng(seed)
    names, codes = np.unique(np.concatenate([groups for groups, _ in sets]), return_inverse=True)
    bounds = np.cumsum([0] + [len(groups) for groups, _ in sets])
    parts = [codes[start:stop] for start, stop in pairwise(bounds)]
    # Sets without a common subject keep their own numbers of subjects in every resample.
    blocks = _blocks(parts)
    for _ in range(resamples):
        counts = np.zeros(len(names))
        for block in blocks:
            counts[block] = rng.multinomial(len(block), np.full(len(block), 1 / len(block)))
        yield [counts[part] * weights for part, (_, weights) in zip(parts, sets, strict=True)]


def _blocks(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    blocks: list[np.ndarray] = []
    for part in parts:
        block = np.unique(part)
        apart = []
        for other in blocks:
            if np.intersect1d(block, other).size:
                block = np.union1d(block, other)
            else:
                apart.append(other)
        blocks = [*apart, block]
    return blocks


def bootstrap(
    statistic: Callable[..., float],
    sets: Sequence[Weighted],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The percentile interval of a statistic of weights.

    Args:
        statistic: takes one array of weights `(N,)` for each set.
        sets: groups and weights of each.

    Returns:
        The interval, or None where a set holds fewer than two groups: nothing can be said about the spread
        between subjects from one.
    """
    if any(len(np.unique(groups)) < 2 for groups, _ in sets):
        return None
    values = []
    for weights in resampled_weights(sets, resamples, seed):
        if all(w.any() for w in weights):
            values.append(statistic(*weights))
    finite = np.asarray(values)[np.isfinite(values)]
    if len(finite) < resamples / 2:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """sum(w v) / sum(w)."""
    return float(weights @ values / weights.sum())


def weighted_quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The smallest value below or at which at least `share` of the weight lies."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    reached = np.searchsorted(cumulative, share * cumulative[-1], side="left")
    return float(values[order][min(reached, len(values) - 1)])
