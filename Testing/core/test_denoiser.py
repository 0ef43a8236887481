"""The edge between networks and samplers: conversion, clipping, self-conditioning, levels per channel."""

from __future__ import annotations

import pytest
import torch

from jsddpm_core.config import Channel, DiffusionConfig, ScheduleConfig
from jsddpm_core.diffusion.denoiser import Condition, Denoiser
from jsddpm_core.diffusion.prediction import from_x0
from jsddpm_core.diffusion.schedule import Schedule

CHANNELS = (
    Channel(name="FLAIR", role="image", kind="continuous"),
    Channel(name="lesion", role="mask", kind="binary"),
)


class Oracle(torch.nn.Module):
    """Predicts as if x0 were known, and remembers what it was shown."""

    def __init__(self, x0: torch.Tensor, config: DiffusionConfig) -> None:
        super().__init__()
        self.x0, self.config, self.schedule = x0, config, Schedule(config.schedule)
        self.seen: list[torch.Tensor] = []

    def forward(self, x, t, position_mm, pathology, prior=None):
        self.seen.append(x)
        alpha, sigma = (level.float().view(*t.shape, 1, 1) for level in self.schedule.alpha_sigma(t.double()))
        return from_x0(self.config.prediction, self.x0, x[:, : self.x0.shape[1]], alpha, sigma)


def a_condition(batch: int) -> Condition:
    return Condition(torch.zeros(batch), torch.zeros(batch, dtype=torch.int64))


@pytest.mark.parametrize("prediction", ["sample", "epsilon", "velocity"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_whatever_is_predicted_the_denoiser_returns_x0(prediction: str, per_channel: bool) -> None:
    config = DiffusionConfig(prediction=prediction)
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(3, 2, 8, 8, generator=generator) * 2 - 1
    denoise = Denoiser(Oracle(x0, config), Schedule(config.schedule), config, CHANNELS).bind(a_condition(3))
    t = torch.tensor([1.0, 400.5, 900.0], dtype=torch.float64)
    if per_channel:
        t = torch.stack([t, t.flip(0)], dim=1)
    x_t = torch.randn(3, 2, 8, 8, generator=generator, dtype=torch.float64)
    # epsilon divides by a small alpha: what float32 leaves of x0 at t = 900 is less than in the others.
    torch.testing.assert_close(denoise(x_t, t).float(), x0, atol=2e-3 if prediction == "epsilon" else 1e-4, rtol=0)


def test_estimates_are_clipped_to_the_range_of_their_channel() -> None:
    channels = (CHANNELS[0], Channel(name="latent", role="image", kind="continuous", range=None))
    config = DiffusionConfig()
    x0 = torch.full((1, 2, 4, 4), 3.0)
    denoiser = Denoiser(Oracle(x0, config), Schedule(ScheduleConfig()), config, channels)
    x0_hat = denoiser.bind(a_condition(1))(torch.zeros(1, 2, 4, 4), torch.tensor([500.0]))
    assert x0_hat[0, 0].max() == 1.0
    assert x0_hat[0, 1].max() == 3.0, "latents have no range"
    free = Denoiser(Oracle(x0, config), Schedule(ScheduleConfig()), config.model_copy(update={"clip": False}), channels)
    assert free.bind(a_condition(1))(torch.zeros(1, 2, 4, 4), torch.tensor([500.0])).max() == 3.0


def test_self_conditioning_shows_zeros_first_and_then_the_previous_estimate() -> None:
    config = DiffusionConfig()
    x0 = torch.full((1, 2, 4, 4), 0.25)
    oracle = Oracle(x0, config)
    denoiser = Denoiser(oracle, Schedule(config.schedule), config, CHANNELS)
    denoise = denoiser.bind(a_condition(1))
    for _ in range(2):
        denoise(torch.ones(1, 2, 4, 4), torch.tensor([500.0]))
    assert torch.equal(oracle.seen[0][:, 2:], torch.zeros(1, 2, 4, 4))
    torch.testing.assert_close(oracle.seen[1][:, 2:], x0)
    denoiser.bind(a_condition(1))(torch.ones(1, 2, 4, 4), torch.tensor([500.0]))
    assert torch.equal(oracle.seen[2][:, 2:], torch.zeros(1, 2, 4, 4)), "a new run starts without an estimate"


def test_without_self_conditioning_the_network_sees_the_noisy_channels_alone() -> None:
    config = DiffusionConfig(self_conditioning={"enabled": False})
    oracle = Oracle(torch.zeros(1, 2, 4, 4), config)
    denoiser = Denoiser(oracle, Schedule(config.schedule), config, CHANNELS)
    denoiser.bind(a_condition(1))(torch.ones(1, 2, 4, 4), torch.tensor([500.0]))
    assert oracle.seen[0].shape == (1, 2, 4, 4)


def test_the_null_condition_keeps_position_and_forgets_pathology() -> None:
    condition = Condition(torch.tensor([18.0]), torch.tensor([2])).without_pathology()
    assert condition.position_mm.tolist() == [18.0]
    assert condition.pathology.tolist() == [-1]
