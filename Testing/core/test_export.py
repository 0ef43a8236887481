"""What a bundle says of its training: positions, numbers and terms, and nobody's name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from data_fixtures import SMALL_DATA, record, write_cache
from generation_fixtures import SMALL, random_weights

from jsddpm_core.bundle import check_bundle
from jsddpm_core.config import Config
from jsddpm_core.config_file import load_config
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter
from jsddpm_core.errors import CaseError, TrainingError
from jsddpm_core.manifest import Licence
from jsddpm_core.training.export import (
    export_bundle,
    export_run,
    position_range,
    real_inter_slice_correlation,
    slice_counts,
    source_of,
)

LICENCE = Licence(weights="CC-BY-4.0")


def config() -> Config:
    small = [value for value in SMALL if not value.startswith("data.")]
    return load_config("fast", tuple(small)).model_copy(update={"data": SMALL_DATA})


def positions(pathology: str | None, values: list[float], split: str = "train") -> list[tuple]:
    return [
        (record(f"d/sub-{pathology}{number}", split, value, pathology=pathology), 0.0)
        for number, value in enumerate(values)
    ]


@pytest.fixture
def cache(tmp_path: Path) -> SliceCache:
    slices = [
        *positions("none", [-20.0, 0.0, 30.0]),
        *positions("ms", [-10.0, 10.0]),
        *positions("infarct", [18.0, 18.0]),
        *positions("ms", [44.0], split="test"),
        *positions(None, [40.0]),
    ]
    return write_cache(tmp_path / "cache", slices)


def export(cache: SliceCache, out: Path, settings: Config, **more: object):
    weights = {name: torch.from_numpy(array) for name, array in random_weights(settings).items()}
    return export_bundle(weights, settings, cache, out, "small", title="Small", licence=LICENCE, steps=7, **more)


def test_a_pathologys_range_is_that_of_its_training_slices_and_half_a_slice_more(cache: SliceCache) -> None:
    assert position_range(cache, "ms") == (-12.0, 12.0), "the test slice at 44 mm was not learned from"
    assert position_range(cache, "infarct") == (16.0, 20.0)


def test_a_single_slice_far_from_all_others_does_not_widen_the_range(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", positions("ms", [*np.linspace(0, 20, 200).tolist(), 45.0]))
    low, high = position_range(cache, "ms")
    assert high < 23
    assert low < 0


def test_a_pathology_that_was_never_seen_cannot_be_promised(cache: SliceCache) -> None:
    with pytest.raises(TrainingError, match="no training slice of 'fcd'"):
        position_range(cache, "fcd")


def test_slices_and_people_are_counted_by_split(cache: SliceCache) -> None:
    counts = slice_counts(cache)
    assert counts.slices["train"] == {"infarct": 2, "ms": 2, "none": 3, "unknown": 1}
    assert counts.slices["test"] == {"ms": 1}
    assert counts.subjects == {"train": 8, "validation": 0, "test": 1}
    assert counts.cases == counts.subjects
    assert counts.simulated == {}


def test_what_is_painted_or_drawn_by_a_model_is_counted_apart(tmp_path: Path) -> None:
    painted = record("d/sub-1", pathology="fcd-simulated", simulated=True)
    drawn = record("replay/demo", pathology="ms", position_mm=66.0, synthetic=True)
    cache = write_cache(tmp_path / "cache", [(record("d/sub-1"), 0.0), (painted, 0.1), (drawn, 0.2)])
    counts = slice_counts(cache)
    assert counts.slices["train"] == {"fcd-simulated": 1, "none": 1}
    assert counts.simulated == {"train": 1}
    assert counts.subjects["train"] == counts.cases["train"] == 1
    with pytest.raises(TrainingError, match="no training slice of 'ms'"):
        position_range(cache, "ms")


def test_the_real_inter_slice_correlation_is_of_neighbours_within_a_volume(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = SMALL_DATA.grid.shape[:2]
    first = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    other = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    empty = np.zeros(shape, np.uint8)

    def volumes(name: str, *slices: tuple[str, int, np.ndarray]) -> SliceCache:
        with SliceCacheWriter(tmp_path / name, SMALL_DATA.grid) as writer:
            for subject, index, image in slices:
                writer.add(record(subject, slice_index=index), image, empty)
            return writer.finish("test")

    same = volumes("same", ("d/a", 3, first), ("d/a", 4, first), ("d/b", 5, other))
    assert real_inter_slice_correlation(same) == pytest.approx(1.0)
    gaps = volumes("gaps", ("d/a", 3, first), ("d/a", 5, first), ("d/b", 4, first))
    assert real_inter_slice_correlation(gaps) is None
    mixed = volumes("mixed", ("d/a", 3, first), ("d/a", 4, other))
    assert abs(real_inter_slice_correlation(mixed)) < 0.15


def test_an_exported_bundle_is_sound_and_states_its_facts(cache: SliceCache, tmp_path: Path) -> None:
    bundle = export(cache, tmp_path / "bundle", config(), salt="0123456789abcdef", limits=("It cannot sing.",))
    assert check_bundle(bundle.folder) == []
    training = bundle.manifest.training
    assert training.steps == 7
    assert training.data_digest == hashlib.sha256(f"0123456789abcdef{cache.digest}".encode()).hexdigest()
    card = (bundle.folder / "MODEL_CARD.md").read_text()
    assert "| train | 8 | 8 | 2 | 2 | 3 | 1 |" in card
    assert "It cannot sing." in card
    assert "`infarct` was seen at one level only, z = 18 mm" in card


def test_an_exported_bundle_names_no_subject_and_no_path(cache: SliceCache, tmp_path: Path) -> None:
    bundle = export(cache, tmp_path / "bundle", config())
    for file in ("bundle.json", "MODEL_CARD.md"):
        text = (bundle.folder / file).read_text()
        assert "sub-" not in text
        assert str(tmp_path) not in text
        assert cache.digest not in text, "only the salted digest"


def test_two_exports_of_one_cache_cannot_be_told_to_share_it_without_the_data(
    cache: SliceCache, tmp_path: Path
) -> None:
    one, two = (export(cache, tmp_path / name, config()).manifest.training for name in ("one", "two"))
    assert one.data_digest != two.data_digest


def test_a_checkpoint_of_another_cache_is_refused(cache: SliceCache, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    record_of_run = {"config": config().model_dump(mode="json"), "cache_digest": "0" * 64}
    torch.save({"state_dict": {"network.a": torch.ones(1)}, "jsddpm": record_of_run}, path)
    with pytest.raises(TrainingError, match="trained on another cache"):
        export_run(path, cache, tmp_path / "bundle", "small", title="Small", licence=LICENCE)


def test_a_checkpoint_that_says_nothing_of_its_run_is_refused(cache: SliceCache, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"network.a": torch.ones(1)}}, path)
    with pytest.raises(TrainingError, match="says nothing of its run"):
        export_run(path, cache, tmp_path / "bundle", "small", title="Small", licence=LICENCE)


def test_a_run_exports_its_averaged_weights(cache: SliceCache, tmp_path: Path) -> None:
    settings = config()
    weights = {f"network.{name}": torch.from_numpy(array) for name, array in random_weights(settings).items()}
    run_record = {"config": settings.model_dump(mode="json"), "cache_digest": cache.digest}
    current = {name: value + 1 for name, value in weights.items()}
    content = {"state_dict": weights, "current_model_state": current, "jsddpm": run_record, "global_step": 11}
    torch.save(content, tmp_path / "last.ckpt")
    bundle = export_run(tmp_path / "last.ckpt", cache, tmp_path / "b", "small", title="Small", licence=LICENCE)
    assert bundle.manifest.training.steps == 11
    stored = bundle.weights()
    for name, array in random_weights(settings).items():
        np.testing.assert_array_equal(stored[name], array.astype(np.float16))


def test_the_terms_of_a_data_set_come_from_its_own_description(tmp_path: Path) -> None:
    said = {"Name": "Scans", "License": "CC-BY-4.0", "HowToAcknowledge": "A. Person, 2020"}
    (tmp_path / "dataset_description.json").write_text(json.dumps(said))
    source = source_of(tmp_path)
    assert (source.name, source.licence, source.attribution) == ("Scans", "CC-BY-4.0", "A. Person, 2020")
    (tmp_path / "dataset_description.json").write_text('{"Name": "Scans"}')
    with pytest.raises(CaseError, match="does not state Name, License and HowToAcknowledge"):
        source_of(tmp_path)
