"""What measures say of images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_fixtures import SIDE, brain_images, image_set, noise_images
from scipy import ndimage

from jsddpm_core.evaluation.background import BrainSupport, background
from jsddpm_core.evaluation.image_set import ImageSet, checked_images
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.nearest import (
    block_means,
    median_distance,
    memorisation,
    nearest_distances,
    nearest_training,
)
from jsddpm_core.evaluation.spectrum import slope_difference, slopes
from jsddpm_core.evaluation.wavelets import diagonal_energy, diagonal_energy_ratio


def blurred(images: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    return ndimage.gaussian_filter(images, (0, sigma, sigma), mode="wrap").astype(np.float32)


def test_integer_images_are_refused_by_name():
    images = (brain_images(2) * 100 + 100).astype(np.uint8)
    with pytest.raises(MeasureError, match="uint8"):
        checked_images(images)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.full((2, 8, 8), 200.0, dtype=np.float32), "from 200"),
        (np.full((2, 8, 8), np.nan, dtype=np.float32), "non-finite"),
        (np.zeros((8, 8), dtype=np.float32), "shape"),
        (np.zeros((0, 8, 8), dtype=np.float32), "shape"),
        (np.zeros((2, 8, 8), dtype=np.float64), "float64"),
    ],
)
def test_images_on_another_scale_or_of_other_axes_are_refused(images, said):
    with pytest.raises(MeasureError, match=said):
        slopes(images)


def test_white_noise_has_slope_zero():
    assert abs(slopes(noise_images(40)).mean()) < 0.02


def test_a_field_of_known_spectrum_has_its_slope():
    rng = np.random.default_rng(0)
    side = 160
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    k[0, 0] = np.inf
    fields = np.stack(
        [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * k**-1.25, s=(side, side)) for _ in range(20)]
    )
    fields /= np.abs(fields).max()
    assert slopes(fields.astype(np.float32)).mean() == pytest.approx(-2.5, abs=0.05)


def test_a_blurred_set_is_steeper_than_the_sharp_one_and_its_interval_says_so():
    sharp = noise_images(30)
    measure = slope_difference(image_set(blurred(sharp)), image_set(noise_images(30, seed=1), prefix="real"))
    assert measure.value < -1
    assert measure.interval is not None
    assert measure.interval[1] < 0
    assert measure.n == 30


def test_the_wavelet_energy_of_white_noise_is_its_variance():
    assert diagonal_energy(noise_images(50, deviation=0.1)).mean() == pytest.approx(0.01, rel=0.05)


def test_blur_lowers_the_wavelet_ratio_and_noise_raises_it():
    real = image_set(brain_images(20), prefix="real")
    smooth = diagonal_energy_ratio(image_set(blurred(brain_images(20, seed=1))), real)
    noisy = brain_images(20, seed=2) + noise_images(20, 0.2)
    grainy = diagonal_energy_ratio(image_set(np.clip(noisy, -1, 1)), real)
    same = diagonal_energy_ratio(image_set(brain_images(20, seed=3)), real)
    assert smooth.value < 0.5 < same.value < 1.5 < grainy.value
    assert same.interval is not None
    assert same.interval[0] < 1 < same.interval[1]


def test_a_copy_of_a_training_slice_has_distance_zero_even_mirrored():
    training = brain_images(10)
    assert nearest_distances(training[3:4], training)[0] == pytest.approx(0, abs=1e-6)
    assert nearest_distances(training[3:4, ::-1].copy(), training)[0] == pytest.approx(0, abs=1e-6)
    assert nearest_distances(brain_images(1, seed=5), training)[0] > 0.01


def test_the_nearest_distance_is_the_root_mean_square_of_block_means():
    training, queries = brain_images(7), brain_images(3, seed=1)
    a, b = block_means(queries), np.concatenate([block_means(training), block_means(training[:, ::-1].copy())])
    expected = np.sqrt(((a[:, None] - b[None]) ** 2).mean(2)).min(1)
    np.testing.assert_allclose(nearest_distances(queries, training, chunk=3), expected, rtol=1e-5)


def test_the_nearest_training_slice_is_named_and_whether_it_is_mirrored():
    training = brain_images(7)
    queries = np.stack([training[4], training[6, ::-1], training[0]])
    near = nearest_training(queries, training, chunk=3)
    assert near.rows.tolist() == [4, 6, 0]
    assert near.mirrored.tolist() == [False, True, False]
    np.testing.assert_allclose(near.distances, 0, atol=1e-3)
    owners = np.array([str(number) for number in range(7)])
    others = nearest_training(queries, training, owners[[4, 6, 0]], owners, chunk=3)
    assert not set(zip(others.rows.tolist(), [4, 6, 0], strict=True)) & {(4, 4), (6, 6), (0, 0)}
    alone = nearest_training(queries[:1], training[4:5], owners[4:5], owners[4:5])
    assert np.isinf(alone.distances).all()


def test_a_slice_is_not_compared_with_its_own_subject():
    training = brain_images(6)
    groups = np.array(["a", "a", "b", "b", "c", "c"])
    own = nearest_distances(training[:2], training, groups[:2], groups)
    assert (own > 0.01).all()


def test_copies_of_training_slices_have_a_small_memorisation_ratio():
    training, real = brain_images(20), image_set(brain_images(20, seed=1), prefix="real")
    copies = image_set(training + np.where(training > -1, noise_images(20, 0.01), 0).astype(np.float32))
    new = image_set(brain_images(20, seed=2))
    theirs = nearest_distances(real.images, training)
    ratio, near = memorisation(copies, nearest_distances(copies.images, training), real, theirs)
    assert ratio.value < 0.3
    assert near.value == 1
    ratio, near = memorisation(new, nearest_distances(new.images, training), real, theirs)
    assert ratio.value == pytest.approx(1, abs=0.2)
    assert near.value < 0.5
    assert median_distance(copies, nearest_distances(copies.images, training)).value < 0.02


def support_of(radius: float) -> BrainSupport:
    return BrainSupport(brain_images(3, radius=radius), np.array([18.0, 18.0, 18.0]))


def test_a_real_background_has_no_spread():
    far, rim, offset = background(image_set(brain_images(4)), support_of(0.35))
    assert (far.value, rim.value, offset.value) == (0, 0, 0)


def test_background_noise_is_measured_at_its_size():
    images = brain_images(8)
    noise = np.abs(noise_images(8, 0.03))
    images = np.where(images == -1, -1 + noise, images).astype(np.float32)
    far, rim, _ = background(image_set(images), support_of(0.35))
    expected = np.abs(np.random.default_rng(1).standard_normal(100_000) * 0.03).std()
    assert far.value == pytest.approx(expected, rel=0.05)
    assert rim.value == pytest.approx(expected, rel=0.1)


def test_a_blob_away_from_the_brain_counts_as_background_however_large():
    images = brain_images(2, radius=0.3)
    images[:, 1:9, 1:9] = 0.5
    far, rim, _ = background(image_set(images), support_of(0.3))
    assert far.value > 0.1
    assert rim.value > 0.1


def test_a_halo_beside_a_small_brain_is_seen_though_training_brains_reach_there():
    images = brain_images(2, radius=0.25)
    x, y = np.meshgrid(*[np.linspace(-0.5, 0.5, SIDE)] * 2, indexing="ij")
    halo = (np.hypot(x, y) > 0.32) & (np.hypot(x, y) < 0.4)
    images[:, halo] = -0.9
    far, rim, _ = background(image_set(images), support_of(0.4))
    assert far.value == 0
    assert rim.value > 0.03


def test_a_level_without_training_slices_is_named():
    with pytest.raises(MeasureError, match="z = 60"):
        background(image_set(brain_images(1), position_mm=60.0), support_of(0.35))


def test_a_set_whose_masks_do_not_fit_is_refused():
    images = brain_images(2)
    with pytest.raises(MeasureError, match="masks"):
        ImageSet(images, np.zeros((2, 8, 8), bool), np.zeros(2), np.array(["a", "b"]), np.ones(2))
