"""The feature encoder: what it receives, what it learns from, and its file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from evaluation_fixtures import brain_images, write_evaluation_cache

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.evaluation.encoder import FEATURES, RECORD, WEIGHTS, features, load_encoder, save_encoder
from jsddpm_core.evaluation.encoder_training import Distortion, EncoderTraining, distorted, train_encoder
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.wavelets import diagonal_energy

SHORT = EncoderTraining(steps=12, batch=8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> SliceCache:
    return write_evaluation_cache(tmp_path_factory.mktemp("cache") / "slices")


@pytest.fixture(scope="module")
def trained(cache):
    return train_encoder(cache, SHORT)


def test_the_encoder_comes_back_from_its_file_with_the_same_features(trained, tmp_path):
    encoder, record = trained
    save_encoder(tmp_path, encoder, record)
    images = brain_images(5)
    np.testing.assert_array_equal(features(load_encoder(tmp_path), images), features(encoder, images))
    assert (tmp_path / WEIGHTS).stat().st_size < 1_000_000
    assert not list(tmp_path.glob("*.partial"))


def test_features_are_standard_over_the_training_slices(trained, cache):
    encoder, _ = trained
    rows = cache.indices("train")
    found = features(encoder, np.stack([cache.images[row] for row in rows]))
    assert found.shape == (len(rows), FEATURES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-3)


def test_the_record_names_no_subject(trained, cache):
    text = json.dumps(trained[1])
    assert cache.digest in text
    assert not any(record.subject.split("/")[1] in text for record in cache.records)


def test_the_same_seed_gives_the_same_encoder(trained, cache):
    again, _ = train_encoder(cache, SHORT)
    for name, value in trained[0].state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_features_of_a_slice_do_not_depend_on_its_batch(trained):
    images = brain_images(5)
    np.testing.assert_allclose(
        features(trained[0], images, batch=2)[3], features(trained[0], images[3:4])[0], atol=1e-3
    )


def test_the_encoder_refuses_integer_images(trained):
    with pytest.raises(MeasureError, match="uint8"):
        features(trained[0], np.zeros((2, 64, 64), dtype=np.uint8))


def test_a_missing_encoder_says_how_to_make_one(tmp_path):
    with pytest.raises(MeasureError, match="make features"):
        load_encoder(tmp_path)


def test_exchanged_weights_are_refused(trained, tmp_path):
    save_encoder(tmp_path, *trained)
    damaged = bytearray((tmp_path / WEIGHTS).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(damaged)
    with pytest.raises(MeasureError, match="not the file of its record"):
        load_encoder(tmp_path)
    (tmp_path / RECORD).write_text("{", encoding="utf-8")
    with pytest.raises(MeasureError, match="cannot be read"):
        load_encoder(tmp_path)


def test_a_distortion_of_nothing_changes_nothing_and_blur_takes_fine_detail():
    images = torch.from_numpy(brain_images(4))[:, None]
    nothing, half = torch.zeros(4), torch.full((4,), 0.5)
    rng = np.random.default_rng(0)
    same = distorted(images, Distortion(nothing, nothing, nothing), EncoderTraining(), rng)
    torch.testing.assert_close(same, images, atol=1e-5, rtol=0)
    smooth = distorted(images, Distortion(half, nothing, nothing), EncoderTraining(), rng)
    assert diagonal_energy(smooth[:, 0].numpy()).mean() < 0.3 * diagonal_energy(images[:, 0].numpy()).mean()
    grainy = distorted(images, Distortion(nothing, half, nothing), EncoderTraining(), rng)
    background = images == -1
    assert (grainy - images)[~background].std() == pytest.approx(0.5 * EncoderTraining.noise, rel=0.1)
    torch.testing.assert_close(grainy[background], images[background])
