"""Which held-out slices validation asks for again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_fixtures import a_small_config, write_small_cache

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.training.fit import fit
from jsddpm_core.training.validation import spread


@pytest.fixture
def cache(tmp_path: Path) -> SliceCache:
    return write_small_cache(tmp_path / "cache", a_small_config())


def with_unknown(cache: SliceCache, kept: int) -> SliceCache:
    """The cache with only `kept` of the validation slices' pathologies known."""
    known = set(cache.indices("validation")[:kept].tolist())
    cache.records = [
        record if record.split == "train" or index in known else replace(record, pathology=None)
        for index, record in enumerate(cache.records)
    ]
    return cache


def test_slices_of_unknown_pathology_stand_aside(cache: SliceCache) -> None:
    np.testing.assert_array_equal(spread(with_unknown(cache, 1), 4), cache.indices("validation")[:1])


def test_a_run_whose_validation_knows_no_pathology_is_judged_all_the_same(cache: SliceCache, tmp_path: Path) -> None:
    unknown = with_unknown(cache, 0)
    assert sorted(spread(unknown, 4)) == sorted(cache.indices("validation"))
    result = fit(a_small_config("training.max_steps=2"), unknown, tmp_path / "run", accelerator="cpu")
    assert result.finished
    assert list((tmp_path / "run").rglob("step-*_desc-synthetic.png"))
