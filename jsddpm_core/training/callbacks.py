"""What a run does beside learning: previews, progress, and a note of the run in every checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jsddpm_core.config import Config
from jsddpm_core.manifest import StartModel

OnProgress = Callable[[str, int, int, float], None]
"""Called with stage, steps done, steps in all and the seconds that are left."""


class RunRecord(Callback):
    """Writes the configuration, the cache's digest and the start model into every checkpoint, as plain types."""

    def __init__(self, config: Config, cache_digest: str, start: StartModel | None) -> None:
        self.record = {
            "config": config.model_dump(mode="json"),
            "cache_digest": cache_digest,
            "start": None if start is None else start.model_dump(mode="json"),
        }

    def on_save_checkpoint(self, _trainer: L.Trainer, _module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["jsddpm"] = self.record


class Progress(Callback):
    """Reports steps done and the time that is left, from the steps of this process alone."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.started = 0.0
        self.first_step = 0

    def on_train_start(self, trainer: L.Trainer, _module: L.LightningModule) -> None:
        self.started, self.first_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        done = trainer.global_step
        rate = (time.monotonic() - self.started) / max(done - self.first_step, 1)
        self.on_progress("train", done, module.steps, rate * (module.steps - done))


class Previews(Callback):
    """Saves each validation's samples as a picture: a column a sample, a row a channel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        preview = getattr(module, "preview", None)
        if preview is None or not trainer.is_global_zero or preview.ndim != 4:
            return
        rows = [torch.cat(list(channel.transpose(-1, -2).flip(-2)), dim=-1) for channel in preview.unbind(1)]
        picture = ((torch.cat(rows).clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
        notice = PngInfo()
        notice.add_text("Comment", "SYNTHETIC, not a patient, not for clinical use")
        self.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(
            self.folder / f"step-{trainer.global_step:07d}_desc-synthetic.png", pnginfo=notice
        )
