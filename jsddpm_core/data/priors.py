"""Anatomical priors: the average training slice of each position bin.

People are averaged, not slices, and never fewer than three of them: a prior shows anatomy and nobody's picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError
from jsddpm_core.files import write_file
from jsddpm_core.networks.conditioning import position_bin

LEAST_PEOPLE = 3
KEY = "priors"


def _window(people: Sequence[set[str]], centre: int) -> range:
    """The bins around one, as few as hold at least three people between them."""
    for reach in range(len(people)):
        window = range(max(0, centre - reach), min(len(people), centre + reach + 1))
        if len(set().union(*(people[index] for index in window))) >= LEAST_PEOPLE:
            return window
    count = len(set().union(*people))
    raise CacheError(
        f"the training slices are of {count} people, a prior averages at least {LEAST_PEOPLE}",
        "prepare more cases or set conditioning.prior.kind to none",
    )


def build_priors(cache: SliceCache, config: Config) -> np.ndarray:
    """The mean training slice of each position bin; a bin with fewer than three people borrows from its neighbours.

    Args:
        cache: the prepared slices; only those of the training split are used, and only their images.
        config: its `conditioning.bins` says how many parts the grid's position range is divided into.

    Returns:
        (bins, X, Y) float32 in [-1, 1].

    Raises:
        CacheError: if there are fewer than three people in the training split.
    """
    bins = config.conditioning.bins
    lowest, highest = cache.grid.position_range_mm
    members: list[dict[str, list[int]]] = [{} for _ in range(bins)]
    for index in cache.indices("train", synthetic=False):
        record = cache.records[index]
        own = int(position_bin(torch.tensor(record.position_mm), lowest, highest, bins))
        members[own].setdefault(record.subject, []).append(int(index))
    people = [set(own) for own in members]
    priors = np.empty((bins, *cache.images.shape[1:]), dtype=np.float32)
    for centre in range(bins):
        slices: dict[str, list[int]] = {}
        for index in _window(people, centre):
            for person, own in members[index].items():
                slices.setdefault(person, []).extend(own)
        total = np.zeros(cache.images.shape[1:], dtype=np.float64)
        for person in sorted(slices):
            total += np.mean(cache.images[sorted(slices[person])], axis=0, dtype=np.float64)
        priors[centre] = total / len(slices)
    return np.clip(priors, -1.0, 1.0)


def save_priors(priors: np.ndarray, path: Path, cache: SliceCache) -> None:
    """Writes priors as safetensors, with the digest of the cache that they are the average of.

    Raises:
        OutputError: if the file cannot be written.
    """
    said = {"cache": cache.digest, "bins": str(len(priors)), "space": cache.grid.space}
    write_file(path, save({KEY: np.ascontiguousarray(priors, dtype=np.float32)}, metadata=said))


def load_priors(path: Path, cache: SliceCache | None = None) -> np.ndarray:
    """Reads priors.

    Args:
        path: what `save_priors` wrote.
        cache: where given, the priors must have been made from it.

    Returns:
        (bins, X, Y) float32 in [-1, 1].

    Raises:
        CacheError: if the file is missing or damaged, or was made from another cache.
    """
    remedy = "build the priors again from the cache"
    try:
        with safe_open(path, framework="numpy") as file:
            said = file.metadata() or {}
            priors = file.get_tensor(KEY)
    except (OSError, SafetensorError) as error:
        raise CacheError(f"{path} holds no priors or is damaged", remedy) from error
    if priors.ndim != 3 or priors.dtype != np.float32 or not np.isfinite(priors).all():
        raise CacheError(f"{path} holds {priors.dtype} values of the shape {priors.shape}, not (bins, X, Y)", remedy)
    if cache is not None and said.get("cache") != cache.digest:
        raise CacheError(f"{path} was made from another cache", remedy)
    return priors
