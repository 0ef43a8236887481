"""One of our configurations in training: batches, loss, optimiser and average, as `jsddpm train` has them.

Lightning's loop is left out on both sides; the arithmetic is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from held_out import Noisy
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from jsddpm_core.config import Config
from jsddpm_core.config_file import load_config
from jsddpm_core.data.priors import build_priors
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.diffusion.denoiser import Condition
from jsddpm_core.networks.joint_unet import build_network
from jsddpm_core.training.batches import Batch, TrainingBatches, with_prior
from jsddpm_core.training.module import JointDiffusion
from jsddpm_core.training.pools import with_seen_pathologies


def config_for(name: str, cache: SliceCache, batch: int, seed: int) -> Config:
    """A shipped configuration for the benchmark's slices: the paper's too gets the pathologies that the cache shows.

    Which classes there are changes a table of a few hundred numbers in the network, and nothing that takes time.
    """
    config = load_config(name, (f"training.batch_size={batch}", f"training.seed={seed}"))
    return with_seen_pathologies(config.model_copy(update={"pathologies": load_config("fast").pathologies}), cache)


class Ours:
    """A configuration's network on one device, ready to learn.

    Args:
        config: as `config_for` makes it.
        cache: the slices on disk.
        device: where it computes.
        arithmetic: the surroundings of every forward pass, autocast or nothing.
    """

    def __init__(
        self,
        config: Config,
        cache: SliceCache,
        device: torch.device,
        arithmetic: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self.config, self.device, self.arithmetic = config, device, arithmetic
        self.priors = None if config.conditioning.prior.kind == "none" else build_priors(cache, config)
        batches = TrainingBatches(cache, config, priors=self.priors)
        self._loader = iter(DataLoader(batches, batch_size=None))
        self.module = JointDiffusion(config, len(batches)).to(device)
        optimiser = self.module.configure_optimizers()
        self._optimizer, self._rate = optimiser["optimizer"], optimiser["lr_scheduler"]["scheduler"]
        self._average = AveragedModel(self.module, multi_avg_fn=get_ema_multi_avg_fn(config.training.ema_decay))

    @property
    def parameters(self) -> int:
        """Numbers that are learned."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def batch(self, turn: int | None = None) -> Batch:
        """The next batch from the loader; with a turn, exactly every second sample sees an earlier estimate."""
        batch = next(self._loader)
        if turn is not None:
            batch["self_condition"] = torch.arange(len(batch["x0"])) % 2 == turn % 2
        return {name: value.to(self.device) for name, value in batch.items()}

    def loss(self, batch: Batch) -> Tensor:
        with self.arithmetic():
            return self.module.loss(batch).total

    def update(self) -> None:
        """Clips the gradient, takes the optimiser's step, and averages the weights."""
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.training.gradient_clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._rate.step()
        self._average.update_parameters(self.module)

    def x0_hat(self, noisy: Noisy) -> Tensor:
        names = [pathology.name for pathology in self.config.pathologies]
        position_mm = torch.tensor([record.position_mm for record in noisy.records], dtype=torch.float32)
        batch = {
            "position_mm": position_mm,
            "pathology": torch.tensor([names.index(str(record.pathology)) for record in noisy.records]),
        }
        batch = {k: v.to(self.device) for k, v in with_prior(batch, self.priors, self.config).items()}
        condition = Condition(batch["position_mm"], batch["pathology"], batch.get("prior"))
        log_snr = math.log(noisy.alpha_bar / (1 - noisy.alpha_bar))
        t = torch.full((len(noisy.records),), float(self.module.schedule.time_at(log_snr)), device=self.device)
        x_t = noisy.x_t.to(self.device, memory_format=torch.channels_last)
        with self.arithmetic():
            return self.module.denoiser.estimate(x_t, t, condition).x0_hat

    def gflop(self) -> tuple[float, float]:
        """10^9 operations of one slice's forward pass, and of its backward pass."""
        config, channels = self.config, len(self.config.channels)
        shape = config.data.grid.shape[:2]
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            out = build_network(config)(
                torch.empty(1, channels * (2 if config.diffusion.self_conditioning.enabled else 1), *shape),
                torch.empty(1, channels),
                torch.empty(1),
                torch.empty(1, dtype=torch.long),
                None if self.priors is None else torch.empty(1, 1, *shape),
            )
            forward = counter.get_total_flops() / 1e9
            out.sum().backward()
            return forward, counter.get_total_flops() / 1e9 - forward
