"""A measure: one number with its confidence interval, its unit, and how much it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jsddpm_core.errors import JsddpmError


class MeasureError(JsddpmError):
    """Images or settings that a measure cannot be taken of."""


@dataclass(frozen=True)
class Measure:
    """What a measure returns.

    Attributes:
        name: what was measured, as the report prints it.
        value: the estimate.
        interval: its 95 % confidence interval; None where fewer than two independent units stand behind it.
        n: how many images were measured.
        independent: how many of these can be called independent: subjects of real slices, draws of synthetic
            ones, the smaller of the two where both are compared.
        unit: of value and interval; "1" for a pure number.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    n: int
    independent: int
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON report; a value that could not be worked out is None."""
        return {
            "name": self.name,
            "value": self.value if math.isfinite(self.value) else None,
            "interval_95": None if self.interval is None else list(self.interval),
            "n": self.n,
            "independent": self.independent,
            "unit": self.unit,
        }

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        if self.interval is None:
            return f"{self.value:.3g}{unit} (no interval: {self.independent} independent)"
        return f"{self.value:.3g}{unit} ({self.interval[0]:.3g} to {self.interval[1]:.3g})"


@dataclass(frozen=True)
class Target:
    """The range in which a value has reached what was asked for; an open end is None."""

    at_least: float | None = None
    at_most: float | None = None

    def reached(self, value: float) -> bool:
        low = self.at_least is None or value >= self.at_least
        high = self.at_most is None or value <= self.at_most
        return low and high

    def shortfall(self, value: float) -> float:
        """How far the value lies outside the range; 0 inside."""
        below = 0.0 if self.at_least is None else max(self.at_least - value, 0.0)
        above = 0.0 if self.at_most is None else max(value - self.at_most, 0.0)
        return max(below, above)

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}"
