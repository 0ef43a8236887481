"""Which slices a batch is drawn from: a set share from lesional ones, evenly over their pathologies."""

from __future__ import annotations

import numpy as np

from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError


def with_seen_pathologies(config: Config, cache: SliceCache) -> Config:
    """The configuration without the pathologies that no training slice shows: a model of them would be a promise.

    Raises:
        CacheError: if the training slices show none of them.
    """
    seen = {cache.records[index].pathology for index in cache.indices("train")}
    kept = tuple(pathology for pathology in config.pathologies if pathology.name in seen)
    if not kept:
        raise CacheError(
            f"no training slice of {cache.folder} is known to show or to lack a lesion",
            "prepare cases with masks, or name their pathology",
        )
    return config.model_copy(update={"pathologies": kept})


class SlicePools:
    """The training slices of a cache, one pool for each lesional pathology and one for all others.

    Raises:
        CacheError: if the cache has no training slice, or names a pathology that the configuration does not.
    """

    def __init__(self, cache: SliceCache, config: Config) -> None:
        indices = cache.indices("train")
        if not len(indices):
            raise CacheError(f"{cache.folder} holds no slice of the training split", "prepare more cases")
        known = {pathology.name for pathology in config.pathologies}
        found = {cache.records[index].pathology for index in indices} - {None}
        if found - known:
            raise CacheError(
                f"{cache.folder} holds slices of {', '.join(sorted(found - known))}, which the configuration lacks",
                "add them under 'pathologies' or prepare the cases under another name",
            )
        lesional = [pathology.name for pathology in config.pathologies if pathology.lesional]
        pools = {name: [i for i in indices if cache.records[i].pathology == name] for name in lesional}
        lesion_pools = [np.array(pool) for pool in pools.values() if pool]
        others = np.array([i for i in indices if cache.records[i].pathology not in lesional])
        share = config.training.lesion_share if lesion_pools else 0.0
        if not len(others):
            share = 1.0
        self._pools = [*lesion_pools, others] if len(others) else lesion_pools
        chances = [share / len(lesion_pools)] * len(lesion_pools) + ([1 - share] if len(others) else [])
        self._edges = np.cumsum(chances)
        self._size = len(indices)

    def draw(self, pool: float, member: float) -> int:
        """The slice that two uniform numbers in [0, 1) choose."""
        chosen = self._pools[min(int(np.searchsorted(self._edges, pool, side="right")), len(self._pools) - 1)]
        return int(chosen[int(member * len(chosen))])

    def __len__(self) -> int:
        return self._size
