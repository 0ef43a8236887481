"""The Lightning module: noise a batch, denoise it, weigh the error; everything else is somebody else's file."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from jsddpm_core.config import Config, TrainingConfig
from jsddpm_core.diffusion.denoiser import Condition, Denoiser, Estimate
from jsddpm_core.diffusion.prediction import training_target
from jsddpm_core.diffusion.schedule import Schedule
from jsddpm_core.losses.stack import LossInputs, LossReport, LossStack
from jsddpm_core.networks.joint_unet import build_network
from jsddpm_core.training.batches import Batch
from jsddpm_core.training.validation import energy_distance, sample_like


def learning_rate_factor(step: int, config: TrainingConfig, steps: int) -> float:
    """Share of the full learning rate at a step: linear warm-up, then half a cosine to the minimum."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = min((step - config.warmup_steps) / max(steps - config.warmup_steps, 1), 1.0)
    floor = config.minimum_learning_rate / config.learning_rate
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


class JointDiffusion(L.LightningModule):
    """Trains a joint network on batches of `training.batches`.

    Args:
        config: the run's configuration.
        steps: optimiser steps of the whole run, for the learning-rate schedule.
        parts: batches that make up a step; what is logged is their mean.
        rate: factor on every learning rate; below 1 once a run has diverged.
    """

    def __init__(self, config: Config, steps: int, *, parts: int = 1, rate: float = 1.0) -> None:
        super().__init__()
        self.config, self.steps, self.parts, self.rate = config, steps, parts, rate
        self._said: dict[str, Tensor] = {}
        self.network = build_network(config)
        if config.network.spatial_dims == 2:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.losses = LossStack(config.losses, [channel.name for channel in config.channels])
        self.schedule = Schedule(config.diffusion.schedule)

    @property
    def denoiser(self) -> Denoiser:
        """The network with its conventions; Lightning's precision plugin provides the autocast."""
        return Denoiser(self.network, self.schedule, self.config.diffusion, self.config.channels)

    def noised(self, x0: Tensor, epsilon: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x_t with its alpha and sigma, each channel at its own time."""
        alpha, sigma = (
            level.to(x0.dtype).view(*t.shape, *[1] * (x0.ndim - 2)) for level in self.schedule.alpha_sigma(t)
        )
        x_t = alpha * x0 + sigma * epsilon
        if x_t.ndim == 4:
            x_t = x_t.contiguous(memory_format=torch.channels_last)
        return x_t, alpha, sigma

    def earlier_estimate(self, batch: Batch) -> Tensor:
        """x0_hat for self-conditioning, zeros for the samples whose coin says no (Chen et al. 2022, algorithm 1).

        It comes from the same noise at the same or a larger t: along one sampling run, epsilon changes little.
        """
        previous = torch.zeros_like(batch["x0"])
        chosen = batch["self_condition"].nonzero().squeeze(1)
        if len(chosen):
            x_t, _, _ = self.noised(batch["x0"][chosen], batch["epsilon"][chosen], batch["later_t"][chosen])
            with torch.no_grad():
                estimate = self.denoiser.estimate(x_t, batch["later_t"][chosen], condition_of(batch, chosen))
            previous[chosen] = self.denoiser.clip(estimate.x0_hat).to(previous.dtype)
        return previous

    def loss(self, batch: Batch) -> LossReport:
        """The weighted loss of a batch and its terms by name, each `(B,)`."""
        x0, epsilon, t = batch["x0"], batch["epsilon"], batch["t"]
        x_t, alpha, sigma = self.noised(x0, epsilon, t)
        estimate: Estimate = self.denoiser.estimate(x_t, t, condition_of(batch), self.earlier_estimate(batch))
        return self.losses(
            LossInputs(
                x0=x0,
                x0_hat=estimate.x0_hat,
                prediction=estimate.prediction,
                target=training_target(self.config.diffusion.prediction, x0, epsilon, alpha, sigma),
                lesion=batch["lesion"],
                known=batch["known"],
            )
        )

    @property
    def step_loss(self) -> Tensor:
        """The loss of the newest step; of one under way, the sum over its parts so far."""
        return self._said["loss"]

    def training_step(self, batch: Batch, number: int) -> Tensor:
        report = self.loss(batch)
        values = {"loss": report.total.detach(), **{name: v.detach().mean() for name, v in report.terms.items()}}
        if number % self.parts:
            values = {name: self._said[name] + value for name, value in values.items()}
        self._said = values
        if (number + 1) % self.parts == 0:
            for name, value in values.items():
                self.log(f"train/{name}", value / self.parts, sync_dist=True)
            self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        return report.total

    def validation_step(self, batch: Batch, _step: int, dataloader_idx: int = 0) -> None:
        """Held-out loss at fixed noise, then the real sampler at a few steps against held-out slices."""
        size = len(batch["x0"])
        if dataloader_idx == 0:
            total = self.loss(batch).total
            self.log("validation/loss", total, batch_size=size, add_dataloader_idx=False, sync_dist=True)
            return
        self.preview = sample_like(batch, self.denoiser, self.config, self.parts).cpu()
        distance = energy_distance(self.preview, batch["x0"].cpu())
        self.log("validation/energy_distance", distance, batch_size=size, add_dataloader_idx=False, sync_dist=True)

    def configure_optimizers(self) -> dict[str, Any]:
        training = self.config.training
        # Decay would pull the log variances of the loss groups towards equal weights.
        groups = [
            {"params": _learning(self.network), "weight_decay": training.weight_decay},
            {"params": _learning(self.losses), "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=training.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.rate * learning_rate_factor(step, training, self.steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """A checkpoint brings the learning rates that it was written with; the factor may have changed since."""
        step = self.trainer.global_step
        factor = self.rate * learning_rate_factor(step, self.config.training, self.steps)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.config.training.learning_rate * factor


def _learning(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def condition_of(batch: Batch, rows: Tensor | slice = slice(None)) -> Condition:
    """What the samples of a batch should be, or some of them."""
    prior = batch.get("prior")
    return Condition(
        position_mm=batch["position_mm"][rows],
        pathology=batch["pathology"][rows],
        prior=None if prior is None else prior[rows],
    )
