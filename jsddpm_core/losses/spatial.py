"""Errors voxel by voxel, each image and channel by itself: lesion-weighted Lp and Huber.

Every function takes an error `(B, C, *S)` and returns one value for each image and channel, `(B, C)`; nothing is
shared between the images of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lesion_weights(lesion: Tensor, lesion_weight: float) -> Tensor:
    """Voxel weights: `lesion_weight` inside the lesion, 1 outside, divided by the image's mean weight.

    The division keeps an image with a large lesion from counting more than one with a small or no lesion. A weight
    above 1 has a price: the minimum of the loss is no longer the mean of x0 given x_t but E[w x0 | x_t] / E[w | x_t],
    which holds more lesion than there is. Over the steps of sampling this adds up, and lesions come out too large.

    Args:
        lesion: bool `(B, 1, *S)`.
        lesion_weight: at least 1; 2 gives the 2:1 weighting.

    Returns:
        float32 `(B, 1, *S)`, mean 1 over each image.
    """
    weights = torch.where(lesion, float(lesion_weight), 1.0)
    return weights / weights.mean(dim=tuple(range(1, weights.ndim)), keepdim=True)


def power(error: Tensor, p: float) -> Tensor:
    """|error|^p, whose gradient is 0, never infinite, where the error is exactly 0."""
    magnitude = error.abs()
    if p >= 1:
        return magnitude**p
    # Below 1 the slope at 0 is infinite; 1 stands in there, and its power is then left out.
    nonzero = magnitude > 0
    return torch.where(nonzero, torch.where(nonzero, magnitude, 1.0) ** p, 0.0)


def weighted_lp(error: Tensor, lesion: Tensor, p: float, lesion_weight: float) -> Tensor:
    """Mean of w |error|^p over the voxels of each image and channel; p = 1 is L1 and p = 2 is L2.

    Args:
        error: `(B, C, *S)`, finite.
        lesion: bool `(B, 1, *S)`.
        p: above 0.
        lesion_weight: at least 1, see `lesion_weights`.

    Returns:
        float32 `(B, C)`.
    """
    return (power(error.float(), p) * lesion_weights(lesion, lesion_weight)).flatten(2).mean(dim=2)


def weighted_huber(error: Tensor, lesion: Tensor, delta: float, lesion_weight: float) -> Tensor:
    """Mean of w h(error) over the voxels of each image and channel (Huber 1964).

    h is error^2 / 2 up to delta and delta (|error| - delta / 2) from there on.

    Args:
        error: `(B, C, *S)`, finite.
        lesion: bool `(B, 1, *S)`.
        delta: above 0, in the unit of the error.
        lesion_weight: at least 1, see `lesion_weights`.

    Returns:
        float32 `(B, C)`.
    """
    magnitude = error.float().abs()
    values = torch.where(magnitude <= delta, 0.5 * magnitude**2, delta * (magnitude - 0.5 * delta))
    return (values * lesion_weights(lesion, lesion_weight)).flatten(2).mean(dim=2)
