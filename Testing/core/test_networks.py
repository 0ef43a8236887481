"""The joint network: every variant trains, exports, and hears what it is told."""

from __future__ import annotations

import pytest
import torch

from jsddpm_core.config import Config
from jsddpm_core.config_file import load_config
from jsddpm_core.networks.conditioning import condition_token, position_bin, sinusoid
from jsddpm_core.networks.joint_unet import build_network
from jsddpm_core.networks.patches import from_patches, to_patches

SMALL = (
    "network.channels=[16, 16, 32, 32]",
    "network.groups=8",
    "network.head_channels=16",
    "network.residual_blocks=1",
)


def a_config(*overrides: str) -> Config:
    return load_config("fast", (*SMALL, *overrides))


def inputs(config: Config, batch: int = 2, side: int = 32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    seen = 2 * len(config.channels) if config.diffusion.self_conditioning.enabled else len(config.channels)
    shape = [side] * config.network.spatial_dims
    x = torch.randn(batch, seen, *shape, generator=generator)
    t = torch.rand(batch, len(config.channels), generator=generator) * 999 + 1
    position = torch.linspace(-10, 30, batch)
    pathology = torch.arange(batch) % len(config.pathologies)
    if config.conditioning.prior.kind == "none":
        return x, t, position, pathology
    return x, t, position, pathology, torch.randn(batch, 1, *shape, generator=generator)


def awake(network: torch.nn.Module) -> torch.nn.Module:
    """MONAI starts the last convolution at zero; a network that says nothing shows nothing."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.eval()


@pytest.mark.parametrize("bottleneck", ["shared", "decoupled", "independent"])
@pytest.mark.parametrize("prior", ["none", "cross_attention", "concatenation"])
def test_every_bottleneck_and_prior_predicts_all_channels(bottleneck: str, prior: str) -> None:
    config = a_config(f"network.bottleneck={bottleneck}", f"conditioning.prior.kind={prior}")
    network = awake(build_network(config))
    tensors = inputs(config)
    output = network(*tensors)
    assert output.shape == (2, 2, 32, 32)
    assert torch.isfinite(output).all()
    output.square().mean().backward()
    silent = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert silent == [], "every stored weight takes part"


def test_a_decoupled_network_shares_its_encoder_and_an_independent_one_does_not() -> None:
    sizes = {
        kind: sum(p.numel() for p in build_network(a_config(f"network.bottleneck={kind}")).parameters())
        for kind in ("shared", "decoupled", "independent")
    }
    assert sizes["shared"] < sizes["decoupled"] < sizes["independent"]


@pytest.mark.parametrize("overrides", [(), ("network.patch_size=1",), ("conditioning.prior.kind=cross_attention",)])
def test_the_network_exports(overrides: tuple[str, ...]) -> None:
    config = a_config(*overrides)
    network = awake(build_network(config))
    tensors = inputs(config)
    exported = torch.export.export(network, tensors)
    torch.testing.assert_close(exported.module()(*tensors), network(*tensors), rtol=1e-4, atol=1e-5)


def test_the_same_parts_make_a_volume_network() -> None:
    config = a_config("network.spatial_dims=3")
    assert awake(build_network(config))(*inputs(config, batch=1, side=16)).shape == (1, 2, 16, 16, 16)


@pytest.mark.parametrize("which", ["t of FLAIR", "t of lesion", "position", "pathology", "estimate"])
def test_each_input_changes_the_output(which: str) -> None:
    config = a_config()
    network = awake(build_network(config))
    x, t, position, pathology = inputs(config)
    before = network(x, t, position, pathology)
    match which:
        case "t of FLAIR":
            t = t + torch.tensor([50.0, 0.0])
        case "t of lesion":
            t = t + torch.tensor([0.0, 50.0])
        case "position":
            position = position + 1.0
        case "pathology":
            pathology = torch.full_like(pathology, -1)
        case "estimate":
            x = torch.cat([x[:, :2], torch.zeros_like(x[:, 2:])], dim=1)
    assert (network(x, t, position, pathology) - before).abs().max() > 1e-4


def test_neighbouring_positions_in_one_bin_are_told_apart() -> None:
    config = a_config("conditioning.bins=2")
    network = awake(build_network(config))
    x, t, _, pathology = inputs(config)
    near, far = (network(x, t, torch.full((2,), z), pathology) for z in (10.0, 11.0))
    assert (near - far).abs().max() > 1e-4


def test_a_token_is_bin_plus_pathology_times_bins() -> None:
    bins = position_bin(torch.tensor([-50.0, -49.0, 0.0, 49.9, 50.0, 80.0]), -50.0, 50.0, 30)
    assert bins.tolist() == [0, 0, 15, 29, 29, 29]
    assert condition_token(torch.tensor(7), torch.tensor(2), 30).item() == 67


def test_the_sinusoid_repeats_after_its_shortest_period() -> None:
    code = sinusoid(torch.tensor([0.0, 5.0, 2.5]), 8, 5.0, 500.0)
    assert code[0, 0] == pytest.approx(code[1, 0].item(), abs=1e-5)
    assert code[2, 4] == pytest.approx(-1.0, abs=1e-5)


@pytest.mark.parametrize("axes", [2, 3])
def test_patches_are_put_back_where_they_were(axes: int) -> None:
    x = torch.arange(2 * 3 * 4**axes, dtype=torch.float32).view(2, 3, *[4] * axes)
    patches = to_patches(x, 2)
    assert patches.shape == (2, 3 * 2**axes, *[2] * axes)
    assert torch.equal(from_patches(patches, 2), x)


def test_in_the_plane_patches_are_torchs_pixel_unshuffle() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(to_patches(x, 2), torch.nn.functional.pixel_unshuffle(x, 2))
