"""The common validation measure: how far x0_hat lies from held-out slices, for any network that can estimate x0.

The peer and ours minimise different losses (|x0 error|^1.5 and velocity error squared), so neither's own validation
loss says anything about the other. Every diffusion model, whatever it predicts, hands its sampler one thing: x0_hat at
a noise level. Here both are asked for exactly that, and it is fair because everything around it is equal: the same
held-out slices (of subjects that neither learned from) in the same units, mixed with the same noise at the same
alpha_bar, the estimate clipped to [-1, 1] as both samplers clip it, no earlier estimate shown to either, the same
precision. The levels lie in the middles of equal parts of the cosine schedule that both train on with equal weight.
The weights are the learned ones: an average over 1000 steps still holds the fresh weights after a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from monai.networks.schedulers.ddpm import DDPMScheduler
from torch import Tensor

from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache, SliceRecord
from jsddpm_core.diffusion.noise import NoiseKey, fields
from jsddpm_core.training.batches import slice_tensors
from jsddpm_core.training.validation import VALIDATION_STEP, spread

LEVELS = 4
T = 1000


@dataclass(frozen=True)
class Noisy:
    """Held-out slices at one noise level.

    Attributes:
        x_t: `(B, 2, X, Y)`, image and mask.
        index: of the level in the peer's table of T times, from 0.
        alpha_bar: of that level, exactly as the peer's table has it.
        records: what is known of each slice.
    """

    x_t: Tensor
    index: int
    alpha_bar: float
    records: list[SliceRecord]


def level_indices() -> list[int]:
    """The middles of `LEVELS` equal parts of the T times, counted from 0."""
    return [round(T * (part + 0.5) / LEVELS) for part in range(LEVELS)]


class HeldOut:
    """Some held-out slices, the pathologies taking turns, with fixed noise.

    Args:
        cache: the slices.
        config: one that names the image and the mask channel.
        count: slices at the most.
        at_once: slices that a network is given together.
    """

    def __init__(self, cache: SliceCache, config: Config, count: int, at_once: int) -> None:
        rows: np.ndarray = spread(cache, count)
        self.records = [cache.records[row] for row in rows]
        self.x0 = torch.stack([slice_tensors(cache, config, int(row))[0] for row in rows])
        keys = [NoiseKey(0, place, 0, 0) for place in range(len(rows))]
        self.epsilon = fields(config.diffusion.noise, keys, VALIDATION_STEP, tuple(self.x0.shape[1:]))
        self.at_once = at_once
        self._alpha_bar = DDPMScheduler(num_train_timesteps=T, schedule="cosine").alphas_cumprod

    def __len__(self) -> int:
        return len(self.records)

    @torch.no_grad()
    def errors(self, x0_hat: Callable[[Noisy], Tensor]) -> dict[str, object]:
        """Root mean square errors in the images' unit, whose range is [-1, 1].

        Args:
            x0_hat: the (unclipped) estimate of slices at a level, `(B, 2, X, Y)`.

        Returns:
            `image` and `mask` over all slices and levels, `image_by_level` from little noise to much, `slices`.
        """
        squares = torch.zeros(LEVELS, 2, dtype=torch.float64)
        for place, index in enumerate(level_indices()):
            alpha_bar = float(self._alpha_bar[index])
            for rows in torch.arange(len(self)).split(self.at_once):
                x_t = alpha_bar**0.5 * self.x0[rows] + (1 - alpha_bar) ** 0.5 * self.epsilon[rows]
                noisy = Noisy(x_t, index, alpha_bar, [self.records[row] for row in rows.tolist()])
                error = x0_hat(noisy).float().cpu().clamp(-1, 1) - self.x0[rows]
                squares[place] += error.double().square().mean(dim=(2, 3)).sum(dim=0)
        squares /= len(self)
        image, mask = squares.mean(dim=0).sqrt().tolist()
        return {
            "image": image,
            "mask": mask,
            "image_by_level": squares[:, 0].sqrt().tolist(),
            "slices": len(self),
        }
