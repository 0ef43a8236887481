"""The anatomical prior as tokens for cross-attention: a small convolutional encoder and a fixed position code."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jsddpm_core.config import PriorConfig
from jsddpm_core.networks.conditioning import sinusoid

SHORTEST_PERIOD_TOKENS = 2 * math.pi
"""One radian a token, as in Vaswani et al. 2017: a period of 2 would be sampled at its zeros only."""
LONGEST_PERIOD_TOKENS = 256.0
"""Several times the longest side in tokens, so that no two tokens of an axis share their code."""
NORM_GROUPS = 8


def grid_sinusoid(shape: tuple[int, ...], dim: int, device: torch.device | None = None) -> Tensor:
    """Sines and cosines of every place of a grid; each axis has an equal part of the code.

    Args:
        shape: sides of the grid in tokens, 2 or 3 of them.
        dim: length of the code; what the axes cannot share evenly in pairs stays 0.
        device: where to make it.

    Returns:
        float32 `(product of shape, dim)`, the last axis running fastest.
    """
    share = 2 * (dim // (2 * len(shape)))
    code = torch.zeros(*shape, dim, device=device)
    for axis, side in enumerate(shape):
        places = torch.arange(side, device=device)
        along = sinusoid(places, share, SHORTEST_PERIOD_TOKENS, LONGEST_PERIOD_TOKENS)
        across = [side if other == axis else 1 for other in range(len(shape))]
        code[..., axis * share : (axis + 1) * share] = along.view(*across, share)
    return code.flatten(0, -2)


class PriorEncoder(nn.Module):
    """Encodes a prior image for the UNet's cross-attention.

    Each entry of `encoder_channels` is a stride-2 convolution; with the default three a slice of 160 x 160 becomes
    20 x 20 = 400 tokens. The position code is fixed and is added after the last projection.

    Args:
        spatial_dims: 2 or 3.
        config: widths of the encoder and of the tokens.
    """

    def __init__(self, spatial_dims: int, config: PriorConfig) -> None:
        super().__init__()
        convolution = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        layers: list[nn.Module] = []
        seen = 1
        for width in config.encoder_channels:
            layers += [
                convolution(seen, width, kernel_size=3, stride=2, padding=1),
                nn.GroupNorm(math.gcd(NORM_GROUPS, width), width),
                nn.SiLU(),
            ]
            seen = width
        self.encoder = nn.Sequential(*layers)
        self.project = convolution(seen, config.token_dim, kernel_size=1)

    def forward(self, prior: Tensor) -> Tensor:
        """Prior `(B, 1, *S)` in [-1, 1] to tokens `(B, T, token_dim)`, T the product of the encoded sides.

        A side that is not a multiple of the downsampling is rounded up.
        """
        features = self.project(self.encoder(prior))
        tokens = features.flatten(2).transpose(1, 2)
        return tokens + grid_sinusoid(tuple(features.shape[2:]), tokens.shape[2], tokens.device).to(tokens)
