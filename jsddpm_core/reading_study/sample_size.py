"""How many cases and readers a study needs, for an interval of some width or for some power.

Everything is worked out from stated assumptions, which are handed back with the numbers: a plan is as good as they are.
Areas: one reader's error variance is Obuchowski's for a rating scale of the equal-variance Gaussian model (Academic
Radiology 1:22, 1994); readers' areas scatter with a standard deviation of their own; the errors of two readers of the
same cases are correlated. The pooled mean then has the variance and degrees of freedom that the analysis expects to see
(`multireader.single_modality` at the expected mean squares). Proportions: the exact binomial distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom, nct
from statsmodels.stats.proportion import proportion_confint

from jsddpm_core.reading_study.laws import quantile, scaled, unscaled, upper_tail
from jsddpm_core.reading_study.multireader import single_modality

LARGEST = 5000
"""Cases an arm that are looked at."""


@dataclass(frozen=True)
class ReaderModel:
    """What is assumed of readers.

    Attributes:
        area: their mean area under the ROC curve; 0.5 where they guess.
        reader_sd: standard deviation of their true areas.
        correlation: of two readers' errors over the same cases.
    """

    area: float = 0.5
    reader_sd: float = 0.05
    correlation: float = 0.3


@dataclass(frozen=True)
class Expected:
    """What a study of some size can be expected to give.

    Attributes:
        cases_an_arm: real and synthetic alike.
        readers: all of whom read all cases.
        width: of the interval of the pooled area.
        power_difference: chance of rejecting guessing.
        power_equivalence: chance of showing equivalence within the margin; None without one.
        assumptions: sentences.
    """

    cases_an_arm: int
    readers: int
    width: float
    power_difference: float
    power_equivalence: float | None
    assumptions: tuple[str, ...]


@dataclass(frozen=True)
class ExpectedProportion:
    """What so many answers of one reader can be expected to give.

    Attributes:
        answers: to cases of either class alike, or to pairs.
        width: of the interval of the proportion correct.
        power_difference: chance of rejecting guessing.
    """

    answers: int
    width: float
    power_difference: float


def area_variance(area: float, cases_an_arm: int) -> float:
    """One reader's error variance, real and synthetic cases being as many (Obuchowski 1994).

    0.0099 exp(-a^2 / 2) ((5 a^2 + 8) + (a^2 + 8)) / n with a = 1.414 z(area).
    """
    a = 1.414 * float(ndtri(area))
    return 0.0099 * math.exp(-a * a / 2) * ((5 * a * a + 8) + (a * a + 8)) / cases_an_arm


def expected(
    cases_an_arm: int,
    readers: int,
    model: ReaderModel | None = None,
    *,
    margin: float | None = 0.1,
    alpha: float = 0.05,
    tests: int = 1,
) -> Expected:
    """What to expect of the pooled area.

    Args:
        cases_an_arm: 2 or more.
        readers: 1 or more; from one, the inference is about that reader.
        model: assumed of readers; None for the defaults.
        margin: of equivalence.
        alpha: two-sided; of each of the two one-sided tests.
        tests: that are corrected for their number, as Bonferroni's method does all and Holm's the first of them.
    """
    model = model or ReaderModel()
    error = area_variance(model.area, cases_an_arm)
    cov2 = model.correlation * error
    df: float | None = None
    variance = error
    if readers > 1:
        variance, df = single_modality(model.reader_sd**2 + error - cov2, cov2, readers)
    se = math.sqrt(variance)
    there, slope = scaled(model.area, "logit")
    se_logit = se * slope
    reach = quantile(1 - alpha / 2, df) * se_logit
    width = unscaled(there + reach, "logit") - unscaled(there - reach, "logit")
    own = alpha / tests
    return Expected(
        cases_an_arm,
        readers,
        width,
        _power_difference(there / se_logit, quantile(1 - own / 2, df), df),
        None if margin is None else _power_equivalence(there, se_logit, df, margin, own),
        _said(cases_an_arm, readers, model, margin, alpha, tests),
    )


def _power_difference(shift: float, bound: float, df: float | None) -> float:
    if df is None:
        return upper_tail(bound - shift) + upper_tail(bound + shift)
    return float(nct.sf(bound, df, shift) + nct.cdf(-bound, df, shift))


def _power_equivalence(there: float, se: float, df: float | None, margin: float, alpha: float) -> float:
    """Chance that both one-sided tests reject, the standard error being near what is expected."""
    low, high = scaled(0.5 - margin, "logit")[0], scaled(0.5 + margin, "logit")[0]
    bound = quantile(1 - alpha, df) * se
    if low + bound >= high - bound:
        return 0.0
    return max(0.0, upper_tail((low + bound - there) / se) - upper_tail((high - bound - there) / se))


def _said(
    cases: int, readers: int, model: ReaderModel, margin: float | None, alpha: float, tests: int
) -> tuple[str, ...]:
    said = [
        f"{readers} reader{'s' if readers > 1 else ''} read all of {cases} real and {cases} synthetic cases; "
        "no two cases show one subject.",
        f"The readers' mean area is {model.area:g}, their true areas scatter with a standard deviation of "
        f"{model.reader_sd:g}, and errors of two readers are correlated by {model.correlation:g}.",
        f"The test is two-sided at {alpha:g}, uncorrected for further tests."
        if tests == 1
        else f"The plan's {tests} tests are corrected for their number: each is made at {alpha:g} / {tests}, as Holm's "
        "method makes the first.",
    ]
    if margin is not None:
        said.append(f"Equivalence is shown by two one-sided tests at {alpha / tests:g} each within 0.5 ± {margin:g}.")
    if readers == 1:
        said.append("With one reader the inference is about that reader alone.")
    return tuple(said)


def cases_needed(
    readers: int,
    model: ReaderModel | None = None,
    *,
    width: float | None = None,
    power: float | None = None,
    equivalence: bool = False,
    margin: float | None = 0.1,
    alpha: float = 0.05,
    tests: int = 1,
) -> Expected | None:
    """The smallest study that gives an interval of some width, or some power; beyond 200 cases an arm, in steps.

    Args:
        readers: 1 or more.
        model: assumed of readers; None for the defaults.
        width: of the interval, at most; None where it is not asked for.
        power: at least; None where it is not asked for.
        equivalence: whether the power is that of equivalence, and not of a difference.
        margin: of equivalence.
        alpha: of the tests.
        tests: that are corrected for their number.

    Returns:
        None where more than 5,000 cases an arm, or more readers, are needed: readers who differ leave an interval that
        no number of cases narrows.
    """

    for cases in (*range(5, 200), *range(200, 1000, 5), *range(1000, LARGEST + 1, 25)):
        found = expected(cases, readers, model, margin=margin, alpha=alpha, tests=tests)
        reached = found.power_equivalence if equivalence else found.power_difference
        if (width is None or found.width <= width) and (power is None or (reached or 0.0) >= power):
            return found
    return None


def expected_proportion(answers: int, proportion: float = 0.5, alpha: float = 0.05) -> ExpectedProportion:
    """What to expect of one reader's proportion correct.

    Args:
        answers: 1 or more.
        proportion: correct, of the reader; 0.5 where they guess.
        alpha: two-sided.
    """
    width = proportion_width(answers, proportion, 1 - alpha)
    return ExpectedProportion(answers, width, proportion_power(answers, proportion, alpha))


def proportion_width(n: int, proportion: float = 0.5, level: float = 0.95) -> float:
    """Expected width of the Wilson interval of one reader's proportion correct over n answers."""
    counts = np.arange(n + 1)
    low, high = proportion_confint(counts, n, alpha=1 - level, method="wilson")
    return float((high - low) @ binom.pmf(counts, n, proportion))


def proportion_power(n: int, proportion: float, alpha: float = 0.05) -> float:
    """Chance that the exact two-sided binomial test of n answers rejects guessing, for one reader."""
    return float(_powers(np.array([n]), proportion, alpha)[0])


def answers_for_width(width: float, proportion: float = 0.5, alpha: float = 0.05, largest: int = 2000) -> int | None:
    """The smallest n whose interval is expected to be no wider.

    Args:
        width: of the Wilson interval of one reader's proportion correct.
        proportion: correct, of the reader.
        alpha: two-sided.
        largest: n that is looked at.

    Returns:
        None where more are needed.
    """
    return next((n for n in range(5, largest + 1) if proportion_width(n, proportion, 1 - alpha) <= width), None)


def answers_needed(proportion: float, power: float = 0.8, alpha: float = 0.05, largest: int = 2000) -> int | None:
    """The smallest n from which on the exact test of one reader has the power, which goes up in a saw's teeth.

    Args:
        proportion: correct, of the reader.
        power: wanted.
        alpha: two-sided.
        largest: n that is looked at.

    Returns:
        None where more are needed.
    """
    numbers = np.arange(5, largest + 1)
    short = np.flatnonzero(_powers(numbers, proportion, alpha) < power)
    if len(short) and short[-1] == len(numbers) - 1:
        return None
    return int(numbers[short[-1] + 1]) if len(short) else int(numbers[0])


def _powers(n: np.ndarray, proportion: float, alpha: float) -> np.ndarray:
    """Against a half the test is symmetric: it rejects up to an edge, and from n minus that edge on."""
    edge = binom.ppf(alpha / 2, n, 0.5)
    edge = np.where(2 * binom.cdf(edge, n, 0.5) >= alpha, edge - 1, edge)
    return binom.cdf(edge, n, proportion) + binom.sf(n - edge - 1, n, proportion)
