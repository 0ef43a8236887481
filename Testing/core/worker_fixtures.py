"""A client of the worker, for tests: starts a process, talks to it, and holds it to its channel."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "jsddpm_core", "worker")
PATIENCE_S = 240.0
"""For an answer; long, because the machine may be busy."""

NOISE = "what a library prints"
NOISY = f"""
import os, sys
class Noisy:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "monai", "SimpleITK", "pydantic"):
            print({NOISE!r}, name)
            os.write(1, b"{NOISE}, directly\\n")
            os.system("echo {NOISE}, from a child")
sys.meta_path.insert(0, Noisy())
"""
"""A `sitecustomize.py` under which imports write to standard output in every way there is."""

_FAKE = """
from jsddpm_core.worker.channel import claim_standard_streams
channel = claim_standard_streams()

import errno, time
from pathlib import Path
from jsddpm_core.files import write_file
from jsddpm_core.progress import Progress
from jsddpm_core.strict import Strict
from jsddpm_core.worker.methods import Method
from jsddpm_core.worker.server import Worker

class Given(Strict):
    out: Path | None = None
    what: str = ""

def dawdle(job, params):
    with job.folder(params.out) as folder:
        number = 0
        while True:
            job.progress(Progress("dawdling", 0, 1))
            write_file(folder / f"{number % 50}.txt", b"half")
            number += 1

def compute(job, params):
    with job.folder(params.out) as folder:
        write_file(folder / "half.txt", b"half")
        job.progress(Progress("computing", 0, 1))
        time.sleep(3600)

def fail(job, params):
    raise {
        "fault": ZeroDivisionError("by nothing"),
        "memory": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4711 bytes"),
        "disk": OSError(errno.ENOSPC, "No space left on device", "somewhere"),
        "package": ModuleNotFoundError("No module named 'torch'", name="torch"),
    }[params.what]

def unspeakable(job, params):
    return {"similarity": float("nan")}

functions = (dawdle, compute, fail, unspeakable)
Worker(channel, {function.__name__: Method(Given, function) for function in functions}).serve()
"""
FAKE = (sys.executable, "-c", _FAKE)
"""A worker whose jobs need no torch: one never ends, one never looks up, the others fail."""

CANCELLED = {"code": -32800, "message": "cancelled"}


class Client:
    """One worker process.

    Args:
        command: that starts it.
        log: file for its standard error.
        environment: in addition to this process's.

    Attributes:
        garbage: lines that were no messages; must stay empty.
    """

    def __init__(self, log: Path, command: tuple[str, ...] = COMMAND, **environment: str) -> None:
        self.log = log
        self._ids = itertools.count(1)
        self._heard: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._closed = False
        self.garbage: list[str] = []
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            try:
                message = json.loads(line.decode())
                assert message["jsonrpc"] == "2.0"
            except (ValueError, KeyError, TypeError, AssertionError):
                self.garbage.append(line.decode(errors="replace"))
                continue
            with self._changed:
                self._heard.append(message)
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def send(self, text: str | bytes) -> None:
        """Sends a line as it stands."""
        content = text.encode() if isinstance(text, str) else text
        self.process.stdin.write(content + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> int:
        """Sends a request; returns its id."""
        number = next(self._ids)
        self.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        return number

    def notify(self, method: str, **params: Any) -> None:
        """Sends a notification."""
        self.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    def heard(self) -> int:
        """How many messages have come so far."""
        return len(self._heard)

    def wait(self, wanted: Callable[[dict[str, Any]], bool], since: int = 0) -> dict[str, Any]:
        """The first message that `wanted` says yes to, after `since` others."""

        def found() -> dict[str, Any] | None:
            return next((message for message in self._heard[since:] if wanted(message)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._closed, PATIENCE_S)
            message = found()
        assert message is not None, f"no such message; the log says: {self.log.read_text()[-2000:]}"
        return message

    def answer(self, number: int | str | None, since: int = 0) -> dict[str, Any]:
        """The answer to a request, result or error."""
        return self.wait(lambda message: "method" not in message and message["id"] == number, since)

    def call(self, method: str, **params: Any) -> Any:
        """The result of a request."""
        answer = self.answer(self.ask(method, **params))
        assert "result" in answer, answer
        return answer["result"]

    def refusal(self, method: str, **params: Any) -> dict[str, Any]:
        """The error of a request that must fail."""
        answer = self.answer(self.ask(method, **params))
        assert "error" in answer, answer
        return answer["error"]

    def told(self, method: str, number: int | None) -> list[dict[str, Any]]:
        """The notifications about a request so far, in their order."""
        with self._changed:
            said = [message for message in self._heard if message.get("method") == method]
        return [message["params"] for message in said if message["params"]["id"] == number]

    def working(self, number: int, *, steps: bool = False) -> None:
        """Returns when a job is known to be under way, or to have made a step."""
        self.wait(
            lambda message: (
                message.get("method") == "progress"
                and message["params"]["id"] == number
                and (message["params"]["step"] is not None or not steps)
            )
        )

    def ended(self, patience_s: float = 20.0) -> int:
        """The exit code, once the process has ended."""
        return self.process.wait(patience_s)

    def close(self) -> None:
        """Ends the process, and holds it to its channel."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        assert self.garbage == []


@contextmanager
def a_worker(log: Path, command: tuple[str, ...] = COMMAND, **environment: str) -> Iterator[Client]:
    """A worker process for the length of a block."""
    client = Client(log, command, **environment)
    try:
        yield client
    finally:
        client.close()


def names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}


def the_error(answer: dict[str, Any]) -> dict[str, Any]:
    """Code and message of a failure."""
    return {key: answer["error"][key] for key in ("code", "message")}
