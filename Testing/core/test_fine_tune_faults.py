"""A training process that is killed at any moment: the run goes on from its last complete checkpoint, to the bit.

The process tells over a pipe that it has come to the moment, and waits there to be killed.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from fine_tune_fixtures import STEPS, a_request, assert_same_weights, own_core, until_trained  # noqa: F401 - a fixture

from jsddpm_core.progress import Progress
from jsddpm_core.training.events import Event
from jsddpm_core.training.fine_tune import fine_tune
from jsddpm_core.training.runs import read_curves, read_run, read_run_request

PATIENCE_S = 120.0

# phase, what is waited for, how many times it comes before the kill, and whether a stopped run is resumed first
MOMENTS: list[tuple[str, str, int, bool]] = [
    ("load", "cache opened", 1, False),
    ("load", "network built", 1, False),
    ("load", "training starts", 1, False),
    ("load", "checkpoint read", 1, True),
    ("load", "checkpoint read", 3, True),
    ("load", "training starts", 1, True),
    ("step", "loss", 1, False),
    ("step", "before the optimiser", 4, False),
    ("step", "after the optimiser", 6, False),
    ("step", "step done", 8, False),
    ("step", "loss", 3, True),
    ("step", "after the optimiser", STEPS, False),
    ("validation", "validation starts", 1, False),
    ("validation", "validation batch", 2, False),
    ("validation", "validation batch", 4, False),
    ("validation", "sample grid", 2, False),
    ("validation", "validation starts", 2, True),
    ("validation", "validation batch", 7, False),
    ("checkpoint write", "checkpoint opened", 1, False),
    ("checkpoint write", "checkpoint half written", 2, False),
    ("checkpoint write", "checkpoint opened", 3, False),
    ("checkpoint write", "checkpoint half written", 4, False),
    ("checkpoint write", "checkpoint half written", 1, True),
    ("checkpoint write", "checkpoint opened", 5, False),
    ("rename", "before the rename", 1, False),
    ("rename", "after the rename", 1, False),
    ("rename", "before the rename", 3, False),
    ("rename", "after the rename", 4, False),
    ("rename", "before the rename", 2, True),
    ("rename", "after the rename", 5, False),
]
QUICK = (("step", "step done", 8, False), ("checkpoint write", "checkpoint half written", 2, False),
         ("rename", "before the rename", 3, False))  # fmt: skip
"""Of these, three that every run of the tests takes."""

pytestmark = pytest.mark.usefixtures("own_core")


class Moments:
    """Announces the n-th of a kind of moment, and waits there for the end."""

    def __init__(self, wanted: str, count: int, tell: Connection) -> None:
        self.wanted, self.count, self.tell = wanted, count, tell

    def come(self, moment: str) -> None:
        if moment != self.wanted:
            return
        self.count -= 1
        if self.count == 0:
            self.tell.send(moment)
            threading.Event().wait()

    def hook(self) -> None:
        """Puts itself into the real code."""
        from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

        from jsddpm_core.training import checkpoint, fit
        from jsddpm_core.training.module import JointDiffusion

        register_optimizer_step_pre_hook(lambda *_: self.come("before the optimiser"))
        register_optimizer_step_post_hook(lambda *_: self.come("after the optimiser"))
        self._before(JointDiffusion, "training_step", "loss")
        self._before(JointDiffusion, "validation_step", "validation batch")
        self._before(JointDiffusion, "on_train_start", "training starts")
        self._before(JointDiffusion, "on_validation_epoch_start", "validation starts")
        self._before(fit, "set_trainable", "network built")
        self._before(fit, "read_checkpoint", "checkpoint read")
        self._before(checkpoint, "read_checkpoint", "checkpoint read")
        write, seen = checkpoint._Noting.write, Counter[int]()

        def half(stream: Any, content: bytes) -> int:
            written = write(stream, content)
            seen[id(stream)] += 1
            if seen[id(stream)] == 40:
                stream.stream.flush()
                self.come("checkpoint half written")
            return written

        checkpoint._Noting.write = half  # type: ignore[method-assign]
        sys.addaudithook(self._audit)

    def _before(self, owner: Any, name: str, moment: str) -> None:
        function = getattr(owner, name)

        def announced(*given: Any, **more: Any) -> Any:
            self.come(moment)
            return function(*given, **more)

        setattr(owner, name, announced)

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        """What Python itself tells of files: opened, renamed."""
        if event == "os.rename" and str(given[1]).endswith(".ckpt"):
            self.come("before the rename")
        elif event == "open" and isinstance(given[0], str | os.PathLike):
            path = os.fspath(given[0])
            if path.endswith("images.npy"):
                self.come("cache opened")
            elif path.endswith(".ckpt.partial"):
                self.come("checkpoint opened")
            elif path.endswith("checkpoints") and given[1] is None:  # to make the rename durable
                self.come("after the rename")

    def event(self, event: Event) -> None:
        if type(event).__name__ == "SampleGrid":
            self.come("sample grid")
        if isinstance(event, Progress) and event.stage == "training" and event.done > 0:
            self.come("step done")


def be_killed(out: Path, resume: bool, moment: str, count: int, request_of: Path, tell: Connection) -> None:
    """Runs in a process of its own until the moment has come."""
    import torch

    torch.set_num_threads(1)
    moments = Moments(moment, count, tell)
    moments.hook()
    fine_tune(read_run_request(request_of), out, resume=resume, on_event=moments.event)
    tell.send("it never came")


@pytest.fixture(scope="module")
def uninterrupted(phantom_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("faults") / "run"
    until_trained(a_request(phantom_cases), out)
    return out


@pytest.fixture(scope="module")
def stopped(phantom_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in the middle of a round."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    until_trained(a_request(phantom_cases), out, stop_at=5)
    return out


@pytest.fixture(scope="module")
def prepared(phantom_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped before its first step was done."""
    out = tmp_path_factory.mktemp("prepared") / "run"
    until_trained(a_request(phantom_cases), out, stop_at=0)
    shutil.rmtree(out / "checkpoints")
    return out


@pytest.fixture(scope="module")
def spawner() -> Any:
    """Starts processes that have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["jsddpm_core.training.fine_tune", "pytest"])
    return context


def kill_at(spawner: Any, out: Path, resume: bool, moment: str, count: int, request_of: Path) -> None:
    """Kills a process that works on the run at the moment."""
    here, there = spawner.Pipe(duplex=False)
    process = spawner.Process(target=be_killed, args=(out, resume, moment, count, request_of, there))
    process.start()
    there.close()
    try:
        assert here.poll(PATIENCE_S), f"'{moment}' did not come in time"
        assert here.recv() == moment
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()


def goes_on_to_the_bit(
    spawner: Any, sources: dict[bool, Path], uninterrupted: Path, out: Path, moment: str, count: int, resumed: bool
) -> None:
    shutil.copytree(sources[resumed], out)
    request = read_run_request(uninterrupted)
    kill_at(spawner, out, True, moment, count, uninterrupted)
    summary = read_run(out)
    assert summary is not None and (summary.state, summary.resumable) == ("interrupted", True)
    until_trained(request, out, resume=True)
    assert_same_weights(uninterrupted, out)
    assert_same_weights(uninterrupted, out, "best.ckpt")
    for name in ("validation/loss", "train/loss"):
        assert dict(read_curves(out)[name]) == dict(read_curves(uninterrupted)[name]), name


@pytest.mark.skipif(sys.platform != "linux", reason="a process is killed as Linux does it")
@pytest.mark.parametrize(("phase", "moment", "count", "resumed"), QUICK)
def test_a_killed_training_process_costs_nothing(
    spawner: Any, prepared: Path, stopped: Path, uninterrupted: Path, tmp_path: Path,
    phase: str, moment: str, count: int, resumed: bool,
) -> None:  # fmt: skip
    assert (phase, moment, count, resumed) in MOMENTS
    sources = {False: prepared, True: stopped}
    goes_on_to_the_bit(spawner, sources, uninterrupted, tmp_path / "run", moment, count, resumed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process is killed as Linux does it")
def test_thirty_kills_of_the_training_process_cost_nothing(
    spawner: Any, prepared: Path, stopped: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    sources, done = {False: prepared, True: stopped}, Counter[str]()
    for number, (phase, moment, count, resumed) in enumerate(MOMENTS):
        out = tmp_path / f"run-{number:02d}"
        goes_on_to_the_bit(spawner, sources, uninterrupted, out, moment, count, resumed)
        shutil.rmtree(out)
        done[phase] += 1
    sys.stdout.write("\nThe training process was killed and its run resumed to the same weights:\n")
    for phase, number in done.items():
        sys.stdout.write(f"  {number} times at {phase}\n")
    assert sum(done.values()) >= 30
    assert max(done.values()) - min(done.values()) <= 1, "spread evenly"


@pytest.mark.skipif(sys.platform != "linux", reason="a process is killed as Linux does it")
@pytest.mark.parametrize("stage", ["preparing", "finishing"])
def test_a_process_killed_beside_training_costs_nothing(
    spawner: Any, phantom_cases: Path, uninterrupted: Path, tmp_path: Path, stage: str
) -> None:
    out = tmp_path / "run"
    here, there = spawner.Pipe(duplex=False)
    if stage == "finishing":
        shutil.copytree(uninterrupted, out)
    process = spawner.Process(target=be_killed_in, args=(out, stage == "finishing", stage, uninterrupted, there))
    process.start()
    there.close()
    assert here.poll(PATIENCE_S)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (out / "bundle").exists()
    until_trained(a_request(phantom_cases), out, resume=True)
    assert_same_weights(uninterrupted, out)


def be_killed_in(out: Path, resume: bool, stage: str, request_of: Path, tell: Connection) -> None:
    """Runs in a process of its own until a stage has begun."""

    def wait(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == stage and event.done >= 1:
            tell.send(stage)
            threading.Event().wait()

    fine_tune(read_run_request(request_of), out, resume=resume, on_event=wait)


def run_on_a_full_disk(out: Path, request_of: Path, tell: Connection) -> None:
    """Runs in a process of its own, which can write no file as large as a checkpoint."""
    import resource

    def fill(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "training" and event.done == 7:
            size = (out / "checkpoints" / "last.ckpt").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    try:
        fine_tune(read_run_request(request_of), out, resume=True, on_event=fill)
    except Exception as error:
        tell.send(str(error))


@pytest.mark.skipif(sys.platform != "linux", reason="the size of files is limited on Linux only")
def test_a_full_disk_is_noted_and_the_run_goes_on_later(
    spawner: Any, prepared: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(prepared, out)
    here, there = spawner.Pipe(duplex=False)
    process = spawner.Process(target=run_on_a_full_disk, args=(out, uninterrupted, there))
    process.start()
    there.close()
    assert here.poll(PATIENCE_S)
    said = here.recv()
    process.join()
    assert "could not be written (File too large): free disk space and resume; the last complete checkpoint" in said
    summary = read_run(out)
    assert summary is not None and (summary.state, summary.reason) == ("failed", said)
    assert summary.resumable
    assert not [path for path in out.rglob("*") if path.name.endswith(".partial")]
    until_trained(read_run_request(uninterrupted), out, resume=True)
    assert_same_weights(uninterrupted, out)
