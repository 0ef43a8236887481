"""`jsddpm study ...` in a process of its own: the panel starts what a shell would, and gets the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from . import Interpreter
from .Core import coreFolder

PASSPHRASE = "JSDDPM_STUDY_PASSPHRASE"
"""Variable of the process, and of nothing else: other users of a machine see command lines."""

FAREWELL_MS = 3000


class StudyCommand:
    """One command at a time.

    Args:
        onProgress: called with what is done, and with its share between 0 and 1.
        onNote: called with each note of the command.
        onEnded: called with the last event of a command that succeeded, or with None and a sentence.
    """

    def __init__(
        self,
        onProgress: Callable[[str, float], None],
        onNote: Callable[[str], None],
        onEnded: Callable[[dict[str, Any] | None, str], None],
    ) -> None:
        self._onProgress, self._onNote, self._onEnded = onProgress, onNote, onEnded
        self._process: qt.QProcess | None = None
        self._unread = b""
        self._done: dict[str, Any] | None = None
        self._error = ""
        self._cancelled = False

    @property
    def busy(self) -> bool:
        return self._process is not None

    def start(self, arguments: list[str], passphrase: str = "") -> None:
        """Runs `jsddpm study` with some arguments."""
        interpreter = Interpreter.currentInterpreter()
        environment = interpreter.environment(coreFolder())
        if passphrase:
            environment.insert(PASSPHRASE, passphrase)
        process = qt.QProcess()
        process.setProcessChannelMode(qt.QProcess.SeparateChannels)
        process.setProcessEnvironment(environment)
        process.setWorkingDirectory(str(coreFolder()))
        process.connect("readyReadStandardOutput()", self._onOutput)
        process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._onProcessError)
        self._process, self._unread = process, b""
        self._done, self._error, self._cancelled = None, "", False
        process.start(str(interpreter.path), ["-m", "jsddpm_core", "study", *arguments, "--json"])

    def cancel(self) -> None:
        """Asks the command to end, and ends it where it does not."""
        process = self._process
        if process is None or self._cancelled:
            return
        self._cancelled = True
        if os.name == "nt":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.processId(), signal.SIGINT)
            qt.QTimer.singleShot(FAREWELL_MS, lambda: self._insist(process))

    def close(self) -> None:
        """Before the panel goes: returns when the process is gone; nothing calls back."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.waitForFinished(FAREWELL_MS)
            process.deleteLater()

    def _insist(self, process: Any) -> None:
        if process is self._process:
            process.kill()

    def _onOutput(self) -> None:
        if self._process is None:
            return
        self._unread += bytes(self._process.readAllStandardOutput().data())
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "progress":
            self._onProgress(str(event["stage"]), event["done"] / max(event["total"], 1))
        elif kind == "note":
            self._onNote(str(event["text"]))
        elif kind == "problem":
            self._onNote(_("Slot {n}: {text}.").format(n=event.get("slot"), text=event["text"]))
        elif kind == "done":
            self._done = event
        elif kind == "error":
            self._error = f"{event['message']}: {event['remedy']}."

    def _onProcessError(self, error: Any) -> None:
        if error == qt.QProcess.FailedToStart:
            path = Interpreter.currentInterpreter().path
            self._error = _("{path} could not be started: choose another Python in Setup.").format(path=path)
            self._end()

    def _onFinished(self, code: int, _status: Any) -> None:
        self._onOutput()
        if self._cancelled:
            self._done, self._error = None, _("Cancelled. Nothing was kept.")
        elif self._done is None and not self._error:
            self._error = _("The computing process ended with exit code {code}: start again.").format(code=code)
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
            self._onEnded(self._done if not self._error else None, self._error)
