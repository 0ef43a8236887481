"""Small bundles with random weights, for tests of everything that happens around a network."""

from __future__ import annotations

from pathlib import Path

import torch

from jsddpm_core.bundle import Bundle, write_bundle
from jsddpm_core.config import Config
from jsddpm_core.config_file import load_config
from jsddpm_core.manifest import BundleFacts, BundlePathology, ImageGrid, Licence, Source, TrainingRecord
from jsddpm_core.networks.joint_unet import build_network

PATHOLOGIES = (
    "pathologies=[{name: none, label: No lesion, lesional: false},"
    " {name: infarct, label: Acute infarct, code: 'SCT:432504007'},"
    " {name: ms, label: Multiple sclerosis lesion, code: 'SCT:24700007'}]"
)
"""Whatever the shipped configuration knows, the tests' models know these."""

SMALL = (
    PATHOLOGIES,
    "network.channels=[8,16]",
    "network.attention=[false,true]",
    "network.groups=4",
    "network.head_channels=8",
    "network.residual_blocks=1",
    "network.patch_size=2",
    "data.grid.shape=[32,40,160]",
    "sampling.steps=2",
)
RANGES = {"none": (-40.0, 40.0), "infarct": (17.0, 19.0), "ms": (-30.0, 30.0)}


def small_config(*overrides: str) -> Config:
    """A network that evaluates in a few milliseconds."""
    return load_config("fast", (*SMALL, *overrides))


def facts_of(config: Config, name: str = "small") -> BundleFacts:
    """What a manifest says of such a network."""
    return BundleFacts(
        name=name,
        title="Random weights",
        diffusion=config.diffusion,
        conditioning=config.conditioning,
        channels=config.channels,
        grid=ImageGrid.of(config.data.grid, config.data.percentiles),
        pathologies=tuple(
            BundlePathology(**pathology.model_dump(), position_range_mm=RANGES[pathology.name])
            for pathology in config.pathologies
        ),
        sampling=config.sampling,
        training=TrainingRecord(losses=config.losses, training=config.training, data=config.data, steps=0),
        licence=Licence(
            weights="CC-BY-4.0", sources=(Source(name="nobody", licence="CC0-1.0", attribution="no scan was used"),)
        ),
    )


def random_weights(config: Config, seed: int = 0) -> dict:
    """Weights under which every condition and every noise level changes the output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(config)
        state = network.state_dict()
        # The last convolution starts at zero; a network that always answers zero would hide mistakes.
        return {
            name: (value + 0.05 * torch.randn(value.shape)).numpy() if value.is_floating_point() else value.numpy()
            for name, value in state.items()
        }


def write_small_bundle(folder: Path, *overrides: str, name: str = "small", priors=None) -> Bundle:
    """A complete bundle on disk, with random weights."""
    config = small_config(*overrides)
    return write_bundle(
        folder, facts_of(config, name), config.network, random_weights(config), "# Random weights\n", priors=priors
    )
