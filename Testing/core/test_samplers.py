"""What every sampler promises to those who call it, whatever its mathematics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jsddpm_core.config import GridName, NoiseKind, SamplerName, SamplingConfig, ScheduleConfig
from jsddpm_core.diffusion.noise import INITIAL, NoiseKey, NoiseStream
from jsddpm_core.diffusion.samplers import SAMPLERS, StepReport, ddim, ddim_early_stopping, ddpm, sampler_of
from jsddpm_core.diffusion.schedule import Schedule

SCHEDULE = Schedule(ScheduleConfig())
SHAPE = (2, 12, 10)
every_sampler = pytest.mark.parametrize("name", list(SamplerName))


def shrinking(x: Tensor, t: Tensor) -> Tensor:
    """A stand-in for a network: draws towards a fixed image, more so at low noise."""
    alpha, sigma = (level.view(-1, 1, 1, 1).to(x) for level in SCHEDULE.alpha_sigma(t))
    return (alpha * x + sigma**2 * 0.25).clamp(-1, 1)


def stream(samples: list[int]) -> NoiseStream:
    return NoiseStream(NoiseKind.GAUSSIAN, [NoiseKey(1, sample) for sample in samples], SHAPE)


def sampler(name: SamplerName, **settings):
    return sampler_of(SamplingConfig(sampler=name, **settings))


def grid(steps: int = 10, kind: GridName = GridName.LOG_SNR):
    return SCHEDULE.grid(SCHEDULE.times(kind, steps))


@every_sampler
def test_a_sample_is_the_same_alone_and_in_a_batch(name: SamplerName) -> None:
    run = sampler(name, eta=0.5)
    together = run(shrinking, stream([3, 17, 5]).initial(), grid(), stream([3, 17, 5]))
    alone = run(shrinking, stream([17]).initial(), grid(), stream([17]))
    assert torch.equal(together[1], alone[0])


@every_sampler
def test_the_denoiser_is_asked_at_every_level_of_the_grid_and_at_no_other(name: SamplerName) -> None:
    asked: list[Tensor] = []

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        asked.append(t)
        return shrinking(x, t)

    levels = SCHEDULE.grid(torch.tensor([700.3, 431.0, 77.7, 1.0], dtype=torch.float64))
    sampler(name, early_stopping_tolerance=1e-12)(denoise, stream([0, 1]).initial(), levels, stream([0, 1]))
    assert [tuple(t.shape) for t in asked] == [(2,)] * 4
    assert torch.equal(torch.stack(asked), levels.t[:, None].expand(4, 2))


@every_sampler
def test_the_last_step_ends_at_the_denoised_image(name: SamplerName) -> None:
    """So that no noise of t = 1 is left in a result, whatever the number of steps."""
    reports: list[StepReport] = []
    for steps in (1, 2, 7):
        found = sampler(name)(shrinking, stream([0]).initial(), grid(steps), stream([0]), on_step=reports.append)
        torch.testing.assert_close(found, reports[-1].x0_hat, rtol=1e-9, atol=1e-9)


@every_sampler
def test_progress_is_told_at_every_step(name: SamplerName) -> None:
    reports: list[StepReport] = []
    levels = grid(6)
    run = sampler(name, early_stopping_tolerance=1e-12)
    run(shrinking, stream([0]).initial(), levels, stream([0]), on_step=reports.append)
    assert [(report.index, report.total) for report in reports] == [(index, 6) for index in range(6)]
    assert [report.t for report in reports] == levels.t.tolist()
    assert all(report.x0_hat.shape == (1, *SHAPE) for report in reports)


@every_sampler
def test_the_state_is_double_on_the_cpu_whatever_the_network_answers(name: SamplerName) -> None:
    seen = set()

    def half_precision(x: Tensor, t: Tensor) -> Tensor:
        seen.add((x.dtype, t.dtype))
        return shrinking(x, t).bfloat16()

    found = sampler(name)(half_precision, stream([0]).initial(), grid(), stream([0]))
    assert found.dtype == torch.float64
    assert seen == {(torch.float64, torch.float64)}


@every_sampler
def test_an_inpainted_region_is_kept_on_the_way_and_exact_at_the_end(name: SamplerName) -> None:
    known = torch.linspace(-1, 1, 10).expand(1, *SHAPE).double()
    inside = torch.zeros(SHAPE, dtype=torch.bool)
    inside[:, 3:8, 2:7] = True
    noise, arrived = stream([0]), []

    def constrain(x: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
        arrived.append((float(t[0]), epsilon))
        alpha, sigma = SCHEDULE.alpha_sigma(t[0]) if t[0] > 0 else (1.0, 0.0)
        return torch.where(inside, x, alpha * known + sigma * epsilon)

    def watched(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = SCHEDULE.alpha_sigma(t[0])
        kept = (x - alpha * known)[:, ~inside]
        torch.testing.assert_close(kept, sigma * arrived[-1][1][:, ~inside])
        return shrinking(x, t)

    levels = grid(5)
    run = sampler(name, early_stopping_tolerance=1e-12)
    found = run(watched, noise.initial(), levels, noise, constrain=constrain)
    assert torch.equal(found[:, ~inside], known[:, ~inside])
    assert not torch.equal(found[:, inside], known[:, inside])
    assert [t for t, _ in arrived] == [*levels.t.tolist(), 0.0]
    for step, (_, epsilon) in enumerate(arrived, start=INITIAL):
        assert torch.equal(epsilon, noise(step).double())


def test_a_start_with_no_signal_at_all_is_a_start_like_any_other() -> None:
    schedule = Schedule(ScheduleConfig(zero_terminal_snr=True))
    levels = schedule.grid(schedule.times(GridName.UNIFORM, 10))
    assert float(levels.alpha[0]) == 0
    for name in SamplerName:
        found = sampler(name, eta=0.5)(lambda x, t: 0.5 * torch.tanh(x), stream([0]).initial(), levels, stream([0]))
        assert torch.isfinite(found).all(), name


@pytest.mark.parametrize("eta", [0.0, 0.2, 1.0])
def test_eta_reaches_the_one_sampler_that_it_applies_to(eta: float) -> None:
    x, noise = stream([0]).initial(), stream([0])
    direct = ddim(shrinking, x, grid(), noise, eta=eta)
    assert torch.equal(sampler(SamplerName.DDIM, eta=eta)(shrinking, x, grid(), noise), direct)
    others = [name for name in SamplerName if "eta" not in SAMPLERS[name].options]
    assert SamplerName.DDIM not in others
    for name in others:
        without = sampler(name)(shrinking, x, grid(), noise)
        assert torch.equal(sampler(name, eta=eta)(shrinking, x, grid(), noise), without)


def test_more_eta_means_more_new_noise() -> None:
    x, noise = stream([0]).initial(), stream([0])
    ode, some, all_new = (ddim(shrinking, x, grid(), noise, eta=eta) for eta in (0.0, 0.2, 1.0))
    assert 0 < float((some - ode).norm()) < float((all_new - ode).norm())
    torch.testing.assert_close(all_new, ddpm(shrinking, x, grid(), noise))


def test_a_generous_tolerance_stops_early_and_its_setting_reaches_the_sampler() -> None:
    evaluated = {}
    for tolerance in (1e-9, 0.2):
        reports: list[StepReport] = []
        run = sampler(SamplerName.DDIM_EARLY, early_stopping_tolerance=tolerance)
        run(shrinking, stream([0]).initial(), grid(50), stream([0]), on_step=reports.append)
        evaluated[tolerance] = len(reports)
    assert evaluated[0.2] < evaluated[1e-9] == 50


def test_early_stopping_does_not_mistake_pure_noise_for_a_settled_image() -> None:
    """Far from the image every x0_hat is the mean of all images and hardly moves."""
    reports: list[StepReport] = []

    def late(x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x) if float(t[0]) > 600 else torch.full_like(x, 1 - float(t[0]) / 600)

    found = ddim_early_stopping(
        late, stream([0]).initial(), grid(100), stream([0]), on_step=reports.append, tolerance=1e-4
    )
    assert float(found.mean()) > 0.5


def test_samplers_build_no_graph_but_let_a_denoiser_ask_for_gradients() -> None:
    def with_gradient(x: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            asked = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(asked.square().sum(), asked)
        return shrinking(x - 0.01 * slope, t)

    weight = torch.ones((), requires_grad=True)
    found = ddim(lambda x, t: weight * with_gradient(x, t), stream([0]).initial(), grid(), stream([0]))
    assert not found.requires_grad
