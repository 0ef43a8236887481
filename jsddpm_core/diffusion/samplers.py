"""Samplers: pure functions from x_T to x0 along an explicit grid of noise levels.

All share one form, `sampler(denoise, x, grid, noise, constrain, on_step) -> x0`, and know nothing of networks: they
see x0_hat = denoise(x_t, t). The level after `grid[i]` is `grid[i + 1]`, and after the last entry comes x0 itself
(alpha = 1, sigma = 0). With alpha = sqrt(alpha_bar), sigma = sqrt(1 - alpha_bar): x_t = alpha x0 + sigma epsilon.

x is `(B, C, *S)` and starts as x at the level grid[0]: unit noise where the grid starts at (near) T. The state is
float64 on the CPU and float32 elsewhere, and so is the x0 returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from jsddpm_core.config import SamplerName, SamplingConfig
from jsddpm_core.diffusion.noise import INITIAL
from jsddpm_core.diffusion.schedule import Grid

Denoise: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""x0_hat `(B, C, *S)` from x_t `(B, C, *S)` and t `(B,)`."""

Noise: TypeAlias = Callable[[int], Tensor]
"""The field `(B, C, *S)` of a transition: step i leads from grid[i] to the next level, `noise.INITIAL` to grid[0]."""

Constrain: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""x at a level from (x, t `(B,)`, the noise of the transition that led there); t = 0 is x0. Serves in-painting: it is
applied to every x that `denoise` sees, and to the result."""


@dataclass(frozen=True)
class StepReport:
    """What a run tells after each evaluation of the denoiser.

    Attributes:
        index: of the step, from 0.
        total: number of steps of the whole run.
        t: the time at which the denoiser was evaluated.
        x0_hat: its estimate, `(B, C, *S)`.
    """

    index: int
    total: int
    t: float
    x0_hat: Tensor


OnStep: TypeAlias = Callable[[StepReport], None]


class Sampler(Protocol):
    """What every sampler is, once its own options are bound."""

    def __call__(
        self,
        denoise: Denoise,
        x: Tensor,
        grid: Grid,
        noise: Noise,
        constrain: Constrain | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """x0 `(B, C, *S)` from x at grid[0]."""


@dataclass(frozen=True)
class _Step:
    """One transition: the level it leaves and the level it reaches."""

    index: int
    t: float
    alpha: float
    sigma: float
    t_next: float
    alpha_next: float
    sigma_next: float


@dataclass(frozen=True)
class _Run:
    """What all samplers do alike around their update: widen the state, evaluate, draw, constrain, report."""

    denoise: Denoise
    grid: Grid
    noise: Noise
    constrain: Constrain | None
    on_step: OnStep | None

    def steps(self) -> Iterator[_Step]:
        t, alpha, sigma = (level.tolist() for level in (self.grid.t, self.grid.alpha, self.grid.sigma))
        here = zip(t, alpha, sigma, strict=True)
        following = zip([*t[1:], 0.0], [*alpha[1:], 1.0], [*sigma[1:], 0.0], strict=True)
        for index, (level, level_next) in enumerate(zip(here, following, strict=True)):
            yield _Step(index, *level, *level_next)

    def start(self, x: Tensor) -> Tensor:
        x = _widened(x)
        return self._constrained(x, float(self.grid.t[0]), INITIAL)

    def evaluate(self, x: Tensor, step: _Step) -> Tensor:
        x0_hat = self.denoise(x, _times(x, step.t)).to(x.dtype)
        if self.on_step is not None:
            self.on_step(StepReport(step.index, len(self.grid), step.t, x0_hat))
        return x0_hat

    def draw(self, x: Tensor, step: _Step) -> Tensor:
        return self.noise(step.index).to(x)

    def arrive(self, x: Tensor, step: _Step) -> Tensor:
        return self._constrained(x, step.t_next, step.index)

    def finish(self, x0: Tensor) -> Tensor:
        return self._constrained(x0, 0.0, len(self.grid) - 1)

    def _constrained(self, x: Tensor, t: float, index: int) -> Tensor:
        if self.constrain is None:
            return x
        return self.constrain(x, _times(x, t), self.noise(index).to(x)).to(x.dtype)


@torch.no_grad()
def ddpm(
    denoise: Denoise,
    x: Tensor,
    grid: Grid,
    noise: Noise,
    constrain: Constrain | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Ancestral sampling with the posterior q(x_prev | x_t, x0_hat): Ho et al. 2020, eqs. 6 and 7.

    Between neighbours of the grid, beta = 1 - alpha_bar / alpha_bar_next; the variance is the posterior's (beta tilde).
    """
    run = _Run(denoise, grid, noise, constrain, on_step)
    x = run.start(x)
    for step in run.steps():
        x0_hat = run.evaluate(x, step)
        ratio = step.alpha / step.alpha_next
        beta = 1 - ratio**2
        mean = (step.alpha_next * beta * x0_hat + ratio * step.sigma_next**2 * x) / step.sigma**2
        deviation = step.sigma_next / step.sigma * math.sqrt(beta)
        x = mean + deviation * run.draw(x, step) if deviation > 0 else mean
        x = run.arrive(x, step)
    return x


@torch.no_grad()
def ddim(
    denoise: Denoise,
    x: Tensor,
    grid: Grid,
    noise: Noise,
    constrain: Constrain | None = None,
    on_step: OnStep | None = None,
    *,
    eta: float = 0.0,
) -> Tensor:
    """DDIM: Song et al. 2021, eq. 12 with the variance of eq. 16.

    Args:
        eta: share of the posterior's standard deviation that is drawn anew, in [0, 1]; 0 is an ODE step, 1 is `ddpm`.
    """
    run = _Run(denoise, grid, noise, constrain, on_step)
    x = run.start(x)
    for step in run.steps():
        x0_hat = run.evaluate(x, step)
        deviation = eta * step.sigma_next / step.sigma * math.sqrt(1 - (step.alpha / step.alpha_next) ** 2)
        direction = math.sqrt(max(step.sigma_next**2 - deviation**2, 0.0))
        x = step.alpha_next * x0_hat + direction * (x - step.alpha * x0_hat) / step.sigma
        if deviation > 0:
            x = x + deviation * run.draw(x, step)
        x = run.arrive(x, step)
    return x


@torch.no_grad()
def dpm_solver_pp_2m(
    denoise: Denoise,
    x: Tensor,
    grid: Grid,
    noise: Noise,
    constrain: Constrain | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """DPM-Solver++(2M), data prediction: Lu et al. 2022b, algorithm 2; the first step and the one to x0 are of order 1.

    With lambda = log(alpha / sigma), h = lambda_next - lambda and e^-h = alpha sigma_next / (alpha_next sigma), so that
    a start at zero SNR (lambda = -inf) needs no case of its own.
    """
    run = _Run(denoise, grid, noise, constrain, on_step)
    x = run.start(x)
    earlier, h_earlier = None, math.inf
    for step in run.steps():
        x0_hat = run.evaluate(x, step)
        h = _half_log_snr(step.alpha_next, step.sigma_next) - _half_log_snr(step.alpha, step.sigma)
        data = x0_hat
        if earlier is not None and math.isfinite(h):
            share = h / (2 * h_earlier)  # 1 / (2 r), r = h_earlier / h; nothing after an infinite step
            data = (1 + share) * x0_hat - share * earlier
        shrink = step.sigma_next / step.sigma
        x = shrink * x + (step.alpha_next - step.alpha * shrink) * data
        x = run.arrive(x, step)
        earlier, h_earlier = x0_hat, h
    return x


@torch.no_grad()
def ddim_early_stopping(
    denoise: Denoise,
    x: Tensor,
    grid: Grid,
    noise: Noise,
    constrain: Constrain | None = None,
    on_step: OnStep | None = None,
    *,
    tolerance: float = 1e-3,
) -> Tensor:
    """DDIM (Song et al. 2021, eq. 12, eta = 0) that ends a sample where its x0_hat has settled.

    A sample ends at the x0_hat whose root-mean-square change since the step before, times the number of steps that
    remain, is at most `tolerance`: were the later changes as large as this one, the result would be that far away.
    So the tolerance, in units of x0, means the same at 50 steps and at 1000. It can only be reached where signal
    outweighs noise: before, x0_hat hardly moves because it is still the mean of all images. A sample that has
    ended stays as it is while others of its batch go on, so its result is the same alone and batched.
    """
    run = _Run(denoise, grid, noise, constrain, on_step)
    x = run.start(x)
    result, earlier = x, None
    ended = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for step in run.steps():
        x0_hat = run.evaluate(x, step)
        result = torch.where(_per_sample(ended, x), result, x0_hat)
        if earlier is not None and step.alpha > step.sigma:
            change = (x0_hat - earlier).square().flatten(1).mean(1).sqrt()
            ended = ended | (change * (len(grid) - 1 - step.index) <= tolerance)
            if bool(ended.all()):
                break
        x = step.alpha_next * x0_hat + step.sigma_next * (x - step.alpha * x0_hat) / step.sigma
        x = run.arrive(x, step)
        earlier = x0_hat
    return run.finish(result)


@torch.no_grad()
def invert(denoise: Denoise, x0: Tensor, grid: Grid, on_step: OnStep | None = None, *, refinements: int = 0) -> Tensor:
    """DDIM inversion: the x at grid[0] from which `ddim` with eta = 0 leads back to x0.

    The ODE of Song et al. 2021, section 4.3, run towards more noise (Dhariwal & Nichol 2021, appendix F), from x0
    without noise at the last entry of the grid, x = alpha x0. An inverse step takes x0_hat at the level that it
    leaves, where the sampler will take it at the level that it reaches; each refinement replaces it by x0_hat there,
    a fixed-point iteration (Pan et al. 2023) that makes the way back exact.

    Args:
        refinements: further evaluations of the denoiser in each step.

    Returns:
        x at grid[0], `(B, C, *S)`.
    """
    t, alpha, sigma = (level.tolist() for level in (grid.t, grid.alpha, grid.sigma))
    last = len(grid) - 1
    x = alpha[last] * _widened(x0)
    for here in range(last, 0, -1):
        to = here - 1
        x0_hat = denoise(x, _times(x, t[here])).to(x.dtype)
        if on_step is not None:
            on_step(StepReport(last - here, last, t[here], x0_hat))
        x_to = alpha[to] * x0_hat + sigma[to] * (x - alpha[here] * x0_hat) / sigma[here]
        for _ in range(refinements):
            x0_hat = denoise(x_to, _times(x, t[to])).to(x.dtype)
            x_to = alpha[to] * x0_hat + sigma[to] * (x - alpha[here] * x0_hat) / sigma[here]
        x = x_to
    return x


@dataclass(frozen=True)
class SamplerKind:
    """A sampler and the sampling settings that it obeys.

    Attributes:
        run: the function.
        options: its keyword for each key of `SamplingConfig` that applies to it; others have no effect on it.
    """

    run: Sampler
    options: Mapping[str, str]

    def bound(self, sampling: SamplingConfig) -> Sampler:
        """The function with its options taken from a configuration: `(denoise, x, grid, noise, ...) -> x0`."""
        values: dict[str, Any] = {keyword: getattr(sampling, key) for key, keyword in self.options.items()}
        return partial(self.run, **values)


SAMPLERS: Mapping[SamplerName, SamplerKind] = MappingProxyType(
    {
        SamplerName.DDPM: SamplerKind(ddpm, {}),
        SamplerName.DDIM: SamplerKind(ddim, {"eta": "eta"}),
        SamplerName.DPM_SOLVER_PP_2M: SamplerKind(dpm_solver_pp_2m, {}),
        SamplerName.DDIM_EARLY: SamplerKind(ddim_early_stopping, {"early_stopping_tolerance": "tolerance"}),
    }
)


def sampler_of(sampling: SamplingConfig) -> Sampler:
    """The sampler that a configuration names, with the options that apply to it."""
    return SAMPLERS[sampling.sampler].bound(sampling)


def _widened(x: Tensor) -> Tensor:
    return x.to(torch.float64 if x.device.type == "cpu" else torch.float32)


def _times(x: Tensor, t: float) -> Tensor:
    return torch.full((len(x),), t, dtype=x.dtype, device=x.device)


def _per_sample(flags: Tensor, x: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (x.ndim - 1))


def _half_log_snr(alpha: float, sigma: float) -> float:
    if alpha == 0:
        return -math.inf
    return math.log(alpha / sigma) if sigma > 0 else math.inf
