"""Quality is measured on people whom the model never learned from, whatever a cache calls them or its splits."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import replace

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.data.subjects import trained_on
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.plan import HELD_OUT
from jsddpm_core.manifest import Manifest


def check_unseen(manifest: Manifest, cache: SliceCache) -> None:
    """Refuses a cache that holds out people whom the model, or one that it goes back to, was trained on.

    Raises:
        MeasureError: with their number and the first of them.
    """
    seen = sorted(trained_on(manifest, cache, HELD_OUT))
    if seen:
        raise MeasureError(
            f"the model '{manifest.name}' was trained on {len(seen)} of the people that {cache.folder} holds out, "
            f"'{seen[0]}' among them",
            "prepare the cases with these people in the training split, or leave them out",
        )


def counted_as_training(cache: SliceCache, subjects: Collection[str]) -> SliceCache:
    """The cache with these people in its training split; on disk it stays as it is."""
    moved = copy.copy(cache)
    moved.records = [
        replace(record, split="train") if record.subject in subjects else record for record in cache.records
    ]
    return moved
