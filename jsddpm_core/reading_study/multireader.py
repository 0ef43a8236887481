"""Inference for all readers together: readers and cases are both a sample of those that one wants to speak of.

Answers of several readers to one case are correlated, and readers differ: counted as independent answers they look far
more certain than they are. The model is that of Obuchowski & Rockette (1995), here for a single modality: a reader's
figure is a constant, a reader's effect, and an error; errors of different readers have the covariance Cov2, because
they read the same cases. Degrees of freedom are those of Hillis (2007), for one modality by itself (Hillis, Berbaum &
Metz 2008).

Two things differ from the published form, which is worked out beside it (`Pooled.published`). Readers who agree by luck
make MS(R) smaller than the error over cases alone would, and with two or three readers the published form then rejects
twice as often as it says; MS(R) therefore counts as no less than the error variance minus Cov2, just as a negative Cov2
counts as 0 in both. And figures between 0 and 1 have their interval and tests on the logit scale, as one reader's area
has. `Testing/benchmarks/study_coverage.py` shows what both do to the coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from jsddpm_core.reading_study.clustered import clustered_covariance
from jsddpm_core.reading_study.detection import log_linear, normal_density
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.laws import Scale, quantile, scaled, two_sided, unscaled
from jsddpm_core.reading_study.roc import auc_components


@dataclass(frozen=True)
class ReaderFigures:
    """One figure of merit of every reader.

    Attributes:
        values: `(R,)`.
        covariance: `(R, R)` of their errors over cases, readers held fixed; None where too few cases tell it.
        null: what guessing would have.
        n: cases behind them.
        scale: of interval and tests: logit of what lies between 0 and 1.
    """

    values: np.ndarray
    covariance: np.ndarray | None
    null: float
    n: int
    scale: Scale = "logit"


@dataclass(frozen=True)
class Pooled:
    """The mean over readers.

    Attributes:
        estimate: with interval, standard error, degrees of freedom, and p against guessing.
        readers: how many.
        ms_readers: mean square of the readers' figures; None of one reader.
        cov2: covariance of two readers' errors; of one reader, None.
        error_variance: of one reader's figure over cases, on average.
        null: what guessing would have.
        scale: of interval and tests.
        these_readers: the same with readers held fixed: about these readers alone, and further cases.
        published: the same as Obuchowski & Rockette, Hillis, and programs after them have it; None of one reader.
    """

    estimate: Estimate
    readers: int
    ms_readers: float | None
    cov2: float | None
    error_variance: float | None
    null: float
    scale: Scale
    these_readers: Estimate
    published: Estimate | None


def auc_figures(ratings: np.ndarray, signal: np.ndarray, clusters: np.ndarray) -> ReaderFigures:
    """Areas with DeLong's covariances, by Obuchowski's form for clusters.

    Args:
        ratings: `(R, N)`; higher speaks for the signal; NaN where there is no answer.
        signal: `(N,)` bool.
        clusters: `(N,)` numbers from 0, of subjects.
    """
    areas, components = auc_components(ratings, signal)
    covariance = None
    if not np.isnan(areas).any():
        covariance = clustered_covariance(components, (~signal).astype(int), clusters)
    return ReaderFigures(areas, covariance, 0.5, _cases(ratings))


def proportion_figures(
    correct: np.ndarray, strata: np.ndarray, clusters: np.ndarray, equal_weights: bool = False
) -> ReaderFigures:
    """Proportions of right answers, strata (signal or not) being fixed by the design.

    Args:
        correct: `(R, N)` of 0, 0.5 and 1; NaN where there is no answer.
        strata: `(N,)` numbers from 0.
        clusters: `(N,)` numbers from 0, of subjects.
        equal_weights: whether strata count alike, whatever their sizes: guessing then gives 0.5 in unbalanced designs.
    """
    counts = np.stack([(~np.isnan(correct) & (strata == s)).sum(axis=1) for s in range(int(strata.max()) + 1)], axis=1)
    sums = np.stack([np.nansum(np.where(strata == s, correct, 0.0), axis=1) for s in range(counts.shape[1])], axis=1)
    if (counts == 0).any():
        return ReaderFigures(np.full(len(correct), np.nan), None, 0.5, _cases(correct))
    weights = (
        np.full(counts.shape, 1 / counts.shape[1]) if equal_weights else counts / counts.sum(axis=1, keepdims=True)
    )
    values = (weights * sums / counts).sum(axis=1)
    return ReaderFigures(values, clustered_covariance(correct, strata, clusters, weights), 0.5, _cases(correct))


def d_prime_figures(called: np.ndarray, signal: np.ndarray, clusters: np.ndarray) -> ReaderFigures:
    """d' with log-linear correction, covariances by the delta method.

    Args:
        called: `(R, N)` of 0, 0.5 and 1: whether a case was called a signal; NaN where there is no answer.
        signal: `(N,)` bool.
        clusters: `(N,)` numbers from 0, of subjects.
    """
    values, weights = np.zeros(len(called)), np.zeros((len(called), 2))
    for stratum, (of, sign) in enumerate(((signal, 1), (~signal, -1))):
        counts = (~np.isnan(called[:, of])).sum(axis=1)
        rates = np.array(
            [log_linear(total, n) for total, n in zip(np.nansum(called[:, of], axis=1), counts, strict=True)]
        )
        z = ndtri(rates)
        values += sign * z
        weights[:, stratum] = [sign / normal_density(x) for x in z]
        values[counts == 0] = np.nan
    covariance = None
    if not np.isnan(values).any():
        covariance = clustered_covariance(called, (~signal).astype(int), clusters, weights)
    return ReaderFigures(values, covariance, 0.0, _cases(called), "identity")


def pair_d_prime_figures(correct: np.ndarray, clusters: np.ndarray) -> ReaderFigures:
    """sqrt(2) z(PC) of pairs with log-linear correction, covariances by the delta method.

    Args:
        correct: `(R, N)` of 0, 0.5 and 1; NaN where there is no answer.
        clusters: `(N,)` numbers from 0, of subjects.
    """
    counts = (~np.isnan(correct)).sum(axis=1)
    rates = np.array([log_linear(total, n) for total, n in zip(np.nansum(correct, axis=1), counts, strict=True)])
    z = ndtri(rates)
    values = np.where(counts > 0, math.sqrt(2) * z, np.nan)
    weights = np.array([[math.sqrt(2) / normal_density(x)] for x in z])
    covariance = clustered_covariance(correct, np.zeros(correct.shape[1], dtype=int), clusters, weights)
    return ReaderFigures(values, covariance, 0.0, _cases(correct), "identity")


def _cases(answers: np.ndarray) -> int:
    return int((~np.isnan(answers)).any(axis=0).sum())


def pooled(figures: ReaderFigures, level: float = 0.95) -> Pooled:
    """The mean over readers, with readers and cases random.

    One reader is held fixed: the inference is then about that reader and further cases.
    """
    values, covariance, null, scale = figures.values, figures.covariance, figures.null, figures.scale
    readers, mean = len(values), float(figures.values.mean())
    if covariance is None or math.isnan(mean):
        unknown = Estimate(None if math.isnan(mean) else mean, n=figures.n)
        return Pooled(unknown, readers, None, None, None, null, scale, unknown, None)
    error = float(np.mean(np.diag(covariance)))
    fixed = t_estimate(mean, float(covariance.mean()), None, null, figures.n, scale, level)
    if readers == 1:
        return Pooled(fixed, 1, None, None, error, null, scale, fixed, None)
    ms_readers = float(values.var(ddof=1))
    cov2 = float(covariance[~np.eye(readers, dtype=bool)].mean())
    floored = max(ms_readers, error - max(cov2, 0.0))
    estimate = t_estimate(mean, *single_modality(floored, cov2, readers), null, figures.n, scale, level)
    plain = t_estimate(mean, *single_modality(ms_readers, cov2, readers), null, figures.n, "identity", level)
    return Pooled(estimate, readers, ms_readers, cov2, error, null, scale, fixed, plain)


def single_modality(ms_readers: float, cov2: float, readers: int) -> tuple[float, float | None]:
    """Variance of the mean over readers, and Hillis' degrees of freedom.

    With c = MS(R) + r max(Cov2, 0): variance c / r, degrees of freedom c^2 / (MS(R)^2 / (r - 1)).

    Args:
        ms_readers: MS(R), the variance of the r readers' figures.
        cov2: mean covariance of two readers' errors.
        readers: r, 2 or more.

    Returns:
        Both; None for the degrees of freedom where MS(R) is 0 and the normal distribution serves.
    """
    whole = ms_readers + readers * max(cov2, 0.0)
    df = None if ms_readers == 0 else whole**2 / (ms_readers**2 / (readers - 1))
    return whole / readers, df


def t_estimate(
    value: float, variance: float, df: float | None, null: float, n: int, scale: Scale, level: float = 0.95
) -> Estimate:
    """The interval value +- t se on a scale, and p against the null; neither where the variance is 0.

    A variance of 0 comes of readers who all answered alike and all rightly, or all with one answer: how far further
    cases would scatter is then unknown.
    """
    if variance < 1e-12 or (scale == "logit" and not 0 < value < 1):
        return Estimate(value, se=0.0, n=n)
    se = math.sqrt(variance)
    there, slope = scaled(value, scale)
    reach = quantile((1 + level) / 2, df) * se * slope
    p = two_sided((there - scaled(null, scale)[0]) / (se * slope), df)
    low, high = (unscaled(there + side, scale) for side in (-reach, reach))
    return Estimate(value, low, high, se=se, df=df, p=p, n=n)
