"""One training run under way: its job, what it tells, and its ways to end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from . import Estimates
from .Jobs import Job, JobState
from .Worker import Worker

PATIENCE_MS = 120_000
"""For a step to end and a checkpoint to be written, before the process is ended all the same."""

FAREWELL_MS = 65_000
"""The same when the application closes; the process itself takes a minute at most."""

LINES_KEPT = 1000


def stageWords(stage: str) -> str:
    """A stage of a run as users read it."""
    words = {
        "loading": _("Starting"), "preparing": _("Preparing the cases"),
        "replaying": _("Drawing images of the start model"), "training": _("Training"),
        "finishing": _("Measuring the new model"),
    }  # fmt: skip
    return words.get(stage, stage.capitalize())


class FineTuneRun:
    """Runs one at a time, in a process of its own.

    Args:
        worker: that trains, and does nothing else.
        onChanged: called when a run begins, ends, or is asked to end.
        onProgress: called with the line to show and how much is done, 0 to 1.
        onMetrics: called with the step and the numbers.
        onSamples: called with the `.npy` file of new samples and the step.
        onEnded: called with the run's folder and the answer of the worker, None where there is none.
    """

    def __init__(
        self,
        worker: Worker,
        onChanged: Callable[[], None],
        onProgress: Callable[[str, float], None],
        onMetrics: Callable[[int, dict[str, float]], None],
        onSamples: Callable[[Path, int], None],
        onEnded: Callable[[Path, dict[str, Any] | None], None],
    ) -> None:
        self.worker = worker
        self._onChanged, self._onProgress, self._onMetrics = onChanged, onProgress, onMetrics
        self._onSamples, self._onEnded = onSamples, onEnded
        self.job: Job | None = None
        self.folder: Path | None = None
        self.title = ""
        self.stage = ""
        self.said = ""
        self.log: deque[str] = deque(maxlen=LINES_KEPT)

    @property
    def busy(self) -> bool:
        return self.job is not None

    @property
    def ending(self) -> bool:
        """Whether it was asked to end."""
        return self.job is not None and self.job.state is JobState.CANCELLING

    def start(self, request: dict[str, Any], folder: Path, resume: bool = False) -> None:
        """Hands a run to the worker; the panel sees to it that no other is under way."""
        self.folder, self.title, self.stage = folder, request["title"], ""
        self.log.clear()
        self.note(_("Resumed.") if resume else _("Started."))
        self.said = _("Starting...")
        params = {"request": request, "out": str(folder), "resume": resume}
        self.job = Job(
            "fine_tune", params, onChanged=self._onJob, onProgress=self._onTold, onPreview=self._onPreview,
            onMetrics=self._onNumbers, onLog=self._onLog, patienceMs=PATIENCE_MS,
        )  # fmt: skip
        self.worker.submit(self.job)
        self._onChanged()

    def stop(self) -> None:
        """Ends the run after the step under way; it can be resumed."""
        if self.job is not None and not self.ending:
            self.note(_("Asked to stop: the step under way ends, and a checkpoint is written."))
            self.said = _("Stopping: a checkpoint is written...")
            self.worker.cancel(self.job)

    def close(self) -> None:
        """Before the window goes: the run writes its checkpoint and stops."""
        self._onChanged = self._ignore
        self._onEnded = self._ignore
        self.worker.stop()

    def note(self, text: str) -> None:
        """A line for the log."""
        self.log.append(text)

    @staticmethod
    def _ignore(*_arguments: Any) -> None:
        return

    # ------------------------------------------------------------ what it tells

    def _onTold(self, progress: dict[str, Any]) -> None:
        if self.job is None or self.ending:
            return
        stage, done, total = progress["stage"], progress["done"], max(progress["total"], 1)
        if stage != self.stage:
            self.stage = stage
            self.note(stageWords(stage) + ".")
            self._onChanged()
        parts = [stageWords(stage)]
        if stage == "training":
            parts.append(_("step {n} of {total}").format(n=int(done), total=total))
        elif total > 1:
            parts.append(_("{n} of {total}").format(n=int(done), total=total))
        if progress.get("eta_s") is not None and done < total:
            parts.append(_("{time} left").format(time=Estimates.duration(progress["eta_s"])))
        self.said = ", ".join(parts)
        self._onProgress(self.said, done / total)

    def _onNumbers(self, metrics: dict[str, Any]) -> None:
        self._onMetrics(int(metrics["step"]), metrics["values"])

    def _onPreview(self, preview: dict[str, Any]) -> None:
        if preview.get("array"):
            self._onSamples(Path(preview["array"]), int(preview.get("step") or 0))

    def _onLog(self, params: dict[str, Any]) -> None:
        self.note(str(params.get("text", "")))
        self._onChanged()

    def _onJob(self, job: Job) -> None:
        if job is not self.job:
            return
        if not job.ended:
            self._onChanged()
            return
        self.job = None
        answer = job.result if job.state is JobState.SUCCEEDED else None
        if job.error is not None:
            self.said = job.error.message
        elif answer is not None and answer.get("finished"):
            self.said = _("Finished.")
        else:
            self.said = _("Stopped. It can be resumed at any time, also after a restart.")
        self.note(self.said)
        self.worker.release()
        self._onEnded(self.folder, answer)
        self._onChanged()
