"""Training batches: batch k, its slices, times, noise and coins are pure functions of (seed, k, global sample index).

So a resumed run sees what an uninterrupted one would have seen, and n ranks together see what one rank would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.diffusion.noise import NoiseKey, fields
from jsddpm_core.diffusion.schedule import Schedule
from jsddpm_core.errors import TrainingError
from jsddpm_core.networks.conditioning import position_bin
from jsddpm_core.training.pools import SlicePools

LATER_LOG_SNR = 2.0
"""How much noisier, at the most, the estimate for self-conditioning is than the sample: two steps of a 20-step run."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Coins:
    """The random choices of one sample of one step, all drawn from one keyed stream, always in the same order."""

    pool: float
    member: float
    flip: bool
    drop_condition: bool
    self_condition: bool
    later_estimate: bool
    later: float
    independent: bool
    times: np.ndarray


def _generator(*key: int | str) -> np.random.Generator:
    digest = hashlib.sha256(":".join(str(part) for part in key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


def toss(config: Config, step: int, sample: int) -> Coins:
    """The coins of global sample `sample` in step `step`.

    The times are stratified: the batch's shared offset is moved by sample / batch size, so that every batch covers
    all noise levels (Kingma et al. 2021, appendix I.1).
    """
    training, diffusion = config.training, config.diffusion
    shared = _generator(training.seed, "times", step).random(len(config.channels))
    own = _generator(training.seed, "coins", step, sample)
    u = own.random(9)
    independent = diffusion.noise_levels == "independent" and bool(u[7] < diffusion.independent_share)
    strata = (shared + sample / training.batch_size) % 1.0
    if independent:
        # Another stratum for each channel: a fixed rotation would tie the channels' levels again.
        strata = (strata + own.random(len(config.channels))) % 1.0
    else:
        strata = np.full(len(config.channels), strata[0])
    return Coins(
        pool=float(u[0]),
        member=float(u[1]),
        flip=training.flip and bool(u[2] < 0.5),
        drop_condition=bool(u[3] < config.conditioning.dropout),
        self_condition=diffusion.self_conditioning.enabled and bool(u[4] < diffusion.self_conditioning.probability),
        later_estimate=bool(u[5] < diffusion.self_conditioning.later_share),
        later=float(u[6]),
        independent=independent,
        times=1 + (diffusion.schedule.steps - 1) * strata,
    )


def slice_tensors(cache: SliceCache, config: Config, index: int, flip: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """One cached slice as x0 `(C, X, Y)`, which channels are known `(C,)` and its lesion `(1, X, Y)`."""
    record = cache.records[index]
    image = np.asarray(cache.images[index], dtype=np.float32)
    mask = np.asarray(cache.masks[index]) > 0
    if flip:
        image, mask = image[::-1], mask[::-1]
    planes, known = [], []
    for channel in config.channels:
        if channel.role == "image":
            planes.append(image)
            known.append(True)
        else:
            low, high = channel.range or (0.0, 1.0)
            planes.append(np.where(mask, np.float32(high), np.float32(low)))
            known.append(record.mask_known)
    return torch.from_numpy(np.stack(planes)), torch.tensor(known), torch.from_numpy(mask[None].copy())


def with_prior(batch: Batch, priors: np.ndarray | None, config: Config) -> Batch:
    """The batch with the anatomical prior of each sample's bin, `(B, 1, X, Y)`, where there are priors."""
    if priors is None:
        return batch
    bins = position_bin(batch["position_mm"], *config.data.grid.position_range_mm, config.conditioning.bins)
    return {**batch, "prior": torch.from_numpy(priors[bins.numpy()][:, None].astype(np.float32))}


class TrainingBatches(Dataset[Batch]):
    """Maps a step to this rank's share of its batch.

    Args:
        cache: the slices.
        config: the run's configuration.
        rank: this process, 0 to ranks - 1.
        ranks: number of processes; must divide the global batch.
        priors: anatomical prior of each bin, `(bins, X, Y)` in [-1, 1], where the config uses one.
        parts: how many times this rank's share is computed bit by bit, to need less memory: item `step * parts + part`
            is one of its parts, and the mean over a step's parts is the mean over the share.

    Raises:
        CacheError: if the cache holds nothing to train on, or what the configuration does not know.
        TrainingError: if the batch cannot be split evenly.
    """

    def __init__(
        self,
        cache: SliceCache,
        config: Config,
        rank: int = 0,
        ranks: int = 1,
        priors: np.ndarray | None = None,
        parts: int = 1,
    ) -> None:
        self.cache, self.config, self.priors, self.parts = cache, config, priors, parts
        self.schedule = Schedule(config.diffusion.schedule)
        self.pools = SlicePools(cache, config)
        share, rest = divmod(config.training.batch_size, ranks)
        if rest:
            raise TrainingError(
                f"a batch of {config.training.batch_size} cannot be split over {ranks} processes",
                "set training.batch_size to a multiple of their number",
            )
        if share % parts:
            raise TrainingError(
                f"{share} slices cannot be computed in {parts} equal parts", "set training.batch_size to a power of 2"
            )
        self.samples = range(rank * share, (rank + 1) * share)

    def __getitem__(self, item: int) -> Batch:
        config = self.config
        step, part = divmod(item, self.parts)
        size = len(self.samples) // self.parts
        samples = self.samples[part * size : (part + 1) * size]
        coins = [toss(config, step, sample) for sample in samples]
        indices = [self.pools.draw(coin.pool, coin.member) for coin in coins]
        slices = [
            slice_tensors(self.cache, config, index, coin.flip) for index, coin in zip(indices, coins, strict=True)
        ]
        x0, known, lesion = (torch.stack(part) for part in zip(*slices, strict=True))
        records = [self.cache.records[index] for index in indices]
        names = [pathology.name for pathology in config.pathologies]
        pathology = [
            -1 if coin.drop_condition or record.pathology is None else names.index(record.pathology)
            for record, coin in zip(records, coins, strict=True)
        ]
        t = torch.from_numpy(np.stack([coin.times for coin in coins]))
        gap = torch.tensor([[LATER_LOG_SNR * coin.later * coin.later_estimate] for coin in coins], dtype=torch.float64)
        later = torch.from_numpy(self.schedule.time_at((self.schedule.log_snr(t) - gap).numpy()))
        keys = [NoiseKey(config.training.seed, sample, 0, 0) for sample in samples]
        batch = {
            "x0": x0,
            "known": known,
            "lesion": lesion,
            "position_mm": torch.tensor([record.position_mm for record in records], dtype=torch.float32),
            "pathology": torch.tensor(pathology),
            "t": t,
            "later_t": torch.where(gap > 0, later, t),
            "self_condition": torch.tensor([coin.self_condition for coin in coins]),
            "epsilon": fields(config.diffusion.noise, keys, step, tuple(x0.shape[1:])),
        }
        return with_prior(batch, self.priors, config)

    def __len__(self) -> int:
        training = self.config.training
        if training.max_steps is not None:
            return training.max_steps
        return training.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """An epoch draws as many slices as the training split holds."""
        return -(-len(self.pools) // self.config.training.batch_size)

    @property
    def steps_per_round(self) -> int:
        """Steps between two validations."""
        return self.steps_per_epoch * self.config.training.validation_every


def finer(share: int, parts: int) -> int | None:
    """The next number of equal parts that needs at most half the memory; None where a part is one slice already."""
    return next((count for count in range(2 * parts, share + 1) if share % count == 0), None)


class RoundSteps(Sampler[int]):
    """The items of the round that begins: the steps until the next validation, each with its parts.

    They follow from the optimiser steps that are done, whatever was counted besides: a resumed run goes on in the
    middle of a round. It has no length, because the first round of a resumed run and the last one may be shorter.

    Args:
        batches: of the run.
        steps_done: asked whenever a round begins.
    """

    def __init__(self, batches: TrainingBatches, steps_done: Callable[[], int]) -> None:
        self.steps, self.per_round, self.parts = len(batches), batches.steps_per_round, batches.parts
        self.steps_done = steps_done

    def __iter__(self) -> Iterator[int]:
        first = self.steps_done()
        end = min((first // self.per_round + 1) * self.per_round, self.steps)
        return iter(range(first * self.parts, end * self.parts))
