"""Weighting groups of loss terms by their uncertainty (Kendall et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jsddpm_core.config_losses import KendallConfig


class KendallWeighting(nn.Module):
    """Sum over the groups of exp(-s) / 2 x loss + s / 2, with s = log sigma^2 one number a group.

    This is the regression part of Kendall et al. 2018, eq. 10 (1 / (2 sigma^2) L + log sigma), written in the log
    variance for stability, as their section 3.2 does. s settles where it equals the log of the group's loss, so the
    value may be negative and the groups then pull alike, whatever their scales.

    Args:
        config: initial log variances by group, and whether they are learned.
    """

    def __init__(self, config: KendallConfig) -> None:
        super().__init__()
        self.groups = tuple(config.initial_log_variances)
        initial = torch.tensor([config.initial_log_variances[group] for group in self.groups])
        if config.learnable:
            self.log_variances = nn.Parameter(initial)
        else:
            self.register_buffer("log_variances", initial)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Each group's loss, all of one shape, to the weighted sum of the same shape."""
        weighted = [
            0.5 * torch.exp(-s) * losses[group] + 0.5 * s
            for group, s in zip(self.groups, self.log_variances, strict=True)
        ]
        return torch.stack(weighted).sum(dim=0)
