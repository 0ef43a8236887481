"""The normal and Student's distribution in the few words that intervals and tests are written in.

scipy.special's functions, which take microseconds where the objects of scipy.stats take a millisecond: a coverage study
asks them a million times.
"""

from __future__ import annotations

from scipy.special import ndtr, ndtri, stdtr, stdtrit


def quantile(share: float, df: float | None = None) -> float:
    """What is exceeded with a chance of 1 - share; `df` degrees of freedom, None for the normal distribution."""
    return float(ndtri(share) if df is None else stdtrit(df, share))


def upper_tail(x: float, df: float | None = None) -> float:
    """The chance of exceeding x."""
    return float(ndtr(-x) if df is None else stdtr(df, -x))


def two_sided(x: float, df: float | None = None) -> float:
    """The chance of being further from 0 than x."""
    return 2 * upper_tail(abs(x), df)
