"""Anatomical priors: averages of people, for each part of the position range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_fixtures import SMALL_GRID, record, small_config, write_cache

from jsddpm_core.config import ConditioningConfig, Config
from jsddpm_core.data.priors import build_priors, load_priors, save_priors
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError

LOWEST, HIGHEST = SMALL_GRID.position_range_mm
MIDDLE = (LOWEST + HIGHEST) / 2


@pytest.fixture
def config() -> Config:
    return small_config().model_copy(update={"conditioning": ConditioningConfig(bins=3)})


def a_cache(folder: Path, people: int = 3) -> SliceCache:
    """Low and middle slices of some people; one has three low slices; the test person is bright."""
    values = [-0.6, 0.0, 0.3][:people]
    slices = [(record(f"d/sub-{n}", position_mm=LOWEST + 1), value) for n, value in enumerate(values)]
    slices += [(record("d/sub-0", position_mm=LOWEST + 2), -0.6)] * 2
    slices += [(record(f"d/sub-{n}", position_mm=MIDDLE), value + 0.1) for n, value in enumerate(values)]
    slices += [(record("d/sub-9", "test", position_mm=MIDDLE), 1.0)]
    return write_cache(folder, slices)


def test_people_are_averaged_and_not_slices(tmp_path: Path, config: Config) -> None:
    priors = build_priors(a_cache(tmp_path / "c"), config)
    assert priors.shape == (3, *SMALL_GRID.shape[:2])
    assert priors.dtype == np.float32
    assert np.allclose(priors[0], -0.1, atol=1e-6)  # of -0.6, 0.0 and 0.3, though the first has three slices


def test_only_training_people_enter(tmp_path: Path, config: Config) -> None:
    assert np.allclose(build_priors(a_cache(tmp_path / "c"), config)[1], 0.0, atol=1e-6)


def test_a_bin_without_slices_borrows_from_its_neighbour(tmp_path: Path, config: Config) -> None:
    priors = build_priors(a_cache(tmp_path / "c"), config)
    assert np.array_equal(priors[2], priors[1])


def test_fewer_than_three_people_are_no_average(tmp_path: Path, config: Config) -> None:
    with pytest.raises(CacheError, match="of 2 people, a prior averages at least 3"):
        build_priors(a_cache(tmp_path / "c", people=2), config)


def test_priors_come_back_from_their_file(tmp_path: Path, config: Config) -> None:
    cache = a_cache(tmp_path / "c")
    priors = build_priors(cache, config)
    save_priors(priors, tmp_path / "priors.safetensors", cache)
    assert np.array_equal(load_priors(tmp_path / "priors.safetensors", cache), priors)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "priors.safetensors"]


def test_priors_of_another_cache_or_damaged_ones_are_refused(tmp_path: Path, config: Config) -> None:
    cache = a_cache(tmp_path / "c")
    path = tmp_path / "priors.safetensors"
    save_priors(build_priors(cache, config), path, cache)
    with pytest.raises(CacheError, match="made from another cache"):
        load_priors(path, write_cache(tmp_path / "other", [(record(), 0.5)]))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CacheError, match="holds no priors or is damaged"):
        load_priors(path)
    with pytest.raises(CacheError, match="holds no priors or is damaged"):
        load_priors(tmp_path / "absent.safetensors")
