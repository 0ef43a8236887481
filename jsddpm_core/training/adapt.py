"""Which weights of a network learn: all of them, those of its last levels, or low-rank changes of its deep ones.

With few cases, fewer weights learn and the others stay exactly as the start model has them: they get no gradient, so
neither step nor weight decay moves them. An average of equal values must not move them either: take one that
interpolates (`torch.optim.swa_utils.get_ema_multi_avg_fn`), since decay * w + (1 - decay) * w rounds.

Levels are halved: the shallow half of the way up, nearest to the image, and the deep half with the middle block.

- `last-levels`: the shallow half of the way up, the output, and the embedding of position and pathology.
- `low-rank`: W = W0 + alpha / r B A (Hu et al. 2021, section 4.1, eq. 3) in all attention blocks and in the deep
  convolutions, and the embedding of the pathology. A convolution's kernel counts as a matrix of its outputs by all
  that one output sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from jsddpm_core.config import Config
from jsddpm_core.networks.joint_unet import JointUNet, build_network

Mode: TypeAlias = Literal["all", "last-levels", "low-rank"]

RANK = 8
ALPHA = 16.0

_ORIGINAL = ".parametrizations.weight.original"
_CHANGE = ".parametrizations.weight.0."


@dataclass(frozen=True)
class Trained:
    """How many numbers learn.

    Attributes:
        parameters: that an optimiser may change.
        network: of the network as a bundle holds it, low-rank factors not counted.
    """

    parameters: int
    network: int

    def __str__(self) -> str:
        return f"{self.parameters:,} of {self.network:,} weights ({self.parameters / self.network:.1%})"


class LowRank(nn.Module):
    """W0 to W0 + alpha / r B A, where A `(r, seen)` starts random and B `(outputs, r)` at zero: W begins as W0.

    Args:
        weight: W0, `(outputs, ...)`.
        rank: r; a smaller matrix takes what it can have.
        alpha: scale of the change.
        generator: of A's first values.
    """

    scale: Tensor

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        outputs, seen = weight.shape[0], weight[0].numel()
        rank = min(rank, outputs, seen)
        first = torch.randn(rank, seen, generator=generator, device="cpu") / math.sqrt(seen)
        self.a = nn.Parameter(first.to(weight))
        self.b = nn.Parameter(torch.zeros(outputs, rank).to(weight))
        self.register_buffer("scale", torch.tensor(alpha / rank).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        return _changed(weight, self.a, self.b, self.scale)


def _changed(weight: Tensor, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    return weight + scale * (b @ a).view(weight.shape)


def set_trainable(network: JointUNet, mode: Mode, *, rank: int = RANK, alpha: float = ALPHA, seed: int = 0) -> Trained:
    """Chooses the weights that learn; called once, after a start model's weights were loaded.

    Args:
        network: changed in place. With `low-rank` its state gets other names, which `merged` takes back.
        mode: see the module's words.
        rank: of the changes.
        alpha: their scale.
        seed: of the random half of each change.
    """
    size = sum(parameter.numel() for parameter in network.parameters())
    network.requires_grad_(mode == "all")
    if mode == "last-levels":
        for module in _last_levels(network):
            module.requires_grad_(True)
    elif mode == "low-rank":
        generator = torch.Generator().manual_seed(seed)
        for layer in _deep_layers(network):
            change = LowRank(layer.weight, rank, alpha, generator)
            parametrize.register_parametrization(layer, "weight", change)
        network.condition.pathology_embedding.requires_grad_(True)
    return Trained(sum(parameter.numel() for parameter in trained_parameters(network)), size)


def trained_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """What an optimiser is given."""
    return (parameter for parameter in module.parameters() if parameter.requires_grad)


def count_trained(config: Config) -> Trained:
    """What `set_trainable` would choose for a configuration, without making the weights."""
    with torch.device("meta"):
        network = build_network(config)
    return set_trainable(network, config.training.trainable)


def merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with its low-rank changes added to the weights, under the names of a plain network.

    Args:
        state: of a network or of anything that holds one; one without changes comes back as it is.
    """
    plain = {}
    for name, value in state.items():
        if name.endswith(_ORIGINAL):
            layer = name.removesuffix(_ORIGINAL)
            a, b, scale = (state[f"{layer}{_CHANGE}{part}"] for part in ("a", "b", "scale"))
            plain[f"{layer}.weight"] = _changed(value, a, b, scale)
        elif _CHANGE not in name:
            plain[name] = value
    return plain


def _shallow(unet: nn.Module) -> int:
    """How many levels count as near the image."""
    return max(len(unet.up_blocks) // 2, 1)


def _last_levels(network: JointUNet) -> Iterator[nn.Module]:
    yield network.condition
    for unet in network.unets:
        yield from list(unet.up_blocks)[-_shallow(unet) :]
        yield unet.out


def _deep_layers(network: JointUNet) -> list[nn.Module]:
    """Linear layers of attention blocks at any level, and convolutions of the deep half, in the network's order."""
    deep = []
    for unet in network.unets:
        shallow = _shallow(unet)
        deep += [*list(getattr(unet, "down_blocks", ()))[shallow:], unet.middle_block]
        deep += list(unet.up_blocks)[: len(unet.up_blocks) - shallow]
    convolutions = {
        layer for block in deep for layer in block.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    }
    return [
        layer
        for name, layer in network.unets.named_modules()
        if layer in convolutions or (isinstance(layer, nn.Linear) and "attention" in name)
    ]
