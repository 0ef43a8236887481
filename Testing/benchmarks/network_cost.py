"""What one evaluation of a configuration's network costs on paper: operations and bytes, on no machine at all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from jsddpm_core.config import Config
from jsddpm_core.networks.joint_unet import build_network

BYTES = 4
"""Of a float32 value; half of it in bf16."""


def network_cost(config: Config) -> dict[str, float]:
    """Counts one evaluation of one slice, without computing it.

    Only on the meta device is attention counted too: PyTorch's counter does not know the fused kernel of the CPU.

    Returns:
        `gflop`: 10^9 operations, a multiplication with its addition being two;
        `weights_mb`: the network's tensors in float32, 10^6 bytes;
        `activations_mb`: what its layers read and write of each other in float32, 10^6 bytes.
    """
    moved = 0

    def count(_layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal moved
        moved += sum(value.numel() for value in (*inputs, output) if isinstance(value, Tensor))

    shape = config.data.grid.shape[: config.network.spatial_dims]
    channels = len(config.channels)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = build_network(config).eval()
        for layer in network.modules():
            if not list(layer.children()):
                layer.register_forward_hook(count)
        network(
            torch.empty(1, channels * (2 if config.diffusion.self_conditioning.enabled else 1), *shape),
            torch.empty(1, channels),
            torch.empty(1),
            torch.empty(1, dtype=torch.long),
            None if config.conditioning.prior.kind == "none" else torch.empty(1, 1, *shape),
        )
    return {
        "gflop": counter.get_total_flops() / 1e9,
        "weights_mb": sum(parameter.numel() for parameter in network.parameters()) * BYTES / 1e6,
        "activations_mb": moved * BYTES / 1e6,
    }
