"""Copying and checking models: in a process of their own, so that they wait for no run, and the window not for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from . import Interpreter
from .Bundles import Model, importTarget
from .Jobs import Job, JobState
from .Worker import Worker, partialOf


class ModelJobs:
    """One at a time.

    Args:
        say: shows one line.
        onChanged: called when one begins and when it has ended; with the folder of a new model, if there is one.
    """

    def __init__(self, say: Callable[[str], None], onChanged: Callable[[Path | None], None]) -> None:
        self._say, self._onChanged = say, onChanged
        self._worker = Worker(Interpreter.currentInterpreter)
        self._job: Job | None = None

    @property
    def busy(self) -> bool:
        return self._job is not None

    def check(self, model: Model) -> None:
        """Says every problem of a model's files."""
        self._say(_("Checking {name}...").format(name=model.name))
        self._start(
            Job("check_model", {"folder": str(model.folder)}, onChanged=lambda job: self._onChecked(job, model))
        )

    def importModel(self, source: Path) -> None:
        """Copies a model into the models folder; nothing stays of one that is not sound."""
        try:
            target = importTarget(source)
        except ValueError as error:
            self._say(str(error))
            return
        self._say(_("Importing {name}...").format(name=source.name))
        params = {"source": str(source.absolute()), "out": str(target)}
        self._start(
            Job(
                "import_model", params, leftovers=(partialOf(target),),
                onChanged=self._onImported, onProgress=self._onProgress,
            )
        )  # fmt: skip

    def cancel(self) -> None:
        if self._job is not None:
            self._worker.cancel(self._job)

    def close(self) -> None:
        """Ends what is under way."""
        self._worker.stop()

    def _start(self, job: Job) -> None:
        self._job = job
        self._worker.submit(job)
        self._onChanged(None)

    def _onProgress(self, progress: dict[str, Any]) -> None:
        share = progress["done"] / max(progress["total"], 1)
        self._say(_("Importing, {percent:.0f} %").format(percent=100 * share))

    def _onChecked(self, job: Job, model: Model) -> None:
        if job.state is JobState.SUCCEEDED:
            found = job.result["problems"]
            self._end("\n".join(found) or _("{name} is sound: all files are as recorded.").format(name=model.name))
        elif job.ended:
            self._end(self._failure(job))

    def _onImported(self, job: Job) -> None:
        if job.state is JobState.SUCCEEDED:
            self._end(_("{name} was imported.").format(name=job.result["name"]), Path(job.result["folder"]))
        elif job.ended:
            self._end(self._failure(job))

    def _failure(self, job: Job) -> str:
        return job.error.message if job.error is not None else _("Cancelled. Nothing was kept.")

    def _end(self, text: str, folder: Path | None = None) -> None:
        self._job = None
        self._say(text)
        self._onChanged(folder)
