"""One run of the Generate panel: the job, the emerging image, and the way from files to nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from . import Estimates, Runs, Views, Words
from .Geometry import Placement
from .Jobs import Job, JobState, removePath
from .Pathology import Pathology
from .SampleFiles import readSample
from .Scene import Result, importResult
from .Steps import Steps, StepTimes
from .Worker import Worker, partialOf

PREVIEW_INTERVAL_MS = 200
"""At most five images a second."""


class NodeDeleted(Exception):
    """Somebody deleted what was just put into the scene."""


@dataclass(frozen=True)
class Asked:
    """What a run is about.

    Attributes:
        request: as the worker takes it.
        manifest: of the model.
        pathology: that is drawn.
        speedKey: under which its speed is remembered.
        placement: of the patient, where the result is to lie in a patient's frame.
        reference: that patient's volume.
    """

    request: dict[str, Any]
    manifest: Any
    pathology: Pathology
    speedKey: str
    placement: Placement | None = None
    reference: Any = None


class GenerateRun:
    """Runs one request at a time.

    Args:
        worker: that computes.
        say: shows one line.
        showShare: shows how much is done, 0 to 1.
        onChanged: called when what can be done now has changed.
        onResult: called with a result that is in the scene.
    """

    def __init__(
        self,
        worker: Worker,
        say: Callable[[str], None],
        showShare: Callable[[float], None],
        onChanged: Callable[[], None],
        onResult: Callable[[Result], None],
    ) -> None:
        self.worker = worker
        self._say, self._showShare, self._onChanged, self._onResult = say, showShare, onChanged, onResult
        self.job: Job | None = None
        self.preview: Views.Preview | None = None
        self.times: StepTimes = {}
        self._asked: Asked | None = None
        self._steps: Steps | None = None
        self._pending: tuple[Result, Path] | None = None
        self._newest: dict[str, Any] | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._showNewest)

    @property
    def busy(self) -> bool:
        return self.job is not None or self.loading

    @property
    def loading(self) -> bool:
        """Whether the scene holds a part of a result."""
        return self._pending is not None

    @property
    def cancelling(self) -> bool:
        return self.job is not None and self.job.state is JobState.CANCELLING

    def start(self, asked: Asked) -> None:
        """Hands a request to the worker; the panel sees to it that nothing else runs."""
        try:
            out = Runs.newRunFolder(asked.pathology.name)
            scratch = Runs.newScratchFolder("preview")
        except OSError as error:
            told = _("The results folder {folder} cannot be written ({reason}): choose another in Setup.")
            self._say(told.format(folder=Runs.resultsFolder(), reason=error.strerror or error))
            return
        self._asked = asked
        self.preview = Views.Preview(_gridAffine(asked.manifest), tuple(asked.manifest.grid.intensity.range))
        params = {
            "request": asked.request, "out": str(out), "preview": str(scratch),
            "preview_interval_s": PREVIEW_INTERVAL_MS / 1000,
        }  # fmt: skip
        self.job = Job(
            "generate", params, leftovers=(partialOf(out), out), scratch=(scratch,),
            onChanged=self._onJob, onProgress=self._onProgress, onPreview=self._onPreview,
        )  # fmt: skip
        self._say(_("Starting..."))
        self.worker.submit(self.job)

    def cancel(self) -> None:
        """Ends what is under way; nothing of it stays."""
        if self.job is not None:
            self.worker.cancel(self.job)
        elif self._pending is not None:
            self._discard(_("Cancelled. Nothing was kept."))

    def sceneClosed(self) -> None:
        """The nodes are gone; what would become nodes goes too."""
        if self._pending is not None:
            self._discard("")
        elif self.job is not None:
            self.worker.cancel(self.job)
        self._closePreview()

    def close(self) -> None:
        """Before the panel goes."""
        self._timer.stop()
        if self._pending is not None:
            self._discard("")
        self._closePreview()

    # ------------------------------------------------------------ while it runs

    def _onJob(self, job: Job) -> None:
        if job is not self.job:
            return
        if job.state is JobState.CANCELLING:
            self._newest = None
            self._say(_("Cancelling..."))
        elif job.ended:
            self.job = None
            self._timer.stop()
            if job.state is JobState.SUCCEEDED:
                self._showNewest()
                self._handOver(job)
            else:
                self._closePreview()
                self._say(job.error.message if job.error is not None else _("Cancelled. Nothing was kept."))
        self._onChanged()

    def _onProgress(self, progress: dict[str, Any]) -> None:
        total = max(progress["total"], 1)
        sampling = progress["stage"].startswith("sampling")  # a redrawn volume says which draw it is
        self._showShare(progress["done"] / total if sampling else 0.0)
        if self.job is None or self.job.state is not JobState.RUNNING:
            return
        parts = []
        if sampling and total > 1:
            parts.append(_("image {n} of {total}").format(n=min(int(progress["done"]) + 1, total), total=total))
        if progress.get("step") is not None:
            parts.append(_("step {n} of {total}").format(n=progress["step"], total=progress["steps"]))
        if sampling and progress.get("eta_s") is not None:
            parts.append(_("{time} left").format(time=Estimates.duration(progress["eta_s"])))
        text = ", ".join(parts)
        self._say(text[:1].upper() + text[1:] if text else _("Loading the model..."))

    def _onPreview(self, preview: dict[str, Any]) -> None:
        """Keeps the newest, for the timer to show when its turn has come; the last one must outlive its file."""
        self._newest = {**preview, "channels": _channels(preview["file"])} if preview.get("last") else preview
        if not self._timer.isActive():
            self._timer.start(PREVIEW_INTERVAL_MS if self.preview is not None and self.preview.updates else 0)

    def _showNewest(self) -> None:
        newest, self._newest = self._newest, None
        if newest is None or self.preview is None:
            return
        channels = newest["channels"] if "channels" in newest else _channels(newest["file"])
        if channels is not None:
            self.preview.show(channels[_imageChannel(self._asked.manifest)], float(newest["position_mm"]))

    def _closePreview(self) -> None:
        self._newest = None
        if self.preview is not None:
            self.preview.close()
            self.preview = None

    # ------------------------------------------------------------ from files to nodes

    def _handOver(self, job: Job) -> None:
        asked, folder = self._asked, Path(job.result["folder"])
        if job.result.get("seconds_per_evaluation"):
            speed = Estimates.Speed(job.result["seconds_per_evaluation"], job.result.get("peak_memory_bytes"))
            Estimates.remember(asked.speedKey, speed)
        result = Result("", [])
        self._pending = (result, folder)

        def pieces() -> Iterator[str]:
            for name in job.result["sidecars"]:
                result.samples.append(readSample(folder / name))
                if result.samples[-1].sidecar["request"]["pathology"] != asked.pathology.name:
                    raise ValueError(_("it does not show {asked}").format(asked=asked.pathology.label))
            result.name = Words.resultName(asked.pathology.label, result.samples[0].sidecar, len(result.samples))
            yield "read sidecars"
            for piece in importResult(result, asked.pathology, asked.placement, asked.reference):
                yield piece
                if not result.whole:
                    raise NodeDeleted
            self._closePreview()
            Views.showResult(result)
            yield "show"

        self._say(_("Loading the result..."))
        self._steps = Steps(pieces(), self._onHandedOver, self._onHandoverError)

    def _onHandedOver(self) -> None:
        if not self._pending[0].whole:
            self._onHandoverError(NodeDeleted())
            return
        self.times = dict(self._steps.times)
        (result, _folder), self._pending, self._steps = self._pending, None, None
        self._say("")
        self._onResult(result)
        self._onChanged()

    def _onHandoverError(self, error: Exception) -> None:
        if not self._pending[0].whole:  # which is what lies behind any other error, too
            self._discard(_("A node of the result was deleted while it was loaded: nothing was kept. Apply again."))
            return
        logging.error(f"JSDDPMSlicer: the result could not be loaded: {error!r}", exc_info=error)
        if isinstance(error, OSError | MemoryError):
            told = _("The result could not be loaded ({error}): free memory or disk space and try again.")
        else:
            told = _(
                "The result could not be loaded, and nothing of it was kept: {error}. "
                "That is a fault of this module; Slicer's error log says more."
            )
        self._discard(told.format(error=error or type(error).__name__))

    def _discard(self, message: str) -> None:
        result, folder = self._pending
        self._pending = None
        if self._steps is not None:
            self._steps.cancel()
            self._steps = None
        self._closePreview()
        result.remove()
        try:
            removePath(folder)
        except OSError as error:
            logging.warning(f"JSDDPMSlicer: {folder.name} could not be removed ({error.strerror})")
        self._say(message)
        self._onChanged()


def _channels(file: str) -> np.ndarray | None:
    """The arrays `(C, X, Y)` of a preview; None where a newer one has replaced it, of which we shall be told."""
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError):
        return None


def _imageChannel(manifest: Any) -> int:
    return next(index for index, channel in enumerate(manifest.channels) if channel.role == "image")


def _gridAffine(manifest: Any) -> np.ndarray:
    """IJKToRAS of the model's slices; the height of one is filled in later."""
    grid = manifest.grid
    affine = np.diag([grid.spacing_mm, grid.spacing_mm, grid.spacing_mm, 1.0])
    affine[:3, 3] = grid.origin_mm
    return affine
