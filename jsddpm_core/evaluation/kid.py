"""Kernel distance between two sets of images in the space of learned features (Binkowski et al. 2018).

The squared maximum mean discrepancy with the kernel k(x, y) = (x.y / d + 1)^3, estimated without bias: no slice is
compared with itself, nor with another slice of its own subject, since these are not independent. The estimate of two
sets from one distribution is 0 on average, and may be negative.

Leaving out a subject's own pairs is right only where no subject makes up much of a set: else the pairs that remain are
of another mix than the set. So slices are compared at levels that enough subjects share (`shared_levels`).
"""

from __future__ import annotations

import numpy as np

from jsddpm_core.evaluation.background import level_of
from jsddpm_core.evaluation.measure import Measure, MeasureError
from jsddpm_core.evaluation.resampling import bootstrap

LEAST_SUBJECTS = 10
"""How many subjects of the reference must share a level for KID to be measured there."""


def shared_levels(positions_mm: np.ndarray, groups: np.ndarray, least: int = LEAST_SUBJECTS) -> set[int]:
    """The levels (`background.level_of`) at which at least `least` groups have a slice."""
    levels = np.array([level_of(position) for position in positions_mm])
    return {int(level) for level in np.unique(levels) if len(np.unique(groups[levels == level])) >= least}


def polynomial_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(a.b / d + 1)^3 for features `(N, d)` and `(M, d)`: `(N, M)` float64."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return (a @ b.T / a.shape[1] + 1) ** 3


def _checked_features(features: np.ndarray) -> np.ndarray:
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise MeasureError(
            f"features of type {features.dtype} and shape {features.shape} were given to KID",
            "give floating-point (N, d), as the encoder returns them",
        )
    if not np.isfinite(features).all():
        raise MeasureError("non-finite features were given to KID", "look at the images they come from")
    return features


class KernelDistance:
    """The weighted, unbiased squared MMD of two sets, with the kernels worked out once.

    Args:
        x, y: features `(N, d)` and `(M, d)`.
        x_groups, y_groups: subject or draw of each, `(N,)` and `(M,)`.

    Raises:
        MeasureError: for features that are no finite floating-point numbers, or a set of a single group.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, x_groups: np.ndarray, y_groups: np.ndarray) -> None:
        x, y = _checked_features(x), _checked_features(y)
        self._x_apart = (x_groups[:, None] != x_groups[None, :]).astype(np.float64)
        self._y_apart = (y_groups[:, None] != y_groups[None, :]).astype(np.float64)
        if not self._x_apart.any() or not self._y_apart.any():
            raise MeasureError("one of the two sets holds a single subject", "KID needs two subjects in each")
        self._x_kernel = self._x_apart * polynomial_kernel(x, x)
        self._y_kernel = self._y_apart * polynomial_kernel(y, y)
        self._cross = polynomial_kernel(x, y)

    def __call__(self, w: np.ndarray, v: np.ndarray) -> float:
        """MMD^2 with weights `(N,)` and `(M,)`; NaN where a resample holds one subject only."""
        x_pairs, y_pairs = w @ self._x_apart @ w, v @ self._y_apart @ v
        if x_pairs == 0 or y_pairs == 0:
            return float("nan")
        within = w @ self._x_kernel @ w / x_pairs + v @ self._y_kernel @ v / y_pairs
        return float(within - 2 * (w @ self._cross @ v) / (w.sum() * v.sum()))


def kernel_distance(
    x: np.ndarray,
    y: np.ndarray,
    x_groups: np.ndarray,
    y_groups: np.ndarray,
    x_weights: np.ndarray | None = None,
    y_weights: np.ndarray | None = None,
) -> Measure:
    """KID of two sets of features, each with the groups that are resampled together.

    The interval resamples subjects and draws. Close to 0, where the estimate is degenerate, it is too wide
    rather than too narrow.
    """
    w = np.ones(len(x)) if x_weights is None else x_weights
    v = np.ones(len(y)) if y_weights is None else y_weights
    distance = KernelDistance(x, y, x_groups, y_groups)
    return Measure(
        name="KID",
        value=distance(w, v),
        interval=bootstrap(distance, [(x_groups, w), (y_groups, v)]),
        n=len(x),
        independent=min(len(np.unique(x_groups)), len(np.unique(y_groups))),
        unit="1",
    )
