"""Fine-tuning from cases to bundle: prepare, replay, train, finish; stopped anywhere, it goes on from there."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsddpm_core.config import Config
from jsddpm_core.data.prepare import prepare_entries
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError, JsddpmError, OutputError, TrainingError, unforeseen
from jsddpm_core.files import make_folder, output_error, write_file
from jsddpm_core.generation.synthesizer import resolve_device
from jsddpm_core.machine import first_of_many
from jsddpm_core.progress import Progress
from jsddpm_core.training.checkpoint import steps_done
from jsddpm_core.training.consistency import check_same_preparation, check_same_settings
from jsddpm_core.training.events import Event, Message, OnEvent, ShouldStop, never, unheard
from jsddpm_core.training.finish import finish_run
from jsddpm_core.training.fit import FitResult, fit
from jsddpm_core.training.guard import Stopped
from jsddpm_core.training.plan import Plan, accelerator_of, plan_of, same_run
from jsddpm_core.training.pools import with_seen_pathologies
from jsddpm_core.training.replay import add_replay
from jsddpm_core.training.request import PRESET_DRAWS, FineTuneRequest
from jsddpm_core.training.runs import (
    CACHE,
    CHECKPOINTS,
    PREPARED,
    REPORT,
    REQUEST,
    TRAINED,
    StateName,
    at_work,
    note,
    noted,
    read_run_request,
    read_state,
    write_state,
)

STATE_EVERY_S = 5.0
LOOK_EVERY_S = 0.5

_JOB = "JSDDPM_JOB"
_CLUSTER = (
    "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT",
    "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


@dataclass(frozen=True)
class FineTuneResult:
    """What a run left.

    Attributes:
        folder: of the run.
        bundle: the new model, once the run is finished.
        steps: optimiser steps done.
        finished: whether all is done; if not, it was asked to stop.
        report: measures against held-out people, once the run is finished.
    """

    folder: Path
    bundle: Path | None
    steps: int
    finished: bool
    report: Path | None


def fine_tune(
    request: FineTuneRequest,
    out: Path,
    *,
    resume: bool = False,
    devices: int | str = 1,
    nodes: int = 1,
    accelerator: str = "auto",
    on_event: OnEvent = unheard,
    should_stop: ShouldStop = never,
) -> FineTuneResult:
    """Makes a bundle from cases, in a run folder (see `runs`).

    Args:
        request: what is asked for; a run that is resumed may change its words, its length and its device only.
        out: the run's folder, which must not hold a run unless it is resumed.
        resume: go on where the run in the folder ended, whatever ended it.
        devices: processes on this node.
        nodes: number of nodes.
        accelerator: Lightning's name of the device kind; `auto` for what the request says.
        on_event: told what happens, in the first of several processes.
        should_stop: asked again and again; where it says yes, the run ends so that it can be resumed.

    Raises:
        TrainingError: if the folder holds another run, or training cannot go on.
        RequestError: if the device is not there.
        JsddpmError: whatever else a user can mend; the folder's state says it too.
    """
    out = Path(out).resolve()
    work = _Work(out, request, on_event if first_of_many() else unheard, should_stop)
    if not first_of_many():
        return _follow(work, devices, nodes, accelerator)
    plan = plan_of(request)
    if accelerator == "auto":
        resolve_device(request.device)  # whether it is there; the cases may take an hour before it is used
    _claim(out, plan, resume)
    try:
        work.state("preparing")
        cache = _cache(work, plan)
        fitted = _train(work, plan, cache, devices, nodes, accelerator)
        if fitted.stopped:
            raise Stopped
        work.state("finishing")
        config = with_seen_pathologies(plan.config, cache)
        bundle = finish_run(out, request, config, cache, on_progress=work.tell, draws=PRESET_DRAWS[request.preset])
        work.state("finished")
        return FineTuneResult(out, bundle.folder, work.step, True, out / REPORT)
    except Stopped:
        work.state("stopped")
        return FineTuneResult(out, None, work.step, False, None)
    except Exception as error:
        said = _in_words(error)
        with suppress(OutputError):
            work.state("failed", str(said))
        if isinstance(error, OSError):
            raise said from error
        raise


class _Work:
    """A run under way: its folder's state follows what happens."""

    def __init__(self, out: Path, request: FineTuneRequest, on_event: OnEvent, should_stop: ShouldStop) -> None:
        self.out, self.request, self.should_stop = out, request, should_stop
        self.step, self.steps = 0, 0
        self._on_event, self._state, self._noted_at = on_event, "", 0.0

    def state(self, name: StateName, reason: str = "") -> None:
        """Writes how far the run is."""
        self._state, self._noted_at = name, time.monotonic()
        write_state(self.out, name, step=self.step, steps=self.steps, reason=reason, title=self.request.title)

    def event(self, event: Event) -> None:
        """Passes on what happens, and keeps the state up to date."""
        if isinstance(event, Progress) and event.stage == "training":
            self.step, self.steps = int(event.done), event.total
            if self._state == "training" and time.monotonic() - self._noted_at >= STATE_EVERY_S:
                with suppress(OutputError):  # it says nothing new but the step
                    self.state("training")
        self._on_event(event)

    def tell(self, progress: Progress) -> None:
        """Passes on the progress of a stage, and is where it ends if the run is no longer wanted.

        Raises:
            Stopped: if it is not.
        """
        self._on_event(progress)
        if self.should_stop():
            raise Stopped


def _claim(out: Path, plan: Plan, resume: bool) -> None:
    """Makes the run's folder, or makes sure that it is this run's and nobody else's.

    A run that failed before anything was made gives its folder to the next, whose request has been mended.
    """
    request = plan.request
    said = read_state(out)
    if said is not None and at_work(said) and said.pid != os.getpid():
        raise TrainingError(
            f"the run in {out} is under way in process {said.pid} on {said.host}", "wait for it or stop it first"
        )
    if resume:
        earlier = read_run_request(out)
        differs = same_run(request, earlier)
        if differs is not None:
            raise TrainingError(
                f"the run in {out} was started with another '{differs}'", "resume with its own request, or start anew"
            )
        if (out / CHECKPOINTS / "last.ckpt").exists():
            check_same_settings(plan_of(earlier).config.model_dump(mode="json"), plan.config, out)
    elif (out / REQUEST).exists() and not (said is not None and said.state == "failed" and _is_unmade(out)):
        raise TrainingError(f"{out} holds a run already", "resume it or choose another folder")
    make_folder(out)
    write_file(out / REQUEST, request.model_dump_json(indent=1).encode())


def _is_unmade(out: Path) -> bool:
    return not any((out / name).exists() for name in (PREPARED, CACHE, CHECKPOINTS))


def _cache(work: _Work, plan: Plan) -> SliceCache:
    """The run's slices, prepared and with the start model's own beside them; as they are where they are whole."""
    folder, job = work.out / CACHE, os.environ.setdefault(_JOB, _job_of_cluster() or f"{os.getpid()}-{time.time_ns()}")
    earlier = noted(work.out, PREPARED)
    with suppress(OSError):
        (work.out / PREPARED).unlink(missing_ok=True)
    cache = None
    if earlier is not None:
        try:
            found = SliceCache.open(folder, verify=True)
            check_same_preparation(plan.config, found)
            cache = found if found.digest == earlier.get("digest") else None
        except (CacheError, TrainingError) as error:
            work.event(Message("warning", f"The slices are prepared again, because {error.message}."))
    if cache is None:
        cache = _prepare(work, plan, folder)
    note(work.out, PREPARED, digest=cache.digest, job=job)
    return cache


def _prepare(work: _Work, plan: Plan, folder: Path) -> SliceCache:
    request = plan.request

    def tell(done: int, total: int, _name: str) -> None:
        work.tell(Progress("preparing", done, total))

    report = prepare_entries(
        request.cases, plan.config, folder, request.corrections, request.simulation, tell, request.seed
    )
    for outcome in report.left_out:
        work.event(Message("warning", f"Case {outcome.case} is left out, {outcome.reason}"))
    work.event(Message("info", f"{len(report.used)} cases give {len(report.cache)} slices."))
    if plan.start is None or not request.replays:
        return report.cache
    return add_replay(
        plan.start, folder, request.replay_slices, request.seed, device=request.device, on_progress=work.tell
    )


def _train(work: _Work, plan: Plan, cache: SliceCache, devices: int | str, nodes: int, accelerator: str) -> FitResult:
    """Trains, unless that is done already."""
    last = work.out / CHECKPOINTS / "last.ckpt"
    settings = _digest(plan.config, cache)
    done = noted(work.out, TRAINED)
    if done is not None and done.get("settings") == settings and last.is_file():
        work.step = work.steps = int(done["step"])
        return FitResult(last, None, work.step, True)
    if last.is_file():
        work.step = steps_done(last)
    work.state("training")
    fitted = _fit(work, plan, cache, devices, nodes, accelerator)
    work.step = fitted.steps
    if not fitted.stopped:
        note(work.out, TRAINED, settings=settings, step=fitted.steps)
    return fitted


def _fit(work: _Work, plan: Plan, cache: SliceCache, devices: int | str, nodes: int, accelerator: str) -> FitResult:
    return fit(
        plan.config,
        cache,
        work.out,
        resume=(work.out / CHECKPOINTS / "last.ckpt").is_file(),
        start=plan.start,
        accelerator=accelerator_of(plan.request.device) if accelerator == "auto" else accelerator,
        devices=devices,
        nodes=nodes,
        priors=_priors(cache, plan.config),
        on_event=work.event,
        should_stop=work.should_stop,
    )


def _follow(work: _Work, devices: int | str, nodes: int, accelerator: str) -> FineTuneResult:
    """What a process beside the first does: it waits for the slices, and trains with the others."""
    job = os.environ.get(_JOB) or _job_of_cluster()
    while (said := noted(work.out, PREPARED)) is None or said.get("job") != job:
        if work.should_stop():
            return FineTuneResult(work.out, None, 0, False, None)
        time.sleep(LOOK_EVERY_S)
    cache = SliceCache.open(work.out / CACHE)
    fitted = _fit(work, plan_of(work.request), cache, devices, nodes, accelerator)
    return FineTuneResult(work.out, None, fitted.steps, fitted.finished, None)


def _job_of_cluster() -> str | None:
    """What the processes know each other by that a cluster's launcher has started; None where there is none."""
    said = [os.environ[name] for name in _CLUSTER if name in os.environ]
    return "-".join(said) if said else None


def _priors(cache: SliceCache, config: Config) -> np.ndarray | None:
    if config.conditioning.prior.kind == "none":
        return None
    from jsddpm_core.data.priors import build_priors

    return build_priors(cache, config)


def _digest(config: Config, cache: SliceCache) -> str:
    return hashlib.sha256(f"{cache.digest}\n{config.model_dump_json()}".encode()).hexdigest()


def _in_words(error: Exception) -> JsddpmError:
    if isinstance(error, JsddpmError):
        return error
    if isinstance(error, OSError):
        return output_error(Path(str(error.filename or "a file")), error)
    return unforeseen(error, "please report it, with the log")
