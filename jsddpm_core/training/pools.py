"""Which slices a batch is drawn from: a set share from lesional ones, evenly over their pathologies.

Slices that the start model drew (`training.replay`) have a share of their own, and are drawn from in no other way.
"""

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
    replays = config.training.replay_share > 0
    seen = {cache.records[index].pathology for index in cache.indices("train", synthetic=replays)}
    kept = tuple(pathology for pathology in config.pathologies if pathology.name in seen)
    if not kept:
        raise CacheError(
            f"no training slice of {cache.folder} is known to show or to lack a lesion",
            "prepare cases with masks, or name their pathology",
        )
    return config.model_copy(update={"pathologies": kept})


class SlicePools:
    """The training slices of a cache: a pool for each lesional pathology, one for all others, one for replay.

    Raises:
        CacheError: if the cache has no training slice, names a pathology that the configuration does not, or lacks the
            replay slices that the configuration asks for.
    """

    def __init__(self, cache: SliceCache, config: Config) -> None:
        indices = cache.indices("train", synthetic=False)
        if not len(indices):
            raise CacheError(f"{cache.folder} holds no slice of the training split", "prepare more cases")
        known = {pathology.name for pathology in config.pathologies}
        replayed = config.training.replay_share
        shown = cache.indices("train", synthetic=replayed > 0)
        found = {cache.records[index].pathology for index in shown} - {None}
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
        chances = [share / len(lesion_pools) for _ in lesion_pools] + ([1 - share] if len(others) else [])
        if replayed:
            self._pools.append(_replay(cache))
            chances = [*(chance * (1 - replayed) for chance in chances), replayed]
        self._edges = np.cumsum(chances)
        self._size = len(indices)

    def draw(self, pool: float, member: float) -> int:
        """The slice that two uniform numbers in [0, 1) choose."""
        chosen = self._pools[min(int(np.searchsorted(self._edges, pool, side="right")), len(self._pools) - 1)]
        return int(chosen[int(member * len(chosen))])

    def __len__(self) -> int:
        """Real training slices."""
        return self._size


def _replay(cache: SliceCache) -> np.ndarray:
    chosen = np.array([i for i in cache.indices("train") if cache.records[i].synthetic], dtype=np.int64)
    if not len(chosen):
        raise CacheError(
            f"{cache.folder} holds no slice that a start model drew", "set training.replay_share to 0 or add them"
        )
    return chosen
