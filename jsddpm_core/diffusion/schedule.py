"""Noise schedules: alpha_bar at T discrete times, continuous in between, and grids of times for sampling.

A time t runs from 1 (least noise) to T (most). At it, x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) epsilon
(Ho et al. 2020, eq. 4), and log_snr = log(alpha_bar / (1 - alpha_bar)). Between the discrete times alpha_bar is
interpolated linearly in log-SNR, so that every t in [1, T] is a noise level of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jsddpm_core.config import GridName, ScheduleConfig, ScheduleName

MINIMUM_LOG_SNR = -10.0
"""Where log-SNR grids start at the lowest: below it x_t holds no signal worth a step."""


def betas(config: ScheduleConfig) -> np.ndarray:
    """The variances beta_1 ... beta_T of a schedule, float64 `(T,)`, in (0, 1].

    linear: Ho et al. 2020. scaled-linear: Rombach et al. 2022. cosine: Nichol & Dhariwal 2021, eq. 17.
    exponential: geometric from beta_start to beta_end. gamma: beta_t (t/T)^gamma of the linear one.
    Zero terminal SNR: Lin et al. 2024, algorithm 1.
    """
    steps = config.steps
    match config.name:
        case ScheduleName.LINEAR:
            beta = np.linspace(config.beta_start, config.beta_end, steps)
        case ScheduleName.SCALED_LINEAR:
            beta = np.linspace(config.beta_start**0.5, config.beta_end**0.5, steps) ** 2
        case ScheduleName.COSINE:
            u = (np.arange(steps + 1) / steps + config.cosine_s) / (1 + config.cosine_s)
            f = np.cos(u * math.pi / 2) ** 2
            beta = np.minimum(1 - f[1:] / f[:-1], config.beta_max)
        case ScheduleName.EXPONENTIAL:
            beta = np.geomspace(config.beta_start, config.beta_end, steps)
        case ScheduleName.GAMMA:
            t = np.arange(1, steps + 1)
            beta = np.linspace(config.beta_start, config.beta_end, steps) * (t / steps) ** config.gamma
    if config.zero_terminal_snr:
        root = np.sqrt(np.cumprod(1 - beta))
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        alpha_bar = root**2
        beta = 1 - alpha_bar / np.concatenate([[1.0], alpha_bar[:-1]])
    return beta


@dataclass(frozen=True)
class Grid:
    """The noise levels of one sampling run, falling in t; the step after the last entry leads to x0.

    Attributes:
        t: continuous times in [1, T], float64 `(N,)`.
        alpha: sqrt(alpha_bar) at these, `(N,)`.
        sigma: sqrt(1 - alpha_bar) at these, `(N,)`.
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor

    def __len__(self) -> int:
        return len(self.t)


class Schedule:
    """alpha_bar and log-SNR of a schedule at continuous times.

    Args:
        config: which schedule.

    Attributes:
        steps: T.
        alpha_bar: float64 numpy `(T,)`, decreasing, in [0, 1).
    """

    def __init__(self, config: ScheduleConfig) -> None:
        self.config = config
        self.steps = config.steps
        self.alpha_bar = np.cumprod(1 - betas(config))
        floor = np.finfo(np.float64).tiny
        # At zero terminal SNR the last table entry is -inf; interpolation needs a finite end.
        self._log_snr = np.log(np.maximum(self.alpha_bar, floor)) - np.log1p(-self.alpha_bar)
        self._times = np.arange(1, self.steps + 1, dtype=np.float64)
        self._table = torch.from_numpy(self._log_snr)

    def log_snr(self, t: Tensor) -> Tensor:
        """log-SNR at times t in [1, T], any shape; float64 on the CPU, float32 elsewhere."""
        wide = t.to(torch.float64 if t.device.type == "cpu" else torch.float32)
        table = self._table.to(wide)
        below = (wide.floor().long() - 1).clamp(0, self.steps - 2)
        share = wide - (below + 1).to(wide)
        # At a table entry the neighbour must not enter: it may be the (finite) stand-in for minus infinity.
        return torch.where(share == 0, table[below], torch.lerp(table[below], table[below + 1], share))

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar) and sqrt(1 - alpha_bar) at times t, each of t's shape."""
        log_snr = self.log_snr(t)
        alpha, sigma = torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()
        if self.config.zero_terminal_snr:
            last = t >= self.steps
            alpha, sigma = alpha.masked_fill(last, 0.0), sigma.masked_fill(last, 1.0)
        return alpha, sigma

    def time_at(self, log_snr: np.ndarray | float) -> np.ndarray:
        """The times whose log-SNR is asked for, clamped to [1, T]; the inverse of `log_snr`."""
        return np.interp(-np.asarray(log_snr, dtype=np.float64), -self._log_snr, self._times)

    def times(self, kind: GridName, steps: int) -> Tensor:
        """Times of a sampling run, float64 `(steps,)`, strictly falling from (near) T to 1.

        uniform: equal distances in t. quadratic: equal distances in sqrt(t) (Song et al. 2021, D.3).
        log_snr: equal distances in log-SNR (Lu et al. 2022), from max(log-SNR_T, -10).
        The last step goes from t = 1 to x0; samplers take it.
        """
        match kind:
            case GridName.UNIFORM:
                times = np.linspace(self.steps, 1, steps)
            case GridName.QUADRATIC:
                times = np.linspace(math.sqrt(self.steps), 1, steps) ** 2
            case GridName.LOG_SNR:
                start = max(float(self._log_snr[-1]), MINIMUM_LOG_SNR)
                times = self.time_at(np.linspace(start, self._log_snr[0], steps))
        return torch.from_numpy(np.ascontiguousarray(times))

    def grid(self, times: Tensor) -> Grid:
        """The noise levels at explicit falling times; it may start anywhere."""
        alpha, sigma = self.alpha_sigma(times)
        return Grid(t=times, alpha=alpha, sigma=sigma)
