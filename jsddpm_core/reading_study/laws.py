"""The normal and Student's distribution, and the logit, in the few words that intervals and tests are written in.

scipy.special's functions, which take microseconds where the objects of scipy.stats take a millisecond: a coverage study
asks them a million times.
"""

from __future__ import annotations

import math
from typing import Literal

from scipy.special import expit, ndtr, ndtri, stdtr, stdtrit

Scale = Literal["logit", "identity"]


def quantile(share: float, df: float | None = None) -> float:
    """What is exceeded with a chance of 1 - share; `df` degrees of freedom, None for the normal distribution."""
    return float(ndtri(share) if df is None else stdtrit(df, share))


def upper_tail(x: float, df: float | None = None) -> float:
    """The chance of exceeding x."""
    return float(ndtr(-x) if df is None else stdtr(df, -x))


def two_sided(x: float, df: float | None = None) -> float:
    """The chance of being further from 0 than x."""
    return 2 * upper_tail(abs(x), df)


def scaled(value: float, scale: Scale) -> tuple[float, float]:
    """A value on a scale, and by how much a small error grows in going there (the delta method).

    Args:
        value: of the logit scale, between 0 and 1, both excluded.
        scale: where to.
    """
    if scale == "identity":
        return value, 1.0
    return math.log(value / (1 - value)), 1 / (value * (1 - value))


def unscaled(value: float, scale: Scale) -> float:
    """A value brought back from a scale."""
    return value if scale == "identity" else float(expit(value))
