"""The joint network: MONAI's DiffusionModelUNet behind our stem, embedding and bottleneck variants.

It takes tensors and returns tensors only, so that it exports.
"""

from __future__ import annotations

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn

from jsddpm_core.config import Config, NetworkConfig
from jsddpm_core.networks.conditioning import ConditionEmbedding, NoiseLevelEmbedding
from jsddpm_core.networks.patches import from_patches, to_patches
from jsddpm_core.networks.prior_encoder import PriorEncoder


def _unet(config: NetworkConfig, in_channels: int, out_channels: int, context_dim: int | None) -> DiffusionModelUNet:
    unet = DiffusionModelUNet(
        spatial_dims=config.spatial_dims,
        in_channels=in_channels,
        out_channels=out_channels,
        num_res_blocks=config.residual_blocks,
        channels=config.channels,
        attention_levels=config.attention,
        norm_num_groups=config.groups,
        num_head_channels=config.head_channels,
        with_conditioning=context_dim is not None,
        cross_attention_dim=context_dim,
        use_flash_attention=True,
    )
    # Our own embedding replaces MONAI's; left in, its weights would be trained and stored for nothing.
    del unet.time_embed
    return unet


def _encode(unet: DiffusionModelUNet, x: Tensor, emb: Tensor, context: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    h = unet.conv_in(x)
    skips = [h]
    for block in unet.down_blocks:
        h, residuals = block(hidden_states=h, temb=emb, context=context)
        skips.extend(residuals)
    return h, skips


def _decode(unet: DiffusionModelUNet, h: Tensor, skips: list[Tensor], emb: Tensor, context: Tensor | None) -> Tensor:
    h = unet.middle_block(hidden_states=h, temb=emb, context=context)
    end = len(skips)
    for block in unet.up_blocks:
        start = end - len(block.resnets)
        h = block(hidden_states=h, res_hidden_states_list=skips[start:end], temb=emb, context=context)
        end = start
    return unet.out(h)


class JointUNet(nn.Module):
    """Predicts all channels of a slice (or volume) together.

    Bottlenecks: `shared` is one UNet for all channels; `decoupled` is one encoder with a middle block and a decoder
    for each channel; `independent` is one UNet for each channel, each of which sees all noisy channels, so that the
    pair is still modelled jointly.

    One evaluation of a slice of 160 x 160 takes 11.2 GFLOP in the fast configuration and 151.6 in the paper's. In
    float32 it reads 41 and 160 MB of weights, and its layers read and write 176 MB and 2.1 GB of activations: 50 to
    70 operations a byte (`Testing/benchmarks/network_cost.py` counts them).

    Args:
        config: the model's configuration.
        lowest_mm: lowest position of the grid's slices.
        highest_mm: highest position of the grid's slices.
    """

    def __init__(self, config: Config, lowest_mm: float, highest_mm: float) -> None:
        super().__init__()
        network, prior = config.network, config.conditioning.prior
        self.channels = len(config.channels)
        self.patch_size = network.patch_size
        self.bottleneck = network.bottleneck
        self.prior_kind = prior.kind
        dim = network.channels[0] * 4
        patch = network.patch_size**network.spatial_dims
        seen = self.channels * (2 if config.diffusion.self_conditioning.enabled else 1)
        seen += prior.kind == "concatenation"
        crossed = prior.kind == "cross_attention"
        context_dim = prior.token_dim if crossed else None

        self.noise_level = NoiseLevelEmbedding(self.channels, dim)
        self.condition = ConditionEmbedding(
            config.conditioning.bins, len(config.pathologies), lowest_mm, highest_mm, dim
        )
        self.prior_encoder = PriorEncoder(network.spatial_dims, prior) if crossed else None
        outputs = [self.channels] if self.bottleneck == "shared" else [1] * self.channels
        self.unets = nn.ModuleList(_unet(network, seen * patch, n * patch, context_dim) for n in outputs)
        if self.bottleneck == "decoupled":
            for decoder in list(self.unets)[1:]:
                del decoder.conv_in, decoder.down_blocks

    def forward(
        self, x: Tensor, t: Tensor, position_mm: Tensor, pathology: Tensor, prior: Tensor | None = None
    ) -> Tensor:
        """One network evaluation.

        Args:
            x: noisy channels, followed by the self-conditioning estimates where the config has them, `(B, n, *S)`;
                every side a multiple of patch_size x 2^(levels - 1).
            t: each channel's time in [1, T], `(B, C)`.
            position_mm: `(B,)`, in the grid's space.
            pathology: int64 `(B,)`, -1 for unknown.
            prior: `(B, 1, *S)` in [-1, 1] where the config has one.

        Returns:
            What the config's prediction names, `(B, C, *S)`.
        """
        emb = self.noise_level(t) + self.condition(position_mm, pathology)
        context = self.prior_encoder(prior) if self.prior_encoder is not None else None
        if self.prior_kind == "concatenation":
            x = torch.cat([x, prior], dim=1)
        x = to_patches(x, self.patch_size)
        h, skips = _encode(self.unets[0], x, emb, context)
        parts = [_decode(self.unets[0], h, skips, emb, context)]
        for unet in list(self.unets)[1:]:
            if self.bottleneck == "independent":
                h, skips = _encode(unet, x, emb, context)
            parts.append(_decode(unet, h, skips, emb, context))
        return torch.cat([from_patches(part, self.patch_size) for part in parts], dim=1)


def build_network(config: Config) -> JointUNet:
    """The network that a configuration describes, with fresh weights."""
    lowest_mm, highest_mm = config.data.grid.position_range_mm
    return JointUNet(config, lowest_mm, highest_mm)
