"""The empirical ROC curve of ratings, and the area under it with its interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from jsddpm_core.reading_study.clustered import clustered_covariance
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.laws import quantile, scaled, two_sided, unscaled


def placements(ratings: np.ndarray, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The structural components of the area (DeLong, DeLong & Clarke-Pearson 1988).

    Worked out from ranks, in the time of a sort (Sun & Xu 2014).

    Args:
        ratings: `(N,)`; higher speaks for the signal.
        signal: `(N,)` bool; at least one case of either class.

    Returns:
        For each signal `(m,)` the share of the others that it is rated above, and for each of the others `(n,)` the
        share of signals that are rated above it; ties count a half. The mean of either is the area.
    """
    positive, negative = ratings[signal], ratings[~signal]
    return _share_below(positive, negative), 1 - _share_below(negative, positive)


def _share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    ranked = np.sort(others)
    return (np.searchsorted(ranked, values, "left") + np.searchsorted(ranked, values, "right")) / (2 * len(others))


def auc_components(ratings: np.ndarray, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas of several readers, and the components that their covariance is worked out from.

    Args:
        ratings: `(R, N)`; NaN where a reader has no answer.
        signal: `(N,)` bool.

    Returns:
        `(R,)` areas, NaN where a class has no answer; `(R, N)` placements, NaN where there is no answer.
    """
    areas, components = np.full(len(ratings), np.nan), np.full(ratings.shape, np.nan)
    for reader, given in enumerate(ratings):
        known = ~np.isnan(given)
        positive, negative = known & signal, known & ~signal
        if positive.any() and negative.any():
            components[reader, positive], components[reader, negative] = placements(given[known], signal[known])
            areas[reader] = components[reader, positive].mean()
    return areas, components


def auc(ratings: np.ndarray, signal: np.ndarray, clusters: np.ndarray | None = None, level: float = 0.95) -> Estimate:
    """One reader's empirical area with DeLong's variance and an interval on the logit scale (Pepe 2003, chapter 5).

    DeLong's variance is 0 where every signal is rated above all others (or below), and where one rating was given
    throughout. It says nothing then, and the interval is Newcombe's (2006, method 5), which inverts the score test with
    Hanley & McNeil's variance at the area in question: it has a width there too.

    Args:
        ratings: `(N,)`; higher speaks for the signal; NaN is no answer.
        signal: `(N,)` bool.
        clusters: `(N,)` numbers from 0, of subjects; None where each case is a subject of its own.
        level: of the interval.

    Returns:
        Area, interval, standard error and p of the test against 0.5; without an interval where a class has fewer than
        two subjects, without a value where one has no answer.
    """
    known = ~np.isnan(ratings)
    m, n = int((known & signal).sum()), int((known & ~signal).sum())
    groups = np.arange(len(ratings)) if clusters is None else clusters
    areas, components = auc_components(ratings[None], signal)
    if np.isnan(areas[0]):
        return Estimate(None, n=m + n)
    covariance = clustered_covariance(components, (~signal).astype(int), groups)
    if covariance is None:
        return Estimate(float(areas[0]), n=m + n)
    subjects = len(np.unique(groups[known & signal])), len(np.unique(groups[known & ~signal]))
    return replace(logit_interval(float(areas[0]), float(covariance[0, 0]), *subjects, level), n=m + n)


def logit_interval(area: float, variance: float, m: int, n: int, level: float = 0.95) -> Estimate:
    """The interval of an area on the logit scale; Newcombe's where the variance is 0.

    Args:
        area: 0 to 1.
        variance: of it.
        m: subjects with the signal.
        n: subjects without.
        level: of the interval.
    """
    # What rounding leaves of a variance of 0.
    if variance < 1e-12 or not 0 < area < 1:
        low, high = newcombe_interval(area, m, n, level)
        p = two_sided((area - 0.5) / math.sqrt(_newcombe_variance(0.5, m, n)))
        return Estimate(area, low, high, se=0.0, p=p, n=m + n)
    se = math.sqrt(variance)
    logit, slope = scaled(area, "logit")
    reach = quantile((1 + level) / 2) * se * slope
    low, high = unscaled(logit - reach, "logit"), unscaled(logit + reach, "logit")
    return Estimate(area, low, high, se=se, p=two_sided(logit / (se * slope)), n=m + n)


def newcombe_interval(area: float, m: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Newcombe's method 5 (Statistics in Medicine 25:559, 2006): the areas that a score test would not reject.

    Args:
        area: 0 to 1.
        m: subjects with the signal.
        n: subjects without.
        level: of the interval.
    """
    z = quantile((1 + level) / 2)
    if area <= 0:
        low, high = newcombe_interval(1.0, m, n, level)
        return 1 - high, 1 - low

    def excess(candidate: float) -> float:
        return (area - candidate) ** 2 - z * z * _newcombe_variance(candidate, m, n)

    if area < 1:
        return float(brentq(excess, 0.0, area)), float(brentq(excess, area, 1.0))
    # At 1 both sides have a root there, which is divided out.
    return float(brentq(lambda c: excess(c) / (1 - c), 0.0, 1 - 1e-12)), 1.0


def _newcombe_variance(area: float, m: int, n: int) -> float:
    each = (m + n) / 2 - 1
    return area * (1 - area) / (m * n) * (1 + each * ((1 - area) / (2 - area) + area / (1 + area)))


def roc_points(ratings: np.ndarray, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points of the empirical curve, from (0, 0) to (1, 1).

    Returns:
        False-positive rate, true-positive rate, and the rating from which on a case is called a signal there (inf at
        the first point).
    """
    false_positive, true_positive, threshold = roc_curve(signal, ratings, drop_intermediate=False)
    return false_positive, true_positive, threshold
