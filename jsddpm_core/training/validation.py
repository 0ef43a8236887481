"""Validation that runs the real sampler: held-out slices asked for again, and how far the answers lie from them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d
from torch.utils.data import Dataset

from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.diffusion.denoiser import Condition, Denoiser
from jsddpm_core.diffusion.noise import NoiseKey, NoiseStream, fields
from jsddpm_core.diffusion.samplers import sampler_of
from jsddpm_core.diffusion.schedule import Schedule
from jsddpm_core.training.batches import Batch, slice_tensors, with_prior

VALIDATION_STEP = 2**40
"""Noise of validation is keyed far behind any training step, and is the same in every epoch."""

POOLED = 20
"""Side of the coarse images on which samples and held-out slices are compared."""


class HeldOutBatches(Dataset[Batch]):
    """The validation slices in batches, at times spread evenly over [1, T] and with noise of their own.

    Args:
        cache: the slices.
        config: the run's configuration.
        indices: which slices, in order.
        priors: as for training.
        size: slices of a batch; None for as many as in training.
    """

    def __init__(
        self,
        cache: SliceCache,
        config: Config,
        indices: np.ndarray,
        priors: np.ndarray | None,
        size: int | None = None,
    ) -> None:
        self.cache, self.config, self.indices, self.priors = cache, config, indices, priors
        self.size = min(size or config.training.batch_size, max(len(indices), 1))

    def __len__(self) -> int:
        return -(-len(self.indices) // self.size)

    def __getitem__(self, number: int) -> Batch:
        config = self.config
        places = range(number * self.size, min((number + 1) * self.size, len(self.indices)))
        if not places:
            raise IndexError(number)
        rows = [int(self.indices[place]) for place in places]
        x0, known, lesion = (
            torch.stack(part) for part in zip(*(slice_tensors(self.cache, config, row) for row in rows), strict=True)
        )
        records = [self.cache.records[row] for row in rows]
        names = [pathology.name for pathology in config.pathologies]
        keys = [NoiseKey(config.training.seed, place, 0, 0) for place in places]
        # The golden ratio spreads the times evenly over any number of slices in any order.
        share = torch.tensor([(place * 0.6180339887498949) % 1.0 for place in places], dtype=torch.float64)
        t = (1 + (config.diffusion.schedule.steps - 1) * share).unsqueeze(1).expand(-1, len(config.channels))
        batch = {
            "x0": x0,
            "known": known,
            "lesion": lesion,
            "position_mm": torch.tensor([record.position_mm for record in records], dtype=torch.float32),
            "pathology": torch.tensor(
                [-1 if record.pathology is None else names.index(record.pathology) for record in records]
            ),
            "t": t,
            "later_t": t,
            "self_condition": torch.zeros(len(rows), dtype=torch.bool),
            "epsilon": fields(config.diffusion.noise, keys, VALIDATION_STEP, tuple(x0.shape[1:])),
        }
        return with_prior(batch, self.priors, config)


def spread(cache: SliceCache, count: int) -> np.ndarray:
    """At most `count` validation slices, the pathologies taking turns and positions spread within each.

    Slices of unknown pathology stand aside, unless there are no others: then those are what is asked for again.
    """
    by_pathology: dict[str | None, list[int]] = {}
    for index in sorted(cache.indices("validation"), key=lambda index: cache.records[index].position_mm):
        by_pathology.setdefault(cache.records[index].pathology, []).append(int(index))
    if len(by_pathology) > 1:
        by_pathology.pop(None, None)
    if not by_pathology:
        return np.array([], dtype=np.int64)
    each = -(-count // len(by_pathology))
    picks = [
        pool[round(place)]
        for pool in by_pathology.values()
        for place in np.linspace(0, len(pool) - 1, min(each, len(pool)))
    ]
    return np.array(picks[:count], dtype=np.int64)


def sample_like(batch: Batch, denoiser: Denoiser, config: Config, parts: int = 1) -> Tensor:
    """Samples of the same positions and pathologies as a batch, `(B, C, *S)`, by the configured sampler.

    Args:
        batch: of held-out slices.
        denoiser: that is asked.
        config: of the run.
        parts: how many times a part of the batch is drawn, to need less memory.
    """
    schedule: Schedule = denoiser.schedule
    shape = tuple(batch["x0"].shape[1:])
    grid = schedule.grid(schedule.times(config.sampling.grid, config.training.validation_steps))
    prior = batch.get("prior")
    drawn = []
    for rows in torch.arange(len(batch["x0"])).chunk(parts):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        keys = [NoiseKey(config.training.seed, int(number), 0, 0) for number in rows]
        noise = NoiseStream(config.diffusion.noise, keys, shape, device=batch["x0"].device)
        condition = Condition(
            batch["position_mm"][part], batch["pathology"][part], None if prior is None else prior[part]
        )
        drawn.append(sampler_of(config.sampling)(denoiser.bind(condition), noise.initial(), grid, noise).float())
    return torch.cat(drawn)


def energy_distance(samples: Tensor, real: Tensor) -> Tensor:
    """Energy distance between two sets of coarse images (Szekely & Rizzo 2013, eq. 2.1); 0 for equal distributions.

    Args:
        samples: `(N, C, *S)`.
        real: `(M, C, *S)`.

    Returns:
        A scalar in the intensity unit of the images, root mean square over the coarse pixels.
    """
    pool = adaptive_avg_pool2d if samples.ndim == 4 else adaptive_avg_pool3d
    a, b = (pool(images.float(), POOLED).flatten(1) for images in (samples, real))

    def mean_distance(left: Tensor, right: Tensor) -> Tensor:
        return torch.cdist(left, right).mean() / left.shape[1] ** 0.5

    return 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)
