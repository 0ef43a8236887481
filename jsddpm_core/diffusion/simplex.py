"""Simplex noise: smooth random fields of several octaves (Perlin 2002; Gustavson 2005), as Wyatt et al. 2022 diffuse.

Each lattice point of a simplex grid carries a random gradient g and adds (1/2 - |d|^2)^4 (g . d) to the points at
distance d within its reach. Three things differ from noise for textures, all for diffusion's sake: gradients are
drawn for every lattice point instead of being hashed from a table (no period), they are normal vectors (values are
then Gaussian, with the covariance that unit vectors give), and the lattice is shifted at random, which makes the
variance the same everywhere and known in closed form, so that it can be scaled to 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

OCTAVES = 6
LARGEST_SCALE = 64.0
"""Pixels to a unit of the coarsest octave; every octave halves it (Wyatt et al. 2022, section 3.2)."""
PERSISTENCE = 0.8
"""Amplitude of an octave relative to the coarser one before (Wyatt et al. 2022, section 3.2)."""

_REACH = 0.5  # squared radius of a lattice point's influence: the largest at which fields are continuous


def simplex_field(generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """A field of six octaves, zero mean and unit variance over draws, float32 of `shape` (2-D or 3-D).

    Args:
        generator: all randomness comes from here.
        shape: (X, Y) or (X, Y, Z), in pixels.
    """
    total = np.zeros(tuple(shape), dtype=np.float32)
    for octave in range(OCTAVES):
        total += np.float32(PERSISTENCE**octave) * simplex_octave(generator, shape, LARGEST_SCALE / 2**octave)
    power = sum(PERSISTENCE ** (2 * octave) for octave in range(OCTAVES))
    return total * np.float32(1 / math.sqrt(power))


def simplex_octave(generator: np.random.Generator, shape: Sequence[int], scale: float) -> np.ndarray:
    """One octave of unit variance, float32 of `shape`; `scale` is the number of pixels to a unit of length."""
    n = len(shape)
    skew, unskew = (math.sqrt(n + 1) - 1) / n, (1 - 1 / math.sqrt(n + 1)) / n
    shift = generator.random(n)  # uniform over a cell of the skewed lattice
    shift -= unskew * shift.sum()
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    place = [(axis / scale + offset).astype(np.float32) for axis, offset in zip(axes, shift, strict=True)]

    lean = np.float32(skew) * sum(place)
    cell = [np.floor(axis + lean) for axis in place]
    back = np.float32(unskew) * sum(cell)
    origin = [axis - (corner - back) for axis, corner in zip(place, cell, strict=True)]
    size = [int(corner.max()) + 2 for corner in cell]
    gradients = generator.standard_normal((n, math.prod(size)), dtype=np.float32)
    strides = [math.prod(size[axis + 1 :]) for axis in range(n)]
    index = sum(corner.astype(np.intp) * stride for corner, stride in zip(cell, strides, strict=True))

    rank = _ranks(origin)
    total = np.zeros(tuple(shape), dtype=np.float32)
    for corner in range(n + 1):
        # The simplex that holds a point is walked from its first corner along the axes, the largest coordinate first.
        stepped = [axis >= n - corner for axis in rank]
        here = index + sum(step * stride for step, stride in zip(stepped, strides, strict=True))
        back = np.float32(corner * unskew)
        apart = [x + (back - step.astype(np.float32)) for x, step in zip(origin, stepped, strict=True)]
        reach = np.maximum(np.float32(_REACH) - sum(x * x for x in apart), np.float32(0))
        reach *= reach
        reach *= reach
        total += reach * sum(np.take(gradients[axis], here) * apart[axis] for axis in range(n))
    return total * np.float32(1 / math.sqrt(_variance(n)))


def _ranks(coordinates: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each axis and point, how many of the other coordinates are smaller there; ties are broken by the axis."""
    ranks = [np.zeros(axis.shape, dtype=np.int8) for axis in coordinates]
    for a, b in itertools.combinations(range(len(coordinates)), 2):
        first = coordinates[a] > coordinates[b]
        ranks[a] += first
        ranks[b] += ~first
    return ranks


def _variance(n: int) -> float:
    """Variance of one octave before scaling, over the gradients and the shift of the lattice.

    It is the density of lattice points times the integral of (1/2 - r^2)^8 r^2 over the ball of their influence, since
    E[(g . d)^2] = |d|^2 for a normal g; in polar coordinates a Beta function.
    """
    density = math.sqrt(n + 1)
    sphere = 2 * math.pi ** (n / 2) / math.gamma(n / 2)
    # integral of (R - r^2)^8 r^(n + 1) dr over 0..sqrt(R) = R^(9 + n/2) B(n/2 + 1, 9) / 2
    beta = math.gamma(n / 2 + 1) * math.gamma(9) / math.gamma(n / 2 + 10)
    return density * sphere * _REACH ** (9 + n / 2) * beta / 2
