"""The model of a finished run, copied to where Generate finds it, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slicer.i18n import tr as _

from . import Bundles
from .Jobs import Job, JobState
from .Worker import Worker, partialOf


class NewModel:
    """One copy at a time.

    Args:
        worker: that copies and checks; not the one that trains.
        onEnded: called with what to say, and whether there is a new model now.
    """

    def __init__(self, worker: Worker, onEnded: Callable[[str, bool], None]) -> None:
        self.worker, self._onEnded = worker, onEnded
        self.job: Job | None = None

    @property
    def busy(self) -> bool:
        return self.job is not None

    def add(self, run: Path) -> None:
        """Copies a run's bundle to the user's models, under a name that is free."""
        from jsddpm_core.bundle import read_bundle
        from jsddpm_core.errors import BundleError
        from jsddpm_core.training.runs import BUNDLE

        if self.job is not None:
            return
        try:
            name = read_bundle(run / BUNDLE).manifest.name
        except BundleError as error:
            self._onEnded(str(error), False)
            return
        target = Bundles.freeTarget(name)
        params = {"source": str(run / BUNDLE), "out": str(target)}
        self.job = Job("import_model", params, leftovers=(partialOf(target),), onChanged=self._onJob)
        self.worker.submit(self.job)

    def close(self) -> None:
        """Before the panel goes: nothing more is told."""
        self._onEnded = _nothing

    def _onJob(self, job: Job) -> None:
        if not job.ended:
            return
        self.job = None
        if job.state is JobState.SUCCEEDED:
            told = _("{name} is among your models: choose it in Generate.")
            self._onEnded(told.format(name=job.result["name"]), True)
        else:
            said = job.error.message if job.error is not None else _("The model was not added.")
            self._onEnded(said, False)


def _nothing(_text: str, _added: bool) -> None:
    return
