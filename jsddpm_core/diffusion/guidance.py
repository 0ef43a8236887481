"""Classifier-free guidance: a denoiser made of a conditional and an unconditional one."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from jsddpm_core.diffusion.samplers import Denoise


def guided(
    conditional: Denoise,
    unconditional: Denoise,
    weight: float,
    clip: Callable[[Tensor], Tensor] | None = None,
) -> Denoise:
    """x0_hat = x0_u + weight (x0_c - x0_u): Ho & Salimans 2022, eq. 6, in x0 (with their w, weight = 1 + w).

    x_t being the same in both, the rule is the same in x0 as in epsilon. The two evaluations are two calls, so that
    one forward holds one sample. At weight 1 only the conditional one is evaluated, at weight 0 only the other.

    Args:
        conditional: knows the condition.
        unconditional: was given the null condition; it keeps its own self-conditioning.
        weight: >= 0; above 1 the condition is exaggerated.
        clip: applied to the combination, which may leave the range of both its parts.
    """
    if weight == 1:
        return conditional
    if weight == 0:
        return unconditional

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        x0_u = unconditional(x_t, t)
        x0_hat = x0_u + weight * (conditional(x_t, t) - x0_u)
        return x0_hat if clip is None else clip(x0_hat)

    return denoise
