"""One training run: folders, loaders and Lightning's Trainer, started or resumed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from jsddpm_core.bundle import Bundle
from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import OutputError, TrainingError
from jsddpm_core.training.batches import EpochSteps, TrainingBatches
from jsddpm_core.training.callbacks import OnProgress, Previews, Progress, RunRecord
from jsddpm_core.training.checkpoint import AtomicCheckpointIO, read_checkpoint
from jsddpm_core.training.module import JointDiffusion
from jsddpm_core.training.pools import with_seen_pathologies
from jsddpm_core.training.start import load_start, start_model
from jsddpm_core.training.validation import HeldOutBatches, spread

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
MONITORED = "validation/energy_distance"


@dataclass(frozen=True)
class FitResult:
    """Where a run left its checkpoints, and how far it came."""

    last: Path
    best: Path | None
    steps: int
    finished: bool


class Slices(L.LightningDataModule):
    """The loaders of a run; no worker processes, because reading a memory-mapped slice costs less than starting one."""

    def __init__(self, cache: SliceCache, config: Config, priors: np.ndarray | None) -> None:
        super().__init__()
        self.cache, self.config, self.priors = cache, config, priors

    def train_dataloader(self) -> DataLoader:
        batches = TrainingBatches(
            self.cache, self.config, self.trainer.global_rank, self.trainer.world_size, self.priors
        )
        return DataLoader(batches, batch_size=None, sampler=EpochSteps(batches, lambda: self.trainer.global_step))

    def val_dataloader(self) -> list[DataLoader]:
        held_out = self.cache.indices("validation")
        asked = spread(self.cache, self.config.training.validation_samples)
        return [
            DataLoader(HeldOutBatches(self.cache, self.config, indices, self.priors), batch_size=None)
            for indices in (held_out, asked)
            if len(indices)
        ]


def fit(
    config: Config,
    cache: SliceCache,
    out: Path,
    *,
    resume: bool = False,
    start: Bundle | None = None,
    accelerator: str = "auto",
    devices: int | str = 1,
    nodes: int = 1,
    priors: np.ndarray | None = None,
    on_progress: OnProgress | None = None,
) -> FitResult:
    """Trains a model in a run folder: `checkpoints/`, `previews/`, and `logs/` as CSV and for TensorBoard.

    Every start of a run logs into a folder of its own, named after its first step.

    Args:
        config: the whole configuration; pathologies that no training slice shows are left out.
        cache: the prepared slices.
        out: the run folder.
        resume: go on from the last complete checkpoint, with the result of an uninterrupted run.
        start: the model whose weights the run begins with; fresh ones by default.
        accelerator: Lightning's name of the device kind.
        devices: processes on this node.
        nodes: number of nodes.
        priors: anatomical priors `(bins, X, Y)`, where the config uses them.
        on_progress: told after every step.

    Raises:
        TrainingError: if the folder holds a run already, or another run than the one to resume.
        OutputError: if the folder cannot be written.
    """
    _check_same_preparation(config, cache)
    config = with_seen_pathologies(config, cache)
    batches = TrainingBatches(cache, config, ranks=_ranks(devices, nodes))
    if config.training.precision == "fp16" and not _has_gpu(accelerator):
        raise TrainingError("training.precision = fp16 needs a GPU", "set training.precision=bf16 or fp32")
    last = out / "checkpoints" / "last.ckpt"
    first_step = 0
    if resume:
        checkpoint = read_checkpoint(last)
        _check_same_run(checkpoint.get("jsddpm", {}), config, cache, start, out)
        first_step = checkpoint["global_step"]
    elif last.exists():
        raise TrainingError(f"{out} holds a training run already", "add --resume or choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text(json.dumps(config.model_dump(mode="json"), indent=2), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the run folder {out} cannot be written ({error.strerror})", "choose another") from error

    # Fresh weights are drawn from the seed; everything later is keyed and needs no global generator.
    L.seed_everything(config.training.seed, workers=False, verbose=False)
    module = JointDiffusion(config, len(batches))
    if start is not None and not resume:
        load_start(module.network, config, start)
    best = ModelCheckpoint(
        dirpath=out / "checkpoints",
        filename="best",
        monitor=MONITORED,
        enable_version_counter=False,
        save_on_train_epoch_end=False,
    )
    validates = len(cache.indices("validation")) > 0
    callbacks = [
        EMAWeightAveraging(decay=config.training.ema_decay, use_buffers=False),
        RunRecord(config, cache.digest, None if start is None else start_model(start)),
        Previews(out / "previews"),
        ModelCheckpoint(
            dirpath=out / "checkpoints",
            filename="last",
            every_n_epochs=config.training.checkpoint_every,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
    ]
    if validates:
        callbacks.append(best)
    if validates and config.training.patience is not None:
        callbacks.append(EarlyStopping(MONITORED, patience=config.training.patience, check_on_train_epoch_end=False))
    if on_progress is not None:
        callbacks.append(Progress(on_progress))
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        precision=PRECISIONS[config.training.precision],
        max_steps=config.training.max_steps or -1,
        max_epochs=config.training.epochs or -1,
        gradient_clip_val=config.training.gradient_clip,
        callbacks=callbacks,
        logger=[
            kind(out, name="logs", version=f"from-step-{first_step:07d}") for kind in (CSVLogger, TensorBoardLogger)
        ],
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,
        check_val_every_n_epoch=config.training.validation_every,
        num_sanity_val_steps=0,
        limit_val_batches=None if validates else 0,
        log_every_n_steps=min(20, batches.steps_per_epoch),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out,
    )
    trainer.fit(module, datamodule=Slices(cache, config, priors), ckpt_path=last if resume else None)
    finished = trainer.global_step >= len(batches)
    return FitResult(last, Path(best.best_model_path) if best.best_model_path else None, trainer.global_step, finished)


def _has_gpu(accelerator: str) -> bool:
    return accelerator in ("gpu", "cuda", "auto") and CUDAAccelerator.is_available()


def _ranks(devices: int | str, nodes: int) -> int:
    """Processes of the run, as torchrun or the options say; 1 for `auto`, whose number Lightning finds out."""
    launched = os.environ.get("WORLD_SIZE")
    if launched is not None:
        return int(launched)
    return (int(devices) if str(devices).isdigit() else 1) * nodes


def _check_same_preparation(config: Config, cache: SliceCache) -> None:
    """A bundle states how its slices were made: the configuration must say what the cache was made with."""
    wanted = config.data.model_dump(mode="json")
    made_with = cache.manifest["made_of"].get("data", {}) | {"grid": cache.grid.model_dump(mode="json")}
    changed = sorted(key for key in wanted.keys() & made_with.keys() if wanted[key] != made_with[key])
    if changed:
        raise TrainingError(
            f"{cache.folder} was prepared with other settings under data.{', data.'.join(changed)}",
            "prepare the cases again with this configuration",
        )


def _check_same_run(record: dict, config: Config, cache: SliceCache, start: Bundle | None, out: Path) -> None:
    """A resumed run may be longer or shorter than planned; everything else must be the same."""
    if record.get("cache_digest") != cache.digest:
        raise TrainingError(
            f"the run in {out} was started on another cache", "resume with the same cache or start a new run"
        )

    said = None if start is None else start_model(start).model_dump(mode="json")
    if record.get("start") != said:
        raise TrainingError(
            f"the run in {out} was started from another model", "resume with the same start model or start a new run"
        )

    def comparable(tree: dict) -> dict:
        training = {key: value for key, value in tree["training"].items() if key not in ("max_steps", "epochs")}
        return {**tree, "training": training}

    before, now = comparable(record["config"]), comparable(config.model_dump(mode="json"))
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed:
        raise TrainingError(
            f"the run in {out} was started with other settings under {', '.join(changed)}",
            "resume with its own configuration or start a new run",
        )
