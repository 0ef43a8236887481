"""Fine-tuning from cases to bundle, in one process: stages, states, stopping, and what may be resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fine_tune_fixtures import SETTINGS, STEPS, a_request, assert_same_weights, entries, own_core  # noqa: F401

from jsddpm_core.bundle import check_bundle, read_bundle
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError, CaseError, OutputError, RequestError, TrainingError
from jsddpm_core.files import output_error
from jsddpm_core.progress import Progress
from jsddpm_core.training import fine_tune as module
from jsddpm_core.training import runs
from jsddpm_core.training.checkpoint import steps_done
from jsddpm_core.training.events import Event, Message, Metrics
from jsddpm_core.training.fine_tune import FineTuneResult, fine_tune
from jsddpm_core.training.request import FineTuneRequest, parse_fine_tune_request
from jsddpm_core.training.runs import list_runs, read_curves, read_run, read_run_request, read_state, write_state

pytestmark = pytest.mark.usefixtures("own_core")


class Told(list):
    """Collects events, and says stop once one is as asked."""

    def __init__(self, until: Callable[[Event], bool] = lambda _: False) -> None:
        self.until, self.stop = until, False

    def __call__(self, event: Event) -> None:
        self.append(event)
        self.stop = self.stop or self.until(event)

    def stages(self) -> list[str]:
        return list(dict.fromkeys(event.stage for event in self if isinstance(event, Progress)))

    def messages(self) -> list[str]:
        return [event.text for event in self if isinstance(event, Message)]


def run(request: FineTuneRequest, out: Path, told: Told | None = None, *, resume: bool = False) -> FineTuneResult:
    told = Told() if told is None else told
    return fine_tune(request, out, resume=resume, on_event=told, should_stop=lambda: told.stop)


def at(stage: str, done: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Progress) and event.stage == stage and event.done >= done


def trained(event: Event) -> bool:
    """Whether nothing but the measures is missing."""
    return isinstance(event, Progress) and event.stage == "finishing"


@pytest.fixture(scope="module")
def request_(phantom_cases: Path) -> FineTuneRequest:
    return a_request(phantom_cases)


@pytest.fixture(scope="module")
def finished(request_: FineTuneRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    out, told = tmp_path_factory.mktemp("finished") / "run", Told()
    run(request_, out, told)
    return out, told


def test_a_run_goes_from_cases_to_a_bundle(finished: tuple[Path, Told], request_: FineTuneRequest) -> None:
    out, told = finished
    assert told.stages() == ["preparing", "training", "finishing"]
    names = {path.name for path in out.iterdir()}
    assert {"request.json", "config.json", "cache", "checkpoints", "logs", "previews", "state.json"} <= names
    assert {"report.json", "local", "bundle"} <= names
    assert not list(out.rglob("*.partial"))
    assert check_bundle(out / "bundle") == []
    manifest = read_bundle(out / "bundle").manifest
    assert (manifest.name, manifest.title) == (request_.name, request_.title)
    assert [pathology.name for pathology in manifest.pathologies] == ["none", "infarct"]
    assert manifest.training.steps <= STEPS
    assert read_run_request(out) == request_
    assert any("cases give" in text for text in told.messages())


def test_the_state_says_how_far_a_run_is(finished: tuple[Path, Told]) -> None:
    out, _ = finished
    (summary,) = list_runs(out.parent)
    assert (summary.folder, summary.state, summary.step, summary.steps) == (out, "finished", STEPS, STEPS)
    assert summary.title == "A tiny model of phantoms"
    assert summary.bundle == out / "bundle"
    assert not summary.resumable


def test_curves_are_what_was_told(finished: tuple[Path, Told]) -> None:
    out, told = finished
    curves = read_curves(out)
    for name in ("train/loss", "train/lesion", "learning_rate", "validation/loss", "validation/energy_distance"):
        said = [
            (event.step, event.values[name]) for event in told if isinstance(event, Metrics) and name in event.values
        ]
        assert [step for step, _ in curves[name]] == [step for step, _ in said], name
        assert [value for _, value in curves[name]] == pytest.approx([value for _, value in said], rel=1e-6)
    assert [step for step, _ in curves["train/loss"]] == list(range(1, STEPS + 1))


@pytest.mark.parametrize(
    "place",
    [("preparing", 2), ("training", 0), ("training", 5), ("finishing", 1)],
    ids=lambda place: "-".join(map(str, place)),
)
def test_a_run_stopped_in_any_stage_goes_on_to_the_same_bundle(
    request_: FineTuneRequest, finished: tuple[Path, Told], tmp_path: Path, place: tuple[str, int]
) -> None:
    stage, done = place
    out = tmp_path / "run"
    told = Told(lambda event: isinstance(event, Progress) and event.stage == stage and event.done >= done)
    result = run(request_, out, told)
    assert (result.finished, result.bundle, told.stages()[-1]) == (False, None, stage)
    summary = read_run(out)
    assert summary is not None and summary.state == "stopped" and summary.resumable
    assert not (out / "bundle").exists()
    again = Told()
    assert run(request_, out, again, resume=True).finished
    assert again.stages()[0] == ("preparing" if stage == "preparing" else stage), "complete stages are not repeated"
    assert_same_weights(finished[0], out)
    same = [read_bundle(folder / "bundle").manifest.components for folder in (finished[0], out)]
    assert same[0] == same[1]
    assert {name: len(points) for name, points in read_curves(out).items()} == {
        name: len(points) for name, points in read_curves(finished[0]).items()
    }


def test_a_finished_run_can_be_made_longer(phantom_cases: Path, finished: tuple[Path, Told], tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished[0], out)
    before = read_bundle(out / "bundle").digest
    result = run(a_request(phantom_cases, {"training.max_steps": STEPS + 3}), out, resume=True)
    assert (result.steps, result.finished) == (STEPS + 3, True)
    assert read_bundle(out / "bundle").digest != before or read_state(out).state == "finished"


def test_what_a_run_was_started_with_stays(
    phantom_cases: Path, request_: FineTuneRequest, finished: tuple[Path, Told], tmp_path: Path
) -> None:
    out = finished[0]
    with pytest.raises(TrainingError, match="holds a run already: resume it or choose another folder"):
        run(request_, out)
    with pytest.raises(TrainingError, match="started with another 'seed'"):
        run(a_request(phantom_cases, seed=1), out, resume=True)
    with pytest.raises(TrainingError, match="holds no run that could be resumed"):
        run(request_, tmp_path / "nowhere", resume=True)


def test_a_run_under_way_elsewhere_is_left_alone(request_: FineTuneRequest, finished: tuple[Path, Told]) -> None:
    out = finished[0]
    before = (out / "state.json").read_bytes()
    write_state(out, "training", step=3, steps=12, title="t")
    said = json.loads((out / "state.json").read_text())
    try:
        (out / "state.json").write_text(json.dumps({**said, "pid": 1}))
        with pytest.raises(TrainingError, match="under way in process 1 "):
            run(request_, out, resume=True)
        (out / "state.json").write_text(json.dumps({**said, "pid": 2**22 + 1}))
        summary = read_run(out)
        assert summary is not None and (summary.state, summary.resumable) == ("interrupted", True)
    finally:
        (out / "state.json").write_bytes(before)


def test_cases_may_go_once_they_are_prepared(phantom_cases: Path, finished: tuple[Path, Told], tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    shutil.copytree(phantom_cases, cases)
    out = tmp_path / "run"

    def lose(event: Event) -> bool:
        if isinstance(event, Progress) and event.stage == "training" and event.done == 5:
            shutil.rmtree(cases)
            return True
        return False

    request = a_request(cases)
    assert not run(request, out, Told(lose)).finished
    assert run(request, out, Told(trained), resume=True).steps == STEPS
    assert_same_weights(finished[0], out)


def test_a_case_that_cannot_be_read_is_left_out_with_a_message(phantom_cases: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    shutil.copytree(phantom_cases, cases)
    (bad,) = cases.glob("sub-02/anat/*_FLAIR.nii.gz")
    bad.write_bytes(bad.read_bytes()[:1000])
    told = Told(lambda event: isinstance(event, Progress) and event.stage == "training")
    run(a_request(cases), tmp_path / "run", told)
    (said,) = [text for text in told.messages() if "left out" in text]
    assert "sub-02" in said and str(bad) in said


@pytest.mark.parametrize("kind", ["removed", "changed"])
def test_a_cache_that_is_harmed_is_prepared_again(
    request_: FineTuneRequest, finished: tuple[Path, Told], tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "run"

    def harm(event: Event) -> bool:
        if isinstance(event, Progress) and event.stage == "training" and event.done == 5:
            if kind == "removed":
                shutil.rmtree(out / "cache")
            else:
                content = bytearray((out / "cache" / "images.npy").read_bytes())
                content[-100:] = bytes(100)
                (out / "cache" / "images.npy").write_bytes(content)
        return False

    with pytest.raises(CacheError, match="prepare the cases again and resume"):
        run(request_, out, Told(harm))
    summary = read_run(out)
    assert summary is not None and summary.state == "failed" and summary.resumable
    assert "slice cache" in summary.reason
    again = Told(trained)
    assert run(request_, out, again, resume=True).steps == STEPS
    assert any("prepared again" in text for text in again.messages())
    assert_same_weights(finished[0], out)


def test_a_fault_is_noted_with_its_reason(
    request_: FineTuneRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(module, "fit", fail)
    with pytest.raises(ZeroDivisionError):
        run(request_, tmp_path / "run")
    summary = read_run(tmp_path / "run")
    assert summary is not None and summary.state == "failed"
    assert "ZeroDivisionError: by nothing" in summary.reason


@pytest.mark.parametrize("train", ["all", "last-levels", "low-rank"])
def test_a_start_model_is_taught_further(
    phantom_cases: Path, finished: tuple[Path, Told], tmp_path: Path, train: str
) -> None:
    start = finished[0] / "bundle"
    settings = {key: value for key, value in SETTINGS.items() if key.partition(".")[0] == "training"}
    own = {"name": "fcd", "label": "Focal cortical dysplasia"}
    request = parse_fine_tune_request({
        **a_request(phantom_cases).model_dump(mode="json"),
        "cases": entries(phantom_cases, "fcd"), "pathologies": [own],
        "start": str(start), "train": train, "replay_slices": 6, "replay_share": 0.5,
        "settings": {**settings, "training.max_steps": 6},
    })  # fmt: skip
    told, whole, parted = Told(), tmp_path / "whole", tmp_path / "parted"
    run(request, whole, told)
    assert told.stages() == ["preparing", "replaying", "training", "finishing"]
    manifest = read_bundle(whole / "bundle").manifest
    assert manifest.training.start is not None and manifest.training.start.digest == read_bundle(start).digest
    assert {"fcd", "none"} <= {pathology.name for pathology in manifest.pathologies}
    assert any(record.synthetic for record in SliceCache.open(whole / "cache").records)
    for until in (at("replaying", 1), at("training", 2), trained):
        run(request, parted, Told(until), resume=parted.exists())
    assert_same_weights(whole, parted)


def test_a_failure_is_noted_even_where_the_disk_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path, "training", step=3, steps=12, title="t")

    def full(path: Path, _content: bytes) -> None:
        raise output_error(path, OSError(28, "No space left on device")) from OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_file", full)
    with pytest.raises(OutputError, match="No space left"):
        write_state(tmp_path, "training", step=4, steps=12, title="t")
    write_state(tmp_path, "failed", step=4, steps=12, reason="the disk is full.", title="t")
    summary = read_run(tmp_path)
    assert summary is not None and (summary.state, summary.reason, summary.step) == ("failed", "the disk is full.", 4)


def test_a_run_may_learn_from_controls_only(phantom_cases: Path, tmp_path: Path) -> None:
    healthy = [entry for entry in entries(phantom_cases) if entry["name"].endswith(("sub-04", "sub-05"))]
    controls = [{**entry, "mask": None, "pathology": None, "lesion_free": True, "split": None} for entry in healthy]
    told = Told(trained)
    run(a_request(phantom_cases, {"training.max_steps": 1}, cases=controls), tmp_path / "run", told)
    assert "finishing" in told.stages()


def test_what_a_resumption_is_refused_for_leaves_the_run_as_it_was(
    phantom_cases: Path, finished: tuple[Path, Told], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished[0], tmp_path / "run"))
    before = {path: path.read_bytes() for path in out.glob("*.json")}
    for key, value in (("training.learning_rate", 1e-3), ("data.grid.first_slice", 12)):
        with pytest.raises(TrainingError, match="was started with other settings under"):
            run(a_request(phantom_cases, {key: value, "training.max_steps": STEPS + 1}), out, resume=True)
    assert {path: path.read_bytes() for path in out.glob("*.json")} == before


def test_what_was_prepared_otherwise_is_prepared_again(phantom_cases: Path, tmp_path: Path) -> None:
    run(a_request(phantom_cases), tmp_path / "run", Told(at("training", 0)))
    shutil.rmtree(tmp_path / "run" / "checkpoints", ignore_errors=True)
    told = Told(at("training", 1))
    run(a_request(phantom_cases, {"data.percentiles": [1.0, 99.0]}), tmp_path / "run", told, resume=True)
    assert any("prepared again, because" in text and "data.percentiles" in text for text in told.messages())
    assert "training" in told.stages()


def test_a_run_that_failed_before_anything_was_made_gives_its_folder_to_the_next(
    phantom_cases: Path, tmp_path: Path
) -> None:
    bad = a_request(phantom_cases, corrections={"template": str(tmp_path / "absent.nii.gz")})
    with pytest.raises(CaseError, match=r"the template .*absent.nii.gz is no file"):
        run(bad, tmp_path / "run")
    summary = read_run(tmp_path / "run")
    assert summary is not None and summary.state == "failed"
    told = Told(at("training", 1))
    run(a_request(phantom_cases), tmp_path / "run", told)
    assert "training" in told.stages()
    with pytest.raises(TrainingError, match="holds a run already"):
        run(a_request(phantom_cases), tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_a_device_that_is_not_there_is_told_before_anything_is_made(phantom_cases: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="device 'cuda' is not there on this machine"):
        run(a_request(phantom_cases, device="cuda"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("harm", ["a bit", "no steps"])
def test_a_checkpoint_that_was_changed_is_refused(finished: tuple[Path, Told], tmp_path: Path, harm: str) -> None:
    path = tmp_path / "last.ckpt"
    content = bytearray((finished[0] / "checkpoints" / "last.ckpt").read_bytes())
    content[len(content) // 2] ^= 128
    path.write_bytes(content)
    if harm == "no steps":
        torch.save({"state_dict": {}}, path)
    with pytest.raises(TrainingError, match=r"last.ckpt (could not be read|says nothing of its run)"):
        steps_done(path)
