"""Fine-tuning as a window and a shell start it: the same run, stopped in every way there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fine_tune_fixtures import SETTINGS, STEPS, a_request, assert_same_weights, entries, own_core, until_trained  # noqa: F401 - a fixture
from training_fixtures import logged
from worker_fixtures import Client, a_worker

from jsddpm_core.config import Config
from jsddpm_core.training.checkpoint import read_checkpoint
from jsddpm_core.training.request import parse_fine_tune_request
from jsddpm_core.training.runs import read_run

pytestmark = pytest.mark.usefixtures("own_core")


@pytest.fixture(scope="module")
def worker(warm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with a_worker(tmp_path_factory.mktemp("worker") / "log", command(warm_python, "worker")) as client:
        yield client


@pytest.fixture(scope="module")
def tree(phantom_cases: Path) -> dict[str, Any]:
    return a_request(phantom_cases).model_dump(mode="json")


@pytest.fixture(scope="module")
def uninterrupted(worker: Client, tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the worker finished, with what it told in `told.json`."""
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    number = worker.ask("fine_tune", request=tree, out=str(out))
    answer = worker.answer(number)
    assert "result" in answer, answer
    told = {name: worker.told(name, number) for name in ("progress", "metrics", "preview", "log")}
    (out.parent / "told.json").write_text(json.dumps({**told, "result": answer["result"]}))
    return out


def command(python: Path, *words: object) -> tuple[str, ...]:
    return (str(python), "-m", "jsddpm_core", *map(str, words))


def shell(python: Path, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(python, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def written(tree: dict[str, Any], path: Path) -> Path:
    path.write_text(yaml.safe_dump(tree))
    return path


def steps_done(client: Client, number: int, least: int) -> Callable[[dict[str, Any]], bool]:
    return lambda message: (
        message.get("method") == "progress"
        and message["params"]["id"] == number
        and message["params"]["stage"] == "training"
        and message["params"]["done"] >= least
    )


def test_the_worker_tells_how_training_goes(uninterrupted: Path) -> None:
    told = json.loads((uninterrupted.parent / "told.json").read_text())
    assert told["result"] == {
        "folder": str(uninterrupted), "bundle": str(uninterrupted / "bundle"), "steps": STEPS, "finished": True,
        "report": str(uninterrupted / "report.json"),
    }  # fmt: skip
    stages = list(dict.fromkeys(message["stage"] for message in told["progress"]))
    assert stages == ["loading", "preparing", "training", "finishing"]
    last = [message for message in told["progress"] if message["stage"] == "training"][-1]
    assert (last["done"], last["total"], last["eta_s"]) == (STEPS, STEPS, 0.0)
    losses = {message["step"]: message["values"] for message in told["metrics"] if "train/loss" in message["values"]}
    assert list(losses) == list(range(1, STEPS + 1))
    assert set(losses[1]) == {"train/loss", "train/FLAIR", "train/lesion", "learning_rate"}
    assert any("validation/loss" in message["values"] for message in told["metrics"])
    grid = told["preview"][-1]
    assert set(grid) == {"id", "file", "array", "step"}
    assert np.load(grid["array"], allow_pickle=False).shape[1:] == (2, 32, 32)
    assert Path(grid["file"]).is_file()
    assert any("cases give" in message["text"] for message in told["log"])


def test_the_shell_gives_the_same_model(
    warm_python: Path, uninterrupted: Path, tree: dict[str, Any], tmp_path: Path
) -> None:
    process = shell(
        warm_python, "fine-tune", written(tree, tmp_path / "request.yaml"), "--out", tmp_path / "run", "--json"
    )
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    events = [json.loads(line) for line in said.splitlines()]
    assert {"progress", "metrics", "preview", "log", "done"} <= {event["event"] for event in events}
    assert events[-1]["bundle"] == str(tmp_path / "run" / "bundle")
    assert_same_weights(uninterrupted, tmp_path / "run")
    same = [(run / "bundle" / "denoiser.safetensors").read_bytes() for run in (uninterrupted, tmp_path / "run")]
    assert same[0] == same[1]


def test_a_cancelled_run_answers_and_goes_on(
    worker: Client, uninterrupted: Path, tree: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    number = worker.ask("fine_tune", request=tree, out=str(out))
    worker.wait(steps_done(worker, number, 2))
    assert worker.call("cancel", id=number) == {"found": True}
    result = worker.answer(number)["result"]
    assert (result["finished"], result["bundle"]) == (False, None)
    assert 2 <= result["steps"] < STEPS
    assert read_checkpoint(out / "checkpoints" / "last.ckpt")["global_step"] == result["steps"]
    assert read_run(out).state == "stopped"
    again = worker.ask("fine_tune", request=tree, out=str(out), resume=True)
    worker.wait(steps_done(worker, again, STEPS))
    worker.call("cancel", id=again)
    worker.answer(again)
    assert_same_weights(uninterrupted, out)


@pytest.mark.parametrize("how", ["stdin closes", "shutdown", "SIGTERM"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_worker_that_ends_leaves_a_checkpoint(
    warm_python: Path, uninterrupted: Path, tree: dict[str, Any], tmp_path: Path, how: str
) -> None:
    out = tmp_path / "run"
    with a_worker(tmp_path / "log", command(warm_python, "worker")) as client:
        number = client.ask("fine_tune", request=tree, out=str(out))
        client.wait(steps_done(client, number, 4))
        if how == "stdin closes":
            client.process.stdin.close()
        elif how == "shutdown":
            client.ask("shutdown")
        else:
            client.process.send_signal(signal.SIGTERM)
        assert client.ended(60) == (128 + signal.SIGTERM if how == "SIGTERM" else 0)
    summary = read_run(out)
    assert summary is not None and (summary.state, summary.resumable) == ("stopped", True)
    step = read_checkpoint(out / "checkpoints" / "last.ckpt")["global_step"]
    assert 4 <= step <= STEPS
    until_trained(parse_fine_tune_request(tree), out, resume=True)
    assert_same_weights(uninterrupted, out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_the_shell_stops_when_asked(
    warm_python: Path, uninterrupted: Path, tree: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    request, out = written(tree, tmp_path / "request.yaml"), tmp_path / "run"
    process = shell(warm_python, "fine-tune", request, "--out", out, "--json")
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "metrics" and event["step"] >= 4:
            process.send_signal(number)
            break
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 3, errors
    stopped = json.loads(said.splitlines()[-1])
    assert stopped["event"] == "stopped"
    assert read_checkpoint(out / "checkpoints" / "last.ckpt")["global_step"] == stopped["steps"]
    assert read_run(out).state == "stopped"
    until_trained(parse_fine_tune_request(tree), out, resume=True)
    assert_same_weights(uninterrupted, out)


def test_two_processes_give_the_losses_of_one(
    warm_python: Path, uninterrupted: Path, tree: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = shell(
        warm_python, "fine-tune", written(tree, tmp_path / "request.yaml"), "--out", out, "--devices", "2", "--json"
    )
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert [json.loads(line)["event"] for line in said.splitlines()][-1] == "done", "one speaks for both"
    for column in ("train/loss", "validation/loss"):
        alone, together = logged(uninterrupted, column), logged(out, column)
        assert alone.keys() == together.keys() and len(alone) >= 3
        for step, value in alone.items():
            assert together[step] == pytest.approx(value, rel=1e-5), (column, step)


def test_probe_says_what_a_run_takes(worker: Client, tree: dict[str, Any], tmp_path: Path) -> None:
    said = worker.call("probe", request=tree, out=str(tmp_path / "run"))
    assert (said["device"], said["steps"], said["batch_size"], said["parts"]) == ("cpu", STEPS, 4, 1)
    assert 0 < said["seconds_per_step"] < 10
    assert set(said["seconds"]) == {"training", "validation", "replay", "finishing"}
    assert said["seconds_total"] == pytest.approx(sum(said["seconds"].values()))
    assert said["memory_bytes"] > 2**26
    assert said["warning"] is None and said["suggestion"] is None
    assert not (tmp_path / "run").exists()


def test_settings_describe_the_whole_configuration(worker: Client, tree: dict[str, Any]) -> None:
    said = worker.call("settings", request=tree)
    assert Config.model_validate(said["config"]).training.max_steps == STEPS
    by_key = {setting["key"]: setting for setting in said["settings"]}
    assert by_key["training.max_steps"]["value"] == STEPS
    assert by_key["losses.terms.FLAIR.p"]["explanation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"case": []}, "unknown key 'request.case' in the request: did you mean 'cases'."),
        ({"name": "No Name"}, "request.name = 'No Name' cannot be used"),
        ({"train": "low-rank"}, "keeps weights of a start model, and there is none"),
        ({"settings": {**SETTINGS, "training.seed": 3}}, "is said by the request's own 'seed'"),
    ],
)
def test_a_request_that_cannot_be_is_refused_at_once(
    worker: Client, tree: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    error = worker.refusal("fine_tune", request={**tree, **change}, out=str(tmp_path / "run"))
    assert error["code"] == -32602
    assert message in error["message"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"settings": {"training.learning_rat": 3}}, "ConfigError", "did you mean 'learning_rate'"),
        ({"settings": {"training.learning_rate": -1}}, "ConfigError", "greater than 0"),
        ({"start": "demoo"}, "BundleError", "did you mean 'demo'"),
        ({"config": "fasst"}, "ConfigError", "did you mean 'fast'"),
    ],
)
def test_what_cannot_be_learned_is_refused_before_anything_is_made(
    worker: Client, tree: dict[str, Any], tmp_path: Path, change: dict[str, Any], kind: str, message: str
) -> None:
    error = worker.refusal("fine_tune", request={**tree, **change}, out=str(tmp_path / "run"))
    assert (error["code"], error["data"]["kind"]) == (-32000, kind)
    assert message in error["message"]
    assert not (tmp_path / "run").exists()


def test_a_pathology_that_nobody_describes_is_refused(
    worker: Client, tree: dict[str, Any], phantom_cases: Path
) -> None:
    error = worker.refusal("settings", request={**tree, "cases": entries(phantom_cases, "fcd")})
    assert "shows the pathology 'fcd', which nobody describes" in error["message"]
    own = {"name": "fcd", "label": "Focal cortical dysplasia"}
    said = worker.call("settings", request={**tree, "cases": entries(phantom_cases, "fcd"), "pathologies": [own]})
    assert [entry["name"] for entry in said["config"]["pathologies"]][-1] == "fcd"
