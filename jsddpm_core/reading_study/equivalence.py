"""Whether readers are near enough to guessing: two one-sided tests within a margin that was frozen beforehand.

That a difference from guessing was not found is no evidence that there is none: a small study never finds one.
Equivalence is claimed only where both one-sided tests reject (Schuirmann 1987): the figure lies above guessing minus
the margin, and below guessing plus the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.laws import Scale, quantile, scaled, unscaled, upper_tail


@dataclass(frozen=True)
class Equivalence:
    """The two tests.

    Attributes:
        low: below which readers would not be near guessing.
        high: above which.
        p_low: one-sided, of the figure being `low` or less.
        p_high: one-sided, of the figure being `high` or more.
        p: the larger of both, which is the p of the equivalence.
        interval: of level 1 - 2 alpha; equivalence at alpha is this interval's lying within the margin.
    """

    low: float
    high: float
    p_low: float
    p_high: float
    p: float
    interval: tuple[float, float]


def two_one_sided(
    estimate: Estimate, null: float, margin: float, alpha: float = 0.05, scale: Scale = "logit"
) -> Equivalence | None:
    """Tests equivalence from an estimate and its standard error.

    Args:
        estimate: with `se`, and `df` of t or None for the normal distribution.
        null: what guessing would have.
        margin: to either side of it.
        alpha: of each of the two tests, and so of both together.
        scale: on which they are made: that of the estimate's interval.

    Returns:
        None where the standard error is unknown or 0.
    """
    if estimate.value is None or not estimate.se:
        return None
    low, high = null - margin, null + margin
    there, slope = scaled(estimate.value, scale)
    se = estimate.se * slope
    p_low = upper_tail((there - scaled(low, scale)[0]) / se, estimate.df)
    p_high = upper_tail((scaled(high, scale)[0] - there) / se, estimate.df)
    reach = quantile(1 - alpha, estimate.df) * se
    interval = (unscaled(there - reach, scale), unscaled(there + reach, scale))
    return Equivalence(low, high, p_low, p_high, max(p_low, p_high), interval)


def margin_of_d_prime(margin: float) -> float:
    """The margin of d' that is one of the area or the proportion correct of pairs: sqrt(2) z(0.5 + margin).

    Args:
        margin: 0 to 0.5, both excluded.
    """
    return math.sqrt(2) * quantile(0.5 + margin)


def verdict(
    name: str,
    estimate: Estimate,
    null: float,
    equivalence: Equivalence | None,
    p: float | None,
    p_equivalence: float | None,
    alpha: float,
) -> str:
    """What may be said, in a sentence or two.

    Args:
        name: of the figure, as in "the AUC".
        estimate: of it.
        null: what guessing would have.
        equivalence: None where the plan has no margin, or where nothing can be said.
        p: of the difference from guessing, corrected for multiplicity where the plan says so.
        p_equivalence: of the equivalence, likewise.
        alpha: of the plan.
    """
    if estimate.value in (0.0, 1.0) and null == 0.5 and estimate.low is None:
        how = "without an error" if estimate.value == 1 else "throughout, and took one for the other"
        return (
            f"Readers told the classes apart {how}: {name} is {estimate.value:.3f}. Where no answer differs from this, "
            "interval and tests for all readers cannot be worked out; those of each reader can."
        )
    if estimate.value is None or estimate.low is None or estimate.high is None or p is None:
        return f"Nothing can be said about {name}: the answers do not show how far it would scatter."
    told = (
        f"{name} is {estimate.value:.3f} ({100 * (1 - alpha):g} % interval {estimate.low:.3f} to {estimate.high:.3f})"
    )
    different = p < alpha
    side = "better than by guessing" if estimate.value > null else "worse than by guessing, taking one for the other"
    if equivalence is None or p_equivalence is None:
        if different:
            return f"Readers told the classes apart {side}: {told}."
        return (
            f"No difference from guessing was shown: {told}. "
            "This is not evidence that the classes are indistinguishable, which would need a margin."
        )
    margin = f"{equivalence.low:.3f} to {equivalence.high:.3f}"
    if p_equivalence < alpha and not different:
        return f"Indistinguishable within the margin frozen beforehand ({margin}): {told}."
    if p_equivalence < alpha:
        return f"Readers told the classes apart {side}, but by less than the margin ({margin}): {told}."
    if different:
        return f"Readers told the classes apart {side}, and not shown to be within the margin ({margin}): {told}."
    return (
        f"Undecided: {told}; neither a difference from guessing nor equivalence within the margin ({margin}) "
        "was shown. This is not evidence that the classes are indistinguishable."
    )
