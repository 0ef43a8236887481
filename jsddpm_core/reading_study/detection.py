"""Signal detection: how well two classes are told apart, apart from which answer a reader leans to.

The signal is what `called` says yes to: a synthetic picture, or a lesion. Rates are corrected in the log-linear manner,
H = (hits + 0.5) / (signals + 1) and F likewise (Hautus 1995), for every reader alike, so that a reader without an error
has a finite d' and the correction is no choice made after seeing the answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.laws import quantile, two_sided
from jsddpm_core.reading_study.proportions import wilson


@dataclass(frozen=True)
class Detection:
    """What the table of two by two says.

    Attributes:
        sensitivity: share of signals that were called one, Wilson interval.
        specificity: share of the others that were not, Wilson interval.
        d_prime: z(H) - z(F); 0 is guessing; p of the test against it.
        criterion: -(z(H) + z(F)) / 2; positive where the reader is slow to say yes.
    """

    sensitivity: Estimate
    specificity: Estimate
    d_prime: Estimate
    criterion: Estimate


def log_linear(count: float, n: int) -> float:
    """The corrected rate (Hautus 1995), strictly between 0 and 1."""
    return (count + 0.5) / (n + 1)


def normal_density(z: float) -> float:
    """phi(z)."""
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def probit_variance(count: float, n: int) -> float:
    """Variance of z of the corrected rate, p (1 - p) / ((n + 1) phi(z)^2).

    The delta method (Gourevitch & Galanter 1967), with the corrected rate and the trial that the correction adds
    to each class. Summed over both classes it gives d' intervals that cover 94 to 97 % at 40 + 40 cases, d' 0 to 2 and
    criteria within 0.75 (by enumeration of all outcomes: the coverage benchmark).
    """
    rate = log_linear(count, n)
    return rate * (1 - rate) / ((n + 1) * normal_density(float(ndtri(rate))) ** 2)


def detection(hits: float, signals: int, false_alarms: float, others: int, level: float = 0.95) -> Detection:
    """Sensitivity, specificity, d' and criterion with their intervals.

    Args:
        hits: signals called one, 0 to signals.
        signals: answered cases with the signal.
        false_alarms: others called a signal, 0 to others.
        others: answered cases without.
        level: of the intervals.

    Returns:
        All; d' and criterion without a value where one class has no answer.
    """
    sensitivity = wilson(hits, signals, level)
    specificity = wilson(others - false_alarms, others, level)
    if signals == 0 or others == 0:
        return Detection(sensitivity, specificity, Estimate(None), Estimate(None))
    z_hit, z_false = (float(ndtri(log_linear(*of))) for of in ((hits, signals), (false_alarms, others)))
    variance = probit_variance(hits, signals) + probit_variance(false_alarms, others)
    n = signals + others
    return Detection(
        sensitivity,
        specificity,
        _normal(z_hit - z_false, math.sqrt(variance), n, level, tested=True),
        _normal(-(z_hit + z_false) / 2, math.sqrt(variance) / 2, n, level, tested=False),
    )


def pair_d_prime(correct: float, n: int, level: float = 0.95) -> Estimate:
    """d' of two side by side: sqrt(2) z(PC) (Green & Swets 1966; Macmillan & Creelman 2005, chapter 7).

    PC is corrected in the log-linear manner, and its spread carried through by the delta method.

    Args:
        correct: pairs answered rightly.
        n: pairs answered.
        level: of the interval.
    """
    if n == 0:
        return Estimate(None)
    se = math.sqrt(2 * probit_variance(correct, n))
    return _normal(math.sqrt(2) * float(ndtri(log_linear(correct, n))), se, n, level, tested=True)


def _normal(value: float, se: float, n: int, level: float, tested: bool) -> Estimate:
    reach = quantile((1 + level) / 2) * se
    p = two_sided(value / se) if tested else None
    return Estimate(value, value - reach, value + reach, se=se, p=p, n=n)
