"""Jobs: what panels ask of the worker, from idle to one of three ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any


class JobState(Enum):
    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


CANCEL_PATIENCE_MS = 3000
"""How long a job may take to end by itself once it is cancelled, unless it says otherwise."""

ENDS = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

_NEXT = {
    JobState.IDLE: (JobState.STARTING,),
    JobState.STARTING: (JobState.RUNNING, JobState.CANCELLING, *ENDS),
    JobState.RUNNING: (JobState.CANCELLING, *ENDS),
    JobState.CANCELLING: ENDS,
}


@dataclass(frozen=True)
class JobError:
    """Why a job failed.

    Attributes:
        message: one sentence: what, which file or value, what to do.
        kind: class of the error in the core, such as `RequestError`; `WorkerDied` where there is no worker to say.
    """

    message: str
    kind: str = "WorkerDied"


class Job:
    """One call of the worker.

    Args:
        method: of the worker, such as `generate`.
        params: plain values.
        leftovers: files and folders that must be gone unless the job succeeds.
        scratch: files and folders that must be gone however it ends.
        onChanged: called with the job after every change of state.
        onProgress: called with the parameters of each progress message.
        onPreview: called with the parameters of each preview message.
        onMetrics: called with the parameters of each message of numbers at a step.
        onLog: called with the parameters of each log message that belongs to the job.
        patienceMs: how long it may take to end by itself once it is cancelled; then its process is ended.
    """

    def __init__(
        self,
        method: str,
        params: dict[str, Any],
        leftovers: tuple[Path, ...] = (),
        scratch: tuple[Path, ...] = (),
        onChanged: Callable[[Job], None] | None = None,
        onProgress: Callable[[dict[str, Any]], None] | None = None,
        onPreview: Callable[[dict[str, Any]], None] | None = None,
        onMetrics: Callable[[dict[str, Any]], None] | None = None,
        onLog: Callable[[dict[str, Any]], None] | None = None,
        patienceMs: int = CANCEL_PATIENCE_MS,
    ) -> None:
        self.method, self.params = method, params
        self.leftovers, self.scratch = leftovers, scratch
        self.onChanged, self.onProgress, self.onPreview = onChanged, onProgress, onPreview
        self.onMetrics, self.onLog = onMetrics, onLog
        self.patienceMs = patienceMs
        self.state = JobState.IDLE
        self.result: Any = None
        self.error: JobError | None = None
        self.handedOverAgain = False

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    def enter(self, state: JobState) -> None:
        """Goes to a state that may follow.

        Raises:
            ValueError: if it may not.
        """
        if state not in _NEXT.get(self.state, ()):
            raise ValueError(f"a job that is {self.state.value} cannot become {state.value}")
        self.state = state
        if self.ended:
            self._tidy()
        if self.onChanged is not None:
            self.onChanged(self)

    def succeed(self, result: Any) -> None:
        self.result = result
        self.enter(JobState.SUCCEEDED)

    def fail(self, error: JobError) -> None:
        self.error = error
        self.enter(JobState.FAILED)

    def _tidy(self) -> None:
        unwanted = self.scratch if self.state is JobState.SUCCEEDED else (*self.leftovers, *self.scratch)
        for path in unwanted:
            try:
                removePath(path)
            except OSError as error:
                logging.warning(f"JSDDPMSlicer: {path.name} could not be removed ({error.strerror})")


def removePath(path: Path) -> None:
    """Removes a file or a folder, if it is there.

    Raises:
        OSError: if it stays.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
