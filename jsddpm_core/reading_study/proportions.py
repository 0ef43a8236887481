"""Proportions of right answers: their intervals, and the exact test against guessing."""

from __future__ import annotations

import math

from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from jsddpm_core.reading_study.estimate import Estimate


def clopper_pearson(count: float, n: int, level: float = 0.95) -> Estimate:
    """The exact interval of a proportion: never covers less often than it says (Clopper & Pearson 1934).

    Args:
        count: right answers, 0 to n; a half where a plan counts one so.
        n: answers.
        level: of the interval.
    """
    return _interval(count, n, level, "beta")


def wilson(count: float, n: int, level: float = 0.95) -> Estimate:
    """The score interval of a proportion: covers as often as it says on average (Wilson 1927; Newcombe 1998, method 3).

    Args:
        count: right answers, 0 to n; a half where a plan counts one so.
        n: answers.
        level: of the interval.
    """
    return _interval(count, n, level, "wilson")


def _interval(count: float, n: int, level: float, method: str) -> Estimate:
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is no proportion")
    if n == 0:
        return Estimate(None)
    low, high = proportion_confint(count, n, alpha=1 - level, method=method)
    return Estimate(count / n, float(low), float(high), n=n)


def exact_test(count: float, n: int, chance: float = 0.5) -> float | None:
    """Two-sided exact binomial p against chance; None without answers.

    In a balanced design a reader who guesses is right half of the time, whatever their leaning to either answer, and
    the count then spreads no more than a binomial one: the test holds its level. In an unbalanced design a leaning
    alone moves the proportion, and the test is of no use.

    Args:
        count: right answers; of a half one, the half is taken towards chance.
        n: answers.
        chance: proportion under guessing.
    """
    if n == 0:
        return None
    whole = math.floor(count) if count > chance * n else math.ceil(count)
    return float(binomtest(whole, n, chance).pvalue)
