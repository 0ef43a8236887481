"""The whole measurement on a small bundle: drawn, interrupted, taken up again, reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_fixtures import SIDE, write_evaluation_cache
from generation_fixtures import write_small_bundle

from jsddpm_core.bundle import read_bundle
from jsddpm_core.diffusion.noise import NoiseKey
from jsddpm_core.evaluation.draws import RECORD, draw_file
from jsddpm_core.evaluation.encoder import SliceEncoder, save_encoder
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.quality import main, run
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.synthesizer import Synthesizer

GRID = f"data.grid.shape=[{SIDE},{SIDE},160]"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, a cache, an encoder, and one finished measurement."""
    folder = tmp_path_factory.mktemp("quality")
    write_small_bundle(folder / "model", GRID)
    write_evaluation_cache(folder / "cache")
    torch.manual_seed(0)
    save_encoder(folder / "features", SliceEncoder(), {})
    measure(folder)
    return folder


def measure(folder: Path, model: str = "model"):
    return run(
        folder / model,
        folder / "cache",
        folder / "samples",
        folder / "out" / "quality.json",
        features_folder=folder / "features",
        count=4,
        workers=1,
    )


def test_every_request_is_drawn_once_and_kept_raw(place):
    arrays = [np.load(path) for path in sorted((place / "samples").glob("*.npy"))]
    assert len(arrays) == 12
    assert all(array.dtype == np.float32 and array.shape == (2, SIDE, SIDE) for array in arrays)
    assert min(array.min() for array in arrays) >= -1
    assert max(array.max() for array in arrays) <= 1


def test_a_draw_is_the_first_attempt_of_generation(place):
    record = json.loads((place / "samples" / RECORD).read_text(encoding="utf-8"))
    asked = record["plan"]["requests"][5]
    request = GenerateRequest(
        model="model", pathology=asked["pathology"], position_mm=asked["position_mm"], seed=0, threads=1, device="cpu"
    )
    key = NoiseKey(0, asked["sample"], attempt=0)
    drawn = Synthesizer(read_bundle(place / "model"), "cpu").draw(request, [asked["position_mm"]], [key])[0]
    np.testing.assert_array_equal(np.load(place / "samples" / f"{asked['name']}.npy"), drawn.channels)


def test_the_report_holds_every_pathology_with_real_beside_synthetic(place):
    report = json.loads((place / "out" / "quality.json").read_text(encoding="utf-8"))
    groups = {row["group"] for row in report["rows"]}
    assert {"all requests", "none", "infarct", "ms, all levels", "ms, levels of the held-out subject"} == groups
    names = {row["synthetic"]["name"] for row in report["rows"]}
    assert {"background std", "spectral slope difference", "finest diagonal wavelet energy ratio"} <= names
    assert {"memorisation ratio", "lesion requests with a lesion", "requests for none without a lesion"} <= names
    infarct = {row["synthetic"]["name"]: row for row in report["rows"] if row["group"] == "infarct"}
    assert all(row["real"] is not None for row in infarct.values())
    assert infarct["lesion requests with a lesion"]["real"]["value"] == 1
    assert infarct["background std"]["real"]["value"] == 0
    assert infarct["background std"]["target"] == "<= 0.01"
    assert report["about"]["model_digest"] == read_bundle(place / "model").digest
    text = (place / "out" / "quality.md").read_text(encoding="utf-8")
    assert "Real (95 % interval)" in text
    assert "set/sub" not in text
    assert "held out" in text


def test_an_interrupted_measurement_draws_only_what_is_missing(place, monkeypatch):
    samples = sorted((place / "samples").glob("*.npy"))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in samples}
    samples[3].unlink()
    measure(place)
    for path, (written, content) in before.items():
        assert path.read_bytes() == content
        assert (path.stat().st_mtime_ns == written) is (path != samples[3])


def test_draws_of_another_model_are_not_mixed_in(place):
    write_small_bundle(place / "other", GRID, "sampling.steps=3", name="other")
    with pytest.raises(MeasureError, match="another model"):
        measure(place, "other")


def test_a_damaged_draw_is_named(place):
    path = draw_file(place / "samples", type("Request", (), {"name": "ms-0001"}))
    content = path.read_bytes()
    path.write_bytes(content[:100])
    try:
        with pytest.raises(MeasureError, match=r"ms-0001\.npy"):
            measure(place)
    finally:
        path.write_bytes(content)


def test_a_user_reads_one_sentence_and_gets_exit_code_2(place, capsys):
    arguments = ["--model", str(place / "model"), "--cache", str(place / "nowhere")]
    arguments += ["--samples", str(place / "s"), "--out", str(place / "q.json")]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "nowhere" in said
    assert "Traceback" not in said
    assert not (place / "s").exists()
