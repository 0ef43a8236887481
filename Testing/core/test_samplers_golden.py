"""Samplers against a Gaussian field whose exact denoiser and ODE solution are known (see `gaussian_field`).

Tolerances of DPM-Solver++(2M) hold on its default grid, uniform in log-SNR; those of DDIM's power on every grid but the
quadratic one on the cosine schedule, which puts too few steps where that schedule is noisy.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import gaussian_field as field
import pytest
import torch
from torch import Tensor

from jsddpm_core.config import GridName, NoiseKind, ScheduleConfig, ScheduleName
from jsddpm_core.diffusion.noise import NoiseKey, NoiseStream
from jsddpm_core.diffusion.samplers import (
    INITIAL,
    ddim,
    ddim_early_stopping,
    ddpm,
    dpm_solver_pp_2m,
    invert,
)
from jsddpm_core.diffusion.schedule import Grid, Schedule

SCHEDULES = {name: Schedule(ScheduleConfig(name=name)) for name in (ScheduleName.LINEAR, ScheduleName.COSINE)}
COUNTS = (8, 15, 20, 50, 300, 400, 1000)
MODES = torch.tensor([200.0, 20.0, 3.0, 0.3, 0.05, 0.02], dtype=torch.float64)
"""Variances of modes from the coarsest to the finest of the field, for what needs no image."""

both_schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))


def silent(step: int) -> Tensor:
    raise AssertionError(f"a deterministic sampler asked for the noise of step {step}")


def log_snr_grid(schedule: Schedule, steps: int) -> Grid:
    return schedule.grid(schedule.times(GridName.LOG_SNR, steps))


def distance(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


def ending_of_exact_modes(grid: Grid) -> Tensor:
    """What a run gives that makes no error before its last step: x0_hat of the exact ODE solution at grid[-1]."""
    first, last = (a**2 * MODES + s**2 for a, s in ((grid.alpha[i], grid.sigma[i]) for i in (0, -1)))
    return (last / first).sqrt() * grid.alpha[-1] * MODES / last


# ---------------------------------------------------------------- DDIM


@both_schedules
@pytest.mark.parametrize("steps", [300, 400])
def test_ddim_images_have_the_power_of_real_ones_in_both_bands(schedule: Schedule, steps: int) -> None:
    grid = schedule.grid(schedule.times(GridName.UNIFORM, steps))
    image = ddim(field.image_denoiser(schedule), field.even_noise(0), grid, silent)
    assert field.power_ratio(image, "low") == pytest.approx(1, abs=0.1)
    assert field.power_ratio(image, "high") == pytest.approx(1, abs=0.1)


@both_schedules
@pytest.mark.parametrize("kind", [GridName.UNIFORM, GridName.LOG_SNR])
@pytest.mark.parametrize("steps", [300, 400, 1000])
def test_ddim_gives_every_mode_its_power_within_a_tenth(schedule: Schedule, kind: GridName, steps: int) -> None:
    grid = schedule.grid(schedule.times(kind, steps))
    power = ddim(field.mode_denoiser(schedule, MODES), torch.ones(1, 1, len(MODES)), grid, silent).square()
    torch.testing.assert_close(power[0, 0], MODES, rtol=0.1, atol=0)


def test_a_stride_of_whole_steps_would_miss_the_power_by_more_than_a_factor_of_two() -> None:
    """The mistake that these tests are for: 400 steps of stride 1000 // 400 start at t = 799, not at 1000."""
    schedule = SCHEDULES[ScheduleName.COSINE]
    strided = schedule.grid(torch.arange(400, dtype=torch.float64).flip(0) * (1000 // 400) + 1)
    image = ddim(field.image_denoiser(schedule), field.even_noise(0), strided, silent)
    assert field.power_ratio(image, "low") < 0.5


@both_schedules
@pytest.mark.parametrize("steps", COUNTS)
def test_ddim_comes_nearer_to_the_ode_with_every_step(schedule: Schedule, steps: int) -> None:
    grid = log_snr_grid(schedule, steps)
    found = ddim(field.mode_denoiser(schedule, MODES), torch.ones(1, 1, len(MODES)), grid, silent)[0, 0]
    assert 1 / steps < distance(found, ending_of_exact_modes(grid)) < 2.7 / steps


# ---------------------------------------------------------------- DPM-Solver++(2M)


@pytest.mark.parametrize(
    ("name", "steps", "tolerance"),
    [
        (ScheduleName.LINEAR, 8, 0.05),
        (ScheduleName.LINEAR, 15, 0.03),
        (ScheduleName.LINEAR, 20, 0.015),
        (ScheduleName.LINEAR, 50, 0.003),
        (ScheduleName.COSINE, 8, 0.05),
        (ScheduleName.COSINE, 15, 0.05),
        (ScheduleName.COSINE, 20, 0.03),
        (ScheduleName.COSINE, 50, 0.003),
    ],
)
def test_dpm_solver_images_lie_close_to_the_exact_ode_solution(
    name: ScheduleName, steps: int, tolerance: float
) -> None:
    schedule = SCHEDULES[name]
    grid = log_snr_grid(schedule, steps)
    x = field.even_noise(1)
    assert distance(dpm_solver_pp_2m(field.image_denoiser(schedule), x, grid, silent), field.ode_solution(x, grid)) < (
        tolerance
    )


@both_schedules
def test_an_ordinary_draw_of_noise_ends_as_close(schedule: Schedule) -> None:
    """`even_noise` is a convenience, not a favour."""
    grid, denoise = log_snr_grid(schedule, 15), field.image_denoiser(schedule)
    ordinary = torch.randn(1, 1, 160, 160, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found, expected = (
        distance(dpm_solver_pp_2m(denoise, x, grid, silent), field.ode_solution(x, grid))
        for x in (ordinary, field.even_noise(1))
    )
    assert found == pytest.approx(expected, rel=0.05)


@both_schedules
@pytest.mark.parametrize("steps", [300, 400, 1000])
def test_dpm_solver_with_many_steps_is_exact_to_a_thousandth_for_every_mode_but_the_last_step(
    schedule: Schedule, steps: int
) -> None:
    grid = log_snr_grid(schedule, steps)
    found = dpm_solver_pp_2m(field.mode_denoiser(schedule, MODES), torch.ones(1, 1, len(MODES)), grid, silent)[0, 0]
    torch.testing.assert_close(found, ending_of_exact_modes(grid), rtol=1e-3, atol=0)


def test_unequal_steps_are_extrapolated_by_their_lengths() -> None:
    """Three levels at lambda = -1, 0 and 0.5 whose x0_hat are 0, 1 and 3, by Lu et al. 2022b, algorithm 2."""
    half_log_snr = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)
    grid = Grid(
        torch.tensor([3.0, 2.0, 1.0]), torch.sigmoid(2 * half_log_snr).sqrt(), torch.sigmoid(-2 * half_log_snr).sqrt()
    )
    seen, answers = [], iter([0.0, 1.0, 3.0])

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        seen.append(float(x))
        return torch.full_like(x, next(answers))

    found = dpm_solver_pp_2m(denoise, torch.ones(1, 1), grid, silent)
    alpha, sigma = grid.alpha.tolist(), grid.sigma.tolist()
    x_1 = sigma[1] / sigma[0] * 1.0 - alpha[1] * (math.exp(-1.0) - 1) * 0.0
    r = 1.0 / 0.5
    data = (1 + 1 / (2 * r)) * 1.0 - 1 / (2 * r) * 0.0
    x_2 = sigma[2] / sigma[1] * x_1 - alpha[2] * (math.exp(-0.5) - 1) * data
    assert seen == pytest.approx([1.0, x_1, x_2])
    assert float(found) == 3.0


# ---------------------------------------------------------------- orders of convergence


@both_schedules
@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (dpm_solver_pp_2m, 2)])
def test_halving_the_steps_shrinks_the_error_by_the_order_of_the_method(schedule, sampler, order) -> None:
    errors = []
    for steps in (50, 100, 200, 400):
        grid = log_snr_grid(schedule, steps)
        found = sampler(field.mode_denoiser(schedule, MODES), torch.ones(1, 1, len(MODES)), grid, silent)[0, 0]
        errors.append(distance(found, ending_of_exact_modes(grid)))
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)


@both_schedules
@pytest.mark.parametrize("sampler", [ddpm, partial(ddim, eta=0.2)], ids=["ddpm", "ddim-0.2"])
def test_the_variance_of_a_stochastic_sampler_converges_at_order_one(schedule: Schedule, sampler) -> None:
    errors = []
    modes = MODES[1:]  # the coarsest is not quite drowned by noise at grid[0]: its error has a floor
    for steps in (100, 200, 400):
        grid = log_snr_grid(schedule, steps)
        last = grid.alpha[-1] ** 2 * modes + grid.sigma[-1] ** 2
        power = field.mode_power(sampler, schedule, grid, modes)
        errors.append(distance(power, (grid.alpha[-1] * modes) ** 2 / last))
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(1, abs=0.15)


# ---------------------------------------------------------------- DDPM


@both_schedules
@pytest.mark.parametrize("steps", COUNTS)
def test_ddpm_draws_from_the_posterior_of_the_forward_process(schedule: Schedule, steps: int) -> None:
    """Against Ho et al. 2020, eqs. 6 and 7, with its own alphas and betas worked out from alpha_bar."""
    grid = log_snr_grid(schedule, steps)
    bars = [*grid.alpha.square().tolist(), 1.0]
    variance = torch.ones_like(MODES)
    for bar, bar_next in pairwise(bars):
        beta = 1 - bar / bar_next
        gain = math.sqrt(bar) * MODES / (bar * MODES + 1 - bar)
        mean = math.sqrt(bar_next) * beta / (1 - bar) * gain + math.sqrt(1 - beta) * (1 - bar_next) / (1 - bar)
        variance = mean**2 * variance + (1 - bar_next) / (1 - bar) * beta
    torch.testing.assert_close(field.mode_power(ddpm, schedule, grid, MODES), variance, rtol=1e-8, atol=0)


@both_schedules
@pytest.mark.parametrize("steps", [300, 400, 1000])
@pytest.mark.parametrize("sampler", [ddpm, partial(ddim, eta=0.2)], ids=["ddpm", "ddim-0.2"])
def test_stochastic_samplers_give_every_mode_its_power_within_a_tenth(schedule, steps: int, sampler) -> None:
    power = field.mode_power(sampler, schedule, log_snr_grid(schedule, steps), MODES)
    torch.testing.assert_close(power, MODES, rtol=0.1, atol=0)


def test_ddpm_images_drawn_with_a_noise_stream_look_like_the_field() -> None:
    schedule = SCHEDULES[ScheduleName.COSINE]
    noise = NoiseStream(NoiseKind.GAUSSIAN, [NoiseKey(0, sample) for sample in range(2)], (1, 160, 160))
    images = ddpm(field.image_denoiser(schedule), noise.initial(), log_snr_grid(schedule, 300), noise)
    assert field.power_ratio(images, "high") == pytest.approx(1, abs=0.1)
    modes = torch.fft.fft2(images, norm="ortho").abs().square().mean((0, 1)) / field.SPECTRUM
    low = field.BANDS["low"] & (field.RADIUS > 0)
    assert float(modes[low].mean()) == pytest.approx(1, abs=0.2)  # 392 values of mean 1 and deviation sqrt(2)
    assert abs(float(images.mean())) < 1e-6


@both_schedules
def test_ddim_with_eta_one_is_ddpm(schedule: Schedule) -> None:
    grid = log_snr_grid(schedule, 30)
    noise = NoiseStream(NoiseKind.GAUSSIAN, [NoiseKey(5, 0)], (1, len(MODES)))
    denoise = field.mode_denoiser(schedule, MODES)
    torch.testing.assert_close(
        ddim(denoise, noise(INITIAL), grid, noise, eta=1.0), ddpm(denoise, noise(INITIAL), grid, noise)
    )


# ---------------------------------------------------------------- inversion


@both_schedules
@pytest.mark.parametrize(("steps", "refinements", "tolerance"), [(400, 0, 0.015), (200, 1, 0.001)])
def test_inversion_followed_by_sampling_returns_to_the_image(schedule, steps, refinements, tolerance) -> None:
    grid, denoise = log_snr_grid(schedule, steps), field.image_denoiser(schedule)
    x0 = field.ode_solution(field.even_noise(2), grid)
    x = invert(denoise, x0, grid, refinements=refinements)
    assert distance(ddim(denoise, x, grid, silent), x0) < tolerance


@both_schedules
def test_inversion_finds_the_noise_of_an_image(schedule: Schedule) -> None:
    grid = log_snr_grid(schedule, 200)
    x = field.even_noise(2)
    x -= x.mean()  # the field has no mean, so that the noise's cannot be found again
    assert distance(invert(field.image_denoiser(schedule), field.ode_solution(x, grid), grid), x) < 0.015


@both_schedules
@pytest.mark.parametrize(("refinements", "order"), [(0, 1), (1, 2)])
def test_the_way_back_gets_closer_with_more_steps(schedule: Schedule, refinements: int, order: int) -> None:
    denoise, errors = field.mode_denoiser(schedule, MODES), []
    for steps in (50, 100, 200):
        grid = log_snr_grid(schedule, steps)
        x0 = MODES.sqrt()[None, None]
        x = invert(denoise, x0, grid, refinements=refinements)
        errors.append(distance(ddim(denoise, x, grid, silent), x0))
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)


# ---------------------------------------------------------------- early stopping


@both_schedules
@pytest.mark.parametrize("kind", list(GridName))
@pytest.mark.parametrize("tolerance", [0.003, 0.03])
def test_early_stopping_saves_steps_and_stays_within_its_tolerance(schedule, kind: GridName, tolerance: float) -> None:
    grid = schedule.grid(schedule.times(kind, 400))
    denoise, x, evaluated = field.mode_denoiser(schedule, MODES / 200), torch.ones(1, 1, len(MODES)), []
    found = ddim_early_stopping(denoise, x, grid, silent, on_step=evaluated.append, tolerance=tolerance)
    whole = ddim(denoise, x, grid, silent)
    assert 0 < float((found - whole).square().mean().sqrt()) <= tolerance
    assert len(evaluated) < 400


def test_early_stopping_ends_each_sample_by_itself() -> None:
    """A flat sample settles early, a textured one late; together each ends as it does alone."""
    schedule = SCHEDULES[ScheduleName.COSINE]
    grid = log_snr_grid(schedule, 100)
    denoise = field.mode_denoiser(schedule, MODES / 200)
    flat = torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=torch.float64)[None, None]
    textured = torch.tensor([0.0, 0, 0, 1, 30, 30], dtype=torch.float64)[None, None]
    counts, alone = [], []
    for x in (flat, textured, torch.cat([flat, textured])):
        evaluated: list = []
        alone.append(ddim_early_stopping(denoise, x, grid, silent, on_step=evaluated.append, tolerance=0.003))
        counts.append(len(evaluated))
    assert counts[0] < counts[1] == counts[2] <= 100
    assert torch.equal(alone[2], torch.cat(alone[:2]))
