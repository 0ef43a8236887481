"""Painted copies of a prepared case's lesion-free slices: FCD-like lesions to learn from, labelled simulated.

A volume that is free of lesions as a whole is painted in three dimensions: one lesion a copy, on all the slices that it
reaches. Of a volume with lesions elsewhere, and of single slices, each free slice is painted on its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from jsddpm_core.config import DataConfig
from jsddpm_core.data.cerebrum import cerebral_plane, cerebral_volume
from jsddpm_core.data.fcd_parameters import FcdParameters, draw_parameters
from jsddpm_core.data.fcd_simulation import Painted, paint
from jsddpm_core.data.preprocess import Prepared
from jsddpm_core.data.tissue import Tissue, tissue_of
from jsddpm_core.errors import ImageError

SUFFIX = "_desc-simulated"
"""Ends the name of a painted copy's case; a number follows where a volume has several."""

ATTEMPTS = 8
LEAST_SLICES = 5
"""Fewer slices in a row are no volume."""

MOST_COPIES = 20


@dataclass(frozen=True)
class SimulatedSlice:
    """A slice of the prepared image with a painted lesion.

    Attributes:
        z: its index in the prepared image.
        image: (X, Y) float32 in [-1, 1].
        mask: (X, Y) uint8 of 0 and 1.
        suffix: what the painted copy's case is called after the original's name.
    """

    z: int
    image: np.ndarray
    mask: np.ndarray
    suffix: str = SUFFIX


def simulated_slices(
    prepared: Prepared, free: Sequence[int], config: DataConfig, share: float, seed: int, case: str
) -> Iterator[SimulatedSlice]:
    """Paints lesions into copies of a case's lesion-free slices.

    Which slices, where and what follow from the seed, the case's name and the slice's position alone. A slice or
    volume in which no lesion finds a place is passed over.

    Args:
        prepared: the case on the model's grid.
        free: indices of its lesion-free slices, ascending.
        config: spacing, and the least area of a lesion.
        share: chance of a slice to be painted; of a volume, painted slices per free slice on average.
        seed: of the simulation.
        case: its name.
    """
    if _is_free_volume(prepared, free):
        yield from _from_volume(prepared, free, config, share, seed, case)
    else:
        yield from _from_slices(prepared, free, config, share, seed, case)


def _is_free_volume(prepared: Prepared, free: Sequence[int]) -> bool:
    """Whether nothing of a lesion is anywhere, and the slices follow each other."""
    whole = len(free) >= LEAST_SLICES and free[-1] - free[0] == len(free) - 1
    return whole and prepared.mask_trace is not None and not prepared.mask_trace.any()


def _generator(*key: object) -> np.random.Generator:
    digest = hashlib.sha256(" ".join(str(part) for part in key).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint64))


def _from_volume(
    prepared: Prepared, free: Sequence[int], config: DataConfig, share: float, seed: int, case: str
) -> Iterator[SimulatedSlice]:
    step = config.grid.spacing_mm
    allowed = cerebral_volume(prepared.image.shape, prepared.placement.grid_affine)
    allowed[..., : free[0]] = False
    allowed[..., free[-1] + 1 :] = False
    left = share * len(free)
    tissue: Tissue | None = None
    for copy in range(1, MOST_COPIES + 1):
        generator = _generator("fcd-simulated", seed, case, "volume", copy)
        parameters = draw_parameters(generator)
        # A lesion spans about twice its radius: the last one is painted as often as makes the average right.
        if generator.random() >= left * step / (2 * parameters.radius_mm):
            return
        try:
            tissue = tissue or tissue_of(prepared.image, (step,) * 3, prepared.brain)
            made = _painted(prepared.image, (step,) * 3, tissue, parameters, generator, allowed)
        except ImageError:
            return
        for z in free:
            if made.mask[..., z].sum() * step**2 >= config.minimum_lesion_mm2:
                yield SimulatedSlice(z, made.image[..., z], made.mask[..., z], f"{SUFFIX}{copy}")
                left -= 1


def _from_slices(
    prepared: Prepared, free: Sequence[int], config: DataConfig, share: float, seed: int, case: str
) -> Iterator[SimulatedSlice]:
    spacing = (config.grid.spacing_mm, config.grid.spacing_mm)
    affine = prepared.placement.grid_affine
    for z in free:
        height = float(affine[2, 3]) + z * config.grid.spacing_mm
        generator = _generator("fcd-simulated", seed, case, f"{height:.4f}")
        if generator.random() >= share:
            continue
        image = prepared.image[..., z]
        allowed = cerebral_plane(image.shape, affine, height)
        with suppress(ImageError):
            tissue = tissue_of(image, spacing, prepared.brain[..., z])
            least = 2 * config.minimum_lesion_mm2
            made = _painted(image, spacing, tissue, draw_parameters(generator), generator, allowed, least)
            yield SimulatedSlice(z, made.image, made.mask)


def _painted(
    image: np.ndarray,
    spacing: tuple[float, ...],
    tissue: Tissue,
    parameters: FcdParameters,
    generator: np.random.Generator,
    allowed: np.ndarray,
    least_mm: float = 0.0,
) -> Painted:
    """One lesion; another is drawn where none finds a place.

    Raises:
        ImageError: if none did.
    """
    once = partial(paint, image, spacing, tissue, generator=generator, allowed=allowed, least_mm=least_mm)
    for _ in range(ATTEMPTS - 1):
        with suppress(ImageError):
            return once(parameters)
        parameters = draw_parameters(generator)
    return once(parameters)
