"""Training of the feature encoder on real training slices (`make features`): a few minutes on two CPU cores.

Everything drawn is a function of the seed, so the same cache on the same kind of machine gives the same encoder.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import JsddpmError
from jsddpm_core.evaluation.encoder import FEATURES, SliceEncoder, save_encoder
from jsddpm_core.evaluation.measure import MeasureError


@dataclass(frozen=True)
class EncoderTraining:
    """How the encoder learns.

    Attributes:
        blur_px: largest standard deviation of the blur, in pixels.
        noise: largest standard deviation of the noise inside the head, on the scale [-1, 1].
        contrast: largest change of log contrast.
        shift_px: largest shift.
    """

    steps: int = 1000
    batch: int = 32
    learning_rate: float = 2e-3
    blur_px: float = 1.5
    noise: float = 0.15
    contrast: float = 0.2
    shift_px: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Distortion:
    """What was done to each image of a batch, each `(B,)` in [0, 1] or [-1, 1] of its largest."""

    blur: Tensor
    noise: Tensor
    contrast: Tensor

    def targets(self) -> Tensor:
        return torch.stack([self.blur, self.noise, self.contrast], dim=1)


def draw_distortion(count: int, rng: np.random.Generator) -> Distortion:
    """Blur and noise each spare about half of the images."""

    def halved(low: float) -> Tensor:
        values = rng.uniform(low, 1, count) * (rng.random(count) < 0.5)
        return torch.from_numpy(values.astype(np.float32))

    return Distortion(halved(0), halved(0), halved(-1))


def distorted(images: Tensor, distortion: Distortion, config: EncoderTraining, rng: np.random.Generator) -> Tensor:
    """Images `(B, 1, X, Y)` in [-1, 1], blurred, changed in contrast and with noise in the head."""
    x, y = images.shape[2:]
    frequency = torch.fft.fftfreq(x)[:, None] ** 2 + torch.fft.rfftfreq(y)[None, :] ** 2
    sigma = (distortion.blur * config.blur_px)[:, None, None, None]
    spectrum = torch.fft.rfft2(images) * torch.exp(-2 * (math.pi * sigma) ** 2 * frequency)
    changed = torch.fft.irfft2(spectrum, s=(x, y))
    gain = torch.exp(distortion.contrast * config.contrast)[:, None, None, None]
    changed = (changed + 1) * gain - 1
    noise = torch.from_numpy(rng.standard_normal(tuple(images.shape), dtype=np.float32))
    head = (images > -0.95).float()
    changed = changed + noise * head * (distortion.noise * config.noise)[:, None, None, None]
    return changed.clamp(-1, 1)


class _Data:
    """The training slices and what is asked about them."""

    def __init__(self, cache: SliceCache, split: str) -> None:
        self.images = cache.images
        self.indices = np.asarray(cache.indices(split, synthetic=False))
        if not len(self.indices):
            raise MeasureError(f"the cache holds no slice of the {split} split", "prepare more cases")
        records = [cache.records[i] for i in self.indices]
        self.positions = np.array([record.position_mm for record in records], dtype=np.float32) / 50.0
        self.pathologies = [record.pathology for record in records]
        subjects = np.array([record.subject for record in records])
        _, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
        # Half evenly over slices, half evenly over subjects: neither whole volumes nor single slices get lost.
        self.chance = 0.5 / len(records) + 0.5 / (counts[codes] * len(counts))

    def batch(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(np.stack([self.images[self.indices[row]] for row in rows]))[:, None]


class _Heads(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.position = nn.Linear(FEATURES, 1)
        self.pathology = nn.Linear(FEATURES, classes)
        self.distortion = nn.Linear(FEATURES, 3)


def _augmented(images: Tensor, config: EncoderTraining, rng: np.random.Generator) -> Tensor:
    moved = []
    for image in images:
        shift = rng.integers(-config.shift_px, config.shift_px + 1, 2)
        image = torch.roll(image, (int(shift[0]), int(shift[1])), (1, 2))
        moved.append(image.flip(1) if rng.random() < 0.5 else image)
    return torch.stack(moved)


def train_encoder(
    cache: SliceCache, config: EncoderTraining = EncoderTraining(), log: Any = None
) -> tuple[SliceEncoder, dict[str, Any]]:
    """Trains on the training split and looks at the validation split once, at the end.

    Args:
        cache: the slice cache.
        config: how.
        log: called with a line of text now and then.

    Returns:
        The encoder, standardised over the training slices, and a record without any subject's name: settings, the
        cache's digest, and how well the held-out slices are told.

    Raises:
        MeasureError: for a cache without training slices.
    """
    data = _Data(cache, "train")
    names = sorted({name for name in data.pathologies if name is not None})
    classes = torch.tensor([names.index(name) if name is not None else -1 for name in data.pathologies])
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    encoder, heads = SliceEncoder(), _Heads(max(len(names), 1))
    optimiser = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps)
    for step in range(config.steps):
        rows = rng.choice(len(data.indices), config.batch, p=data.chance)
        distortion = draw_distortion(config.batch, rng)
        images = distorted(_augmented(data.batch(rows), config, rng), distortion, config, rng)
        raw = functional.silu(encoder.raw(images))
        loss = functional.smooth_l1_loss(heads.position(raw)[:, 0], torch.from_numpy(data.positions[rows]))
        loss = loss + 4 * functional.smooth_l1_loss(heads.distortion(raw), distortion.targets())
        known = classes[rows] >= 0
        if len(names) > 1 and known.any():
            loss = loss + 0.2 * functional.cross_entropy(heads.pathology(raw)[known], classes[rows][known])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if log is not None and step % 100 == 0:
            log(f"step {step} of {config.steps}: loss {loss.item():.3f}")
    _standardise(encoder, data)
    record = {
        "trained_on": {"cache": cache.digest, "slices": len(data.indices), "pathologies": names},
        "training": asdict(config),
        "held_out": _held_out(encoder, heads, cache, names, config),
    }
    return encoder, record


@torch.no_grad()
def _standardise(encoder: SliceEncoder, data: _Data) -> None:
    raw = torch.cat(
        [encoder.raw(data.batch(np.arange(i, min(i + 64, len(data.indices))))) for i in range(0, len(data.indices), 64)]
    )
    chance = torch.from_numpy(data.chance).float()[:, None]
    centre = (chance * raw).sum(0)
    encoder.centre.copy_(centre)
    encoder.scale.copy_((chance * (raw - centre) ** 2).sum(0).sqrt().clamp(min=1e-6))


@torch.no_grad()
def _held_out(
    encoder: SliceEncoder, heads: _Heads, cache: SliceCache, names: list[str], config: EncoderTraining
) -> dict[str, float]:
    """Errors on up to 400 validation slices, undistorted and distorted; empty where there are none."""
    if not len(cache.indices("validation")):
        return {}
    data = _Data(cache, "validation")
    rng = np.random.default_rng(config.seed + 1)
    rows = rng.permutation(len(data.indices))[:400]
    images = data.batch(rows)
    raw = functional.silu(encoder.raw(images))
    told: dict[str, float] = {
        "slices": len(rows),
        "position_mae_mm": float((heads.position(raw)[:, 0].numpy() - data.positions[rows]).__abs__().mean() * 50),
    }
    known = [k for k, row in enumerate(rows) if data.pathologies[row] in names]
    if known and len(names) > 1:
        said = heads.pathology(raw[known]).argmax(1).numpy()
        truth = np.array([names.index(str(data.pathologies[rows[k]])) for k in known])
        told["pathology_accuracy"] = float((said == truth).mean())
    distortion = draw_distortion(len(rows), rng)
    guess = heads.distortion(functional.silu(encoder.raw(distorted(images, distortion, config, rng))))
    for column, name in enumerate(("blur", "noise", "contrast")):
        told[f"{name}_correlation"] = float(np.corrcoef(guess[:, column], distortion.targets()[:, column])[0, 1])
    return {name: round(value, 4) for name, value in told.items()}


def main(arguments: list[str] | None = None) -> int:
    """`python -m jsddpm_core.evaluation.encoder_training --cache CACHE --out FOLDER`."""
    parser = argparse.ArgumentParser(description="Train the encoder in whose features KID is measured.")
    parser.add_argument("--cache", type=Path, required=True, help="slice cache, as 'jsddpm prepare' makes it")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and record")
    parser.add_argument("--steps", type=int, default=EncoderTraining.steps)
    parser.add_argument("--seed", type=int, default=EncoderTraining.seed)
    chosen = parser.parse_args(arguments)
    try:
        config, started = EncoderTraining(steps=chosen.steps, seed=chosen.seed), time.monotonic()
        encoder, record = train_encoder(SliceCache.open(chosen.cache), config, log=print)
        save_encoder(chosen.out, encoder, record)
    except JsddpmError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{chosen.out}: {record['held_out']} after {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
