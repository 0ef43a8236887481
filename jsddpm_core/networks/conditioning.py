"""What the network is told beside the image: noise levels, slice position and pathology, as one embedding vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SHORTEST_PERIOD_MM = 5.0
LONGEST_PERIOD_MM = 500.0


def sinusoid(values: Tensor, dim: int, shortest: float, longest: float) -> Tensor:
    """Sines and cosines of continuous values at geometric periods (Vaswani et al. 2017, section 3.5).

    Args:
        values: any shape, in the unit of the periods.
        dim: even length of the code.
        shortest: shortest period.
        longest: longest period.

    Returns:
        float32, values' shape with `(dim,)` appended.
    """
    half = dim // 2
    periods = torch.logspace(math.log10(shortest), math.log10(longest), half, device=values.device)
    phase = values.float().unsqueeze(-1) * (2 * math.pi / periods)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)


def position_bin(position_mm: Tensor, lowest_mm: float, highest_mm: float, bins: int) -> Tensor:
    """The bin, 0 to bins - 1, of positions in [lowest_mm, highest_mm]; outside values fall into the end bins."""
    share = (position_mm - lowest_mm) / (highest_mm - lowest_mm)
    return (share * bins).long().clamp(0, bins - 1)


def condition_token(position: Tensor, pathology: Tensor, bins: int) -> Tensor:
    """token = bin + pathology x bins; the null pathology counts as one more class behind the last."""
    return position + pathology * bins


class NoiseLevelEmbedding(nn.Module):
    """Embeds the time of every channel, so that each may have a noise level of its own."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.code_dim = dim // 2
        self.mlp = nn.Sequential(nn.Linear(channels * self.code_dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Tensor) -> Tensor:
        """Times `(B, C)` in [1, T] to `(B, dim)`."""
        code = sinusoid(t, self.code_dim, shortest=2 * math.pi, longest=2 * math.pi * 10_000)
        return self.mlp(code.flatten(1))


class ConditionEmbedding(nn.Module):
    """Embeds position and pathology.

    Position is a learned embedding of its bin plus a fixed sinusoid of the continuous millimetres; pathology is a
    learned embedding whose last row is the null token (unknown, or dropped for classifier-free guidance).
    """

    def __init__(self, bins: int, pathologies: int, lowest_mm: float, highest_mm: float, dim: int) -> None:
        super().__init__()
        self.bins, self.pathologies = bins, pathologies
        self.lowest_mm, self.highest_mm = lowest_mm, highest_mm
        self.bin_embedding = nn.Embedding(bins, dim)
        self.pathology_embedding = nn.Embedding(pathologies + 1, dim)
        self.mlp = nn.Sequential(nn.Linear(2 * dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, position_mm: Tensor, pathology: Tensor) -> Tensor:
        """Positions `(B,)` in mm and classes `(B,)`, -1 for unknown, to `(B, dim)`."""
        known = torch.where(pathology < 0, self.pathologies, pathology)
        position = position_bin(position_mm, self.lowest_mm, self.highest_mm, self.bins)
        token = condition_token(position, known, self.bins)
        dim = self.bin_embedding.embedding_dim
        place = self.bin_embedding(token % self.bins)
        place = place + sinusoid(position_mm, dim, SHORTEST_PERIOD_MM, LONGEST_PERIOD_MM).to(place)
        return self.mlp(torch.cat([place, self.pathology_embedding(token // self.bins)], dim=-1))
