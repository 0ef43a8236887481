"""What a training run will take on this machine: measured by the worker, remembered as long as nothing changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from . import Estimates
from .Jobs import Job, JobState
from .Worker import Worker

QUIET_MS = 1500
"""After the last change, before anything is measured unasked."""


class RunEstimate:
    """One measurement at a time, of what would be started now.

    Args:
        worker: that measures; the one that trains, while it is idle.
        onChanged: called when a measurement has begun or ended.
    """

    def __init__(self, worker: Worker, onChanged: Callable[[], None]) -> None:
        self.worker, self._onChanged = worker, onChanged
        self.job: Job | None = None
        self._known: dict[str, dict[str, Any]] = {}
        self._failed: dict[str, str] = {}
        self._wanted: dict[str, Any] | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._onQuiet)

    @property
    def busy(self) -> bool:
        return self.job is not None

    def of(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The estimate of a request; None where none was made."""
        return self._known.get(_key(request))

    def failure(self, request: dict[str, Any]) -> str:
        """Why a request could not be measured; empty where that was not tried or worked."""
        return self._failed.get(_key(request), "")

    def wantSoon(self, request: dict[str, Any] | None) -> None:
        """Measures a request once it has not changed for a while; None for nothing."""
        if request is None or self.of(request) is not None or self.failure(request):
            self._wanted = None
            self._timer.stop()
            return
        if self._wanted is None or _key(self._wanted) != _key(request):
            self._wanted = request
            self._timer.start(QUIET_MS)

    def measure(self, request: dict[str, Any]) -> None:
        """Measures a request now."""
        if self.job is not None:
            return
        key = _key(request)
        self._failed.pop(key, None)
        self.job = Job("probe", {"request": request}, onChanged=lambda job: self._onJob(job, key))
        self.worker.submit(self.job)
        self._onChanged()

    def cancel(self) -> None:
        """Ends the measurement that is under way."""
        self._timer.stop()
        self._wanted = None
        if self.job is not None:
            self.worker.cancel(self.job)

    def close(self) -> None:
        """Before the panel goes."""
        self._timer.stop()
        self._wanted = None
        self._onChanged = _nothing

    def _onQuiet(self) -> None:
        if self._wanted is not None and self.job is None:
            self.measure(self._wanted)

    def _onJob(self, job: Job, key: str) -> None:
        if not job.ended:
            return
        self.job = None
        if job.state is JobState.SUCCEEDED:
            self._known[key] = job.result
        elif job.error is not None:
            self._failed[key] = job.error.message
        else:
            self._failed[key] = _("Not measured.")
        self._onChanged()


def sentence(found: dict[str, Any]) -> str:
    """An estimate in words."""
    memory = found.get("memory_bytes")
    if memory is None:
        return _("About {time} here for {steps} steps.").format(
            time=Estimates.duration(found["seconds_total"]), steps=found["steps"]
        )
    return _("About {time} here for {steps} steps, with {memory} of memory.").format(
        time=Estimates.duration(found["seconds_total"]), steps=found["steps"], memory=Estimates.size(memory)
    )


def _key(request: dict[str, Any]) -> str:
    """What an estimate depends on: all but the words and what the cases show."""
    told = {key: value for key, value in request.items() if key not in ("name", "title", "licence", "seed", "cases")}
    told["images"] = sorted(case["image"] for case in request["cases"])
    return json.dumps(told, sort_keys=True, default=str)


def _nothing() -> None:
    return
