"""The client of the worker process: JSON-RPC 2.0 over its standard channels, one message a line.

The process is `python -m jsddpm_core worker`, kept warm between jobs and started again when it has died. Nothing here
waits: Qt tells when there is something to read, and timers end what does not end by itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .Core import coreFolder
from .Interpreter import Interpreter
from .Jobs import Job, JobError, JobState

FAREWELL_MS = 1000
"""How long the process may take to end once its standard input is closed, unless the worker is told otherwise."""

START_PATIENCE_MS = 120_000
"""How long a new process may take to introduce itself."""

CANCELLED = -32800
LINES_KEPT = 400


class Worker:
    """One worker process.

    Args:
        interpreter: what it runs in, asked at every start.
        onStateChanged: called when the process has started or ended.
        farewellMs: how long the process may take to end once its standard input is closed; one that trains writes a
            checkpoint first.
    """

    def __init__(
        self,
        interpreter: Callable[[], Interpreter],
        onStateChanged: Callable[[], None] | None = None,
        farewellMs: int = FAREWELL_MS,
    ) -> None:
        self._interpreter, self._farewellMs = interpreter, farewellMs
        self._onStateChanged = onStateChanged
        self._process: qt.QProcess | None = None
        self._pid: int | None = None
        self._mute: qt.QProcess | None = None
        self._unread = b""
        self._jobs: dict[int, Job] = {}
        self._number = 0
        self._timers: list[qt.QTimer] = []
        self.log: deque[str] = deque(maxlen=LINES_KEPT)
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id that the worker itself told; launchers between us and it have others."""
        return self._pid

    @property
    def running(self) -> bool:
        return self._process is not None

    def submit(self, job: Job) -> None:
        """Hands a job over, and starts the process where there is none.

        A process that dies before it has begun with a job, perhaps before we could know of its death, costs nothing:
        the job goes to a new one, once.
        """
        job.enter(JobState.STARTING)
        self._handOver(job)

    def _handOver(self, job: Job) -> None:
        if self._process is None and not self._start():
            if not job.ended:
                job.fail(self._notStarted())
            return
        self._number += 1
        self._jobs[self._number] = job
        self._send({"jsonrpc": "2.0", "id": self._number, "method": job.method, "params": job.params})

    def uses(self, path: Path) -> bool:
        """Whether a job that has not ended names a file or folder."""
        return any(not job.ended and json.dumps(str(path)) in json.dumps(job.params) for job in self._jobs.values())

    def cancel(self, job: Job) -> None:
        """Asks a job to end; if it has not after a while, its process is ended with it."""
        if job.ended or job.state is JobState.CANCELLING:
            return
        number = next((number for number, known in self._jobs.items() if known is job), None)
        if number is None:
            return
        job.enter(JobState.CANCELLING)
        self._send({"jsonrpc": "2.0", "method": "cancel", "params": {"id": number}})
        self._later(job.patienceMs, lambda: self._insist(job))

    def stop(self) -> None:
        """Ends the process and every job; returns when the process is gone."""
        process = self._process
        if process is None:
            return
        for job in list(self._jobs.values()):
            if job.state is not JobState.CANCELLING:
                job.enter(JobState.CANCELLING)
        process.closeWriteChannel()
        if not process.waitForFinished(self._farewellMs):
            self._kill()
            process.waitForFinished(FAREWELL_MS)
        if self._process is process:
            self._ended()

    def release(self) -> None:
        """Lets an idle process go, with the memory it holds; returns at once, and the next job starts another."""
        process = self._process
        if process is not None and all(job.ended or job.method == "describe" for job in self._jobs.values()):
            process.closeWriteChannel()

    # ------------------------------------------------------------ the process

    def _start(self) -> bool:
        interpreter = self._interpreter()
        process = qt.QProcess()
        process.setProcessChannelMode(qt.QProcess.SeparateChannels)
        process.setProcessEnvironment(interpreter.environment(coreFolder()))
        process.setWorkingDirectory(str(coreFolder()))
        process.connect("readyReadStandardOutput()", self._onOutput)
        process.connect("readyReadStandardError()", self._onLog)
        process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._onProcessError)
        self._process, self._unread, self._pid = process, b"", None
        self.starts += 1
        process.start(str(interpreter.path), ["-m", "jsddpm_core", "worker"])
        if self._process is None:  # it could not be started, and said so at once
            return False
        self._number += 1
        introduction = self._jobs[self._number] = Job("describe", {}, onChanged=self._onDescribed)
        introduction.handedOverAgain = True  # every process is asked anew
        introduction.enter(JobState.STARTING)
        self._send({"jsonrpc": "2.0", "id": self._number, "method": "describe", "params": {}})
        self._later(START_PATIENCE_MS, lambda: self._expectAnswer(process))
        self._tell()
        return True

    def _onDescribed(self, job: Job) -> None:
        if job.state is JobState.SUCCEEDED:
            self._pid = int(job.result["pid"])

    def _send(self, message: dict[str, Any]) -> None:
        if self._process is not None:
            self._process.write(json.dumps(message).encode("utf-8") + b"\n")

    def _insist(self, job: Job) -> None:
        if job.state is JobState.CANCELLING and self._process is not None:
            self.log.append("the worker did not end a cancelled job in time; its process is ended")
            self._kill()

    def _kill(self) -> None:
        """Ends the process and the Python below a launcher, which outlives the launcher's own end."""
        process = self._process
        if process is None:
            return
        if self._pid is not None and self._pid != process.processId():
            if os.name == "nt":
                qt.QProcess.startDetached("taskkill", ["/PID", str(self._pid), "/T", "/F"])
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self._pid, signal.SIGKILL)
        process.kill()

    def _onProcessError(self, error: Any) -> None:
        if error != qt.QProcess.FailedToStart:
            return  # whatever else goes wrong, `finished` follows
        self._ended(self._notStarted())

    def _notStarted(self) -> JobError:
        path = self._interpreter().path
        told = _("The computing process could not be started with {path}: choose another Python in Setup.")
        return JobError(told.format(path=path))

    def _onFinished(self, code: int, status: Any) -> None:
        self._onOutput()
        mute = self._process is not None and self._process is self._mute
        if mute:
            told = _("The Python {path} does not answer as the computing process should: choose another in Setup.")
        elif self._pid is None and status != qt.QProcess.CrashExit:
            told = _(
                "The Python {path} cannot compute (exit code {code}): Setup says what it lacks, or choose another."
            )
        elif status == qt.QProcess.CrashExit:
            told = _(
                "The computing process was ended from outside or ran out of memory: start again; "
                "its last words stand in Setup, Diagnostics."
            )
        else:
            told = _(
                "The computing process ended with exit code {code}: start again; "
                "its last words stand in Setup, Diagnostics."
            )
        self._ended(JobError(told.format(path=self._interpreter().path, code=code)), secondChance=not mute)

    def _expectAnswer(self, process: qt.QProcess) -> None:
        if self._process is process and self._pid is None:
            self._mute = process
            self._kill()

    def _ended(self, error: JobError | None = None, secondChance: bool = False) -> None:
        process, self._process, self._pid = self._process, None, None
        if process is not None:
            process.deleteLater()
        jobs, self._jobs = self._jobs, {}
        again = []
        for job in jobs.values():
            if job.ended:
                continue
            if secondChance and job.state is JobState.STARTING and not job.handedOverAgain:
                job.handedOverAgain = True
                again.append(job)
            elif job.state is JobState.CANCELLING or error is None:
                if job.state is not JobState.CANCELLING:
                    job.enter(JobState.CANCELLING)
                job.enter(JobState.CANCELLED)
            else:
                job.fail(error)
        self._tell()
        for job in again:
            self._handOver(job)

    def _tell(self) -> None:
        if self._onStateChanged is not None:
            self._onStateChanged()

    def _later(self, milliseconds: int, action: Callable[[], None]) -> None:
        timer = qt.QTimer()
        timer.setSingleShot(True)

        def fire() -> None:
            self._timers.remove(timer)
            action()

        timer.connect("timeout()", fire)
        self._timers.append(timer)
        timer.start(milliseconds)

    # ------------------------------------------------------------ its messages

    def _onLog(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
            self.log.extend(line for line in text.splitlines() if line.strip())

    def _onOutput(self) -> None:
        if self._process is None:
            return
        self._unread += bytes(self._process.readAllStandardOutput().data())
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                self.log.append(f"not a message: {line[:200]!r}")
                continue
            if _isMessage(message):
                self._onMessage(message)
            else:
                self.log.append(f"not a message of ours: {line[:200]!r}")

    def _onMessage(self, message: dict[str, Any]) -> None:
        if "method" in message:
            self._onNotification(str(message["method"]), message.get("params") or {})
            return
        job = self._jobs.pop(message.get("id"), None)  # type: ignore[arg-type]
        if job is None or job.ended:
            return
        if "error" not in message:
            job.succeed(message.get("result"))
            return
        error = message["error"]
        if error.get("code") == CANCELLED:
            if job.state is not JobState.CANCELLING:
                job.enter(JobState.CANCELLING)
            job.enter(JobState.CANCELLED)
        else:
            kind = (error.get("data") or {}).get("kind", "Fault")
            job.fail(JobError(str(error.get("message", "unknown error")), kind))

    def _onNotification(self, method: str, params: dict[str, Any]) -> None:
        job = self._jobs.get(params.get("id"))  # type: ignore[arg-type]
        if method == "log":
            self.log.append(f"{params.get('level', 'info')}: {params.get('text', '')}")
            if job is not None and job.onLog is not None:
                job.onLog(params)
            return
        if job is None or job.ended:
            return
        if job.state is JobState.STARTING:
            job.enter(JobState.RUNNING)
        listeners = {"progress": job.onProgress, "preview": job.onPreview, "metrics": job.onMetrics}
        listener = listeners.get(method)
        if listener is None:
            if method not in listeners:
                logging.warning(f"JSDDPMSlicer: the worker said '{method}', which nobody expects")
            return
        listener(params)


def _isMessage(message: Any) -> bool:
    """Whether the parts that are read are of the kinds that they should be."""
    return (
        isinstance(message, dict)
        and isinstance(message.get("id"), int | str | None)
        and isinstance(message.get("params", {}), dict)
        and isinstance(message.get("params", {}).get("id"), int | str | None)
        and isinstance(message.get("error", {}), dict)
        and isinstance(message.get("error", {}).get("data"), dict | None)
    )


def partialOf(out: Path) -> Path:
    """Where the worker keeps a run until it is complete."""
    return out.with_name(out.name + ".partial")
