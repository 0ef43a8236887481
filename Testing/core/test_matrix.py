"""Every choice of prediction, bottleneck, prior, noise and loss trains, is exported, and samples from its bundle.

On real slices where they are at hand, on phantoms elsewhere; on a coarse grid and with a small network, so that the
whole matrix takes a minute or two.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from jsddpm_core.bundle import read_bundle
from jsddpm_core.config import Config
from jsddpm_core.config_file import load_config
from jsddpm_core.data.prepare import prepare
from jsddpm_core.data.priors import build_priors
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.diffusion.noise import NoiseKey
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.synthesizer import Synthesizer
from jsddpm_core.manifest import Licence, Source
from jsddpm_core.training.export import export_run
from jsddpm_core.training.fit import fit
from jsddpm_core.training.module import JointDiffusion
from jsddpm_core.training.pools import with_seen_pathologies
from jsddpm_core.training.validation import HeldOutBatches

BASE = (
    "data.grid.shape=[80, 80, 80]",
    "data.grid.spacing_mm=2.5",
    "data.grid.first_slice=17",
    "data.grid.last_slice=57",
    "data.validation_share=0.34",
    "data.test_share=0",
    "network.channels=[16, 16, 32]",
    "network.attention=[false, false, true]",
    "network.groups=4",
    "network.head_channels=8",
    "network.residual_blocks=1",
    "conditioning.bins=4",
    "training.precision=fp32",
    "training.batch_size=4",
    "training.max_steps=50",
    "training.learning_rate=2e-3",
    "training.warmup_steps=0",
    "training.ema_decay=0.8",
    "training.validation_every=1000",
)


def losses(*terms: str, kendall: str = "null") -> tuple[str, ...]:
    return (f"losses={{terms: [{', '.join(terms)}], kendall: {kendall}}}",)


BOTH = "channels: [FLAIR, lesion]"
LP = "{{name: lp, kind: lp, channels: [FLAIR, lesion], p: {p}, lesion_weight: 2}}"
VARIANTS: dict[str, tuple[str, ...]] = {
    "velocity": (),
    "sample": ("diffusion.prediction=sample",),
    "epsilon": ("diffusion.prediction=epsilon",),
    "decoupled": ("network.bottleneck=decoupled",),
    "independent": ("network.bottleneck=independent",),
    "cross-attention prior": ("conditioning.prior={kind: cross_attention, encoder_channels: [8, 16], token_dim: 32}",),
    "concatenated prior": ("conditioning.prior.kind=concatenation",),
    "simplex noise": ("diffusion.noise=simplex",),
    "L1": losses(LP.format(p=1)),
    "L1.5 of x0": losses("{name: lp, kind: lp, channels: [FLAIR, lesion], p: 1.5, target: x0_hat}"),
    "Huber": losses(f"{{name: huber, kind: huber, {BOTH}}}"),
    "focal frequency under Kendall": losses(
        LP.format(p=1.5),
        "{name: ffl, kind: focal_frequency, channels: [FLAIR], alpha: 1.2, patch_factor: 2, log_matrix: true}",
        kendall="{initial_log_variances: {spatial: 0, frequency: 0.5}}",
    ),
    "frequency bands": losses(f"{{name: bands, kind: frequency_bands, {BOTH}, high_weight: 2}}"),
}


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of cases: eighteen real people with their own split, or phantoms."""
    try:
        shared: Path = request.getfixturevalue("shared_data")
    except pytest.skip.Exception:
        return request.getfixturevalue("phantom_cases"), "phantoms"
    folder = tmp_path_factory.mktemp("matrix") / "soop-axial"
    header, *rows = (shared / "soop-axial" / "participants.tsv").read_text(encoding="utf-8").splitlines()
    chosen = [row for row in rows if row.split("\t")[1] == "train"][:12]
    chosen += [row for row in rows if row.split("\t")[1] == "val"][:6]
    for row in chosen:
        person = row.split("\t")[0]
        shutil.copytree(shared / "soop-axial" / person, folder / person)
    (folder / "participants.tsv").write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")
    return folder, "real people"


@pytest.fixture(scope="module")
def cache(cases: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> SliceCache:
    out = tmp_path_factory.mktemp("matrix-cache") / "cache"
    return prepare([cases[0]], load_config("fast", BASE), out, ["infarct"]).cache


def held_out_loss(module: JointDiffusion, cache: SliceCache, priors: np.ndarray | None) -> float:
    """Sum of the terms on the held-out slices, without the groups' uncertainties, at noise that never changes."""
    batches = HeldOutBatches(cache, module.config, cache.indices("validation"), priors)
    with torch.no_grad():
        reports = [module.loss(batches[number]) for number in range(len(batches))]
    return float(sum(value.sum() for report in reports for value in report.terms.values()))


def trained(config: Config, checkpoint: Path) -> JointDiffusion:
    module = JointDiffusion(config, 50)
    module.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    return module


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_trains_is_exported_and_samples(variant: str, cache: SliceCache, tmp_path: Path) -> None:
    config = with_seen_pathologies(load_config("fast", (*BASE, *VARIANTS[variant])), cache)
    priors = build_priors(cache, config) if config.conditioning.prior.kind != "none" else None
    torch.manual_seed(0)
    fresh = held_out_loss(JointDiffusion(config, 50), cache, priors)

    result = fit(config, cache, tmp_path / "run", accelerator="cpu", priors=priors)
    assert result.steps == 50
    learned = held_out_loss(trained(config, result.last), cache, priors)
    assert learned < 0.9 * fresh, "the held-out loss falls"

    export_run(
        result.last,
        cache,
        tmp_path / "bundle",
        "matrix",
        title="Matrix",
        licence=Licence(weights="CC0-1.0", sources=(Source(name="test", licence="CC0-1.0", attribution="test"),)),
        priors=priors,
    )
    synthesizer = Synthesizer(read_bundle(tmp_path / "bundle"), "cpu")
    drawn = {}
    for pathology in ("none", "infarct"):
        position = next(
            entry.position_range_mm[0] for entry in synthesizer.bundle.manifest.pathologies if entry.name == pathology
        )
        request = GenerateRequest(
            model=str(tmp_path / "bundle"), pathology=pathology, position_mm=position, steps=3, seed=1
        )
        (drawing,) = synthesizer.draw(request, [position], [NoiseKey(1, 0)])
        assert drawing.image.shape == (80, 80)
        assert np.isfinite(drawing.image).all() and np.abs(drawing.image).max() <= 1
        assert drawing.image.std() > 0.01, "the output is an image"
        drawn[pathology] = drawing.image
    assert not np.array_equal(drawn["none"], drawn["infarct"]), "the output hears the condition"
