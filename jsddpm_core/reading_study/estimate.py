"""An estimate with its interval, as every statistic of a reading study returns it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number and how well it is known.

    Attributes:
        value: the estimate; None where the answers do not define it.
        low: lower end of the interval; None where the answers say nothing about the spread.
        high: upper end.
        se: standard error on the scale of the value, where the interval rests on one.
        df: degrees of freedom of t; None for the normal distribution, or where no t is involved.
        p: two-sided, of the value that the reader's guessing would have; None where that is not tested.
        n: cases behind it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    se: float | None = None
    df: float | None = None
    p: float | None = None
    n: int = 0

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return self.low is not None and self.high is not None

    def covers(self, truth: float) -> bool:
        """Whether the interval holds a value."""
        return self.low is not None and self.high is not None and self.low <= truth <= self.high
