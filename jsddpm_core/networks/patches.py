"""The stem's rearrangement of pixels into channels and back, in 2-D and 3-D."""

from __future__ import annotations

from torch import Tensor


def to_patches(x: Tensor, size: int) -> Tensor:
    """`(B, C, *S)` to `(B, C x size^n, *S/size)`: pixel-unshuffle (Shi et al. 2016) for any number of axes."""
    if size == 1:
        return x
    axes = x.ndim - 2
    for axis in range(axes):
        x = x.unflatten(2 + 2 * axis, (-1, size))
    order = [0, 1, *range(3, 3 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2)]
    return x.permute(order).flatten(1, 1 + axes)


def from_patches(x: Tensor, size: int) -> Tensor:
    """The inverse of `to_patches`."""
    if size == 1:
        return x
    axes = x.ndim - 2
    x = x.unflatten(1, (-1, *[size] * axes))
    order = [0, 1]
    for axis in range(axes):
        order += [2 + axes + axis, 2 + axis]
    x = x.permute(order)
    for axis in range(axes):
        x = x.flatten(2 + axis, 3 + axis)
    return x
