"""Training runs: they learn, survive being killed, agree over ranks, and say what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import a_small_config, logged, weights, write_small_cache

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import TrainingError
from jsddpm_core.progress import Progress
from jsddpm_core.training.batches import TrainingBatches
from jsddpm_core.training.checkpoint import AtomicCheckpointIO, read_checkpoint
from jsddpm_core.training.events import Event, Metrics, SampleGrid
from jsddpm_core.training.fit import fit
from jsddpm_core.training.module import JointDiffusion, learning_rate_factor
from jsddpm_core.training.pools import with_seen_pathologies
from jsddpm_core.training.validation import energy_distance

RUN = """
import sys
from pathlib import Path
from training_fixtures import a_small_config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.progress import Progress
from jsddpm_core.training.fit import fit

cache, out, devices = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
fit(a_small_config(), SliceCache.open(cache), out, accelerator="cpu", devices=devices,
    on_event=lambda event: isinstance(event, Progress) and print("step", event.done, flush=True))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> SliceCache:
    return write_small_cache(tmp_path_factory.mktemp("training") / "cache", a_small_config())


def start(cache: SliceCache, out: Path, devices: int = 1) -> subprocess.Popen:
    script = out.parent / "run.py"
    script.write_text(RUN, encoding="utf-8")
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script), str(cache.folder), str(out), str(devices)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output


@pytest.fixture(scope="module")
def uninterrupted(cache: SliceCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    fit(a_small_config(), cache, run, accelerator="cpu")
    return run


def test_a_killed_run_resumes_to_the_same_weights(cache: SliceCache, uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(cache, run)
    for line in process.stdout:
        if line.startswith("step 8"):
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait(timeout=60)
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 6
    fit(a_small_config(), cache, run, resume=True, accelerator="cpu")
    expected, found = weights(uninterrupted), weights(run)
    assert expected.keys() == found.keys()
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert different == []


def test_two_processes_give_the_losses_of_one(cache: SliceCache, uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    finish(start(cache, run, devices=2))
    for column in ("train/loss", "validation/loss"):
        alone, together = logged(uninterrupted, column), logged(run, column)
        assert alone.keys() == together.keys() and len(alone) >= 3
        for step, value in alone.items():
            assert together[step] == pytest.approx(value, rel=1e-5), (column, step)


def test_a_run_leaves_previews_logs_and_its_configuration(uninterrupted: Path) -> None:
    assert len(list((uninterrupted / "previews").glob("*_desc-synthetic.png"))) == 4
    assert list(uninterrupted.glob("logs/*/events.out.tfevents*"))
    assert (uninterrupted / "config.json").is_file()
    assert (uninterrupted / "checkpoints" / "best.ckpt").is_file()
    assert not list(uninterrupted.rglob("*.partial"))


def test_a_longer_run_learns(cache: SliceCache, tmp_path: Path) -> None:
    config = a_small_config("training.max_steps=60", "training.learning_rate=3e-3", "training.ema_decay=0.9")
    fit(config, cache, tmp_path / "run", accelerator="cpu")
    losses = logged(tmp_path / "run", "validation/loss")
    assert losses[max(losses)] < 0.9 * losses[min(losses)]


def test_gradients_are_clipped(cache: SliceCache, tmp_path: Path) -> None:
    """Adam does not see the scale of gradients, unless they are small beside its epsilon of 1e-8."""
    still = ("training.max_steps=3", "training.weight_decay=0", "training.warmup_steps=0", "training.ema_decay=0")
    moved = {}
    for clip in ("1.0", "1e-12"):
        config = a_small_config(*still, f"training.gradient_clip={clip}")
        torch.manual_seed(config.training.seed)
        fresh = JointDiffusion(with_seen_pathologies(config, cache), 3).state_dict()
        fit(config, cache, tmp_path / clip, accelerator="cpu")
        learned = read_checkpoint(tmp_path / clip / "checkpoints" / "last.ckpt")["state_dict"]
        moved[clip] = max(float((learned[name] - fresh[name]).abs().max()) for name in fresh)
    assert moved["1e-12"] < 0.01 * moved["1.0"]


def test_early_stopping_ends_a_run_that_gets_no_better(cache: SliceCache, tmp_path: Path) -> None:
    still = ("training.learning_rate=1e-12", "training.minimum_learning_rate=0")
    config = a_small_config(*still, "training.max_steps=300", "training.patience=1")
    result = fit(config, cache, tmp_path / "run", accelerator="cpu")
    assert not result.finished
    assert result.steps < 30


def test_a_folder_with_a_run_is_not_overwritten(cache: SliceCache, uninterrupted: Path) -> None:
    with pytest.raises(TrainingError, match="holds a training run already.*--resume"):
        fit(a_small_config(), cache, uninterrupted, accelerator="cpu")


def test_a_run_is_not_resumed_with_other_settings_or_slices(
    cache: SliceCache, uninterrupted: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="other settings under training"):
        fit(a_small_config("training.learning_rate=1e-5"), cache, uninterrupted, resume=True, accelerator="cpu")
    other = write_small_cache(tmp_path / "cache", a_small_config(), subjects=8)
    with pytest.raises(TrainingError, match="another cache"):
        fit(a_small_config(), other, uninterrupted, resume=True, accelerator="cpu")
    with pytest.raises(TrainingError, match="no checkpoint"):
        fit(a_small_config(), cache, tmp_path / "nowhere", resume=True, accelerator="cpu")


def test_a_cache_of_another_grid_or_preparation_is_refused(cache: SliceCache, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"other settings under data\.grid"):
        fit(a_small_config("data.grid.spacing_mm=2"), cache, tmp_path / "run", accelerator="cpu")
    cache_of_scans = write_small_cache(tmp_path / "cache", a_small_config(), made_with={"percentiles": [1.0, 99.0]})
    with pytest.raises(TrainingError, match=r"other settings under data\.percentiles"):
        fit(a_small_config(), cache_of_scans, tmp_path / "run", accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_a_batch_that_cannot_be_split_over_the_processes_is_refused(cache: SliceCache, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch of 4 .* 3 processes"):
        fit(a_small_config(), cache, tmp_path / "run", accelerator="cpu", devices=3)


def test_half_precision_without_a_gpu_is_refused_before_anything_is_written(cache: SliceCache, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="fp16 needs a GPU.*bf16"):
        fit(a_small_config("training.precision=fp16"), cache, tmp_path / "run", accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_bf16_reaches_the_network_and_leaves_the_weights_in_full_precision(cache: SliceCache, tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        config = a_small_config(f"training.precision={precision}", "training.max_steps=3")
        result = fit(config, cache, tmp_path / precision, accelerator="cpu")
        losses[precision] = logged(tmp_path / precision, "train/loss")[2]
        state = read_checkpoint(result.last)["state_dict"]
        assert {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} == {torch.float32}
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_self_conditioning_in_bf16_leaves_every_weight_its_gradient(cache: SliceCache) -> None:
    module = JointDiffusion(a_small_config(), 10)
    batch = TrainingBatches(cache, module.config)[0]
    batch["self_condition"] = torch.ones(4, dtype=torch.bool)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        module.loss(batch).total.backward()
    assert [name for name, parameter in module.named_parameters() if parameter.grad is None] == []


def test_a_checkpoint_is_whole_or_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    writer = AtomicCheckpointIO()
    writer.save_checkpoint({"step": 1}, path)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        writer.save_checkpoint({"step": 2}, path)
    assert read_checkpoint(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"trap": Trap()}, tmp_path / "last.ckpt")
    with pytest.raises(TrainingError, match="could not be read"):
        read_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "sprung").exists()


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    training = a_small_config("training.warmup_steps=10", "training.minimum_learning_rate=0").training
    factors = [learning_rate_factor(step, training, 110) for step in (0, 9, 10, 60, 110)]
    assert factors == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.0])


def test_energy_distance_is_zero_for_the_same_images_and_grows_with_a_shift() -> None:
    images = torch.rand(16, 2, 40, 40, generator=torch.Generator().manual_seed(0))
    assert energy_distance(images, images).item() == pytest.approx(0, abs=1e-6)
    near, far = (energy_distance(images + shift, images).item() for shift in (0.05, 0.5))
    assert 0 < near < far
    constant = [torch.full((3, 1, 40, 40), value) for value in (0.0, 1.0)]
    assert energy_distance(*constant).item() == pytest.approx(2.0), "2 |a - b| for two points"


def test_self_conditioning_shows_an_estimate_to_the_samples_whose_coin_says_so(cache: SliceCache) -> None:
    config = a_small_config("training.batch_size=8")
    module = JointDiffusion(config, 10)
    batch = TrainingBatches(cache, config)[0]
    batch["self_condition"] = torch.arange(8) % 2 == 0
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.01)
    shown = module.earlier_estimate(batch)
    assert (shown[1::2] == 0).all()
    assert (shown[::2].flatten(1).abs().sum(1) > 0).all()
    assert shown.abs().max() <= 1.0
    assert not shown.requires_grad


def test_a_run_tells_of_every_step(cache: SliceCache, tmp_path: Path) -> None:
    told: list[Event] = []
    fit(a_small_config("training.max_steps=5"), cache, tmp_path / "run", accelerator="cpu", on_event=told.append)
    progress = [event for event in told if isinstance(event, Progress)]
    assert [event.done for event in progress] == [0, 1, 2, 3, 4, 5]
    assert {(event.stage, event.total) for event in progress} == {("training", 5)}
    steps = [event for event in told if isinstance(event, Metrics) and "train/loss" in event.values]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5]
    assert set(steps[0].values) == {"train/loss", "train/FLAIR", "train/lesion", "learning_rate"}
    written = logged(tmp_path / "run", "train/loss")
    assert [written[event.step - 1] for event in steps] == [event.values["train/loss"] for event in steps]
    checks = [event for event in told if isinstance(event, Metrics) and "train/loss" not in event.values]
    assert [event.step for event in checks] == [3, 5], "after each round, and at the end"
    assert set(checks[0].values) == {"validation/loss", "validation/energy_distance"}
    grids = [event for event in told if isinstance(event, SampleGrid)]
    assert [event.step for event in grids] == [3, 5]
    assert np.load(grids[-1].array, allow_pickle=False).shape == (3, 2, 32, 32)
    assert grids[-1].picture.is_file()
