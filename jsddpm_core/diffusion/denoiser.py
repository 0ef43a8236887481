"""The one edge between networks and samplers: x0_hat = denoise(x_t, t).

Here a network's prediction becomes x0_hat, x0_hat is clipped to its channels' ranges, and self-conditioning keeps the
previous estimate for the length of one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jsddpm_core.config import Channel, DiffusionConfig
from jsddpm_core.diffusion.prediction import to_x0
from jsddpm_core.diffusion.samplers import Denoise
from jsddpm_core.diffusion.schedule import Schedule


@dataclass(frozen=True)
class Condition:
    """What each sample of a batch should be.

    Attributes:
        position_mm: float32 `(B,)`, in the space of the grid.
        pathology: int64 `(B,)`, the index of a class, -1 for unknown.
        prior: float32 `(B, 1, *S)` in [-1, 1], where the model uses one.
    """

    position_mm: Tensor
    pathology: Tensor
    prior: Tensor | None = None

    def without_pathology(self) -> Condition:
        """The same positions with the null token: the unconditional side of classifier-free guidance."""
        return Condition(self.position_mm, torch.full_like(self.pathology, -1), self.prior)


@dataclass(frozen=True)
class Estimate:
    """One network evaluation: what it predicted, and the (unclipped) x0_hat that follows, both `(B, C, *S)`."""

    prediction: Tensor
    x0_hat: Tensor


class Denoiser:
    """A network, its schedule and its conventions.

    Args:
        network: as in `networks.joint_unet`.
        schedule: the noise schedule that it was trained with.
        config: prediction, clipping and self-conditioning.
        channels: the channel table, in order.
        autocast: dtype of the network's matrix products, or None for its own.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        config: DiffusionConfig,
        channels: Sequence[Channel],
        autocast: torch.dtype | None = None,
    ) -> None:
        self.network, self.schedule, self.config = network, schedule, config
        self.autocast = autocast
        unbounded = (-torch.inf, torch.inf)
        self._bounds = torch.tensor([channel.range or unbounded for channel in channels])

    def clip(self, x0_hat: Tensor) -> Tensor:
        """x0_hat held to each channel's range, where the config asks for it."""
        if not self.config.clip:
            return x0_hat
        low, high = (self._bounds[:, side].to(x0_hat).view(-1, *[1] * (x0_hat.ndim - 2)) for side in (0, 1))
        return torch.clamp(x0_hat, low, high)

    def estimate(self, x_t: Tensor, t: Tensor, condition: Condition, previous: Tensor | None = None) -> Estimate:
        """One network evaluation.

        Args:
            x_t: `(B, C, *S)`.
            t: times in [1, T], `(B,)` for all channels or `(B, C)`.
            condition: one entry a sample.
            previous: an earlier x0_hat for self-conditioning, `(B, C, *S)`; zeros where there is none.
        """
        times = t if t.ndim == 2 else t.unsqueeze(1).expand(-1, x_t.shape[1])
        inputs = x_t.float()
        if self.config.self_conditioning.enabled:
            seen = torch.zeros_like(inputs) if previous is None else previous.float()
            inputs = torch.cat([inputs, seen], dim=1)
        device = x_t.device.type
        # Without a dtype of its own an autocast that surrounds the call, such as a trainer's, stays in force.
        with nullcontext() if self.autocast is None else torch.autocast(device, dtype=self.autocast):
            prediction = self.network(
                inputs, times.float(), condition.position_mm, condition.pathology, condition.prior
            )
        prediction = prediction.to(x_t.dtype)
        alpha, sigma = (
            level.to(x_t.dtype).view(*level.shape, *[1] * (x_t.ndim - 2)) for level in self.schedule.alpha_sigma(times)
        )
        return Estimate(prediction, to_x0(self.config.prediction, prediction, x_t, alpha, sigma))

    def bind(self, condition: Condition) -> Denoise:
        """The denoise function of one run, with its self-conditioning state."""
        previous: Tensor | None = None

        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            nonlocal previous
            x0_hat = self.clip(self.estimate(x_t, t, condition, previous).x0_hat)
            previous = x0_hat.detach()
            return x0_hat

        return denoise
