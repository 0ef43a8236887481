"""How far a reader agrees with themselves, and readers with one another, beyond what chance would give.

Intervals resample subjects: all answers to a subject's pictures are drawn together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from jsddpm_core.evaluation.resampling import resampled_weights
from jsddpm_core.reading_study.estimate import Estimate

Metric = Literal["nominal", "ordinal", "interval", "ratio"]
Weights = Literal["none", "linear", "quadratic"]


def cohen(
    first: np.ndarray,
    second: np.ndarray,
    categories: int,
    clusters: np.ndarray,
    weights: Weights = "none",
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Cohen's kappa of two answers to each case (Cohen 1960), weighted or not (Cohen 1968).

    Args:
        first: `(N,)` of 1 to categories; NaN where there is no answer.
        second: `(N,)` likewise.
        categories: how many there are.
        clusters: `(N,)` numbers, of subjects.
        weights: of disagreements: all alike, or by distance, or by its square.
        resamples: of the interval.
        seed: of these.
        level: of the interval.

    Returns:
        Without a value where fewer than two cases have both answers, or where one answer was given throughout.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    one, other = first[both].astype(int) - 1, second[both].astype(int) - 1
    cell = one * categories + other

    def kappa(counts: np.ndarray) -> float:
        table = np.bincount(cell, counts, categories**2).reshape(categories, categories)
        if (np.outer(table.sum(axis=1), table.sum(axis=0)) > 0).sum() < 2:
            return float("nan")
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(cohens_kappa(table, wt=None if weights == "none" else weights, return_results=False))

    return _resampled(kappa, clusters[both], resamples, seed, level)


def fleiss(
    answers: np.ndarray,
    categories: int,
    clusters: np.ndarray,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Fleiss' kappa of several readers (Fleiss 1971), over the cases that all of them answered.

    Args:
        answers: `(R, N)` of 1 to categories; NaN where there is no answer.
        categories: how many there are.
        clusters: `(N,)` numbers, of subjects.
        resamples: of the interval.
        seed: of these.
        level: of the interval.
    """
    whole = ~np.isnan(answers).any(axis=0)
    table = np.stack([(answers[:, whole] == c + 1).sum(axis=0) for c in range(categories)], axis=1)

    def kappa(counts: np.ndarray) -> float:
        drawn = np.repeat(table, counts.astype(int), axis=0)
        if len(drawn) == 0 or (drawn.sum(axis=0) > 0).sum() < 2:
            return float("nan")
        return float(fleiss_kappa(drawn))

    return _resampled(kappa, clusters[whole], resamples, seed, level)


def krippendorff(
    answers: np.ndarray,
    metric: Metric,
    clusters: np.ndarray,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Krippendorff's alpha of several readers, answers missing or not (Krippendorff 2011).

    Args:
        answers: `(R, N)` numbers; NaN where there is no answer.
        metric: how far apart two answers are: equal or not, by ranks, by difference, or by relative difference.
        clusters: `(N,)` numbers, of subjects.
        resamples: of the interval.
        seed: of these.
        level: of the interval.
    """
    values = np.unique(answers[~np.isnan(answers)])
    if not len(values):  # time ran out on every case
        return Estimate(None)
    counts = (
        np.stack([(answers == value).sum(axis=0) for value in values], axis=1).astype(float).reshape(-1, len(values))
    )
    given = counts.sum(axis=1)
    paired = given >= 2
    counts, given = counts[paired], given[paired]
    # Coincidences of each unit: ordered pairs of answers of different readers, each unit weighing as its answers.
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(len(values)), np.arange(len(values))] -= counts
    pairs /= (given - 1)[:, None, None]

    def alpha(weights: np.ndarray) -> float:
        coincidences = np.tensordot(weights, pairs, 1)
        totals = coincidences.sum(axis=1)
        distance = _distance(values, totals, metric)
        expected = totals @ distance @ totals / (totals.sum() - 1)
        return 1 - float((coincidences * distance).sum() / expected) if expected > 0 else float("nan")

    return _resampled(alpha, clusters[paired], resamples, seed, level)


def _distance(values: np.ndarray, totals: np.ndarray, metric: Metric) -> np.ndarray:
    """`(V, V)` squared differences of the metric (Krippendorff 2011, section C, step 4)."""
    if metric == "nominal":
        return 1 - np.eye(len(values))
    if metric == "ordinal":
        middle = np.cumsum(totals) - totals / 2
        return (middle[:, None] - middle[None, :]) ** 2
    difference = values[:, None] - values[None, :]
    if metric == "interval":
        return difference**2
    sums = values[:, None] + values[None, :]
    return np.divide(difference, sums, out=np.zeros_like(difference), where=sums != 0) ** 2


def _resampled(
    statistic: Callable[[np.ndarray], float], clusters: np.ndarray, resamples: int, seed: int, level: float
) -> Estimate:
    """The statistic of whole counts `(N,)`, and the percentile interval of resampled subjects."""
    n = len(clusters)
    if n == 0 or np.isnan(value := statistic(np.ones(n))):
        return Estimate(None, n=n)
    if len(np.unique(clusters)) < 2:
        return Estimate(value, n=n)
    drawn = [statistic(weights) for (weights,) in resampled_weights([(clusters, np.ones(n))], resamples, seed)]
    finite = np.asarray(drawn)[np.isfinite(drawn)]
    # Where most resamples hold one answer only, the percentiles of the rest would mislead.
    if len(finite) < 0.9 * resamples:
        return Estimate(value, n=n)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), n=n)
