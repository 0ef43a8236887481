"""A small cache and a small configuration: a run of a few steps takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from generation_fixtures import PATHOLOGIES

from jsddpm_core.config import Config
from jsddpm_core.config_file import load_config
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter, SliceRecord
from jsddpm_core.training.checkpoint import read_checkpoint

SMALL = (
    PATHOLOGIES,
    "data.grid.shape=[32, 32, 160]",
    "network.channels=[8, 8, 16, 16]",
    "network.groups=4",
    "network.head_channels=8",
    "network.residual_blocks=1",
    "training.precision=fp32",
    "training.batch_size=4",
    "training.max_steps=12",
    "training.warmup_steps=2",
    "training.validation_every=1",
    "training.validation_samples=4",
    "training.validation_steps=2",
)


def a_small_config(*overrides: str) -> Config:
    return load_config("fast", (*SMALL, *overrides))


def write_small_cache(
    folder: Path, config: Config, subjects: int = 12, lesional: float = 0.5, made_with: dict | None = None
) -> SliceCache:
    """Discs of soft texture, one a subject, some with a bright square in them; every fourth subject is held out."""
    rng = np.random.default_rng(0)
    side = config.data.grid.shape[0]
    x, y = np.mgrid[:side, :side] - (side - 1) / 2
    disc = np.hypot(x, y * 0.8) < side * 0.4
    with SliceCacheWriter(folder, config.data.grid) as writer:
        for number in range(subjects):
            image = np.where(disc, rng.normal(0.0, 0.15, disc.shape), -1.0).astype(np.float32)
            mask = np.zeros(disc.shape, dtype=np.uint8)
            ill = number % 10 < 10 * lesional
            if ill:
                left = side // 3 + number % 5
                mask[left : left + side // 8, side // 3 : side // 2] = 1
                image[mask > 0] = 0.9
            writer.add(
                SliceRecord(
                    subject=f"set/sub-{number:02d}",
                    case=f"set/sub-{number:02d}",
                    split="validation" if number % 4 == 3 else "train",
                    slice_index=80,
                    position_mm=float(number),
                    pathology="infarct" if ill else "none",
                    mask_known=number != 0,
                    lesion_mm2=float(mask.sum()) * config.data.grid.spacing_mm**2,
                    dataset="set",
                ),
                image,
                mask,
            )
        return writer.finish({"data": made_with or {}})


def weights(run: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    """What a checkpoint of a run holds: the learning weights, and the averaged ones as `ema.`."""
    checkpoint = read_checkpoint(run / "checkpoints" / name)
    return {**checkpoint["current_model_state"], **{f"ema.{k}": v for k, v in checkpoint["state_dict"].items()}}


def logged(run: Path, column: str) -> dict[int, float]:
    """Values of a logged column by step, over all starts of a run."""
    values: dict[int, float] = {}
    for table in sorted((run / "logs").glob("*/metrics.csv")):
        header, *rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()]
        if column not in header:
            continue
        place, step = header.index(column), header.index("step")
        values |= {int(row[step]): float(row[place]) for row in rows if row[place]}
    return values
