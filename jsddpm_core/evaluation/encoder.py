"""The small network in whose features sets of slices are compared, and its file.

It is trained on the real training slices (`encoder_training`) to tell where a slice lies, what pathology it shows, and
how much it was blurred, how much noise it carries and how its contrast was changed: so its features see both anatomy
and texture. Features are standardised over the training slices, so that a kernel weighs them alike.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from jsddpm_core.evaluation.image_set import checked_images
from jsddpm_core.evaluation.measure import MeasureError

WEIGHTS = "encoder.safetensors"
RECORD = "encoder.json"
WIDTHS = (16, 32, 48, 64, 64)
POOLED = (0, 1, 4)
FEATURES = 64


class SliceEncoder(nn.Module):
    """Five strided convolutions; means and spreads over space of the first two and the last level become the features.

    Attributes:
        centre, scale: `(FEATURES,)`, of the raw features over the training slices.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        levels, before = [], 1
        for width in WIDTHS:
            levels.append(
                nn.Sequential(nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.SiLU())
            )
            before = width
        self.levels = nn.ModuleList(levels)
        self.project = nn.Linear(2 * sum(WIDTHS[level] for level in POOLED), FEATURES)
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    def raw(self, images: Tensor) -> Tensor:
        """Features before standardisation, `(B, FEATURES)`, of images `(B, 1, X, Y)` in [-1, 1]."""
        x, pooled = images, []
        for number, level in enumerate(self.levels):
            x = level(x)
            if number in POOLED:
                flat = x.flatten(2)
                pooled += [flat.mean(2), flat.std(2)]
        return self.project(torch.cat(pooled, dim=1))

    def forward(self, images: Tensor) -> Tensor:
        """Standardised features `(B, FEATURES)` of images `(B, 1, X, Y)` float32 in [-1, 1]."""
        return (self.raw(images) - self.centre) / self.scale


@torch.no_grad()
def features(encoder: SliceEncoder, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """Features of slices: `(N, FEATURES)` float32 of `(N, X, Y)` float32 in [-1, 1].

    Raises:
        MeasureError: for integers, another range or other axes.
    """
    images = checked_images(images)
    encoder.eval()
    parts = [
        encoder(torch.from_numpy(np.array(images[start : start + batch]))[:, None]).numpy()
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(parts)


def save_encoder(folder: Path, encoder: SliceEncoder, record: dict[str, Any]) -> None:
    """Writes weights and their record; the record, with the weights' SHA-256, is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, partial = folder / WEIGHTS, folder / f"{WEIGHTS}.partial"
    save_file({name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}, partial)
    partial.replace(weights)
    full = {"weights": WEIGHTS, "sha256": _digest(weights), "features": FEATURES, **record}
    partial = folder / f"{RECORD}.partial"
    partial.write_text(json.dumps(full, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD)


def load_encoder(folder: Path) -> SliceEncoder:
    """Reads an encoder.

    Raises:
        MeasureError: where it is missing, or its weights are not those of its record.
    """
    weights, record = folder / WEIGHTS, folder / RECORD
    if not weights.is_file() or not record.is_file():
        raise MeasureError(f"{folder} holds no feature encoder", "make one with 'make features'")
    try:
        said = json.loads(record.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasureError(f"{record} cannot be read", "make the encoder anew with 'make features'") from error
    if _digest(weights) != said:
        raise MeasureError(f"{weights} is not the file of its record", "make the encoder anew with 'make features'")
    encoder = SliceEncoder()
    try:
        encoder.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise MeasureError(f"{weights} does not fit this encoder", "make it anew with 'make features'") from error
    return encoder.eval()


def encoder_record(folder: Path) -> dict[str, Any]:
    """The record of an encoder: what it was trained on and how well it learned."""
    return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
