"""Noise schedules against values worked out by hand, and the grids of times that sampling walks along."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from jsddpm_core.config import DiffusionConfig, GridName, Prediction, ScheduleConfig, ScheduleName
from jsddpm_core.diffusion.schedule import Schedule, betas

ALL = [
    pytest.param(ScheduleConfig(name=name, zero_terminal_snr=zero), id=f"{name}-{'zero-snr' if zero else 'plain'}")
    for name in ScheduleName
    for zero in (False, True)
]
every_schedule = pytest.mark.parametrize("config", ALL)


# ---------------------------------------------------------------- values worked out by hand


def test_linear_betas_are_equally_spaced() -> None:
    config = ScheduleConfig(name="linear", steps=4, beta_start=0.1, beta_end=0.4)
    np.testing.assert_allclose(betas(config), [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(Schedule(config).alpha_bar, [0.9, 0.72, 0.504, 0.3024])


def test_scaled_linear_betas_are_squares_of_equally_spaced_roots() -> None:
    config = ScheduleConfig(name="scaled_linear", steps=4, beta_start=0.01, beta_end=0.16)
    np.testing.assert_allclose(betas(config), [0.01, 0.04, 0.09, 0.16])
    np.testing.assert_allclose(Schedule(config).alpha_bar, [0.99, 0.9504, 0.864864, 0.72648576])


def test_exponential_betas_grow_by_a_constant_factor() -> None:
    config = ScheduleConfig(name="exponential", steps=3, beta_start=0.01, beta_end=0.04)
    np.testing.assert_allclose(betas(config), [0.01, 0.02, 0.04])


def test_gamma_rebalances_the_linear_betas_by_a_power_of_t_over_t_max() -> None:
    config = ScheduleConfig(name="gamma", steps=4, beta_start=0.1, beta_end=0.4, gamma=2)
    np.testing.assert_allclose(betas(config), [0.1 / 16, 0.2 / 4, 0.3 * 9 / 16, 0.4])


def test_cosine_without_offset_is_a_squared_cosine_but_for_its_capped_end() -> None:
    config = ScheduleConfig(name="cosine", steps=4, cosine_s=0)
    eighth = math.cos(math.pi / 8) ** 2
    np.testing.assert_allclose(Schedule(config).alpha_bar, [eighth, 0.5, 1 - eighth, (1 - eighth) * 0.001])


def test_the_default_cosine_has_the_published_offset_and_caps_its_last_betas_only() -> None:
    config = ScheduleConfig()
    assert (config.name, config.steps, config.cosine_s, config.beta_max) == ("cosine", 1000, 0.008, 0.999)
    beta = betas(config)
    assert beta.max() == 0.999
    assert np.flatnonzero(beta == 0.999).tolist() == [999]
    start, half = (math.cos(u / 1.008 * math.pi / 2) ** 2 for u in (0.008, 0.508))
    assert Schedule(config).alpha_bar[499] == pytest.approx(half / start, rel=1e-12)


def test_zero_terminal_snr_shifts_and_stretches_the_signal_without_touching_its_start() -> None:
    """Roots 0.9, 0.72, 0.72 sqrt(0.47) lose the last and are stretched back to 0.9."""
    config = ScheduleConfig(name="linear", steps=3, beta_start=0.19, beta_end=0.53, zero_terminal_snr=True)
    last = 0.72 * math.sqrt(0.47)
    expected = [0.81, (0.9 * (0.72 - last) / (0.9 - last)) ** 2, 0]
    np.testing.assert_allclose(Schedule(config).alpha_bar, expected, atol=1e-15)


@every_schedule
def test_noise_grows_with_t_and_betas_are_variances(config: ScheduleConfig) -> None:
    schedule = Schedule(config)
    assert len(schedule.alpha_bar) == 1000
    assert np.all((betas(config) > 0) & (betas(config) <= 1))
    assert np.all(np.diff(schedule.alpha_bar) < 0)
    assert (schedule.alpha_bar[-1] == 0) == config.zero_terminal_snr


# ---------------------------------------------------------------- zero terminal SNR


@pytest.mark.parametrize("name", list(ScheduleName))
def test_at_zero_terminal_snr_the_last_time_holds_noise_alone(name: ScheduleName) -> None:
    schedule = Schedule(ScheduleConfig(name=name, zero_terminal_snr=True))
    alpha, sigma = schedule.alpha_sigma(torch.tensor([999.0, 1000.0], dtype=torch.float64))
    assert (float(alpha[1]), float(sigma[1])) == (0.0, 1.0)
    assert float(alpha[0]) == pytest.approx(math.sqrt(schedule.alpha_bar[998]), rel=1e-9)


def test_zero_terminal_snr_forbids_epsilon_and_nothing_else() -> None:
    schedule = ScheduleConfig(zero_terminal_snr=True)
    with pytest.raises(ValidationError, match="choose sample or velocity"):
        DiffusionConfig(schedule=schedule, prediction="epsilon")
    for prediction in (Prediction.SAMPLE, Prediction.VELOCITY):
        assert DiffusionConfig(schedule=schedule, prediction=prediction).prediction is prediction
    assert DiffusionConfig(prediction="epsilon").prediction is Prediction.EPSILON


# ---------------------------------------------------------------- continuous times


@every_schedule
def test_alpha_and_sigma_at_whole_times_are_those_of_the_table(config: ScheduleConfig) -> None:
    schedule = Schedule(config)
    alpha, sigma = schedule.alpha_sigma(torch.arange(1, 1001, dtype=torch.float64))
    np.testing.assert_allclose(alpha.square(), schedule.alpha_bar, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(sigma.square(), 1 - schedule.alpha_bar, rtol=1e-9)
    np.testing.assert_allclose(alpha.square() + sigma.square(), 1, rtol=1e-12)


def test_between_whole_times_log_snr_is_interpolated_linearly() -> None:
    config = ScheduleConfig(name="linear", steps=2, beta_start=0.2, beta_end=0.5)  # alpha_bar 0.8 and 0.4
    at_1, at_2 = math.log(4), math.log(2 / 3)
    schedule = Schedule(config)
    found = schedule.log_snr(torch.tensor([1, 1.25, 1.5, 2], dtype=torch.float64))
    np.testing.assert_allclose(found, [at_1, 0.75 * at_1 + 0.25 * at_2, 0.5 * (at_1 + at_2), at_2])
    alpha, _ = schedule.alpha_sigma(torch.tensor([1.5], dtype=torch.float64))
    assert float(alpha) ** 2 == pytest.approx(1 / (1 + math.exp(-0.5 * (at_1 + at_2))))


@every_schedule
def test_the_time_of_a_log_snr_is_the_inverse_of_the_log_snr_of_a_time(config: ScheduleConfig) -> None:
    schedule = Schedule(config)
    times = torch.linspace(1, 999, 777, dtype=torch.float64)
    np.testing.assert_allclose(schedule.time_at(schedule.log_snr(times).numpy()), times, rtol=1e-9)
    assert schedule.time_at(1e9) == 1
    assert schedule.time_at(-1e9) == 1000


def test_times_may_have_any_shape_and_each_channel_its_own() -> None:
    schedule = Schedule(ScheduleConfig())
    t = torch.tensor([[1.0, 1000.0], [500.0, 1.0]])
    alpha, sigma = schedule.alpha_sigma(t)
    assert alpha.shape == sigma.shape == (2, 2)
    assert alpha[0, 0] == alpha[1, 1] > alpha[1, 0] > alpha[0, 1]


# ---------------------------------------------------------------- grids


@every_schedule
@pytest.mark.parametrize("kind", list(GridName))
@pytest.mark.parametrize("steps", [8, 15, 20, 50, 300, 400, 1000])
def test_grids_fall_strictly_from_the_noisiest_time_to_the_first(config, kind: GridName, steps: int) -> None:
    schedule = Schedule(config)
    times = schedule.times(kind, steps)
    assert times.shape == (steps,)
    assert times.dtype == torch.float64
    assert torch.all(times.diff() < 0)
    assert float(times[-1]) == pytest.approx(1)
    if kind is not GridName.LOG_SNR:
        assert float(times[0]) == pytest.approx(1000)
    grid = schedule.grid(times)
    assert len(grid) == steps
    assert torch.all(grid.alpha.diff() > 0)
    assert torch.all(grid.sigma.diff() <= 0)


def test_uniform_and_quadratic_grids_have_equal_steps_in_t_and_in_its_root() -> None:
    schedule = Schedule(ScheduleConfig())
    np.testing.assert_allclose(schedule.times(GridName.UNIFORM, 4), [1000, 667, 334, 1])
    found = schedule.times(GridName.QUADRATIC, 3)
    np.testing.assert_allclose(found, [1000, ((math.sqrt(1000) + 1) / 2) ** 2, 1])


@every_schedule
def test_log_snr_grids_have_equal_steps_in_log_snr_and_start_no_lower_than_minus_ten(config: ScheduleConfig) -> None:
    schedule = Schedule(config)
    log_snr = schedule.log_snr(schedule.times(GridName.LOG_SNR, 20))
    lowest = -math.inf if config.zero_terminal_snr else float(schedule.log_snr(torch.tensor([1000.0])))
    assert float(log_snr[0]) == pytest.approx(max(lowest, -10.0))
    np.testing.assert_allclose(log_snr.diff(), float(log_snr.diff()[0]), rtol=1e-6)


def test_a_grid_may_start_at_any_level() -> None:
    schedule = Schedule(ScheduleConfig())
    grid = schedule.grid(torch.tensor([321.5, 100.0, 1.0], dtype=torch.float64))
    alpha, sigma = schedule.alpha_sigma(torch.tensor(321.5, dtype=torch.float64))
    assert (grid.alpha[0], grid.sigma[0]) == (alpha, sigma)
