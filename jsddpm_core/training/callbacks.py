"""What a run does beside learning: a note of itself in every checkpoint, its place in them, curves and sample grids."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from jsddpm_core.config import Config
from jsddpm_core.errors import OutputError
from jsddpm_core.files import write_file
from jsddpm_core.manifest import StartModel
from jsddpm_core.progress import Progress
from jsddpm_core.training.batches import Batch
from jsddpm_core.training.events import Message, Metrics, OnEvent, SampleGrid
from jsddpm_core.training.keeper import Keeper
from jsddpm_core.training.validation import sample_like

GRID_EVERY_S = 180.0
"""Between two sample grids; more where drawing one takes long, so that at most a twentieth of the time goes there."""

KEPT_ARRAYS = 3


class Averaging(WeightAveraging):
    """The exponential moving average of the weights, which validation, grids and the bundle use.

    It interpolates, so that a weight that does not learn stays as it is.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def averaged(self) -> Any:
        """The module with averaged weights."""
        assert self._average_model is not None
        return self._average_model.module


class Best(ModelCheckpoint):
    """Keeps the best checkpoint, and knows it again in a run folder that was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        moved = {name: here(state_dict[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")}
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": scores, "dirpath": self.dirpath})


class RunRecord(Callback):
    """Writes what a run is made of into every checkpoint, as plain types, and finds the run's place in one.

    Args:
        config: the run's configuration.
        cache_digest: of its slices.
        start: the model that it began with.
        parts: batches that make up a step.
        halvings: how often the learning rate was halved.
        keeper: knows what a checkpoint leaves to be done.
    """

    def __init__(
        self, config: Config, cache_digest: str, start: StartModel | None, parts: int, halvings: int, keeper: Keeper
    ) -> None:
        self.record = {
            "config": config.model_dump(mode="json"),
            "cache_digest": cache_digest,
            "start": None if start is None else start.model_dump(mode="json"),
            "parts": parts,
            "halvings": halvings,
        }
        self.keeper = keeper
        self._resumed_at = 0

    def on_save_checkpoint(self, _trainer: L.Trainer, _module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["jsddpm"] = self.record

    def on_load_checkpoint(self, trainer: L.Trainer, _module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Sets the steps that are done, and nothing else of what Lightning counts.

        Lightning's own counters suit checkpoints that it writes itself, at places that it knows; ours are written
        elsewhere, and the number of batches in a step may have changed since.
        """
        checkpoint.pop("loops", None)
        self._resumed_at = checkpoint["global_step"]
        loop = trainer.fit_loop.epoch_loop
        done = loop.automatic_optimization.optim_progress.optimizer.step.total
        done.ready = done.completed = self._resumed_at
        loop._batches_that_stepped = self._resumed_at

    def on_fit_start(self, trainer: L.Trainer, _module: L.LightningModule) -> None:
        """Makes up for the validation that the run was interrupted before or in."""
        if not self.keeper.pending_validation(self._resumed_at) or not trainer.enable_validation:
            return
        loop = trainer.fit_loop.epoch_loop
        loop._batches_that_stepped = self._resumed_at - 1  # where its numbers would have been logged
        trainer.validating = True
        loop.val_loop.run()
        trainer.training = True
        loop._batches_that_stepped = self._resumed_at


class Curves(Callback):
    """Tells of every step, and of the numbers as often as they are logged."""

    def __init__(self, on_event: OnEvent, parts: int) -> None:
        self.on_event, self.parts = on_event, parts

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self.on_event(Progress("training", trainer.global_step, module.steps))

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, _outputs: Any, _batch: Any, number: int) -> None:
        if (number + 1) % self.parts:
            return
        step = trainer.global_step
        if step % trainer.log_every_n_steps == 0:
            self._tell(trainer, step, validation=False)
        self.on_event(Progress("training", step, module.steps))

    def on_validation_end(self, trainer: L.Trainer, _module: L.LightningModule) -> None:
        self._tell(trainer, trainer.global_step, validation=True)

    def _tell(self, trainer: L.Trainer, step: int, *, validation: bool) -> None:
        values = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("validation/") is validation
        }
        if values:
            self.on_event(Metrics(step, values))


class SampleGrids(Callback):
    """Saves the samples of each validation, and others every few minutes, as a picture and as an array.

    Args:
        folder: where they go.
        averaging: whose weights draw.
        asked: positions and pathologies that samples are drawn for between validations.
        on_event: told of each.
    """

    def __init__(self, folder: Path, averaging: Averaging, asked: Batch, on_event: OnEvent) -> None:
        self.folder, self.averaging, self.asked, self.on_event = folder, averaging, asked, on_event
        self._arrays: deque[Path] = deque()
        self._shown_at, self._pause_s = 0.0, GRID_EVERY_S

    def on_train_start(self, _trainer: L.Trainer, _module: L.LightningModule) -> None:
        self._shown_at = time.monotonic()

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, _batch: Any, number: int) -> None:
        if number % module.parts or not trainer.is_global_zero:
            return
        began = time.monotonic()
        if began - self._shown_at < self._pause_s:
            return
        averaged = self.averaging.averaged
        batch = {name: value.to(module.device) for name, value in self.asked.items()}
        averaged.eval()
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            drawn = sample_like(batch, averaged.denoiser, module.config, module.parts)
        self._show(drawn.cpu(), trainer.global_step)
        self._shown_at = time.monotonic()
        self._pause_s = max(GRID_EVERY_S, 20 * (self._shown_at - began))

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        preview = getattr(module, "preview", None)
        if preview is not None and trainer.is_global_zero:
            self._show(preview, trainer.global_step)
            self._shown_at = time.monotonic()

    def _show(self, samples: Tensor, step: int) -> None:
        if samples.ndim != 4:
            return
        stem = self.folder / f"step-{step:07d}_desc-synthetic"
        picture, array = stem.with_suffix(".png"), stem.with_suffix(".npy")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_file(picture, png_of(samples))
            write_file(array, npy_of(samples))
        except (OSError, OutputError) as error:
            self.on_event(Message("warning", f"a sample grid was left out, {error}"))
            return
        self.on_event(SampleGrid(step, picture, array))
        if array not in self._arrays:
            self._arrays.append(array)
        while len(self._arrays) > KEPT_ARRAYS:
            with suppress(OSError):  # on Windows, a file that is being read stays
                self._arrays.popleft().unlink(missing_ok=True)


def png_of(samples: Tensor) -> bytes:
    """A picture of samples `(N, C, X, Y)` in [-1, 1]: a column a sample, a row a channel, as a radiologist looks."""
    rows: Sequence[Tensor] = [
        torch.cat(list(channel.transpose(-1, -2).flip(-2)), dim=-1) for channel in samples.unbind(1)
    ]
    picture = ((torch.cat(list(rows)).clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    notice = PngInfo()
    notice.add_text("Comment", "SYNTHETIC, not a patient, not for clinical use")
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="PNG", pnginfo=notice)
    return content.getvalue()


def npy_of(samples: Tensor) -> bytes:
    """Samples as the content of an `.npy` file."""
    content = io.BytesIO()
    np.save(content, samples.float().numpy(), allow_pickle=False)
    return content.getvalue()
