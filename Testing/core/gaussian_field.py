"""A random field whose exact denoiser and exact sampling ODE are known, against which samplers are measured.

Images are 160 x 160 and Gaussian, with power falling as k^-2 and a pixel variance of 0.25, as brains roughly have it.
Its Fourier modes are independent, of variance S_k. Hence at a noise level (alpha, sigma)

    E[x0 | x]_k = alpha S_k / (alpha^2 S_k + sigma^2) x_k,

and the probability-flow ODE scales each mode in proportion to its marginal standard deviation,

    x0_k = sqrt(S_k / (alpha^2 S_k + sigma^2)) x_k.

Both act on each mode by itself, so that what a sampler does to images it does to single modes as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jsddpm_core.diffusion.samplers import INITIAL, Sampler
from jsddpm_core.diffusion.schedule import Grid, Schedule

SIZE = 160
PIXEL_VARIANCE = 0.25


def _field() -> tuple[Tensor, Tensor]:
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.hypot(k[:, None], k[None, :])
    power = np.where(radius > 0, 1 / np.maximum(radius, 1) ** 2, 0.0)
    return torch.from_numpy(radius), torch.from_numpy(power * PIXEL_VARIANCE * SIZE**2 / power.sum())


RADIUS, SPECTRUM = _field()
"""Wavenumber and variance of each mode, `(160, 160)`; white noise of unit variance has 1 everywhere."""
BANDS = {"low": RADIUS < 8, "high": RADIUS > 60}


def image_denoiser(schedule: Schedule) -> Callable[[Tensor, Tensor], Tensor]:
    """The exact denoiser of images `(B, C, 160, 160)`."""
    return _denoiser(schedule, SPECTRUM, _filtered)


def mode_denoiser(schedule: Schedule, spectrum: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The exact denoiser of single modes `(B, 1, K)`, of variances `spectrum` `(K,)`."""
    return _denoiser(schedule, spectrum, torch.mul)


def _denoiser(
    schedule: Schedule, spectrum: Tensor, apply: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[Tensor, Tensor], Tensor]:
    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (level[0] for level in schedule.alpha_sigma(t))
        return apply(x, alpha * spectrum / (alpha**2 * spectrum + sigma**2))

    return denoise


def ode_solution(x: Tensor, grid: Grid) -> Tensor:
    """The image to which the exact ODE leads from images x at grid[0]."""
    return _filtered(x, (SPECTRUM / (grid.alpha[0] ** 2 * SPECTRUM + grid.sigma[0] ** 2)).sqrt())


def even_noise(seed: int) -> Tensor:
    """White noise `(1, 1, 160, 160)` with exactly unit power in every mode: what holds for it holds on average."""
    white = torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return _filtered(white, 1 / torch.fft.fft2(white, norm="ortho").abs()[0, 0])


def power_ratio(images: Tensor, band: str) -> float:
    """Power of images in a band over the field's own; 1 is right."""
    power = torch.fft.fft2(images, norm="ortho").abs().square().mean((0, 1))
    return float(power[BANDS[band]].sum() / SPECTRUM[BANDS[band]].sum())


def mode_power(sampler: Sampler, schedule: Schedule, grid: Grid, spectrum: Tensor) -> Tensor:
    """The variance `(K,)` of modes sampled from unit noise: exact, without a random number.

    With an exact denoiser a sampler is linear in x_T and in the noise of each step, so that the variance is the sum of
    its squared responses to each of them alone; each is a row of one batch.
    """
    rows = len(grid) + 1

    def impulse(step: int) -> Tensor:
        response = torch.zeros(rows, 1, len(spectrum), dtype=torch.float64)
        response[0 if step == INITIAL else step + 1] = 1
        return response

    responses = sampler(mode_denoiser(schedule, spectrum), impulse(INITIAL), grid, impulse)
    return responses.square().sum((0, 1))


def _filtered(images: Tensor, gain: Tensor) -> Tensor:
    half = gain[:, : SIZE // 2 + 1]
    return torch.fft.irfft2(torch.fft.rfft2(images) * half, s=(SIZE, SIZE))
