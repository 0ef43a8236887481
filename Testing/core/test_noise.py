"""Noise belongs to its sample: the same bytes alone, batched, sharded and after a resume; and its statistics."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from jsddpm_core.config import NoiseKind
from jsddpm_core.diffusion.noise import INITIAL, NoiseKey, NoiseStream, field, fields, through_plane_weights
from jsddpm_core.diffusion.simplex import simplex_field, simplex_octave

SHAPE = (2, 24, 20)
GAUSSIAN_DIGEST = "7c742b2e112feaf7480e6a23c1e9a93578c82ac7d8544876c9d9418edaa7c901"
both_kinds = pytest.mark.parametrize("kind", list(NoiseKind))


def stream_bytes(kind: NoiseKind, samples: Sequence[int], step: int) -> list[bytes]:
    stream = NoiseStream(kind, [NoiseKey(7, sample) for sample in samples], SHAPE)
    return [row.numpy().tobytes() for row in stream(step)]


# ---------------------------------------------------------------- whose noise it is


@both_kinds
def test_a_sample_has_the_same_noise_alone_as_in_a_batch_of_any_order(kind: NoiseKind) -> None:
    together = stream_bytes(kind, [4, 17, 9], step=3)
    assert together == [stream_bytes(kind, [sample], step=3)[0] for sample in (4, 17, 9)]


def test_another_process_draws_the_same_noise() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for kind in NoiseKind:
            assert pool.apply(stream_bytes, (kind, [17, 25], INITIAL)) == stream_bytes(kind, [17, 25], INITIAL)


@both_kinds
def test_a_run_resumed_at_a_step_goes_on_with_the_noise_that_it_would_have_had(kind: NoiseKind) -> None:
    stream = NoiseStream(kind, [NoiseKey(7, 17)], SHAPE)
    whole_run = [stream(step) for step in range(INITIAL, 5)]
    resumed = NoiseStream(kind, [NoiseKey(7, 17)], SHAPE)
    assert torch.equal(resumed(3), whole_run[4])
    assert torch.equal(resumed.initial(), whole_run[0])


@both_kinds
def test_noise_changes_with_every_part_of_the_key_and_with_the_step(kind: NoiseKind) -> None:
    keys = [
        NoiseKey(7, 17),
        NoiseKey(8, 17),
        NoiseKey(7, 18),
        NoiseKey(7, 17, attempt=1),
        NoiseKey(7, 17, slice=1),
        NoiseKey(7, 17, slice=-1),
        NoiseKey(71, 7),
    ]
    drawn = [field(kind, key, step, SHAPE) for key in keys for step in (INITIAL, 0, 1)]
    assert len({array.tobytes() for array in drawn}) == len(drawn)
    correlation = np.corrcoef([field(NoiseKind.GAUSSIAN, key, 0, (2, 100, 100)).ravel() for key in keys])
    assert np.abs(correlation - np.eye(len(keys))).max() < 0.03


def test_gaussian_noise_has_the_bytes_that_recorded_runs_were_made_with() -> None:
    """Fails when a NumPy release draws normal numbers in another way: old sidecars could not be reproduced then."""
    drawn = field(NoiseKind.GAUSSIAN, NoiseKey(seed=1, sample=2, attempt=3, slice=4), 5, (2, 16, 16))
    assert drawn.dtype == np.float32
    assert hashlib.sha256(drawn.astype("<f4").tobytes()).hexdigest() == GAUSSIAN_DIGEST


@both_kinds
def test_the_trainer_gets_the_field_of_each_global_sample(kind: NoiseKind) -> None:
    keys = [NoiseKey(0, sample) for sample in (5, 6, 7)]
    batch = fields(kind, keys, 11, SHAPE)
    assert batch.shape == (3, *SHAPE)
    assert batch.dtype == torch.float32
    assert torch.equal(batch[1:], fields(kind, keys[1:], 11, SHAPE))
    np.testing.assert_array_equal(batch[2], field(kind, keys[2], 11, SHAPE))


# ---------------------------------------------------------------- neighbouring slices


@pytest.mark.parametrize("correlation", [0.0, 0.01, 0.3, 0.5, 0.8, 0.95, 0.99])
def test_weights_give_the_asked_correlation_and_keep_the_variance(correlation: float) -> None:
    weights = through_plane_weights(correlation)
    assert len(weights) % 2 == 1
    assert np.sum(weights**2) == pytest.approx(1)
    assert np.sum(weights[1:] * weights[:-1]) == pytest.approx(correlation, abs=1e-6)


@pytest.mark.parametrize("correlation", [-0.1, 0.995, 1.0])
def test_a_correlation_that_no_window_gives_is_refused(correlation: float) -> None:
    with pytest.raises(ValueError, match="neighbouring slices"):
        through_plane_weights(correlation)


@pytest.mark.parametrize("weights", [[0.6, 0.8], [0.5, 0.5, 0.5]])
def test_weights_that_would_change_the_variance_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="squares that sum to 1"):
        NoiseStream(NoiseKind.GAUSSIAN, [NoiseKey(0, 0)], SHAPE, through_plane=np.array(weights))


def test_slices_of_a_volume_correlate_as_asked_and_further_ones_less() -> None:
    weights = through_plane_weights(0.7)
    keys = [NoiseKey(3, 0, slice=index) for index in range(30, 36)]
    noise = NoiseStream(NoiseKind.GAUSSIAN, keys, (2, 150, 150), through_plane=weights)(2)
    found = np.corrcoef(noise.flatten(1).double().numpy())
    for lag in range(1, 6):
        expected = np.sum(weights[lag:] * weights[: len(weights) - lag])
        np.testing.assert_allclose(np.diagonal(found, lag), expected, atol=0.025)
    assert float(np.mean(np.diagonal(found, 1))) == pytest.approx(0.7, abs=0.01)
    assert found[0, 1] > found[0, 2] > found[0, 3]


@both_kinds
def test_a_slice_is_the_weighted_sum_of_the_fields_around_it(kind: NoiseKind) -> None:
    noise = NoiseStream(kind, [NoiseKey(3, 0, slice=5)], SHAPE, through_plane=np.array([0.36, 0.8, 0.48]))(2)
    below, here, above = (field(kind, NoiseKey(3, 0, slice=index), 2, SHAPE) for index in (4, 5, 6))
    np.testing.assert_allclose(noise[0], 0.36 * below + 0.8 * here + 0.48 * above, atol=1e-6)


def test_correlated_noise_is_still_standard_normal() -> None:
    keys = [NoiseKey(3, 0, slice=index) for index in range(40, 44)]
    noise = NoiseStream(NoiseKind.GAUSSIAN, keys, (2, 128, 128), through_plane=through_plane_weights(0.9))(0)
    values = np.sort(noise[0].flatten().double().numpy())
    assert abs(values.mean()) < 0.02
    assert values.std() == pytest.approx(1, abs=0.02)
    normal = np.array([torch.special.ndtr(torch.tensor(value)).item() for value in values[::64]])
    ranks = (np.arange(len(values))[::64] + 0.5) / len(values)
    assert np.abs(normal - ranks).max() < 1.63 / np.sqrt(len(values))  # Kolmogorov-Smirnov at 1 %


def test_any_slice_of_a_volume_can_be_made_alone() -> None:
    weights = through_plane_weights(0.8)
    volume = NoiseStream(NoiseKind.GAUSSIAN, [NoiseKey(3, 0, slice=i) for i in range(8)], SHAPE, through_plane=weights)
    alone = NoiseStream(NoiseKind.GAUSSIAN, [NoiseKey(3, 0, slice=5)], SHAPE, through_plane=weights)
    assert torch.equal(alone.initial()[0], volume.initial()[5])


# ---------------------------------------------------------------- simplex


@pytest.mark.parametrize(("shape", "draws"), [((96, 80), 300), ((32, 32, 32), 60)])
def test_simplex_fields_have_no_mean_and_unit_variance(shape: tuple[int, ...], draws: int) -> None:
    generator = np.random.Generator(np.random.Philox(0))
    drawn = np.stack([simplex_field(generator, shape) for _ in range(draws)])
    assert drawn.dtype == np.float32
    assert abs(float(drawn.mean())) < 0.05
    assert float(np.square(drawn).mean()) == pytest.approx(1, abs=0.06)
    by_pixel = np.square(drawn).mean(0)  # the lattice is shifted at random, so that no pixel is quieter than others
    assert by_pixel.mean() / by_pixel.std() > 3
    assert by_pixel.min() > 0.3


@pytest.mark.parametrize("dimensions", [2, 3])
def test_an_octave_is_continuous_across_the_borders_of_its_cells(dimensions: int) -> None:
    """Seen twice as finely, its steps are half as large, and their changes a quarter: nowhere is there an edge."""
    coarse, fine = (
        simplex_octave(np.random.Generator(np.random.Philox(1)), (scale * 2 + 1,) * dimensions, scale)
        for scale in (20, 40)
    )
    np.testing.assert_allclose(fine[(slice(None, None, 2),) * dimensions], coarse, atol=1e-4)
    for axis in range(dimensions):
        for order in (1, 2):
            largest = [np.abs(np.diff(octave, order, axis=axis)).max() for octave in (coarse, fine)]
            assert largest[1] < 1.5 * largest[0] / 2**order


def test_simplex_noise_is_smooth_and_gaussian_noise_is_not() -> None:
    def neighbours(kind: NoiseKind) -> float:
        drawn = np.stack([field(kind, NoiseKey(0, sample), 0, (1, 64, 64)) for sample in range(30)])
        return float(np.mean(drawn[..., 1:] * drawn[..., :-1]))

    assert neighbours(NoiseKind.SIMPLEX) > 0.7
    assert abs(neighbours(NoiseKind.GAUSSIAN)) < 0.02


def test_simplex_noise_of_a_channel_tells_nothing_of_the_other_channels() -> None:
    drawn = np.stack([field(NoiseKind.SIMPLEX, NoiseKey(0, sample), 0, (2, 64, 64)) for sample in range(200)])
    assert abs(float(np.mean(drawn[:, 0] * drawn[:, 1]))) < 0.05


def test_simplex_noise_looks_the_same_along_both_axes() -> None:
    drawn = np.stack([field(NoiseKind.SIMPLEX, NoiseKey(0, sample), 0, (1, 64, 64)) for sample in range(200)])
    along_x, along_y = (np.mean(np.diff(drawn, axis=axis) ** 2) for axis in (-2, -1))
    assert along_x == pytest.approx(along_y, rel=0.05)


def test_noise_comes_in_the_asked_type_and_from_the_same_float32_values() -> None:
    keys = [NoiseKey(0, 0)]
    wide = NoiseStream(NoiseKind.GAUSSIAN, keys, SHAPE, dtype=torch.float64)(0)
    assert wide.dtype == torch.float64
    assert torch.equal(wide.float(), NoiseStream(NoiseKind.GAUSSIAN, keys, SHAPE)(0))
