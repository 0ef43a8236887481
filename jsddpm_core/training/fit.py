"""One training run: folders, loaders and Lightning's Trainer, started or resumed."""

from __future__ import annotations

import gc
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from torch.utils.data import DataLoader

from jsddpm_core.bundle import Bundle
from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import DeviceMemoryError, OutputError, TrainingError, is_out_of_memory
from jsddpm_core.training.adapt import set_trainable
from jsddpm_core.training.batches import RoundSteps, TrainingBatches, finer
from jsddpm_core.training.callbacks import Averaging, Best, Curves, RunRecord, SampleGrids
from jsddpm_core.training.checkpoint import AtomicCheckpointIO, read_checkpoint
from jsddpm_core.training.consistency import check_same_preparation, check_same_run
from jsddpm_core.training.events import Message, OnEvent, ShouldStop, never, unheard
from jsddpm_core.training.guard import MOST_HALVINGS, Diverged, Stopped, WatchedCache
from jsddpm_core.training.keeper import Keeper
from jsddpm_core.training.module import JointDiffusion
from jsddpm_core.training.pools import with_seen_pathologies
from jsddpm_core.training.start import load_start, start_model
from jsddpm_core.training.validation import HeldOutBatches, spread

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
MONITORED = "validation/energy_distance"


@dataclass(frozen=True)
class FitResult:
    """Where a run left its checkpoints, and how far it came.

    Attributes:
        last: the newest checkpoint.
        best: the one with the best validation, where there was one.
        steps: optimiser steps done.
        finished: whether all planned steps are done.
        stopped: whether it was asked to stop; a run that neither is finished nor was stopped got no better.
    """

    last: Path
    best: Path | None
    steps: int
    finished: bool
    stopped: bool = False


@dataclass(frozen=True)
class _Run:
    """What stays the same over all attempts at a run."""

    config: Config
    cache: SliceCache
    out: Path
    start: Bundle | None
    accelerator: str
    devices: int | str
    nodes: int
    priors: np.ndarray | None
    on_event: OnEvent
    should_stop: ShouldStop

    @property
    def last(self) -> Path:
        return self.out / "checkpoints" / "last.ckpt"


class Slices(L.LightningDataModule):
    """The loaders of a run; no worker processes, because reading a slice costs less than starting one."""

    def __init__(self, cache: SliceCache, config: Config, priors: np.ndarray | None, parts: int) -> None:
        super().__init__()
        self.cache, self.config, self.priors, self.parts = cache, config, priors, parts

    def train_dataloader(self) -> DataLoader:
        batches = TrainingBatches(
            self.cache, self.config, self.trainer.global_rank, self.trainer.world_size, self.priors, self.parts
        )
        return DataLoader(batches, batch_size=None, sampler=RoundSteps(batches, lambda: self.trainer.global_step))

    def val_dataloader(self) -> list[DataLoader]:
        held_out = self.cache.indices("validation")
        asked = spread(self.cache, self.config.training.validation_samples)
        at_once = max(self.config.training.batch_size // self.parts, 1)
        return [
            DataLoader(HeldOutBatches(self.cache, self.config, indices, self.priors, size), batch_size=None)
            for indices, size in ((held_out, at_once), (asked, None))
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
    on_event: OnEvent = unheard,
    should_stop: ShouldStop = never,
) -> FitResult:
    """Trains a model in a run folder: `checkpoints/`, `previews/`, and `logs/` as CSV and for TensorBoard.

    Every start of a run logs into a folder of its own, named after its first step. Where the memory does not suffice,
    a step is computed in twice as many parts; where the loss is no number any more, the run goes back to its newest
    checkpoint with half the learning rate.

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
        on_event: told what happens, in the first of several processes.
        should_stop: asked after every step; where it says yes, a checkpoint is written and the run ends.

    Raises:
        TrainingError: if the folder holds a run already, or another run than the one to resume, if it diverges again
            and again, or if a checkpoint cannot be written.
        CacheError: if the cache is changed or removed under the run.
        DeviceMemoryError: if the memory does not suffice for a single slice.
        OutputError: if the folder cannot be written.
    """
    check_same_preparation(config, cache)
    config = with_seen_pathologies(config, cache)
    TrainingBatches(cache, config, ranks=_ranks(devices, nodes))
    if config.training.precision == "fp16" and not _has_gpu(accelerator):
        raise TrainingError("training.precision = fp16 needs a GPU", "set training.precision=bf16 or fp32")
    run = _Run(config, cache, out, start, accelerator, devices, nodes, priors, on_event, should_stop)
    parts, halvings = 1, 0
    if resume:
        record = read_checkpoint(run.last).get("jsddpm", {})
        check_same_run(record, config, cache, start, out)
        parts, halvings = int(record.get("parts", 1)), int(record.get("halvings", 0))
    elif run.last.exists():
        raise TrainingError(f"{out} holds a training run already", "add --resume or choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text(json.dumps(config.model_dump(mode="json"), indent=2), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the run folder {out} cannot be written ({error.strerror})", "choose another") from error
    while True:
        outcome = _try(run, parts, halvings)
        if isinstance(outcome, FitResult):
            return outcome
        release_memory()
        if isinstance(outcome, Diverged):
            halvings = _halved(run, outcome, halvings)
        else:
            parts = _finer(run, outcome, parts)


def _try(run: _Run, parts: int, halvings: int) -> FitResult | Diverged | int:
    """One attempt from the newest checkpoint, or from the start; the number of processes where the memory ran out."""
    trainer: L.Trainer | None = None
    config, cache = run.config, WatchedCache(run.cache)
    try:
        resume = run.last.exists()
        batches = TrainingBatches(cache, config, parts=parts)
        # Fresh weights are drawn from the seed; everything later is keyed and needs no global generator.
        L.seed_everything(config.training.seed, workers=False, verbose=False)
        module = JointDiffusion(config, len(batches), parts=parts, rate=0.5**halvings)
        if run.start is not None and not resume:
            load_start(module.network, config, run.start)
        set_trainable(module.network, config.training.trainable, seed=config.training.seed)
        callbacks, best = _callbacks(run, cache, batches, halvings)
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        first_step = read_checkpoint(run.last)["global_step"] if resume else 0
        trainer = _trainer(run, batches, callbacks, first_step)
        data = Slices(cache, config, run.priors, parts)
        stopped = False
        try:
            with _quiet():
                trainer.fit(module, datamodule=data, ckpt_path=run.last if resume else None)
        except Stopped:
            stopped = True
        steps = trainer.global_step
        found = Path(best.best_model_path) if best is not None and best.best_model_path else None
        return FitResult(run.last, found, steps, steps >= len(batches) and not stopped, stopped)
    except Diverged as diverged:
        return Diverged(diverged.step)
    except Exception as error:
        if is_out_of_memory(error):
            return 1 if trainer is None else trainer.world_size
        raise
    finally:
        cache.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice and its news of things that are meant to be so."""
    with warnings.catch_warnings():
        for said in ("Checkpoint directory .* exists", "Experiment logs directory .* exists", ".*LeafSpec"):
            warnings.filterwarnings("ignore", message=said)
        yield


def _halved(run: _Run, diverged: Diverged, halvings: int) -> int:
    there = run.last.exists()
    if halvings >= MOST_HALVINGS:
        raise TrainingError(
            f"the loss is no number after step {diverged.step}, even with 1/{2**halvings} of the learning rate",
            "start a new run with a lower training.learning_rate or training.precision=fp32"
            + ("; the last good checkpoint is kept" if there else ""),
        )
    back = f"to step {read_checkpoint(run.last)['global_step']}" if there else "to its start"
    run.on_event(
        Message(
            "warning",
            f"The loss is no number after step {diverged.step}: the run goes back {back} "
            f"with 1/{2 ** (halvings + 1)} of the learning rate.",
        )
    )
    return halvings + 1


def _finer(run: _Run, ranks: int, parts: int) -> int:
    share = run.config.training.batch_size // ranks
    more = finer(share, parts)
    if more is None:
        raise DeviceMemoryError(
            "the memory of the device does not suffice for a single slice", "choose a smaller network or another device"
        )
    if ranks > 1:
        raise DeviceMemoryError(
            f"the memory does not suffice for {share // parts} slices at a time in each of {ranks} processes",
            "set a smaller training.batch_size or use more devices",
        )
    run.on_event(
        Message(
            "warning",
            f"The memory does not suffice for {share // parts} slices at a time: each step is now computed in {more} "
            f"parts of {share // more} and still learns from all {share}.",
        )
    )
    return more


def release_memory() -> None:
    """Gives back what an attempt that failed has held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _callbacks(
    run: _Run, cache: WatchedCache, batches: TrainingBatches, halvings: int
) -> tuple[list[Callback], ModelCheckpoint | None]:
    """The run's callbacks in the order that they act in, and the one that keeps the best checkpoint."""
    config, training = run.config, run.config.training
    averaging = Averaging(training.ema_decay)
    every = batches.steps_per_epoch * training.checkpoint_every
    keeper = Keeper(run.last, batches, every, cache, run.should_stop)
    start = None if run.start is None else start_model(run.start)
    callbacks: list[Callback] = [
        averaging,
        RunRecord(config, cache.digest, start, batches.parts, halvings, keeper),
        keeper,
        Curves(run.on_event, batches.parts),
    ]
    held_out = spread(cache, training.validation_samples)
    asked = held_out if len(held_out) else cache.indices("train")[: training.validation_samples]
    examples = HeldOutBatches(cache, config, asked, run.priors)[0]
    callbacks.append(SampleGrids(run.out / "previews", averaging, examples, run.on_event))
    if not len(held_out):
        return callbacks, None
    best = Best(
        dirpath=run.out / "checkpoints",
        filename="best",
        monitor=MONITORED,
        enable_version_counter=False,
        save_on_train_epoch_end=False,
    )
    callbacks.append(best)
    if training.patience is not None:
        callbacks.append(EarlyStopping(MONITORED, patience=training.patience, check_on_train_epoch_end=False))
    return callbacks, best


def _trainer(run: _Run, batches: TrainingBatches, callbacks: list[Callback], first_step: int) -> L.Trainer:
    training, steps = run.config.training, len(batches)
    validates = len(run.cache.indices("validation")) > 0
    version = f"from-step-{first_step:07d}"
    # A job that SLURM is about to end is asked to stop; whoever starts it again resumes the run.
    cluster = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    return L.Trainer(
        accelerator=run.accelerator,
        devices=run.devices,
        num_nodes=run.nodes,
        precision=PRECISIONS[training.precision],
        max_steps=steps,
        max_epochs=-1,
        accumulate_grad_batches=batches.parts,
        gradient_clip_val=training.gradient_clip,
        callbacks=callbacks,
        logger=[
            CSVLogger(run.out, name="logs", version=version, flush_logs_every_n_steps=1),
            TensorBoardLogger(run.out, name="logs", version=version),
        ],
        plugins=[AtomicCheckpointIO(), *cluster],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_checkpointing=validates,  # without a best one, Lightning would keep one of its own
        limit_val_batches=None if validates else 0,
        log_every_n_steps=min(10, batches.steps_per_epoch, max(steps // 60, 1)),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=run.out,
    )


def _has_gpu(accelerator: str) -> bool:
    return accelerator in ("gpu", "cuda", "auto") and CUDAAccelerator.is_available()


def _ranks(devices: int | str, nodes: int) -> int:
    """Processes of the run, as torchrun or the options say; 1 for `auto`, whose number Lightning finds out."""
    launched = os.environ.get("WORLD_SIZE")
    if launched is not None:
        return int(launched)
    return (int(devices) if str(devices).isdigit() else 1) * nodes
