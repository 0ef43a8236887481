"""A measuring process that is asked over its stdin and answers over its stdout, within a time limit."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent


class Conversation:
    """A probe in a process of its own. Once it has failed or been late, every answer is `{"missing": why}`.

    Args:
        threads: that the process computes with.
        script: beside this file.
        arguments: of the script.
        limit_s: for the first answer, by which it says that it is ready.
    """

    def __init__(self, threads: int, script: str, *arguments: object, limit_s: float = 300) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        command = [sys.executable, str(HERE / script), *(str(argument) for argument in arguments)]
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115, closed at the end
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=HERE.parents[1],
            env=environment,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        assert self._process.stdout is not None
        threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True).start()
        self.missing: str | None = None
        self.ready = self._answer(limit_s)

    def ask(self, do: str, limit_s: float = 300, **more: object) -> dict[str, Any]:
        """One question and its answer.

        Args:
            do: what to do.
            limit_s: seconds after which the process is ended.
            **more: what to do it with.
        """
        if self.missing is None and self._process.stdin is not None:
            with suppress(OSError):  # it has ended: the answer says why
                self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
                self._process.stdin.flush()
        return self._answer(limit_s)

    def _answer(self, limit_s: float) -> dict[str, Any]:
        if self.missing is not None:
            return {"missing": self.missing}
        try:
            line = self._answers.get(timeout=limit_s)
        except queue.Empty:
            self.missing = f"no answer after {limit_s:.0f} s"
            self._process.kill()
            return {"missing": self.missing}
        if not line:
            self.missing = self._reason()
            return {"missing": self.missing}
        return json.loads(line)

    def _reason(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        return reason_of(code, self._said.read())

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_error: object) -> None:
        """Lets the process end, or ends it."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()


def _read(stdout: IO[str], answers: queue.Queue[str]) -> None:
    """Hands on every line, and an empty one at the end."""
    for line in stdout:
        answers.put(line)
    answers.put("")


def reason_of(code: int, said: str) -> str:
    """Why a process ended, in a few words."""
    lines = said.strip().splitlines()
    last = lines[-1] if lines else ""
    if code == -9 or "out of memory" in last.lower() or "can't allocate memory" in last.lower():
        return "out of memory"
    return last or f"exit code {code}"
