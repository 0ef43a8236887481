"""The worker as the Slicer module meets it: real processes that generate images with a real bundle."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from generation_fixtures import write_small_bundle
from worker_fixtures import CANCELLED, FAKE, NOISE, NOISY, Client, a_worker, names, the_error

from jsddpm_core.bundle import Bundle
from jsddpm_core.cli import run
from jsddpm_core.errors import OutputError
from jsddpm_core.files import whole_folder
from jsddpm_core.generation.request import VolumeRequest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A warm worker whose libraries print whatever they like."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "sitecustomize.py").write_text(NOISY)
    with a_worker(folder / "log", PYTHONPATH=str(folder)) as client:
        yield client


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def samples(bundle: Bundle, **wishes: object) -> dict[str, Any]:
    asked = {"model": str(bundle.folder), "pathology": "infarct", "position_mm": 18.0, "count": 2, "threads": 1}
    return {"task": "generate", **asked, **wishes}


def volume(bundle: Bundle, **wishes: object) -> dict[str, Any]:
    asked = {"model": str(bundle.folder), "pathology": "ms", "from_mm": 0.0, "to_mm": 3.0, "threads": 1}
    return {"task": "volume", **asked, **wishes}


def endless(bundle: Bundle) -> dict[str, Any]:
    return volume(bundle, to_mm=30.0, steps=1000)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_devices_name_the_processor_with_its_memory(worker: Client) -> None:
    cpu = worker.call("devices")["devices"][0]
    assert cpu["name"] == "cpu"
    assert cpu["label"]
    assert cpu["memory_bytes"] > 2**28


def test_measure_times_an_evaluation(worker: Client, bundle: Bundle) -> None:
    said = worker.call("measure", model=str(bundle.folder), device="cpu", threads=1)
    assert said["bundle_digest"] == bundle.digest
    assert said["device"] == "cpu"
    assert said["threads"] == 1
    assert 0 < said["seconds_per_evaluation"] < 10
    assert said["load_s"] > 0
    assert said["memory_bytes"] > 2**26


def test_samples_are_those_of_the_command_line_to_the_byte(worker: Client, bundle: Bundle, tmp_path: Path) -> None:
    asked = samples(bundle, seed=5)
    said = worker.call("generate", request=asked, out=str(tmp_path / "new" / "worker"), preview=None)
    (tmp_path / "request.json").write_text(json.dumps(asked))
    assert run(["sample", "--request", str(tmp_path / "request.json"), "--out", str(tmp_path / "cli")]) == 0
    made = files_of(tmp_path / "new" / "worker")
    assert len(made) == 7
    assert made == files_of(tmp_path / "cli")
    assert said["folder"] == str(tmp_path / "new" / "worker")
    assert said["sidecars"] == ["sample-000000.json", "sample-000001.json"]
    assert (said["as_asked"], said["redraws"], said["evaluations"]) == (2, 0, 4)
    assert said["seconds_per_evaluation"] == pytest.approx(said["seconds"] / 4)
    assert said["peak_memory_bytes"] > 2**26
    assert (said["device"], said["bundle_digest"]) == ("cpu", bundle.digest)
    assert names(tmp_path / "new") == {"worker"}


def test_a_volume_is_that_of_the_command_line_to_the_byte(worker: Client, bundle: Bundle, tmp_path: Path) -> None:
    asked = volume(bundle, guidance=1.5)
    said = worker.call("generate", request=asked, out=str(tmp_path / "worker"))
    (tmp_path / "request.json").write_text(json.dumps(asked))
    assert run(["volume", "--request", str(tmp_path / "request.json"), "--out", str(tmp_path / "cli")]) == 0
    assert files_of(tmp_path / "worker") == files_of(tmp_path / "cli")
    assert said["sidecars"] == ["volume-000000.json"]
    assert said["evaluations"] == 3 * 2 * 2, "guidance evaluates the network twice"


def test_a_lesion_where_none_was_asked_counts_as_redrawn(worker: Client, bundle: Bundle, tmp_path: Path) -> None:
    number = worker.ask(
        "generate", request=volume(bundle, pathology="none", to_mm=1.0, attempts=2), out=str(tmp_path / "out")
    )
    said = worker.answer(number)["result"]
    assert (said["as_asked"], said["redraws"]) == (0, 1)
    assert "sampling, draw 2" in {message["stage"] for message in worker.told("progress", number)}


@pytest.mark.parametrize("asked", [samples, volume])
def test_progress_never_falls_and_reaches_its_total(
    worker: Client, bundle: Bundle, tmp_path: Path, asked: Callable[..., dict[str, Any]]
) -> None:
    request = asked(bundle, pathology="none", steps=12, attempts=2) if asked is samples else asked(bundle)
    number = worker.ask("generate", request=request, out=str(tmp_path / "out"))
    worker.answer(number)
    told = worker.told("progress", number)
    for _, stage in itertools.groupby(told, lambda message: message["stage"]):
        done = [message["done"] for message in stage]
        assert done == sorted(done)
    assert (told[0]["stage"], told[-1]["stage"]) == ("loading", "sampling")
    assert told[-1]["done"] == told[-1]["total"]
    assert all(set(message) == {"id", "stage", "done", "total", "step", "steps", "sample", "eta_s"} for message in told)
    step = next(message for message in told if message["step"])
    assert step["steps"] == (12 if asked is samples else 2)
    assert step["sample"] == (0 if asked is samples else VolumeRequest(**request).slices(bundle.manifest)[0])


def test_the_last_preview_of_each_sample_is_the_result(
    worker: Client, bundle: Bundle, tmp_path: Path, place: Path
) -> None:
    number = worker.ask(
        "generate", request=samples(bundle), out=str(tmp_path / "out"), preview=str(place), preview_interval_s=100
    )
    worker.answer(number)
    told = worker.told("preview", number)
    assert [(preview["sample"], preview["last"]) for preview in told] == [(0, False), (0, True), (1, True)]
    assert [(preview["step"], preview["steps"]) for preview in told] == [(1, 2), (2, 2), (2, 2)]
    assert {preview["position_mm"] for preview in told} == {18.0}
    assert sorted(str(path) for path in place.iterdir()) == [preview["file"] for preview in told]
    for preview in told:
        array = np.load(preview["file"], allow_pickle=False)
        assert array.dtype == np.float32
        assert array.shape == (2, 32, 40)
        assert array.min() >= -1 and array.max() <= 1
        stem = tmp_path / "out" / f"sample-{preview['sample']:06d}_desc-synthetic"
        image, mask = (
            np.asanyarray(nibabel.load(f"{stem}_{kind}.nii.gz").dataobj)[..., 0] for kind in ("FLAIR", "mask")
        )
        assert np.array_equal(array[0], image) is preview["last"]
        assert not preview["last"] or np.array_equal(array[1] > 0, mask == 1)


def test_previews_keep_to_their_interval_and_to_three_files(
    worker: Client, bundle: Bundle, tmp_path: Path, place: Path
) -> None:
    interval_s = 0.02
    number = worker.ask(
        "generate",
        request=volume(bundle, steps=30),
        out=str(tmp_path / "out"),
        preview=str(place),
        preview_interval_s=interval_s,
    )
    said = worker.answer(number)["result"]
    told = worker.told("preview", number)
    between = [preview for preview in told if not preview["last"]]
    assert 3 < len(between) <= said["seconds"] / interval_s + 1
    assert sorted(str(path) for path in place.iterdir()) == [preview["file"] for preview in told[-3:]]
    drawn = np.load(told[-1]["file"], allow_pickle=False)
    result = np.asanyarray(nibabel.load(tmp_path / "out" / "volume-000000_desc-synthetic_FLAIR.nii.gz").dataobj)
    assert told[-1]["last"]
    assert np.array_equal(drawn[0], result[..., -1])
    assert sum(preview["last"] for preview in told) == result.shape[2]


def test_a_preview_folder_that_goes_away_ends_the_previews_only(
    worker: Client, bundle: Bundle, tmp_path: Path, place: Path
) -> None:
    number = worker.ask(
        "generate", request=samples(bundle, count=1, steps=200), out=str(tmp_path / "out"), preview=str(place),
        preview_interval_s=0,
    )  # fmt: skip
    worker.wait(lambda message: message.get("method") == "preview" and message["params"]["id"] == number)
    while place.exists():  # files may still be written into it
        shutil.rmtree(place, ignore_errors=True)
    assert worker.answer(number)["result"]["as_asked"] == 1
    (said,) = (message for message in worker.told("log", number) if message["level"] == "warning")
    assert "previews end here" in said["text"]


def test_a_model_stays_warm_until_it_changes_or_goes(worker: Client, tmp_path: Path) -> None:
    def loads(number: int) -> int:
        worker.answer(number)
        return sum("was loaded" in message["text"] for message in worker.told("log", number))

    one = write_small_bundle(tmp_path / "bundle", name="one")
    asked = samples(one, count=1)
    assert [loads(worker.ask("generate", request=asked, out=str(tmp_path / name))) for name in "ab"] == [1, 0]
    shutil.rmtree(one.folder)
    gone = worker.refusal("generate", request=asked, out=str(tmp_path / "c"))
    assert (gone["code"], gone["data"]["kind"]) == (-32000, "BundleError")
    assert str(one.folder) in gone["message"]
    assert gone["message"] == f"{gone['data']['message']}: {gone['data']['remedy']}."
    other = write_small_bundle(tmp_path / "bundle", name="two")
    number = worker.ask("generate", request=asked, out=str(tmp_path / "d"))
    assert loads(number) == 1
    assert worker.answer(number)["result"]["bundle_digest"] == other.digest
    assert names(tmp_path) == {"a", "b", "bundle", "d"}


def test_what_the_model_cannot_serve_is_refused_and_leaves_nothing(worker: Client, bundle: Bundle, place: Path) -> None:
    error = worker.refusal("generate", request=samples(bundle, position_mm=60), out=str(place / "new" / "out"))
    assert (error["code"], error["data"]["kind"]) == (-32000, "RequestError")
    assert "choose a position from 17 to 19 mm" in error["message"]
    assert names(place) == set()


def test_a_run_folder_that_is_there_is_left_alone(worker: Client, bundle: Bundle, place: Path) -> None:
    (place / "mine.txt").write_text("mine")
    error = worker.refusal("generate", request=samples(bundle), out=str(place))
    assert (error["code"], error["data"]["kind"]) == (-32000, "OutputError")
    assert "is there already" in error["message"]
    assert files_of(place) == {"mine.txt": b"mine"}


def test_a_run_folder_that_someone_else_made_meanwhile_is_left_alone(place: Path) -> None:
    def make() -> None:
        with whole_folder(place / "out"):
            (place / "out").mkdir()
            (place / "out" / "theirs.txt").touch()

    with pytest.raises(OutputError, match="is there already"):
        make()
    assert names(place) == {"out"}
    assert names(place / "out") == {"theirs.txt"}


def test_a_cancelled_run_ends_soon_and_leaves_nothing(worker: Client, bundle: Bundle, place: Path) -> None:
    number = worker.ask("generate", request=endless(bundle), out=str(place / "new" / "out"))
    worker.working(number, steps=True)
    assert (place / "new" / "out.partial").is_dir()
    asked_at = time.monotonic()
    assert worker.call("cancel", id=number) == {"found": True}
    assert the_error(worker.answer(number)) == CANCELLED
    assert time.monotonic() - asked_at < 2
    assert names(place) == set()
    assert worker.call("cancel", id=number) == {"found": False}


def test_jobs_wait_for_each_other_and_messages_for_none(worker: Client, bundle: Bundle, place: Path) -> None:
    first = worker.ask("generate", request=endless(bundle), out=str(place / "first"))
    second = worker.ask("generate", request=endless(bundle), out=str(place / "second"))
    third = worker.ask("generate", request=samples(bundle, count=1), out=str(place / "third"))
    worker.working(first, steps=True)
    assert worker.call("describe")["pid"] == worker.process.pid
    worker.notify("cancel", id=second)
    assert the_error(worker.answer(second)) == CANCELLED
    assert worker.told("progress", second) == worker.told("progress", third) == []
    worker.send(json.dumps({"jsonrpc": "2.0", "id": third, "method": "devices"}))
    refused = worker.wait(lambda message: message.get("error") and "is in use" in message["error"]["message"])
    assert refused["id"] is None
    worker.notify("cancel", id=first)
    assert the_error(worker.answer(first)) == CANCELLED
    assert worker.answer(third)["result"]["as_asked"] == 1
    assert names(place) == {"third"}


def test_what_libraries_print_does_not_reach_the_channel(worker: Client) -> None:
    worker.call("devices")
    said = worker.log.read_text()
    assert all(how in said for how in (f"{NOISE} torch", f"{NOISE}, directly", f"{NOISE}, from a child"))
    assert worker.garbage == []


def test_a_closed_input_ends_the_process_in_the_middle_of_a_run(bundle: Bundle, place: Path, tmp_path: Path) -> None:
    with a_worker(tmp_path / "log") as client:
        number = client.ask("generate", request=endless(bundle), out=str(place / "new" / "out"))
        client.working(number, steps=True)
        client.process.stdin.close()
        assert client.ended() == 0
    assert names(place) == set()


def test_what_a_killed_process_leaves_is_removed_by_the_next_run(
    worker: Client, bundle: Bundle, place: Path, tmp_path: Path
) -> None:
    with a_worker(tmp_path / "log", FAKE) as client:
        client.working(client.ask("compute", out=str(place / "out")))
        client.process.kill()
        client.ended()
    assert names(place) == {"out.partial"}
    worker.call("generate", request=samples(bundle, count=1), out=str(place / "out"))
    assert names(place) == {"out"}
    assert "half.txt" not in names(place / "out")
