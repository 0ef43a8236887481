"""Which weights learn, and that the others stay exactly as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from generation_fixtures import random_weights, write_small_bundle
from torch import Tensor
from training_fixtures import SMALL, a_small_config, write_small_cache

from jsddpm_core.bundle import Bundle
from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.manifest import Licence
from jsddpm_core.networks.joint_unet import JointUNet, build_network
from jsddpm_core.training.adapt import count_trained, merged, set_trainable, trained_parameters
from jsddpm_core.training.checkpoint import read_checkpoint
from jsddpm_core.training.export import averaged_weights, export_run
from jsddpm_core.training.fit import fit
from jsddpm_core.training.start import PATHOLOGIES

PARTS = ("all", "last-levels", "low-rank")
FEWER = PARTS[1:]


def a_network(config: Config) -> JointUNet:
    network = build_network(config)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in random_weights(config).items()})
    return network


def answer(network: JointUNet, channels: int = 4) -> Tensor:
    x = torch.randn(2, channels, 32, 32, generator=torch.Generator().manual_seed(1))
    return network(x, torch.full((2, 2), 300.0), torch.tensor([3.0, 20.0]), torch.tensor([1, -1]))


def stepped(network: JointUNet) -> None:
    optimizer = torch.optim.AdamW(trained_parameters(network), lr=1e-2, weight_decay=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        answer(network).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("mode", PARTS)
def test_what_does_not_learn_keeps_its_exact_values_and_gets_no_gradient(mode: str) -> None:
    network = a_network(a_small_config())
    set_trainable(network, mode)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stepped(network)
    for name, parameter in network.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved == parameter.requires_grad, name
        assert parameter.requires_grad or parameter.grad is None


def test_the_last_levels_the_output_and_the_condition_learn() -> None:
    network = a_network(a_small_config())
    set_trainable(network, "last-levels")
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    parts = ("condition.", "unets.0.up_blocks.2.", "unets.0.up_blocks.3.", "unets.0.out.")
    assert learning == {name for name, _ in network.named_parameters() if name.startswith(parts)}
    assert PATHOLOGIES in learning


def test_low_rank_changes_lie_in_attention_and_in_deep_convolutions() -> None:
    network = a_network(a_small_config())
    set_trainable(network, "low-rank", rank=2)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert PATHOLOGIES in learning
    changed = {name.partition(".parametrizations.")[0] for name in learning - {PATHOLOGIES}}
    assert {f"unets.0.middle_block.attention.attn.to_{part}" for part in "qkv"} <= changed
    assert "unets.0.down_blocks.2.resnets.0.conv1.conv" in changed
    assert "unets.0.up_blocks.1.resnets.1.conv2.conv" in changed
    assert not any(name.startswith(("unets.0.down_blocks.1", "unets.0.up_blocks.2", "noise_level")) for name in changed)
    layer = network.get_submodule("unets.0.middle_block.resnet_1.conv1.conv").parametrizations.weight[0]
    assert (tuple(layer.a.shape), tuple(layer.b.shape)) == ((2, 16 * 9), (16, 2))


def test_low_rank_changes_begin_at_nothing() -> None:
    network = a_network(a_small_config())
    expected = answer(network)
    set_trainable(network, "low-rank")
    torch.testing.assert_close(answer(network), expected, rtol=0, atol=0)


@pytest.mark.parametrize("bottleneck", ["shared", "decoupled", "independent"])
def test_merged_low_rank_weights_give_the_same_answers_in_a_plain_network(bottleneck: str) -> None:
    config = a_small_config(f"network.bottleneck={bottleneck}")
    network = a_network(config)
    set_trainable(network, "low-rank")
    stepped(network)
    plain = build_network(config)
    plain.load_state_dict(merged(network.state_dict()))
    with torch.no_grad():
        torch.testing.assert_close(answer(plain), answer(network), rtol=1e-6, atol=1e-6)


def test_a_state_without_changes_stays_as_it_is() -> None:
    state = build_network(a_small_config()).state_dict()
    same = merged(state)
    assert list(same) == list(state)
    assert all(same[name] is value for name, value in state.items())


@pytest.mark.parametrize("mode", PARTS)
def test_the_number_of_weights_that_learn_is_known_before_the_network_is_made(mode: str) -> None:
    config = a_small_config(f"training.trainable={mode}")
    told = set_trainable(build_network(config), mode)
    assert count_trained(config) == told
    assert told.network == sum(value.numel() for value in build_network(config).parameters())
    assert (told.parameters == told.network) == (mode == "all")
    assert f"{told.parameters:,} of {told.network:,} weights" in str(told)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("start") / "bundle"
    return write_small_bundle(folder, "network.attention=[false,false,true,true]", *SMALL)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> SliceCache:
    return write_small_cache(tmp_path_factory.mktemp("cache") / "cache", a_small_config())


@pytest.mark.parametrize("mode", FEWER)
def test_a_run_leaves_the_start_models_other_weights_alone_to_the_last_bit(
    mode: str, start: Bundle, cache: SliceCache, tmp_path: Path
) -> None:
    config = a_small_config(f"training.trainable={mode}", "training.learning_rate=1e-3", "training.ema_decay=0.9")
    result = fit(config, cache, tmp_path / "run", start=start, accelerator="cpu")
    bundle = export_run(
        result.last, cache, tmp_path / "bundle", "less", title="Less", licence=Licence(weights="x"), start_bundle=start
    )
    network = build_network(config)
    set_trainable(network, mode)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    layers = {name.partition(".parametrizations.")[0] + ".weight" for name in learning if "parametriz" in name}
    old, new = start.weights(), bundle.weights()
    assert new.keys() == old.keys()
    for name in old.keys() - {PATHOLOGIES}:
        same = (old[name] == new[name]).all()
        assert same == (name not in learning | layers), name
    training = bundle.manifest.training
    assert training.training.trainable == mode
    assert training.trained_parameters == sum(p.numel() for p in trained_parameters(network)) - 8 * 4
    card = (bundle.folder / "MODEL_CARD.md").read_text("utf-8")
    assert f"what learned were {training.trained_parameters:,} numbers ({mode}" in card


def test_a_low_rank_run_goes_on_where_it_stopped(start: Bundle, cache: SliceCache, tmp_path: Path) -> None:
    def config(steps: int) -> Config:
        rates = ("training.warmup_steps=0", "training.learning_rate=1e-3", "training.minimum_learning_rate=1e-3")
        return a_small_config("training.trainable=low-rank", f"training.max_steps={steps}", *rates)

    whole = fit(config(6), cache, tmp_path / "whole", start=start, accelerator="cpu")
    fit(config(3), cache, tmp_path / "parts", start=start, accelerator="cpu")
    parts = fit(config(6), cache, tmp_path / "parts", start=start, resume=True, accelerator="cpu")
    one, two = (averaged_weights(read_checkpoint(result.last)) for result in (whole, parts))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
