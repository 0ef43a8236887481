"""Fine-tuning for a window: the run's events become notifications, and cancelling it ends it resumably."""

from __future__ import annotations

from typing import Any

from jsddpm_core.progress import Progress
from jsddpm_core.training.events import Event, Message, Metrics, SampleGrid
from jsddpm_core.training.fine_tune import fine_tune
from jsddpm_core.worker.job import Job
from jsddpm_core.worker.params import FineTuneParams


def run_fine_tuning(job: Job, params: FineTuneParams) -> dict[str, Any]:
    """Runs or resumes a run.

    Returns:
        `folder`, `bundle`, `steps`, `finished` and `report`; `finished` is false where the job was cancelled.
    """

    def tell(event: Event) -> None:
        match event:
            case Progress():
                job.tell(event)
            case Metrics():
                job.metrics(event.step, event.values)
            case SampleGrid():
                job.preview(event.picture, array=str(event.array), step=event.step)
            case Message():
                job.log(event.level, event.text)

    result = fine_tune(params.request, params.out, resume=params.resume, on_event=tell, should_stop=job.unwanted)
    return {
        "folder": str(result.folder),
        "bundle": None if result.bundle is None else str(result.bundle),
        "steps": result.steps,
        "finished": result.finished,
        "report": None if result.report is None else str(result.report),
    }
