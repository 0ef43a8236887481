"""A run that is interrupted, runs out of memory, diverges or loses its cache: what is left and how it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training_fixtures import a_small_config, logged, weights, write_small_cache

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError, DeviceMemoryError, TrainingError
from jsddpm_core.progress import Progress
from jsddpm_core.training import callbacks, keeper
from jsddpm_core.training.checkpoint import AtomicCheckpointIO, read_checkpoint
from jsddpm_core.training.events import Event, Message, SampleGrid
from jsddpm_core.training.fit import FitResult, fit
from jsddpm_core.training.module import JointDiffusion


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> SliceCache:
    return write_small_cache(tmp_path_factory.mktemp("fine-tune") / "cache", a_small_config())


@pytest.fixture(scope="module")
def uninterrupted(cache: SliceCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    fit(a_small_config(), cache, run, accelerator="cpu")
    return run


class Told(list):
    """Collects events, and says stop once one is as asked."""

    def __init__(self, until: Callable[[Event], bool] = lambda _: False) -> None:
        self.until, self.stop = until, False

    def __call__(self, event: Event) -> None:
        self.append(event)
        self.stop = self.stop or self.until(event)

    def messages(self) -> list[str]:
        return [event.text for event in self if isinstance(event, Message)]


def at_step(step: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Progress) and event.done == step


def a_run(cache: SliceCache, out: Path, told: Told | None = None, *overrides: str, resume: bool = False) -> FitResult:
    told = Told() if told is None else told
    return fit(
        a_small_config(*overrides), cache, out, accelerator="cpu", on_event=told, should_stop=lambda: told.stop,
        resume=resume,
    )  # fmt: skip


def assert_same_weights(one: Path, other: Path, name: str = "last.ckpt") -> None:
    expected, found = weights(one, name), weights(other, name)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


@pytest.mark.parametrize("step", [0, 1, 5, 6, 11])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    cache: SliceCache, uninterrupted: Path, tmp_path: Path, step: int
) -> None:
    run = tmp_path / "run"
    result = a_run(cache, run, Told(at_step(step)))
    assert (result.steps, result.finished, result.stopped) == (step, False, True)
    checkpoint = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == step
    result = a_run(cache, run, resume=True)
    assert (result.steps, result.finished, result.stopped) == (12, True, False)
    assert_same_weights(uninterrupted, run)
    for column in ("train/loss", "train/lesion", "learning_rate", "validation/loss", "validation/energy_distance"):
        assert logged(run, column) == logged(uninterrupted, column), column


def test_a_run_stopped_in_each_validation_repeats_it(
    cache: SliceCache, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, steps = tmp_path / "run", []
    validate = JointDiffusion.validation_step
    for stop_at in (3, 6, 9, 12):
        told = Told()

        def stopping(module: JointDiffusion, *given: object, told: Told = told, stop_at: int = stop_at) -> None:
            told.stop = module.trainer.global_step == stop_at
            validate(module, *given)

        with monkeypatch.context() as patched:
            patched.setattr(JointDiffusion, "validation_step", stopping)
            steps.append(a_run(cache, run, told, resume=stop_at > 3).steps)
    assert steps == [3, 6, 9, 12]
    assert a_run(cache, run, resume=True).steps == 12
    assert_same_weights(uninterrupted, run)
    assert_same_weights(uninterrupted, run, "best.ckpt")
    assert logged(run, "validation/loss") == logged(uninterrupted, "validation/loss")


@pytest.mark.parametrize("parts", [2, 4])
def test_a_step_in_parts_learns_the_same(
    cache: SliceCache, uninterrupted: Path, tmp_path: Path, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 4 // parts
    compute = JointDiffusion.loss

    def too_much(module: JointDiffusion, batch: dict) -> object:
        if len(batch["x0"]) > most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")
        return compute(module, batch)

    monkeypatch.setattr(JointDiffusion, "loss", too_much)
    told = Told()
    assert a_run(cache, tmp_path / "run", told).finished
    said = [f"in {count} parts of {4 // count}" for count in (2, 4) if count <= parts]
    assert len(told.messages()) == len(said)
    assert all(words in message for words, message in zip(said, told.messages(), strict=True))
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["jsddpm"]["parts"] == parts
    for column in ("train/loss", "train/FLAIR", "validation/loss", "validation/energy_distance"):
        alone, parted = logged(uninterrupted, column), logged(tmp_path / "run", column)
        assert alone.keys() == parted.keys() and len(alone) >= 4
        for step, value in alone.items():
            assert parted[step] == pytest.approx(value, rel=1e-5), (column, step)
    steps = [event.done for event in told if isinstance(event, Progress)]
    assert steps[-1] == 12


def test_memory_that_ends_in_the_middle_costs_only_the_steps_since_the_checkpoint(
    cache: SliceCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = JointDiffusion.loss

    def too_much(module: JointDiffusion, batch: dict) -> object:
        if len(batch["x0"]) > 2 and module.trainer.global_step == 5:
            raise RuntimeError("CUDA error: out of memory")
        return compute(module, batch)

    monkeypatch.setattr(JointDiffusion, "loss", too_much)
    told = Told()
    assert a_run(cache, tmp_path / "run", told).finished
    steps = [event.done for event in told if isinstance(event, Progress)]
    assert steps == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    monkeypatch.undo()
    again = Told()
    a_run(cache, tmp_path / "run", again, "training.max_steps=13", resume=True)
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["jsddpm"]["parts"] == 2, "not forgotten"


def test_no_memory_for_a_single_slice_ends_the_run_with_a_sentence(
    cache: SliceCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(JointDiffusion, "loss", too_much)
    with pytest.raises(DeviceMemoryError, match="single slice"):
        a_run(cache, tmp_path / "run")


def test_a_run_that_diverges_goes_back_with_half_the_rate_and_keeps_it(
    cache: SliceCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = JointDiffusion.loss

    def sometimes(module: JointDiffusion, batch: dict) -> object:
        report = compute(module, batch)
        if module.training and module.trainer.global_step == 7 and module.rate == 1:
            return type(report)(report.total * float("nan"), report.terms)
        return report

    monkeypatch.setattr(JointDiffusion, "loss", sometimes)
    told = Told(at_step(10))
    assert a_run(cache, tmp_path / "run", told).stopped
    (said,) = told.messages()
    assert "goes back to step 6 with 1/2 of the learning rate" in said
    steps = [event.done for event in told if isinstance(event, Progress)]
    assert steps[steps.index(6) : steps.index(6) + 4] in ([6, 7, 8, 6], [6, 7, 8, 9]), "noticed at most two steps later"
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["jsddpm"]["halvings"] == 1
    a_run(cache, tmp_path / "run", resume=True)
    rates, full = logged(tmp_path / "run", "learning_rate"), {}
    monkeypatch.undo()
    a_run(cache, tmp_path / "full")
    full = logged(tmp_path / "full", "learning_rate")
    assert [rates[step] / full[step] for step in range(12)] == pytest.approx([1.0] * 6 + [0.5] * 6)


def test_a_run_that_diverges_again_and_again_stops_with_the_reason(cache: SliceCache, tmp_path: Path) -> None:
    told = Told()
    wild = ("training.learning_rate=1e30", "training.warmup_steps=0", "training.gradient_clip=1e30")
    with pytest.raises(TrainingError, match="even with 1/4 of the learning rate.*lower training.learning_rate"):
        a_run(cache, tmp_path / "run", told, *wild)
    assert [message.partition("with ")[2] for message in told.messages()] == [
        "1/2 of the learning rate.",
        "1/4 of the learning rate.",
    ]
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    if last.exists():
        assert all(torch.isfinite(value).all() for value in read_checkpoint(last)["current_model_state"].values())


def test_checkpoints_and_grids_by_the_clock_change_nothing(
    cache: SliceCache, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "GRID_EVERY_S", -1.0)
    monkeypatch.setattr(keeper, "SAVE_EVERY_S", -1.0)
    saved: list[int] = []
    write = AtomicCheckpointIO.save_checkpoint

    def noting(self: AtomicCheckpointIO, checkpoint: dict, path: Path, storage_options: object = None) -> None:
        if Path(path).name == "last.ckpt":
            saved.append(checkpoint["global_step"])
        write(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", noting)
    told = Told()
    a_run(cache, tmp_path / "run", told)
    assert saved == list(range(13))
    assert len([event for event in told if isinstance(event, SampleGrid)]) >= 5
    assert len(list((tmp_path / "run" / "previews").glob("*.npy"))) == 3
    assert_same_weights(uninterrupted, tmp_path / "run")


def test_a_run_without_held_out_slices_trains_all_the_same(cache: SliceCache, tmp_path: Path) -> None:
    alone = write_small_cache(tmp_path / "cache", a_small_config(), subjects=3)
    result = a_run(alone, tmp_path / "run")
    assert (result.steps, result.finished, result.best) == (12, True, None)
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["last.ckpt"]


def test_a_moved_run_keeps_its_best(cache: SliceCache, uninterrupted: Path, tmp_path: Path) -> None:
    a_run(cache, tmp_path / "before", Told(at_step(7)))
    (tmp_path / "before").rename(tmp_path / "after")
    result = a_run(cache, tmp_path / "after", resume=True)
    assert result.best == tmp_path / "after" / "checkpoints" / "best.ckpt"
    assert_same_weights(uninterrupted, tmp_path / "after", "best.ckpt")


def cut_off(folder: Path) -> None:
    os.truncate(folder / "images.npy", 10_000)


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def replaced(folder: Path) -> None:
    content = (folder / "masks.npy").read_bytes()
    (folder / "masks.npy").unlink()
    (folder / "masks.npy").write_bytes(content[:-4] + b"\1\1\1\1")


@pytest.mark.parametrize("harm", [cut_off, removed, replaced])
def test_a_cache_that_is_harmed_under_a_run_ends_it_with_a_sentence(
    cache: SliceCache, uninterrupted: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    own = tmp_path / "cache"
    shutil.copytree(cache.folder, own)

    def hurt(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 5:
            harm(own)

    with pytest.raises(CacheError, match="prepare the cases again and resume"):
        fit(a_small_config(), SliceCache.open(own), tmp_path / "run", accelerator="cpu", on_event=hurt)
    shutil.rmtree(own, ignore_errors=True)
    shutil.copytree(cache.folder, own)
    a_run(SliceCache.open(own, verify=True), tmp_path / "run", resume=True)
    assert_same_weights(uninterrupted, tmp_path / "run")


LIMITED = """
import resource, sys
from pathlib import Path
from training_fixtures import a_small_config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.training.events import Message
from jsddpm_core.training.fit import fit

def said(event):
    if isinstance(event, Message):
        print("said", event.text, flush=True)

def limit():
    if not limited:
        limited.append(True)
        {limit}
    return False

limited = []
result = fit(a_small_config(*sys.argv[3:]), SliceCache.open(Path(sys.argv[1])), Path(sys.argv[2]), accelerator="cpu",
             on_event=said, should_stop=limit)
print("steps", result.steps, flush=True)
"""


def limited(cache: SliceCache, out: Path, limit: str, *overrides: str) -> subprocess.CompletedProcess:
    """A run in a process of its own that sets itself a limit before the first step."""
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    return subprocess.run(
        [sys.executable, "-c", LIMITED.replace("{limit}", limit), str(cache.folder), str(out), *overrides],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_a_processor_that_really_runs_out_of_memory_goes_on_in_parts(tmp_path: Path) -> None:
    large = (
        "data.grid.shape=[160, 160, 160]",
        "network.patch_size=1",
        "training.batch_size=16",
        "training.max_steps=2",
        "training.validation_samples=2",
        "training.validation_steps=1",
    )
    cache = write_small_cache(tmp_path / "cache", a_small_config(*large))
    room = 500 * 2**20
    limit = (
        "pages = int(Path('/proc/self/statm').read_text().split()[0]); "
        f"resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {room},) * 2)"
    )
    done = limited(cache, tmp_path / "run", limit, *large)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "parts of" in done.stdout
    assert done.stdout.splitlines()[-1] == "steps 2"


@pytest.mark.skipif(sys.platform != "linux", reason="the size of files is limited on Linux only")
def test_a_disk_that_really_is_full_keeps_the_last_complete_checkpoint(
    cache: SliceCache, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    a_run(cache, run, Told(at_step(5)))
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2)"
    script = LIMITED.replace("accelerator=", "resume=True, accelerator=").replace("{limit}", limit)
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", script, str(cache.folder), str(run)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "TrainingError" in done.stderr.splitlines()[-1]
    assert "could not be written (File too large): free disk space and resume; the last complete" in done.stderr
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    assert not list(run.rglob("*.partial"))
    a_run(cache, run, resume=True)
    assert_same_weights(uninterrupted, run)
