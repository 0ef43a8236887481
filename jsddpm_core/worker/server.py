"""The worker: a thread reads messages, the main thread works through one queue of jobs."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from jsddpm_core.errors import JsddpmError
from jsddpm_core.worker.channel import LONGEST_LINE, Channel
from jsddpm_core.worker.job import Job
from jsddpm_core.worker.methods import Method, describe, queued_methods
from jsddpm_core.worker.params import CancelParams, NoParams, read_params
from jsddpm_core.worker.protocol import (
    INVALID_MESSAGE,
    PROTOCOL_VERSION,
    UNKNOWN_METHOD,
    Call,
    Cancelled,
    Id,
    ProtocolError,
    error_object,
    read_call,
    to_line,
)

AT_ONCE = ("describe", "cancel", "shutdown")
"""Methods that the reading thread answers, whatever the main thread does."""

SPOILT = 70
"""Exit code after a failure that nobody foresaw, used-up memory among them: it is answered, then the process ends.

It may hold half a package or half a model, with which every later job would fail; the client starts another.
"""

_FORESEEN = (JsddpmError, Cancelled, OSError)
_ENDING_SIGNALS = {getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)}


class Worker:
    """Serves one client until it goes away, asks for the end, or a signal comes.

    Args:
        channel: to the client.
        methods: what can be asked for, beside `AT_ONCE`.
    """

    def __init__(self, channel: Channel, methods: Mapping[str, Method] | None = None) -> None:
        self.channel = channel
        self.methods = queued_methods() if methods is None else methods
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._ending = False

    def serve(self) -> NoReturn:
        """Works until the process ends; call it in the main thread."""
        self._end_on_signals()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while True:
            self._run(self._next())

    def end(self, code: int) -> NoReturn:
        """Ends the process, from any thread, whatever the others compute; nothing half-written stays.

        A job that can be resumed is asked to end first, and waited for as long as it was promised.
        """
        self._ending = True
        self._changed.acquire()  # for good: no further job begins
        try:
            if self._running is not None:
                self._running.cancel()
                self._running.ended.wait(self._running.grace_s)
                self._running.abandon()
        finally:
            os._exit(code)

    def _end_on_signals(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            # A thread that waits for signals is not held up by a long computation, as a handler would be.
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
            threading.Thread(target=self._wait_for_signal, name="signals", daemon=True).start()
        else:
            for number in _ENDING_SIGNALS:
                signal.signal(number, self._end_beside)

    def _end_beside(self, number: int, _frame: FrameType | None) -> None:
        """Ends from a thread of its own: the main one may have a job to bring to an end."""
        threading.Thread(target=self.end, args=(128 + number,), daemon=True).start()

    def _wait_for_signal(self) -> None:
        self.end(128 + signal.sigwait(_ENDING_SIGNALS))

    # ------------------------------------------------------------ the reading thread

    def _read(self) -> None:
        try:
            for line in self.channel.lines():
                self._take(line)
        finally:
            self.end(0)

    def _take(self, line: bytes | None) -> None:
        call: Call | None = None
        try:
            if line is None:
                raise ProtocolError(
                    INVALID_MESSAGE, f"the message is longer than {LONGEST_LINE} bytes", "name a file in its place"
                )
            call = read_call(line)
            self._serve_call(call)
        except Exception as error:
            if call is not None and call.id is None:
                self._notify("log", {"id": None, "level": "warning", "text": error_object(error)["message"]})
            elif isinstance(error, ProtocolError):
                self._fail(error.about, error)
            else:
                self._fail(None if call is None else call.id, error)

    def _serve_call(self, call: Call) -> None:
        match call.method:
            case "describe":
                read_params(NoParams, call.params, call.id)
                methods = [*AT_ONCE, *self.methods]
                said = {"protocol": PROTOCOL_VERSION, "pid": os.getpid(), "methods": methods, **describe()}
                self._answer(call, said)
            case "cancel":
                wanted = read_params(CancelParams, call.params, call.id)
                self._answer(call, {"found": self._cancel(wanted.id)})
            case "shutdown":
                read_params(NoParams, call.params, call.id)
                self._answer(call, None)
                self.end(0)
            case name if name in self.methods:
                self._queue(call, self.methods[name])
            case name:
                known = ", ".join([*AT_ONCE, *self.methods])
                raise ProtocolError(UNKNOWN_METHOD, f"there is no method '{name}'", f"choose one of {known}", call.id)

    def _queue(self, call: Call, method: Method) -> None:
        if call.id is None:
            raise ProtocolError(INVALID_MESSAGE, f"'{call.method}' came without an id", "send it as a request")
        params = read_params(method.params, call.params, call.id)
        job = Job(call.id, lambda job: method.run(job, params), self._notify, method.grace_s)
        with self._changed:
            if self._find(job.name) is not None:
                # Answered without the id, or it would look like the end of the job that bears it.
                raise ProtocolError(INVALID_MESSAGE, f"the id {job.name!r} is in use", "number the requests")
            self._waiting.append(job)
            self._changed.notify()

    def _cancel(self, name: Id) -> bool:
        with self._changed:
            job = self._find(name)
            if job is None:
                return False
            job.cancel()
            waiting = job in self._waiting
            if waiting:
                self._waiting.remove(job)
        if waiting:
            self._fail(job.name, Cancelled())
        return True

    def _find(self, name: Id) -> Job | None:
        """The running or waiting job of that name."""
        jobs = [*self._waiting] if self._running is None else [self._running, *self._waiting]
        return next((job for job in jobs if job.name == name), None)

    # ------------------------------------------------------------ the main thread

    def _next(self) -> Job:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            self._running = self._waiting.popleft()
            return self._running

    def _run(self, job: Job) -> None:
        spoilt = False
        try:
            job.check()
            answer = to_line(id=job.name, result=job.work(job))
        except Exception as error:
            answer = _failure(job.name, error)
            spoilt = not isinstance(error, _FORESEEN)
        finally:
            job.ended.set()
        with self._changed:
            self._running = None
        self._send(answer)
        if spoilt:
            self.end(SPOILT)

    # ------------------------------------------------------------ any thread

    def _answer(self, call: Call, result: dict[str, Any] | None) -> None:
        if call.id is not None:
            self._send(to_line(id=call.id, result=result))

    def _fail(self, name: Id | None, error: Exception) -> None:
        self._send(_failure(name, error))

    def _notify(self, method: str, params: dict[str, Any]) -> None:
        self._send(to_line(method=method, params=params))

    def _send(self, line: bytes) -> None:
        if self._ending:
            return
        try:
            self.channel.send(line)
        except OSError:
            self.end(0)


def _failure(name: Id | None, error: Exception) -> bytes:
    """The answer to a request that failed; the traceback of what nobody expected goes to the log."""
    if not isinstance(error, JsddpmError | Cancelled):
        with suppress(OSError):
            traceback.print_exception(error)
    return to_line(id=name, error=error_object(error))
