"""Keeps `last.ckpt`: every few minutes, before each validation, and when the run is stopped.

It is written between steps or before a validation, when the weights are the learning ones, so that a run may resume
from it by its number of steps alone. Nothing is written from a state that is no number.
"""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from jsddpm_core.training.batches import TrainingBatches
from jsddpm_core.training.events import ShouldStop
from jsddpm_core.training.guard import Diverged, Stopped, WatchedCache, all_finite

SAVE_EVERY_S = 300.0


class Keeper(Callback):
    """Saves, stops, and notices a run that diverges or whose cache changes.

    Args:
        last: the checkpoint's file.
        batches: of the run.
        every: optimiser steps between two checkpoints, beside those that are due by the clock.
        cache: that the run reads.
        should_stop: asked before every step and in validation; of several processes, one that says so is enough.
    """

    def __init__(
        self, last: Path, batches: TrainingBatches, every: int, cache: WatchedCache, should_stop: ShouldStop
    ) -> None:
        self.last, self.every, self.cache, self.should_stop = last, every, cache, should_stop
        self.parts, self.per_round, self.steps = batches.parts, batches.steps_per_round, len(batches)
        self._on_sigterm = signal.getsignal(signal.SIGTERM)
        self._saved_step, self._saved_at = -1, 0.0
        self._unchecked: list[Tensor] = []

    def pending_validation(self, step: int) -> bool:
        """Whether a checkpoint of this step was written before the validation that belongs to it."""
        return step > 0 and (step % self.per_round == 0 or step == self.steps)

    def on_load_checkpoint(self, _trainer: L.Trainer, _module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._saved_step = checkpoint["global_step"]

    def on_fit_start(self, _trainer: L.Trainer, _module: L.LightningModule) -> None:
        self._saved_at = time.monotonic()

    def on_train_start(self, _trainer: L.Trainer, _module: L.LightningModule) -> None:
        """Takes back Lightning's handling of SIGTERM, which ends one process at once and leaves the others waiting."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, _batch: Any, number: int) -> None:
        if number % self.parts:
            return
        step = trainer.global_step
        self.cache.check()
        # The newest loss may still be computed: looking at it would hold up a GPU.
        settled, self._unchecked = self._unchecked[:-1], self._unchecked[-1:]
        stop, due, bad = self._agreed(
            trainer,
            self.should_stop(),
            time.monotonic() - self._saved_at >= SAVE_EVERY_S or (step > 0 and step % self.every == 0),
            any(not bool(finite) for finite in settled),
        )
        if bad:
            raise Diverged(step)
        if stop or due:
            self.save(trainer, module)
        if stop:
            raise Stopped

    def on_train_batch_end(self, _trainer: L.Trainer, module: Any, _outputs: Any, _batch: Any, number: int) -> None:
        if (number + 1) % self.parts == 0:
            self._unchecked.append(module.step_loss.isfinite())

    def on_validation_start(self, trainer: L.Trainer, module: Any) -> None:
        self.save(trainer, module)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        (stop,) = self._agreed(trainer, self.should_stop())
        if stop:
            raise Stopped  # what was written before the validation is what the run resumes from

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        self.save(trainer, module)

    def save(self, trainer: L.Trainer, module: Any) -> None:
        """Writes the checkpoint, unless it was written at this step.

        Raises:
            Diverged: if the state is no number, which is not worth keeping.
            TrainingError: if it could not be written.
        """
        step = trainer.global_step
        good = all(bool(finite) for finite in self._unchecked) and all_finite(module.parameters())
        (bad,) = self._agreed(trainer, not good)
        if bad:
            raise Diverged(step)
        self._unchecked.clear()
        self._saved_at = time.monotonic()
        if step == self._saved_step:
            return
        for logger in trainer.loggers:
            logger.save()  # or a killed run would resume behind its curves
        trainer.save_checkpoint(self.last)
        self._saved_step = step

    @staticmethod
    def _agreed(trainer: L.Trainer, *flags: bool) -> tuple[bool, ...]:
        """Each flag as any of the processes has it."""
        if trainer.world_size == 1:
            return flags
        said = torch.tensor(flags, dtype=torch.float32, device=trainer.strategy.root_device)
        return tuple(bool(flag) for flag in trainer.strategy.reduce(said, reduce_op="sum"))
