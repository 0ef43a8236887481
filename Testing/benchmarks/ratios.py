"""How much faster one candidate is than another, from repetitions that took turns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def ratio_with_interval(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float | int | None]:
    """The geometric mean of theirs / ours over paired repetitions, with its 95 % interval.

    A repetition of both sees the same load of the machine, so their ratio is what repeats. The interval is Student's on
    the logarithms; one pair alone has none.

    Args:
        theirs: a time or an error of each repetition.
        ours: the same of ours, in the same order.

    Returns:
        `value`, `low`, `high` (None for one pair) and `n`, without unit.
    """
    logs = np.log(np.asarray(theirs, dtype=float) / np.asarray(ours, dtype=float))
    mean, n = float(logs.mean()), len(logs)
    if n < 2:
        return {"value": float(np.exp(mean)), "low": None, "high": None, "n": n}
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * logs.std(ddof=1) / n**0.5)
    return {
        "value": float(np.exp(mean)),
        "low": float(np.exp(mean - reach)),
        "high": float(np.exp(mean + reach)),
        "n": n,
    }
