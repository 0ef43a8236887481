"""The peer in training: its own module, loss, optimiser and average, with the settings of its published run.

Only the slices come from our cache, by the rule that ours are drawn with; noise, times and coins are the peer's own.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from held_out import Noisy
from peer_config import PUBLISHED
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache, SliceRecord
from jsddpm_core.training.batches import slice_tensors, toss
from jsddpm_core.training.pools import SlicePools


class Peer:
    """The peer's network on one device, ready to learn.

    Args:
        folder: of the peer's wheel.
        config: ours; which slices a batch holds, and how many.
        cache: the slices on disk.
        device: where it computes.
        arithmetic: the surroundings of every forward pass, autocast or nothing.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        cache: SliceCache,
        device: torch.device,
        arithmetic: Callable[[], AbstractContextManager[object]],
    ) -> None:
        sys.path.insert(0, str(folder))
        from omegaconf import OmegaConf
        from src.diffusion.model.components.conditioning import compute_class_token, compute_z_bin
        from src.diffusion.model.factory import build_model
        from src.diffusion.training.callbacks.epoch_callbacks import EMACallback
        from src.diffusion.training.lit_modules import JSDDPMLightningModule

        self._settings = OmegaConf.create(copy.deepcopy(PUBLISHED))
        self._build, self._bin, self._token = build_model, compute_z_bin, compute_class_token
        self.config, self.cache, self.device, self.arithmetic = config, cache, device, arithmetic
        self._pools, self._drawn, self._steps = SlicePools(cache, config), 0, 0
        torch.manual_seed(config.training.seed)
        self.module = JSDDPMLightningModule(self._settings).to(device)
        self.module.log = lambda *_values, **_more: None  # there is no trainer to log to
        self._optimizer = self.module.configure_optimizers()["optimizer"]
        self._average = EMACallback(**PUBLISHED["training"]["ema"])
        self._average.setup(SimpleNamespace(), self.module, "fit")

    @property
    def parameters(self) -> int:
        """Numbers that are learned."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def batch(self, turn: int | None = None) -> dict[str, Any]:
        """The next batch; with a turn, exactly every second batch sees an earlier estimate.

        The peer tosses one coin for the whole batch, ours toss one a sample: in the mean both make half an estimate.
        """
        coins = [toss(self.config, self._drawn, sample) for sample in range(self.config.training.batch_size)]
        self._drawn += 1
        rows = [self._pools.draw(coin.pool, coin.member) for coin in coins]
        x0 = torch.stack(
            [slice_tensors(self.cache, self.config, row, coin.flip)[0] for row, coin in zip(rows, coins, strict=True)]
        ).to(self.device)
        return {
            "image": x0[:, :1],
            "mask": x0[:, 1:],
            "token": self._tokens([self.cache.records[row] for row in rows]),
            "probability": 0.5 if turn is None else float(turn % 2 == 0),
        }

    def _tokens(self, records: list[SliceRecord]) -> Tensor:
        """The peer's conditions: the position's bin, and whether there is a lesion."""
        lesional = {pathology.name for pathology in self.config.pathologies if pathology.lesional}
        grid, bins = self.config.data.grid, PUBLISHED["conditioning"]["z_bins"]
        tokens = []
        for record in records:
            index = min(max(record.slice_index, grid.first_slice), grid.last_slice)
            place = self._bin(index, tuple(PUBLISHED["data"]["slice_sampling"]["z_range"]), bins)
            tokens.append(self._token(place, int(record.pathology in lesional), bins))
        return torch.tensor(tokens, device=self.device)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        self.module._self_cond_prob = batch["probability"]
        with self.arithmetic():
            return self.module.training_step(batch, self._steps)

    def update(self) -> None:
        """Clips the gradient, takes the optimiser's step, and averages the weights."""
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), PUBLISHED["training"]["gradient_clip_val"])
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._steps += 1
        self._average.on_train_batch_end(SimpleNamespace(global_step=self._steps), self.module, None, None, 0)

    def x0_hat(self, noisy: Noisy) -> Tensor:
        """The network's output, which is an estimate of x0."""
        inputs = torch.cat([noisy.x_t, torch.zeros_like(noisy.x_t)], dim=1).to(self.device)
        times = torch.full((len(noisy.records),), noisy.index, device=self.device)
        with self.arithmetic():
            return self.module(inputs, times, self._tokens(noisy.records))

    def gflop(self) -> tuple[float, float]:
        """10^9 operations of one slice's forward pass, and of its backward pass."""
        shape = self.config.data.grid.shape[:2]
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            network, _ = self._build(self._settings)
            inputs, token = torch.empty(1, 4, *shape), torch.zeros(1, dtype=torch.long)
            out = network(inputs, timesteps=torch.empty(1), context=None, class_labels=token)
            forward = counter.get_total_flops() / 1e9
            out.sum().backward()
            return forward, counter.get_total_flops() / 1e9 - forward
