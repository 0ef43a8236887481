"""Errors in the frequency domain, each image and channel by itself: focal frequency loss and frequency bands.

Spectra are orthonormal, so that by Parseval the mean of |spectrum|^2 is the mean of the squared error.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def split_patches(x: Tensor, factor: int) -> Tensor:
    """Cuts every side into `factor` pieces: `(B, C, *S)` to `(B, C, factor^D, *(S / factor))`.

    Raises:
        ValueError: where a side is not a multiple of the factor.
    """
    batch, channels, *sides = x.shape
    if any(side % factor for side in sides):
        raise ValueError(f"sides {tuple(sides)} cannot be cut into {factor} equal pieces")
    dims = len(sides)
    pieces = x.reshape(batch, channels, *[n for side in sides for n in (factor, side // factor)])
    which, within = [2 + 2 * d for d in range(dims)], [3 + 2 * d for d in range(dims)]
    return pieces.permute(0, 1, *which, *within).reshape(
        batch, channels, factor**dims, *[side // factor for side in sides]
    )


def focal_frequency(error: Tensor, alpha: float, patch_factor: int, log_matrix: bool) -> Tensor:
    """Focal frequency loss (Jiang et al. 2021): the mean of w |F|^2 over the spectrum F of the error (eq. 9).

    The weights w = |F|^alpha (eq. 8), through log(1 + w) where `log_matrix`, are divided by the greatest of their own
    spectrum to lie in [0, 1]; no gradient flows through them, so that they choose frequencies but are not learned
    from. Each patch of each image and channel has a spectrum of its own, hence weights of its own.

    Args:
        error: estimate - truth, `(B, C, *S)`; the DFT is linear, so its spectrum is the difference of spectra.
        alpha: at least 0; 0 weighs all frequencies alike.
        patch_factor: patches a side; every side must be a multiple.
        log_matrix: flatten the weights' range.

    Returns:
        float32 `(B, C)`.

    Raises:
        ValueError: where a side is not a multiple of the patch factor.
    """
    patches = split_patches(error.float(), patch_factor)
    dims = tuple(range(3, patches.ndim))
    power = _power_spectrum(patches, dims)
    with torch.no_grad():
        weights = power.sqrt() ** alpha
        if log_matrix:
            weights = torch.log1p(weights)
        # An error of exactly 0 has no greatest frequency; any divisor leaves its loss 0.
        weights = weights / weights.amax(dim=dims, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    return (weights * power).flatten(2).mean(dim=2)


def radial_frequency(shape: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Distance of every DFT coefficient from 0 as a share of the Nyquist frequency: 0 to sqrt(D), float32 `shape`."""
    axes = [torch.fft.fftfreq(side, d=0.5, device=device) for side in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0).sqrt()


def frequency_bands(error: Tensor, cutoff: float, low_weight: float, high_weight: float) -> Tensor:
    """Squared error with its low and high spatial frequencies weighed apart.

    With both weights 1 it is the mean squared error (Parseval).

    Args:
        error: `(B, C, *S)`.
        cutoff: greatest radius of the low band, as a share of Nyquist, in (0, 1).
        low_weight: weight of radii up to the cut-off, at least 0.
        high_weight: weight of radii beyond it, corners of the spectrum included, at least 0.

    Returns:
        float32 `(B, C)`.
    """
    dims = tuple(range(2, error.ndim))
    radius = radial_frequency(tuple(error.shape[2:]), error.device)
    weights = torch.where(radius <= cutoff, float(low_weight), float(high_weight))
    return (weights * _power_spectrum(error.float(), dims)).flatten(2).mean(dim=2)


def _power_spectrum(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    # From its parts, not from abs(): the gradient of abs() at an error of exactly 0 is undefined.
    spectrum = torch.fft.fftn(x, dim=dims)
    return (spectrum.real**2 + spectrum.imag**2) / math.prod(x.shape[dim] for dim in dims)
