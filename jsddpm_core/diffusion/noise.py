"""Noise that belongs to a sample: every field is a pure function of its key, whatever the device, batch or process.

A field is drawn by NumPy's Philox generator (Salmon et al. 2011) under a key that is the SHA-256 of
(seed, sample, attempt, slice, step). Fields of neighbouring slices of a volume that should agree are fixed weighted
sums of such fields over the slice index, so that any slice can be made alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from jsddpm_core.config import MAXIMUM_CORRELATION, NoiseKind
from jsddpm_core.diffusion.simplex import simplex_field

INITIAL = -1
"""The step of x_T: the transition that leads to the first level of a grid."""


@dataclass(frozen=True)
class NoiseKey:
    """Whose noise it is.

    Attributes:
        seed: of the run.
        sample: index within the run.
        attempt: 0 for the first draw, counting the re-draws of a sample.
        slice: index within a volume; 0 for single slices. May be negative.
    """

    seed: int
    sample: int
    attempt: int = 0
    slice: int = 0

    def generator(self, step: int) -> np.random.Generator:
        """The random stream of one transition of this sample."""
        text = f"jsddpm noise {self.seed} {self.sample} {self.attempt} {self.slice} {step}"
        digest = hashlib.sha256(text.encode("ascii")).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def field(kind: NoiseKind, key: NoiseKey, step: int, shape: Sequence[int]) -> np.ndarray:
    """One field of zero mean and unit variance, float32 of `shape` = (C, X, Y) or (C, X, Y, Z).

    Gaussian fields are white; simplex fields are smooth (see `simplex`). Channels are independent.
    """
    generator = key.generator(step)
    match kind:
        case NoiseKind.GAUSSIAN:
            return generator.standard_normal(tuple(shape), dtype=np.float32)
        case NoiseKind.SIMPLEX:
            return np.stack([simplex_field(generator, shape[1:]) for _ in range(shape[0])])


def fields(kind: NoiseKind, keys: Sequence[NoiseKey], step: int, shape: Sequence[int]) -> Tensor:
    """The fields of many samples, float32 `(len(keys), *shape)` on the CPU; row i is `field(kind, keys[i], ...)`."""
    return torch.from_numpy(np.stack([field(kind, key, step, shape) for key in keys]))


def through_plane_weights(correlation: float) -> np.ndarray:
    """Weights of the slices around one (odd length) whose sums correlate by `correlation` from slice to next slice.

    A Gaussian window, so that the correlation falls off smoothly over further slices; the squares sum to 1, so that a
    weighted sum of unit normal fields is a unit normal field.

    Args:
        correlation: of the noise of neighbouring slices, in [0, 0.99].

    Raises:
        ValueError: outside that range.
    """
    if not 0 <= correlation <= MAXIMUM_CORRELATION:
        raise ValueError(f"correlation of neighbouring slices {correlation} is not in [0, {MAXIMUM_CORRELATION}]")
    if correlation == 0:
        return np.ones(1)
    width = math.sqrt(-1 / (4 * math.log(correlation)))  # of the continuous window; the discrete one's is near
    offsets = np.arange(-math.ceil(4 * width), math.ceil(4 * width) + 1)
    narrow, wide = 0.9 * width, 1.5 * width
    for _ in range(60):
        middle = (narrow + wide) / 2
        weights = np.exp(-((offsets / middle) ** 2) / 2)
        weights /= np.sqrt(np.sum(weights**2))
        if np.sum(weights[1:] * weights[:-1]) < correlation:
            narrow = middle
        else:
            wide = middle
    return weights


class NoiseStream:
    """The noise of a batch for a whole sampling run; call it with a step.

    Args:
        kind: gaussian or simplex.
        keys: one for each row of the batch.
        shape: of a row, (C, *S).
        device: where the fields go; they are always drawn on the CPU, in float32.
        dtype: of the tensors returned.
        through_plane: weights over neighbouring slices, odd length, squares summing to 1; see `through_plane_weights`.
    """

    def __init__(
        self,
        kind: NoiseKind,
        keys: Sequence[NoiseKey],
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        through_plane: np.ndarray | None = None,
    ) -> None:
        self.kind = kind
        self.keys = tuple(keys)
        self.shape = tuple(shape)
        self.device = torch.device(device)
        self.dtype = dtype
        self.through_plane = None if through_plane is None else np.asarray(through_plane, dtype=np.float64)
        if self.through_plane is not None and (
            self.through_plane.size % 2 == 0 or abs(np.sum(self.through_plane**2) - 1) > 1e-6
        ):
            raise ValueError("through-plane weights need an odd length and squares that sum to 1")

    def initial(self) -> Tensor:
        """x_T, `(B, C, *S)`."""
        return self(INITIAL)

    def __call__(self, step: int) -> Tensor:
        """The noise of a transition, `(B, C, *S)`."""
        rows = np.stack([self._row(key, step) for key in self.keys])
        return torch.from_numpy(rows).to(device=self.device, dtype=self.dtype)

    def _row(self, key: NoiseKey, step: int) -> np.ndarray:
        if self.through_plane is None:
            return field(self.kind, key, step, self.shape)
        total = np.zeros(self.shape)
        first = key.slice - self.through_plane.size // 2
        for offset, weight in enumerate(self.through_plane):
            total += weight * field(self.kind, replace(key, slice=first + offset), step, self.shape)
        return total.astype(np.float32)
