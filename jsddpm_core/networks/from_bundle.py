"""From a bundle to a network that is ready to sample."""

from __future__ import annotations

import torch
from torch import nn

from jsddpm_core.bundle import Bundle
from jsddpm_core.errors import BundleError
from jsddpm_core.manifest import PRIORS
from jsddpm_core.networks.joint_unet import build_network


def load_denoiser_network(bundle: Bundle, device: torch.device | str = "cpu") -> nn.Module:
    """The bundle's network in evaluation mode, float32, without gradients.

    Two-dimensional networks come in the channels-last memory format, which convolutions run fastest in.

    Raises:
        BundleError: if the weights do not fit the network that the manifest describes.
    """
    weights = {name: torch.from_numpy(array.astype("float32")) for name, array in bundle.weights().items()}
    with torch.device("meta"):  # shapes alone: a manifest that describes a vast network must not use up the memory
        expected = {
            name: tuple(tensor.shape) for name, tensor in build_network(bundle.manifest.config()).state_dict().items()
        }
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise BundleError(
                f"{bundle.folder}: tensor '{name}' is {_said(found.get(name))}, "
                f"but the network that the manifest describes has {_said(expected.get(name))}",
                "get the bundle again",
            )
    with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, only to be replaced
        network = build_network(bundle.manifest.config())
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    if bundle.manifest.network.spatial_dims == 2:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)


def load_priors(bundle: Bundle) -> torch.Tensor | None:
    """The anatomical priors `(bins, X, Y)` in [-1, 1], float32; None where the model uses none."""
    if PRIORS not in bundle.manifest.components:
        return None
    return torch.from_numpy(bundle.weights(PRIORS)[PRIORS].astype("float32"))


def _said(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {list(shape)}"
