"""What a network predicts, and how it becomes x0 and epsilon: the one edge where the conversions live.

With alpha = sqrt(alpha_bar) and sigma = sqrt(1 - alpha_bar): x_t = alpha x0 + sigma epsilon (Ho et al. 2020, eq. 4)
and velocity = alpha epsilon - sigma x0 (Salimans & Ho 2022, appendix D).
"""

from __future__ import annotations

from torch import Tensor

from jsddpm_core.config import Prediction


def to_x0(kind: Prediction, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x0_hat from a network's prediction; all tensors broadcast against x_t.

    For epsilon alpha must be positive: a schedule with zero terminal SNR forbids it.
    """
    match kind:
        case Prediction.SAMPLE:
            return prediction
        case Prediction.EPSILON:
            return (x_t - sigma * prediction) / alpha
        case Prediction.VELOCITY:
            return alpha * x_t - sigma * prediction


def from_x0(kind: Prediction, x0: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What the network would have had to predict for x0; the inverse of `to_x0`."""
    match kind:
        case Prediction.SAMPLE:
            return x0
        case Prediction.EPSILON:
            return epsilon_of(x0, x_t, alpha, sigma)
        case Prediction.VELOCITY:
            return (alpha * x_t - x0) / sigma


def epsilon_of(x0: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The noise that leads from x0 to x_t; after a clip, re-derived from the clipped x0."""
    return (x_t - alpha * x0) / sigma


def training_target(kind: Prediction, x0: Tensor, epsilon: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What the network should predict for a noised image."""
    match kind:
        case Prediction.SAMPLE:
            return x0
        case Prediction.EPSILON:
            return epsilon
        case Prediction.VELOCITY:
            return alpha * epsilon - sigma * x0
