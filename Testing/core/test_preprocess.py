"""Where a scan lands on the model's grid, what values it has there, and whether it finds back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_fixtures import SMALL_DATA, SMALL_GRID, reoriented
from phantom import HEAD_CENTRE_MM, Phantom, make_phantom

from jsddpm_core.config import DataConfig, GridConfig
from jsddpm_core.data.cases import discover
from jsddpm_core.data.preprocess import Placement, Prepared, foreground, grid_affine, to_grid, to_native
from jsddpm_core.data.template import load_template
from jsddpm_core.data.volumes import Volume, read_mask, read_volume
from jsddpm_core.errors import ImageError

SHAPE, SPACING = (32, 38, 28), (5.0, 5.0, 5.0)
LESION_MM = (32.0, -30.0, 18.0)


@pytest.fixture(scope="module")
def head() -> Phantom:
    return make_phantom(shape=SHAPE, spacing_mm=SPACING, lesion_radius_mm=14.0)


@pytest.fixture(scope="module")
def prepared(head: Phantom) -> Prepared:
    return to_grid(Volume(head.flair, head.affine), head.lesion, SMALL_DATA, "head.nii.gz")


def centre_of_mass_mm(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


@pytest.mark.parametrize("codes", ["LAS", "LPS", "RPI", "PIR", "SLA"])
def test_a_flipped_affine_puts_the_lesion_on_the_same_side(head: Phantom, prepared: Prepared, codes: str) -> None:
    flair, affine = reoriented(head.flair, head.affine, codes)
    lesion, _ = reoriented(head.lesion, head.affine, codes)
    other = to_grid(Volume(flair, affine), lesion, SMALL_DATA, "flipped.nii.gz")
    at = centre_of_mass_mm(other.mask, grid_affine(SMALL_GRID))
    assert np.allclose(at, LESION_MM, atol=1.5)
    assert np.allclose(other.image, prepared.image, atol=1e-4)


def test_an_oblique_and_anisotropic_scan_keeps_the_place_of_its_lesion() -> None:
    turn, tilt = np.deg2rad(14), np.deg2rad(9)
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([-3.0, 4.0, 6.0])
    shape = (60, 56, 32)
    affine[:3, 3] = np.array(HEAD_CENTRE_MM) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    scan = make_phantom(affine=affine, shape=shape, lesion_radius_mm=14.0)
    placed = to_grid(Volume(scan.flair, affine), scan.lesion, SMALL_DATA, "oblique.nii.gz")
    assert np.allclose(centre_of_mass_mm(placed.mask, grid_affine(SMALL_GRID)), LESION_MM, atol=2.0)
    back = to_native(placed.mask, placed.placement) > 0.5
    assert np.allclose(centre_of_mass_mm(back, affine), LESION_MM, atol=2.0)


def test_a_rigid_transform_moves_the_lesion_with_the_head(head: Phantom) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (8.0, -12.0, 4.0)
    placed = to_grid(Volume(head.flair, head.affine), head.lesion, SMALL_DATA, "head.nii.gz", shift)
    at = centre_of_mass_mm(placed.mask, grid_affine(SMALL_GRID))
    assert np.allclose(at, np.array(LESION_MM) + shift[:3, 3], atol=1.5)


def test_background_is_exactly_minus_one_and_values_stay_in_range(prepared: Prepared) -> None:
    assert prepared.image.dtype == np.float32
    assert prepared.image.shape == SMALL_GRID.shape
    assert (prepared.image[~prepared.brain] == -1.0).all()
    assert prepared.image.min() == -1.0
    assert prepared.image.max() <= 1.0
    assert 0.05 < prepared.brain.mean() < 0.6


def test_the_map_of_values_comes_from_the_percentiles_of_the_whole_foreground(
    head: Phantom, prepared: Prepared
) -> None:
    low, high = np.percentile(head.flair[head.flair > 0], (0.5, 99.5))
    assert prepared.placement.intensity.low == pytest.approx(low, rel=1e-5)
    assert prepared.placement.intensity.high == pytest.approx(high, rel=1e-5)
    values = np.array([low, high, high + 500, (low + high) / 2], dtype=np.float32)
    assert np.allclose(prepared.placement.intensity.apply(values), [-1, 1, 1, 0], atol=1e-5)


def test_values_that_were_not_clipped_return(prepared: Prepared) -> None:
    mapping = prepared.placement.intensity
    values = np.linspace(mapping.low, mapping.high, 9).astype(np.float32)
    assert np.allclose(mapping.invert(mapping.apply(values)), values, rtol=1e-5, atol=1e-2)


def test_a_dark_slice_stays_dark(head: Phantom) -> None:
    """Normalising each slice by itself would hide that one half of the volume is darker."""
    halved = head.flair.copy()
    halved[..., : SHAPE[2] // 2] *= 0.5
    placed = to_grid(Volume(halved, head.affine), None, SMALL_DATA, "halved.nii.gz")
    middle = SMALL_GRID.shape[2] // 2
    below, above = (placed.image[..., z][placed.brain[..., z]].mean() for z in (middle - 8, middle + 8))
    assert below < above - 0.4


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA"])
def test_a_scan_returns_to_its_own_grid(head: Phantom, codes: str) -> None:
    fine = SMALL_DATA.model_copy(update={"grid": GridConfig(shape=(80, 96, 76), spacing_mm=2.0, centre_mm=(0, -18, 8), first_slice=0, last_slice=75)})  # fmt: skip  # noqa: E501
    flair, affine = reoriented(head.flair, head.affine, codes)
    lesion, _ = reoriented(head.lesion, head.affine, codes)
    placed = to_grid(Volume(flair, affine), lesion, fine, "head.nii.gz")
    back = placed.placement.intensity.invert(to_native(placed.image, placed.placement, outside=-1.0))
    assert back.shape == flair.shape
    inside = lesion_free = (flair > 0) & (lesion == 0)
    assert np.corrcoef(back[inside], flair[lesion_free])[0, 1] > 0.97
    returned = to_native(placed.mask, placed.placement, "nearest") > 0.5
    assert 2 * (returned & (lesion == 1)).sum() / (returned.sum() + lesion.sum()) > 0.9


def test_a_placement_survives_json(prepared: Prepared) -> None:
    read = Placement.from_tree(prepared.placement.to_tree())
    assert np.array_equal(read.native_to_grid, prepared.placement.native_to_grid)
    assert (read.native_shape, read.grid_shape, read.intensity) == (
        prepared.placement.native_shape,
        prepared.placement.grid_shape,
        prepared.placement.intensity,
    )


def test_a_single_slice_keeps_its_own_position(head: Phantom) -> None:
    z = 16
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, 2] * z
    flair, lesion = head.flair[..., z : z + 1], head.lesion[..., z : z + 1]
    assert lesion.any()
    placed = to_grid(Volume(flair, affine), lesion, SMALL_DATA, "slice.nii.gz")
    assert placed.image.shape == (*SMALL_GRID.shape[:2], 1)
    assert placed.placement.grid_affine[2, 3] == pytest.approx(affine[2, 3])
    at = centre_of_mass_mm(placed.mask, placed.placement.grid_affine)
    assert np.allclose(at[:2], centre_of_mass_mm(lesion, affine)[:2], atol=1.5)
    back = to_native(placed.mask, placed.placement, "nearest")
    assert back.shape == flair.shape
    assert 2 * (back * lesion).sum() / (back.sum() + lesion.sum()) > 0.8


def test_a_tilted_single_slice_is_taken_in_its_own_plane(head: Phantom) -> None:
    tilt = np.deg2rad(8)
    affine = head.affine.copy()
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine[:3, :3] = turn @ affine[:3, :3]
    placed = to_grid(Volume(head.flair[..., 14:15], affine), None, SMALL_DATA, "tilted.nii.gz")
    share = placed.brain.sum() * SMALL_GRID.spacing_mm**2 / ((head.flair[..., 14] > 0).sum() * 25.0)
    assert 0.9 < share < 1.1


def test_a_sagittal_single_slice_is_refused(head: Phantom) -> None:
    with pytest.raises(ImageError, match="not axial"):
        to_grid(Volume(head.flair[14:15], head.affine), None, SMALL_DATA, "sagittal.nii.gz")


def test_a_stack_of_two_slices_is_resampled(head: Phantom) -> None:
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, 2] * 14
    placed = to_grid(Volume(head.flair[..., 14:16], affine), None, SMALL_DATA, "two.nii.gz")
    assert 1 <= placed.brain.any(axis=(0, 1)).sum() <= 3
    assert np.isfinite(placed.image).all()


def test_a_lesion_mask_stays_binary_and_traces_reach_further(prepared: Prepared) -> None:
    assert set(np.unique(prepared.mask)) == {0, 1}
    assert (prepared.mask_trace >= (prepared.mask > 0)).all()
    assert prepared.mask_trace.sum() > prepared.mask.sum()


def test_an_unstripped_scan_keeps_its_head_and_loses_its_noise(head: Phantom) -> None:
    noise = np.abs(np.random.default_rng(0).normal(0, 12, SHAPE)).astype(np.float32)
    found = foreground(head.flair + noise)
    assert (found & (head.flair > 300)).sum() > 0.98 * (head.flair > 300).sum()
    assert (found & (head.flair == 0)).sum() < 0.01 * (head.flair == 0).sum()


def test_empty_even_and_far_images_are_refused(head: Phantom) -> None:
    zeros = np.zeros(SHAPE, np.float32)
    with pytest.raises(ImageError, match=r"zeros\.nii\.gz is empty"):
        to_grid(Volume(zeros, head.affine), None, SMALL_DATA, "zeros.nii.gz")
    even = (head.flair > 0).astype(np.float32) * 7
    with pytest.raises(ImageError, match=r"even\.nii\.gz has no contrast"):
        to_grid(Volume(even, head.affine), None, SMALL_DATA, "even.nii.gz")
    far = head.affine.copy()
    far[:3, 3] += 1000
    with pytest.raises(ImageError, match=r"far\.nii\.gz lies outside"):
        to_grid(Volume(head.flair, far), None, SMALL_DATA, "far.nii.gz")


def test_a_real_slice_lands_at_its_level_with_its_lesion_whole(shared_data: Path) -> None:
    case = next(case for case in discover(shared_data / "soop-axial") if case.name == "soop-axial/sub-0003")
    volume = read_volume(case.image)
    lesion = read_mask(case.mask, volume, case.image)
    placed = to_grid(volume, lesion, DataConfig(), case.image.name)
    assert placed.image.shape == (160, 160, 1)
    assert placed.placement.grid_affine[2, 3] == 18.0
    assert lesion.sum() == int(case.row["lesion_px"])
    assert placed.mask.sum() * 1.25**2 == pytest.approx(lesion.sum(), rel=0.03)
    back = to_native(placed.mask, placed.placement) > 0.5
    assert 2 * (back & (lesion > 0)).sum() / (back.sum() + lesion.sum()) > 0.95
    returned = placed.placement.intensity.invert(to_native(placed.image, placed.placement, outside=-1.0))
    assert np.corrcoef(returned[volume.data > 0], volume.data[volume.data > 0])[0, 1] > 0.98


def test_the_grid_shows_the_whole_brain_of_the_template() -> None:
    """The first slice lies below the cerebellum's top and the last just under the vertex; nothing is cut in plane."""
    grid = GridConfig()
    lowest, highest = grid.position_range_mm
    assert (lowest, highest) == (-32.0, 69.25)
    assert 18.0 in [grid.origin_mm[2] + index * grid.spacing_mm for index in range(grid.shape[2])]
    template = load_template()
    placed = to_grid(template, None, DataConfig(), "template.nii.gz")
    assert not placed.brain[[0, -1]].any()
    assert not placed.brain[:, [0, -1]].any()
    whole = (template.data > 0).sum() * 2.0**3
    assert placed.brain.sum() * 1.25**3 == pytest.approx(whole, rel=0.03)
