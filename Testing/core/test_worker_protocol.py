"""The worker's messages, failures and ends, with jobs that need no torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from worker_fixtures import FAKE, Client, a_worker, names

import jsddpm_core
from jsddpm_core.machine import available_threads
from jsddpm_core.worker.protocol import error_object
from jsddpm_core.worker.server import SPOILT


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The real worker, which gets nothing to do."""
    with a_worker(tmp_path_factory.mktemp("idle") / "log") as client:
        yield client


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A worker without torch (see `worker_fixtures.FAKE`), for tests that do not end it."""
    with a_worker(tmp_path_factory.mktemp("light") / "log", FAKE) as client:
        yield client


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Client]:
    """Such a worker to be ended."""
    with a_worker(tmp_path / "log", FAKE) as client:
        yield client


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("command", [("jsddpm_core", "worker"), ("jsddpm_core.cli", "worker")])
def test_describe_is_answered_before_anything_heavy_is_imported(tmp_path: Path, command: tuple[str, str]) -> None:
    with a_worker(tmp_path / "log", (sys.executable, "-m", *command)) as client:
        said = client.call("describe")
        assert said["protocol"] == 1
        assert said["version"] == jsddpm_core.__version__
        assert said["pid"] == client.process.pid
        assert said["python"] == ".".join(map(str, sys.version_info[:3]))
        assert said["threads"] == available_threads()
        assert said["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
        assert set(said["methods"]) == {
            "describe", "devices", "measure", "generate", "register", "survey", "gallery", "settings", "probe",
            "fine_tune", "check_model", "import_model", "cancel", "shutdown",
        }  # fmt: skip
        assert client.call("shutdown") is None
        _, status, used = os.wait4(client.process.pid, 0)
        client.process.returncode = os.waitstatus_to_exitcode(status)
        assert client.process.returncode == 0
        assert used.ru_utime + used.ru_stime < 1.0, "seconds of the processor, however busy it is"


@pytest.mark.parametrize(
    ("line", "code", "about"),
    [
        ("{", -32700, None),
        (b"\xff\xfe", -32700, None),
        ("[" * 100_000, -32700, None),
        ('{"jsonrpc": "2.0", "id": 71, "method": "describe", "params": {"x": NaN}}', -32700, None),
        ("[]", -32600, None),
        ('{"id": 72, "method": "describe"}', -32600, 72),
        ('{"jsonrpc": "2.0", "id": "a", "result": 1}', -32600, "a"),
        ('{"jsonrpc": "2.0", "id": true, "method": "describe"}', -32600, None),
        ('{"jsonrpc": "2.0", "id": 73, "method": "describe", "params": [1]}', -32602, 73),
        ('{"jsonrpc": "2.0", "id": 74, "method": "describe", "params": {"x": 1}}', -32602, 74),
        ('{"jsonrpc": "2.0", "id": 75, "method": "__class__"}', -32601, 75),
        (b"x" * (20 * 1024 * 1024), -32600, None),
    ],
    ids=[
        "cut",
        "not UTF-8",
        "deep",
        "NaN",
        "batch",
        "no version",
        "answer",
        "bool id",
        "list",
        "key",
        "method",
        "long",
    ],
)
def test_a_message_that_is_none_is_refused_in_a_sentence(
    light: Client, line: str | bytes, code: int, about: int | str | None
) -> None:
    before = light.heard()
    light.send(line)
    error = light.answer(about, before)["error"]
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert error["data"]["remedy"]
    assert light.call("describe")["protocol"] == 1, "the next one is served"


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("generate", {}, "lacks 'request'"),
        ("generate", {"request": {"task": "generate", "modle": "x"}, "out": "/x"}, "did you mean 'model'"),
        ("generate", {"request": {"task": "paint"}, "out": "/x"}, "request"),
        ("measure", {"model": "demo", "device": "tpu"}, "device = 'tpu' cannot be used"),
        ("measure", {"model": "demo", "thread": 1}, "did you mean 'threads'"),
        ("register", {"image": "a.nii", "out": "/x"}, "not an absolute path"),
        ("register", {"image": "/a\0.nii", "out": "/x"}, "not an absolute path"),
        ("cancel", {}, "lacks 'id'"),
    ],
)
def test_params_that_cannot_be_used_are_refused_in_a_sentence(
    idle: Client, method: str, params: dict[str, Any], said: str
) -> None:
    error = idle.refusal(method, **params)
    assert error["code"] == -32602
    assert said in error["message"]
    assert error["data"]["kind"] == "RequestError"


def test_a_notification_is_never_answered(idle: Client) -> None:
    before = idle.heard()
    idle.notify("devices")
    idle.notify("nothing")
    idle.call("describe")
    assert [message["level"] for message in idle.told("log", None)] == ["warning"] * 2
    assert idle.heard() == before + 3


@pytest.mark.parametrize(
    ("what", "code", "kind", "said", "goes_on"),
    [
        ("fault", -32603, "UnforeseenError", "ZeroDivisionError: by nothing", False),
        ("memory", -32010, "MemoryError", "the memory of the device is used up: close other programs", False),
        ("disk", -32011, "OutputError", "could not be written (No space left on device): free disk space", True),
        ("package", -32000, "PackageError", "package 'torch' is missing", False),
    ],
)
def test_a_failure_is_a_sentence_and_its_traceback_goes_to_the_log(
    fake: Client, what: str, code: int, kind: str, said: str, goes_on: bool
) -> None:
    error = fake.refusal("fail", what=what)
    assert (error["code"], error["data"]["kind"]) == (code, kind)
    assert said in error["message"]
    assert "Traceback" not in json.dumps(error)
    assert "Traceback" in fake.log.read_text()
    if goes_on:
        assert fake.refusal("unspeakable")["code"] == -32603, "what JSON cannot say is a fault"
    assert fake.ended() == SPOILT


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA"),
        RuntimeError("MPS backend out of memory (4 GB)"),
        RuntimeError("could not create a primitive"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object", name="_C"),
    ],
)
def test_every_library_s_word_for_too_little_memory_is_known(error: Exception) -> None:
    assert error_object(error)["code"] == -32010


def test_a_compiled_part_that_cannot_be_loaded_is_said_by_its_package() -> None:
    library = Path("lib", "site-packages", "torch", "_C.cpython-311-x86_64-linux-gnu.so")
    error = ImportError("libcudnn.so.9: cannot open shared object file", name="_C", path=str(library))
    assert "package 'torch' is missing or cannot be loaded" in error_object(error)["message"]


@pytest.mark.parametrize("job", ["dawdle", "compute"])
@pytest.mark.parametrize(("end", "code"), [("close", 0), ("shutdown", 0), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_end_waits_for_no_job_and_leaves_nothing(
    fake: Client, place: Path, job: str, end: str | signal.Signals, code: int
) -> None:
    number = fake.ask(job, out=str(place / "new" / "out"))
    fake.working(number)
    match end:
        case "close":
            fake.process.stdin.close()
        case "shutdown":
            assert fake.call("shutdown") is None
        case _:
            fake.process.send_signal(end)
    assert fake.ended() == code
    assert names(place) == set()


def test_a_client_that_no_longer_reads_ends_the_process(place: Path) -> None:
    with subprocess.Popen(FAKE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        params = {"out": str(place / "out")}
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "dawdle", "params": params}).encode())
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert b"dawdling" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
    assert names(place) == set()
