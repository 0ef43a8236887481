"""What a run leaves at its end: a bundle that names nobody and, for this machine only, who is like whom."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generation_fixtures import write_small_bundle
from PIL import Image
from training_fixtures import SMALL, a_small_config, write_small_cache

from jsddpm_core.bundle import Bundle, check_bundle, read_bundle
from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter
from jsddpm_core.errors import TrainingError
from jsddpm_core.evaluation import quality
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.unseen import check_unseen
from jsddpm_core.manifest import Source
from jsddpm_core.progress import Progress
from jsddpm_core.training import finish
from jsddpm_core.training.finish import LOCAL_DATA, UNSTATED, chosen_checkpoint, finish_run, terms_of
from jsddpm_core.training.fit import fit
from jsddpm_core.training.request import CaseEntry, FineTuneRequest

DRAWS = 16


class StopError(Exception):
    """Somebody pressed Stop."""


def the_config() -> Config:
    return a_small_config("training.max_steps=4", "training.trainable=last-levels", "sampling.steps=2")


def a_request(cases: Path, **more: object) -> FineTuneRequest:
    entries = tuple(
        CaseEntry(name=name, subject=name, dataset="set", image=cases / "secret-clinic" / name / "flair.nii.gz")
        for name in (f"set/sub-{number:02d}" for number in range(12))
    )
    known = {"name": "ours", "title": "Ours", "seed": 3, "device": "cpu", "train": "last-levels"} | more
    return FineTuneRequest(cases=entries, **known)


def renamed(cache: SliceCache, folder: Path, split: str | None = None) -> SliceCache:
    """The same slices of people with other names."""
    with SliceCacheWriter(folder, cache.grid) as writer:
        for index, record in enumerate(cache.records):
            name = f"elsewhere/sub-x{record.subject[-2:]}"
            entry = replace(record, subject=name, case=name, dataset="elsewhere", split=split or record.split)
            writer.add(entry, cache.images[index], cache.masks[index])
        return writer.finish(cache.manifest["made_of"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secret-place")


@pytest.fixture(scope="module")
def start(place: Path) -> Bundle:
    return write_small_bundle(place / "start", "network.attention=[false,false,true,true]", *SMALL, "sampling.steps=2")


@pytest.fixture(scope="module")
def cache(place: Path) -> SliceCache:
    return write_small_cache(place / "cache", the_config())


@pytest.fixture(scope="module")
def request_made(place: Path, start: Bundle) -> FineTuneRequest:
    return a_request(place, start=str(start.folder))


@pytest.fixture(scope="module")
def run(place: Path, start: Bundle, cache: SliceCache) -> Path:
    fit(the_config(), cache, place / "run", start=start, accelerator="cpu")
    return place / "run"


@pytest.fixture(scope="module")
def bundle(run: Path, request_made: FineTuneRequest, cache: SliceCache) -> Bundle:
    return finish_run(run, request_made, the_config(), cache, draws=DRAWS)


def test_the_bundle_is_whole_and_lies_in_the_run(bundle: Bundle, run: Path) -> None:
    assert bundle.folder == run / "bundle"
    assert check_bundle(bundle.folder) == []
    assert (bundle.manifest.name, bundle.manifest.title) == ("ours", "Ours")
    assert not list(run.glob("*.partial"))


def test_the_bundle_names_nobody_and_no_place(bundle: Bundle, cache: SliceCache, place: Path) -> None:
    words = {str(place), "secret", cache.digest, "sub-", "set/", *(record.subject for record in cache.records)}
    for path in bundle.folder.iterdir():
        content = path.read_bytes()
        for word in words:
            assert word.encode() not in content, (path.name, word)


def test_the_card_states_what_was_done_and_measured(bundle: Bundle) -> None:
    card = (bundle.folder / "MODEL_CARD.md").read_text("utf-8")
    assert f"Weights: {UNSTATED}." in card
    assert "local data, not to be shared" in card
    assert "| train | 9 | 9 |" in card
    assert "| validation | 3 | 3 |" in card
    assert "last-levels" in card
    assert "from the weights of `small`" in card
    assert "| step | train/loss | validation/loss | validation/energy_distance |" in card
    assert f"Measured at the end of the run on {DRAWS} first draws" in card
    assert "memorisation ratio" in card
    assert "| Measure | Synthetic (95 % interval) |" in card
    assert "It learned from 9 people only" in card
    assert "The start model small does not say by whom it was trained" in card
    assert "Nothing is measured of" not in card, "this model has only what its cases show"


def test_the_report_has_intervals_and_no_names(bundle: Bundle, run: Path, place: Path) -> None:
    text = (run / "report.json").read_text("utf-8")
    report = json.loads(text)
    assert report["about"]["draws"] == DRAWS
    assert any(row["synthetic"]["interval_95"] for row in report["rows"])
    assert {row["synthetic"]["name"] for row in report["rows"]} >= {"memorisation ratio", "background std"}
    assert "sub-" not in text
    assert str(place) not in text


def test_who_is_near_whom_stays_in_the_run(bundle: Bundle, run: Path, cache: SliceCache) -> None:
    with (run / "local" / "nearest.csv").open(encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    training = {record.subject for record in cache.records if record.split == "train"}
    assert len(pairs) == DRAWS
    assert {pair["nearest_subject"] for pair in pairs} <= training
    distances = [float(pair["distance_rms"]) for pair in pairs]
    assert distances == sorted(distances)
    assert all(float(pair["ratio_to_real"]) > 0 for pair in pairs)
    with Image.open(run / "local" / "nearest.png") as picture:
        assert "not to be passed on" in picture.info["Description"]
    with (run / "local" / "subjects.csv").open(encoding="utf-8", newline="") as file:
        people = {row["subject"]: row["split"] for row in csv.DictReader(file)}
    assert people == {record.subject: record.split for record in cache.records}


def test_a_copy_of_a_training_slice_is_the_closest_pair(bundle: Bundle, cache: SliceCache, tmp_path: Path) -> None:
    measured = quality.measure(
        bundle, cache, tmp_path / "draws", features_folder=None, count=2, workers=0, pathologies=["infarct"]
    )
    copied = cache.indices("train")[1]
    draws = measured.synthetic["infarct"]
    draws.images[1] = cache.images[copied][::-1]
    closest = finish.nearest_pairs(measured, cache)[0]
    assert (closest.row, closest.mirrored, closest.name) == (copied, True, "infarct-0001")
    assert closest.distance < 1e-3
    assert closest.ratio is not None
    assert closest.ratio < 0.01


def test_a_finished_run_is_left_as_it_is(bundle: Bundle, run: Path, request_made, cache: SliceCache) -> None:
    written = (run / "report.json").stat().st_mtime_ns

    def never(_: Progress) -> None:
        raise AssertionError("it measured again")

    again = finish_run(run, request_made, the_config(), cache, on_progress=never, draws=DRAWS)
    assert again.digest == bundle.digest
    assert (run / "report.json").stat().st_mtime_ns == written


def test_finishing_goes_on_after_a_stop(start: Bundle, cache: SliceCache, request_made, tmp_path: Path) -> None:
    fit(the_config(), cache, tmp_path / "run", start=start, accelerator="cpu")
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if progress.done == 5:
            raise StopError

    with pytest.raises(StopError):
        finish_run(tmp_path / "run", request_made, the_config(), cache, on_progress=stop, draws=DRAWS)
    assert not (tmp_path / "run" / "bundle").exists()
    told.clear()
    finish_run(tmp_path / "run", request_made, the_config(), cache, on_progress=told.append, draws=DRAWS)
    assert told[0] == Progress("finishing", 5, DRAWS)
    assert told[-1] == Progress("finishing", DRAWS, DRAWS)


def test_a_run_without_a_checkpoint_cannot_be_finished(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no checkpoint yet"):
        chosen_checkpoint(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name in ("last.ckpt", "best.ckpt"):
        (tmp_path / "checkpoints" / name).touch()
        assert chosen_checkpoint(tmp_path).name == name


def test_terms_are_those_of_the_data_sets_and_of_the_start_model(start: Bundle, tmp_path: Path) -> None:
    open_data = tmp_path / "secret-clinic" / "set"
    open_data.mkdir(parents=True)
    said = {"Name": "Scans", "License": "CC0-1.0", "HowToAcknowledge": "A. Person, 2020"}
    (open_data / "dataset_description.json").write_text(json.dumps(said))
    elsewhere = CaseEntry(name="b/sub-1", subject="b/sub-1", dataset="b", image=tmp_path / "b" / "flair.nii.gz")
    request = a_request(tmp_path, licence="CC-BY-4.0", start="small")
    terms = terms_of(request.model_copy(update={"cases": (*request.cases, elsewhere)}), start)
    assert terms.weights == "CC-BY-4.0"
    scans = Source(name="Scans", licence="CC0-1.0", attribution="A. Person, 2020")
    assert terms.sources == (scans, LOCAL_DATA, *start.manifest.licence.sources)


def test_people_that_a_model_was_trained_on_are_no_test_of_it_even_renamed(
    bundle: Bundle, cache: SliceCache, tmp_path: Path
) -> None:
    manifest = bundle.manifest
    check_unseen(manifest, cache)
    check_unseen(manifest, renamed(cache, tmp_path / "same-splits"))
    test = counted_as_test(cache)
    with pytest.raises(MeasureError, match="was trained on 9 of the people that .* holds out, 'set/sub-00' among them"):
        check_unseen(manifest, test)
    other = renamed(cache, tmp_path / "renamed", split="test")
    with pytest.raises(MeasureError, match="trained on 9 of the people .* 'elsewhere/sub-x00' among them: prepare"):
        quality.measure(bundle, other, tmp_path / "draws", features_folder=None, count=2)
    assert not (tmp_path / "draws").exists()


def counted_as_test(cache: SliceCache) -> SliceCache:
    opened = SliceCache.open(cache.folder)
    opened.records = [replace(record, split="test") for record in opened.records]
    return opened


def test_the_people_behind_the_start_model_are_remembered(bundle: Bundle, cache: SliceCache, tmp_path: Path) -> None:
    """A second run starts from the first one's bundle and holds out people that the first one learned from."""
    others = renamed(cache, tmp_path / "cache")
    flipped = {"train": "validation", "validation": "train"}
    others = SliceCache.open(others.folder)
    with SliceCacheWriter(tmp_path / "flipped", cache.grid) as writer:
        for index, record in enumerate(others.records):
            split = flipped[record.split] if index < 8 else record.split
            writer.add(replace(record, split=split), others.images[index], others.masks[index])
        second = writer.finish(cache.manifest["made_of"])
    config = the_config()
    fit(config, second, tmp_path / "run", start=bundle, accelerator="cpu")
    request = a_request(tmp_path, start=str(bundle.folder), name="second")
    made = finish_run(tmp_path / "run", request, config, second, draws=DRAWS)
    record = made.manifest.training
    assert record.earlier_subjects == (bundle.manifest.training.subject_digests,)
    assert record.subject_digests is not None
    assert record.subject_digests.salt != record.earlier_subjects[0].salt
    assert not set(record.subject_digests.train) & set(record.earlier_subjects[0].train)
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    assert any(
        note.startswith("6 of the people held out here were learned from all the same") for note in report["notes"]
    )
    with (tmp_path / "run" / "local" / "subjects.csv").open(encoding="utf-8", newline="") as file:
        seen = [row["subject"] for row in csv.DictReader(file) if row["held_out_but_learned_from_before"] == "yes"]
    assert len(seen) == 6
    with pytest.raises(MeasureError, match="was trained on 6 of the people"):
        check_unseen(made.manifest, second)
    assert "So do the people behind the models" in (made.folder / "MODEL_CARD.md").read_text("utf-8")


def test_a_bundle_that_does_not_say_is_taken_at_the_caches_word(start: Bundle, cache: SliceCache, tmp_path) -> None:
    check_unseen(start.manifest, counted_as_test(cache))
    assert read_bundle(start.folder).manifest.training.subject_digests is None
    measured = quality.measure(
        start, cache, tmp_path / "draws", features_folder=None, count=2, workers=0, pathologies=["none"]
    )
    assert any("does not say by whom it was trained" in note for note in measured.report.notes)
    assert np.isfinite(measured.synthetic["none"].images).all()
