"""Training that begins with a bundle's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from generation_fixtures import write_small_bundle
from training_fixtures import SMALL, a_small_config, write_small_cache

from jsddpm_core.bundle import Bundle, read_bundle
from jsddpm_core.config import Pathology
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import TrainingError
from jsddpm_core.manifest import Licence
from jsddpm_core.networks.from_bundle import load_denoiser_network
from jsddpm_core.networks.joint_unet import build_network
from jsddpm_core.training.checkpoint import read_checkpoint
from jsddpm_core.training.export import export_run
from jsddpm_core.training.fit import fit
from jsddpm_core.training.start import PATHOLOGIES, load_start


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_small_bundle(tmp_path / "bundle", "network.attention=[false,false,true,true]", *SMALL)


@pytest.fixture
def cache(tmp_path: Path) -> SliceCache:
    return write_small_cache(tmp_path / "cache", a_small_config())


def test_a_network_starts_as_the_bundles(bundle: Bundle) -> None:
    network = build_network(a_small_config())
    load_start(network, a_small_config(), bundle)
    expected = load_denoiser_network(bundle).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_pathologies_are_matched_by_name_and_a_new_one_starts_apart_from_all(bundle: Bundle) -> None:
    fcd = Pathology(name="fcd", label="Focal cortical dysplasia")
    none, infarct, ms = a_small_config().pathologies
    config = a_small_config().model_copy(update={"pathologies": (ms, fcd, none, infarct)})
    network = build_network(config)
    fresh = network.state_dict()[PATHOLOGIES].clone()
    load_start(network, config, bundle)
    theirs = load_denoiser_network(bundle).state_dict()[PATHOLOGIES]
    rows = network.state_dict()[PATHOLOGIES]
    assert torch.equal(rows[[0, 2, 3, 4]], theirs[[2, 0, 1, 3]])
    assert torch.equal(rows[1], fresh[1])
    assert torch.cdist(rows[1:2], theirs).min() > 0.5 * theirs.norm(dim=1).mean(), "told apart from the first step on"


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("network.channels=[8, 8, 16, 32]", "network"),
        ("diffusion.prediction=sample", "diffusion.prediction"),
        ("diffusion.schedule.name=linear", "diffusion.schedule"),
        ("conditioning.bins=20", "conditioning.bins"),
        ("data.grid.spacing_mm=1.0", "data.grid"),
    ],
)
def test_a_start_model_of_another_make_is_refused_by_name(bundle: Bundle, override: str, named: str) -> None:
    config = a_small_config(override)
    with pytest.raises(TrainingError, match=f"the start model small has other settings under {named}: start with"):
        load_start(build_network(config), config, bundle)


def test_a_run_goes_on_from_the_bundle_and_says_so(bundle: Bundle, cache: SliceCache, tmp_path: Path) -> None:
    still = a_small_config("training.max_steps=1", "training.learning_rate=1e-12", "training.minimum_learning_rate=0")
    fit(still, cache, tmp_path / "run", start=bundle, accelerator="cpu")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    trained = read_checkpoint(last)["current_model_state"]
    # This cache shows no MS, so the run's model has no row for it.
    rows = {PATHOLOGIES: [0, 1, 3]}
    for name, value in load_denoiser_network(bundle).state_dict().items():
        torch.testing.assert_close(trained[f"network.{name}"], value[rows[name]] if name in rows else value)

    out = tmp_path / "exported"
    export_run(last, cache, out, "exported", title="Exported", licence=Licence(weights="CC-BY-4.0"))
    start = read_bundle(out).manifest.training.start
    assert start is not None
    assert (start.name, start.digest, start.steps) == ("small", bundle.digest, 0)
    assert f"from the weights of `small` ({bundle.digest[:12]}, 0 steps)" in (out / "MODEL_CARD.md").read_text("utf-8")


def test_a_run_is_not_resumed_from_another_start(bundle: Bundle, cache: SliceCache, tmp_path: Path) -> None:
    config = a_small_config("training.max_steps=1")
    fit(config, cache, tmp_path / "run", start=bundle, accelerator="cpu")
    with pytest.raises(TrainingError, match="was started from another model"):
        fit(config, cache, tmp_path / "run", resume=True, accelerator="cpu")
    assert fit(config, cache, tmp_path / "run", resume=True, start=bundle, accelerator="cpu").finished
