"""The slices that the training benchmark learns from: real ones where there are any, phantoms where there are none."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from jsddpm_core.config_file import load_config
from jsddpm_core.data.prepare import prepare
from jsddpm_core.data.slices import SliceCache

TESTS = Path(__file__).resolve().parents[1] / "core"
PHANTOMS = {"lesional": 8, "healthy": 4, "unmasked": 0}


def find_or_make(cache: Path, data: Path, work: Path) -> tuple[Path, str]:
    """The folder of a slice cache on disk, and what it was made of in words.

    Args:
        cache: of the demo model's cases, used where it has been prepared.
        data: the folder of real data sets; its `ms-volumes` is prepared where there is no such cache.
        work: where a cache is made; what is there already is used again.
    """
    if (cache / "cache.json").is_file():
        return cache, "the demo model's cases"
    config = load_config("fast")
    if (data / "ms-volumes").is_dir():
        prepare([data / "ms-volumes"], config, work / "real-slices", ["ms"])
        return work / "real-slices", "the cases of ms-volumes"
    sys.path.insert(0, str(TESTS))
    try:
        from phantom import write_phantom_cases
    finally:
        sys.path.remove(str(TESTS))
    cases = write_phantom_cases(work / "phantoms", **PHANTOMS)
    prepare([cases], config, work / "phantom-slices", ["infarct"])
    return work / "phantom-slices", "phantoms, for want of real cases"


def usable_by_both(cache: SliceCache) -> SliceCache:
    """The cache with only those slices in its splits that have a pathology and a mask.

    The peer knows neither an unknown pathology nor an unknown mask, so both train without such slices.
    """
    known = [record.pathology is not None and record.mask_known for record in cache.records]
    cache.records = [
        record if use else replace(record, split="unused") for record, use in zip(cache.records, known, strict=True)
    ]
    return cache
