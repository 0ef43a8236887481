"""Painted cortical dysplasia: what is asked for is what the image shows, and nothing else of it changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fcd_phantom import CORTEX_MM, EDGE_MM, GREY, T1_GREY, T1_WHITE, WHITE, LayeredHead, layered_head
from scipy import ndimage

from jsddpm_core.data.fcd_parameters import FcdParameters, draw_parameters
from jsddpm_core.data.fcd_shape import MASK_SHARE
from jsddpm_core.data.fcd_simulation import SMOOTH_MM, Painted, paint
from jsddpm_core.data.tissue import Tissue, tissue_of
from jsddpm_core.data.volumes import read_volume
from jsddpm_core.errors import ImageError

GRIDS = {"slice": (0.8, 0.8), "volume": (1.25, 1.25, 1.25), "thick slices": (0.9, 0.9, 2.5)}


@pytest.fixture(scope="module", params=GRIDS)
def head(request: pytest.FixtureRequest) -> LayeredHead:
    return layered_head(GRIDS[request.param])


@pytest.fixture(scope="module")
def tissue(head: LayeredHead) -> Tissue:
    return tissue_of(head.flair, head.spacing_mm)


@pytest.fixture(scope="module")
def flat() -> LayeredHead:
    return layered_head(GRIDS["slice"])


@pytest.fixture(scope="module")
def flat_tissue(flat: LayeredHead) -> Tissue:
    return tissue_of(flat.flair, flat.spacing_mm)


def wish(head: LayeredHead, *, second: float = 50.0) -> np.ndarray:
    """A voxel in the outer part of the head, in the direction of the second axis."""
    site = head.centre
    site[1] += second / head.spacing_mm[1]
    return site


def painted(head: LayeredHead, tissue: Tissue, seed: int = 0, **asked: object) -> Painted:
    lesion = FcdParameters(**({"radius_mm": 20.0, "depth_mm": 6.0} | asked))
    return paint(head.flair, head.spacing_mm, tissue, lesion, np.random.default_rng(seed), site=wish(head))


def near(head: LayeredHead, made: Painted, reach_mm: float) -> np.ndarray:
    """Bool: closer to the lesion's middle than that."""
    away = [
        (axis - at) * step
        for axis, at, step in zip(np.indices(head.flair.shape), made.site, head.spacing_mm, strict=True)
    ]
    return np.sqrt(sum(axis.astype(float) ** 2 for axis in away)) < reach_mm


def profile(head: LayeredHead, image: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of an image at depths below the true pial surface."""
    depths = np.arange(1.5, 9.0, 0.25)
    return depths, np.array([image[where & (np.abs(head.depth_mm - depth) < 0.5)].mean() for depth in depths])


def half_level_depth(head: LayeredHead, image: np.ndarray, where: np.ndarray) -> float:
    """Depth at which the mean lies half-way between cortex and white matter."""
    depths, means = profile(head, image, where)
    below = int(np.flatnonzero(means > (GREY + WHITE) / 2)[-1])
    share = (means[below] - (GREY + WHITE) / 2) / (means[below] - means[below + 1])
    return float(depths[below] + share * (depths[below + 1] - depths[below]))


@pytest.mark.parametrize("contrast", [0.15, 0.4])
def test_the_subcortical_zone_is_as_bright_as_asked(head: LayeredHead, tissue: Tissue, contrast: float) -> None:
    made = painted(head, tissue, contrast=contrast, thickening_mm=1.0, blur_mm=1.0, depth_mm=10.0)
    assert made.effects.contrast == pytest.approx(contrast, rel=0.1)
    zone = near(head, made, 8) & (head.depth_mm > 7) & (head.depth_mm < 9)
    assert (made.image - head.flair)[zone].mean() / WHITE == pytest.approx(contrast, rel=0.1)


@pytest.mark.parametrize("thickening", [0.0, 1.0, 2.0])
def test_the_cortex_grows_by_what_was_asked(head: LayeredHead, tissue: Tissue, thickening: float) -> None:
    made = painted(head, tissue, thickening_mm=thickening, contrast=0.0, blur_mm=0.0)
    where = near(head, made, 9)
    assert half_level_depth(head, head.flair, where) == pytest.approx(CORTEX_MM, abs=0.4)
    grown = half_level_depth(head, made.image, where) - half_level_depth(head, head.flair, where)
    assert grown == pytest.approx(thickening, abs=0.4)
    assert made.effects.thickening_mm == pytest.approx(thickening, abs=0.05)


@pytest.mark.parametrize("blur", [1.0, 2.0])
def test_the_junction_is_as_shallow_as_a_blurred_edge(head: LayeredHead, tissue: Tissue, blur: float) -> None:
    """The steepness of an edge of width sigma is 1/sigma."""
    made = painted(head, tissue, thickening_mm=0.0, contrast=0.0, blur_mm=blur)

    def steepness(*widths: float) -> float:
        return 1 / float(np.sqrt(EDGE_MM**2 + sum(width**2 for width in widths)))

    expected = steepness(SMOOTH_MM, blur) / steepness(SMOOTH_MM)
    assert made.effects.junction_gradient == pytest.approx(expected, rel=0.2)


def test_a_tail_reaches_the_ventricle_and_narrows(head: LayeredHead, tissue: Tissue) -> None:
    with_tail, without = (
        painted(head, tissue, tail=tail, contrast=0.5, tail_mm=5.0, radius_mm=12.0) for tail in (True, False)
    )
    gap = ndimage.distance_transform_edt(~head.ventricle, sampling=head.spacing_mm)
    assert gap[with_tail.mask > 0].min() < 3 * max(head.spacing_mm)
    assert gap[without.mask > 0].min() > 15
    sizes = [int((with_tail.mask[(gap > low) & (gap <= low + 6)]).sum()) for low in (3.0, 12.0, 24.0)]
    assert sizes[0] <= sizes[1] <= sizes[2]
    assert 0 < sizes[0] < sizes[2]


def test_the_mask_is_one_piece_of_tissue(head: LayeredHead, tissue: Tissue) -> None:
    made = painted(head, tissue, tail=True)
    assert made.mask.dtype == np.uint8 and set(np.unique(made.mask)) == {0, 1}
    _, pieces = ndimage.label(made.mask, ndimage.generate_binary_structure(made.mask.ndim, made.mask.ndim))
    assert pieces == 1
    assert made.mask[made.site] == 1
    assert not (tissue.csf[made.mask > 0] >= 0.5).any()
    assert not made.mask[head.flair == 0].any()


def test_below_the_cortex_the_mask_is_where_the_image_changed_by_its_share(head: LayeredHead, tissue: Tissue) -> None:
    made = painted(head, tissue, contrast=0.5, thickening_mm=0.0, blur_mm=0.0)
    change = (made.image - head.flair) / (0.5 * WHITE)
    below = (tissue.depth_mm > 6) & (tissue.csf < 0.2)
    # Along the cortex the change is the zone's weight and the window's share, which the mask's rule does not count.
    sure, never = below & (change > MASK_SHARE + 0.31), below & (change < MASK_SHARE - 0.02)
    assert sure.sum() > 30
    assert made.mask[sure].all()
    assert not made.mask[never].any()


def test_beyond_its_reach_every_voxel_keeps_its_bits(head: LayeredHead, tissue: Tissue) -> None:
    made = painted(head, tissue, tail=True)
    untouched = made.image == head.flair
    assert untouched[~near(head, made, 75)].all()
    assert untouched[tissue.csf >= 0.5].all()
    assert 0.001 < (~untouched).mean() < 0.25
    assert untouched[made.mask == 0].mean() > 0.9
    assert made.image.dtype == np.float32


def test_texture_stays(head: LayeredHead, tissue: Tissue) -> None:
    """A lesion that is smoother than the scan around it would give itself away."""
    made = painted(head, tissue, contrast=0.3)
    zone = near(head, made, 9) & (head.depth_mm > 6) & (head.depth_mm < 9)
    rough = [(image - ndimage.gaussian_filter(image, 1))[zone].std() for image in (head.flair, made.image)]
    assert rough[1] == pytest.approx(rough[0], rel=0.25)


def test_a_seed_chooses_the_site_and_nothing_else(flat: LayeredHead, flat_tissue: Tissue) -> None:
    lesion = FcdParameters()
    first, again, other = (
        paint(flat.flair, flat.spacing_mm, flat_tissue, lesion, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.image, again.image) and np.array_equal(first.mask, again.mask)
    assert first.site == again.site != other.site
    assert draw_parameters(np.random.default_rng(1)) == draw_parameters(np.random.default_rng(1))
    assert draw_parameters(np.random.default_rng(1)) != draw_parameters(np.random.default_rng(2))


def test_the_site_is_the_cortex_nearest_to_the_wish(head: LayeredHead, tissue: Tissue) -> None:
    made = painted(head, tissue)
    away = (np.array(made.site) - wish(head)) * np.array(head.spacing_mm)
    assert np.linalg.norm(away) < 12
    assert head.depth_mm[made.site] == pytest.approx(CORTEX_MM, abs=max(head.spacing_mm) + 0.8)


def test_a_site_is_drawn_where_it_is_allowed(flat: LayeredHead, flat_tissue: Tissue) -> None:
    allowed = np.zeros(flat.flair.shape, bool)
    allowed[: flat.flair.shape[0] // 3] = True
    for seed in range(5):
        made = paint(
            flat.flair, flat.spacing_mm, flat_tissue, FcdParameters(), np.random.default_rng(seed), allowed=allowed
        )
        assert allowed[made.site]


def test_a_plainer_lesion_changes_the_image_more(flat: LayeredHead, flat_tissue: Tissue) -> None:
    made = [painted(flat, flat_tissue, conspicuity=share) for share in (0.25, 0.5, 0.75, 1.0)]
    contrast = [each.effects.contrast for each in made]
    thickening = [each.effects.thickening_mm for each in made]
    assert contrast == sorted(contrast) and contrast[0] < 0.5 * contrast[-1]
    assert thickening == sorted(thickening) and thickening[0] < 0.5 * thickening[-1]


def test_a_t1w_shows_the_lesion_the_other_way_round(flat: LayeredHead, flat_tissue: Tissue) -> None:
    def on_t1(**asked: float) -> Painted:
        lesion = FcdParameters(radius_mm=20, **asked)
        return paint(
            flat.flair, flat.spacing_mm, flat_tissue, lesion, np.random.default_rng(0), site=wish(flat), t1w=flat.t1w
        )

    dark = on_t1(contrast=0.4, thickening_mm=0.0, blur_mm=0.0)
    zone = near(flat, dark, 8) & (flat.depth_mm > 6) & (flat.depth_mm < 7)
    assert dark.t1w is not None
    assert (dark.t1w - flat.t1w)[zone].mean() / T1_WHITE == pytest.approx(-0.3 * 0.4, rel=0.15)
    thick = on_t1(contrast=0.0, thickening_mm=2.0, blur_mm=0.0)
    grown = near(flat, thick, 8) & (flat.depth_mm > 4.2) & (flat.depth_mm < 5)
    assert thick.t1w is not None
    assert thick.t1w[grown].mean() < flat.t1w[grown].mean() - 0.25 * (T1_WHITE - T1_GREY)


def test_supplied_maps_go_before_the_images_own(flat: LayeredHead) -> None:
    tissue = tissue_of(flat.flair, flat.spacing_mm, maps=flat.maps)
    for found, given in zip((tissue.csf, tissue.grey, tissue.white), flat.maps, strict=True):
        np.testing.assert_array_equal(found, given)
    left = np.arange(flat.flair.shape[0])[:, None] < flat.centre[0]
    moved = (flat.maps[0], flat.maps[1] * left, flat.maps[2] + flat.maps[1] * ~left)
    assert tissue_of(flat.flair, flat.spacing_mm, maps=moved).white.sum() > tissue.white.sum()


def test_tissue_is_found_in_the_image_itself(head: LayeredHead, tissue: Tissue) -> None:
    assert (tissue.ventricle & head.ventricle).sum() > 0.85 * head.ventricle.sum()
    assert not (tissue.ventricle & (head.depth_mm == 0) & ~head.ventricle).any()
    assert tissue.white_level == pytest.approx(WHITE, rel=0.03)
    solid = (head.depth_mm > 0) & ~head.ventricle
    grey, white = tissue.grey > 0.5, tissue.white > 0.5
    assert grey[solid & (head.depth_mm < CORTEX_MM - 1)].mean() > 0.9
    far = ndimage.distance_transform_edt(~head.ventricle, sampling=head.spacing_mm) > 8
    assert white[solid & far & (head.depth_mm > CORTEX_MM + 2)].mean() > 0.95


def test_the_same_lesion_in_millimetres_on_any_grid() -> None:
    sizes = []
    for spacing in ((1.25, 1.25, 1.25), (0.9, 0.9, 2.5)):
        head = layered_head(spacing)
        sizes.append(painted(head, tissue_of(head.flair, spacing, maps=head.maps)).effects.lesion_mm)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.2)


def test_what_cannot_be_painted_is_said(flat: LayeredHead, flat_tissue: Tissue) -> None:
    with pytest.raises(ImageError, match="only 0 voxels of brain"):
        tissue_of(np.zeros((60, 60), np.float32), (1.0, 1.0))
    with pytest.raises(ImageError, match=r"only \d+ voxels of brain"):
        tissue_of(np.pad(np.full((9, 9), 5, np.float32), 20), (1.0, 1.0))
    with pytest.raises(ImageError, match="intensities|told apart"):
        tissue_of(np.pad(np.full((40, 40), 5, np.float32), 20), (1.0, 1.0))
    nowhere = np.zeros(flat.flair.shape, bool)
    with pytest.raises(ImageError, match="no cortex where"):
        paint(flat.flair, flat.spacing_mm, flat_tissue, FcdParameters(), np.random.default_rng(0), allowed=nowhere)
    dry = replace(flat_tissue, ventricle=np.zeros_like(flat_tissue.ventricle))
    with pytest.raises(ImageError, match="no place in the cortex takes such a lesion"):
        painted(flat, dry, tail=True)
    with pytest.raises(ImageError, match="resample it to the FLAIR"):
        paint(flat.flair, flat.spacing_mm, flat_tissue, FcdParameters(), np.random.default_rng(0), t1w=flat.t1w[1:])


def test_a_real_scan_with_thick_slices_is_painted(shared_data: Path) -> None:
    anat = shared_data / "ms-volumes" / "sub-long04" / "ses-1" / "anat"
    flair, t1w = (read_volume(anat / f"sub-long04_ses-1_{kind}.nii.gz") for kind in ("FLAIR", "T1w"))
    tissue = tissue_of(flair.data, flair.spacing_mm)
    voxel_ml = float(np.prod(flair.spacing_mm)) / 1000
    assert 2 < tissue.ventricle.sum() * voxel_ml < 120
    assert 250 < (tissue.grey > 0.5).sum() * voxel_ml < 900
    given = t1w.data if t1w.data.shape == flair.data.shape else None
    lesion = FcdParameters(radius_mm=10, contrast=0.3)
    made = paint(flair.data, flair.spacing_mm, tissue, lesion, np.random.default_rng(0), t1w=given)
    assert made.effects.contrast == pytest.approx(0.3, rel=0.25)
    assert 0.3 < made.effects.lesion_mm / 1000 < 12
    assert np.array_equal(made.image[tissue.csf >= 0.5], flair.data[tissue.csf >= 0.5])
