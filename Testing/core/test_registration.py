"""Which scans need alignment, which find it, and which are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from jsddpm_core.data import registration
from jsddpm_core.data.cases import Case
from jsddpm_core.data.preprocess import resample
from jsddpm_core.data.registration import Alignment, align, as_declared, in_template_space, similarity
from jsddpm_core.data.template import load_template, template_affine
from jsddpm_core.data.volumes import Volume
from jsddpm_core.errors import ImageError

AROUND_THE_BRAIN = np.array([[60, -18, 20, 1], [-60, -18, 20, 1], [0, 55, 20, 1], [0, -95, 10, 1], [0, -18, 70, 1.0]]).T


@pytest.fixture(scope="module")
def template() -> Volume:
    return load_template()


def a_case(space: str | None) -> Case:
    return Case("d/sub-a", "d/sub-a", "d", Path("sub-a_FLAIR.nii.gz"), space=space)


def rigid(degrees: float, shift_mm: tuple[float, float, float]) -> np.ndarray:
    """A turn about the patient's vertical and left-right axes, and a shift."""
    a = np.deg2rad(degrees)
    matrix = np.eye(4)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), np.sin(a)], [0, -np.sin(a), np.cos(a)]])
    matrix[:3, :3], matrix[:3, 3] = about_z @ about_x, shift_mm
    return matrix


def native_scan(template: Volume, to_template: np.ndarray) -> Volume:
    """The template as a scanner at another place would have it: LPS, 2.5 x 2.5 x 4 mm."""
    affine = np.diag([-2.5, -2.5, 4.0, 1.0])
    shape = (80, 96, 48)
    affine[:3, 3] = (100.0, 100.0, -78.0)
    centre = np.linalg.inv(to_template) @ np.array([0, -18, 15, 1.0])
    affine[:3, 3] += centre[:3] - np.array([0, -18, 15])
    back = np.linalg.inv(template.affine) @ to_template @ affine
    return Volume(resample(template.data, back, shape, "linear"), affine)


def test_a_turned_and_shifted_scan_finds_back_within_half_a_millimetre(template: Volume) -> None:
    truth = rigid(9.0, (12.0, -20.0, 25.0))
    scan = native_scan(template, truth)
    before = similarity(scan, np.eye(4), template)
    found = align(scan, template, "scan.nii.gz")
    apart = np.linalg.norm(((found.matrix @ np.linalg.inv(truth) - np.eye(4)) @ AROUND_THE_BRAIN)[:3], axis=0)
    assert apart.max() < 0.5
    assert found.how == "rigid"
    assert found.similarity > max(0.9, before + 0.3)
    rotation = found.matrix[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) > 0


def test_a_scan_with_its_skull_is_aligned_too(template: Volume) -> None:
    brain = template.data > 0
    away_mm = 2.0 * ndimage.distance_transform_edt(~ndimage.binary_closing(brain, iterations=3))
    head = np.where((away_mm > 6) & (away_mm < 14), 170, np.where((away_mm > 0) & (away_mm <= 6), 25, template.data))
    head[25:66, 20:90, :8] = 120  # the neck
    noise = np.abs(np.random.default_rng(0).normal(0, 6, head.shape))
    truth = rigid(8.0, (10.0, -15.0, 20.0))
    scan = native_scan(Volume((head + noise).astype(np.float32), template.affine), truth)
    found = align(scan, template, "head.nii.gz")
    apart = np.linalg.norm(((found.matrix @ np.linalg.inv(truth) - np.eye(4)) @ AROUND_THE_BRAIN)[:3], axis=0)
    assert apart.max() < 2.0


def test_what_does_not_look_like_a_brain_is_refused_with_its_similarity(
    template: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "SAMPLED_SHARES", [0.3, 0.05, 0.01])  # a search in vain may be a quick one
    values = np.zeros((60, 60, 60), np.float32)
    values[:30] = np.random.default_rng(0).random((30, 60, 60))
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    with pytest.raises(ImageError, match=r"noise\.nii\.gz could not be aligned .*needed 0\.35"):
        align(Volume(values, affine), template, "noise.nii.gz")


def test_a_thin_slab_in_its_own_space_is_refused(template: Volume) -> None:
    scan = native_scan(template, np.eye(4))
    slab = Volume(np.ascontiguousarray(scan.data[..., 20:26]), scan.affine)
    with pytest.raises(ImageError, match=r"slab\.nii\.gz is not in template space and covers only \d+ mm"):
        align(slab, template, "slab.nii.gz")


def test_the_name_decides_about_the_space_before_the_header_does() -> None:
    data, affine = np.ones((2, 2, 2), np.float32), np.eye(4)
    said, silent = Volume(data, affine, declared_template=True), Volume(data, affine)
    assert in_template_space(a_case("MNI152"), silent)
    assert in_template_space(a_case("MNI152NLin2009cAsym"), silent)
    assert in_template_space(a_case(None), said)
    assert not in_template_space(a_case(None), silent)
    assert not in_template_space(a_case("T1w"), said)


def test_a_scan_that_only_claims_template_space_is_refused(template: Volume) -> None:
    assert as_declared(template, template, "template.nii.gz").similarity == pytest.approx(1.0, abs=0.02)
    upside_down = template_affine() @ np.diag([1.0, 1.0, -1.0, 1.0])
    upside_down[2, 3] += 140
    with pytest.raises(ImageError, match="does not look like it"):
        as_declared(Volume(np.roll(template.data, 40, axis=1), upside_down), template, "wrong.nii.gz")


def test_one_slice_is_compared_in_its_own_plane(template: Volume) -> None:
    affine = template.affine.copy()
    affine[2, 3] += 45 * 2.0
    here = Volume(template.data[..., 45:46], affine)
    affine_elsewhere = affine.copy()
    affine_elsewhere[2, 3] -= 41.0
    assert similarity(here, np.eye(4), template) > 0.99
    assert similarity(Volume(here.data, affine_elsewhere), np.eye(4), template) < 0.8


def test_a_transform_survives_json() -> None:
    alignment = Alignment(rigid(5, (1, 2, 3)), 0.7, "rigid")
    read = Alignment.from_json(alignment.to_json())
    assert np.array_equal(read.matrix, alignment.matrix)
    assert (read.similarity, read.how) == (0.7, "rigid")


def test_the_template_is_an_average_with_its_attribution(template: Volume) -> None:
    folder = Path(__file__).resolve().parents[2] / "Resources" / "Templates"
    said = (folder / "flair-mni152-2mm.json").read_text(encoding="utf-8")
    assert "CC-BY" in said
    assert "doi:10.1038/s41597-025-05250-y" in said
    assert (folder / "flair-mni152-2mm.nii.gz").stat().st_size < 300_000
    assert template.declared_template
    assert np.allclose(template.affine, template_affine())
    left, right = template.data[:45].sum(), template.data[46:].sum()
    assert abs(left - right) / (left + right) < 0.05
