"""The phantom is the ground truth of other tests, so it is held to its own promises."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from phantom import Phantom, make_phantom


def centre_of_lesion_mm(case: Phantom) -> np.ndarray:
    voxel = np.argwhere(case.lesion).mean(axis=0)
    return case.affine[:3, :3] @ voxel + case.affine[:3, 3]


@pytest.mark.parametrize(
    "affine",
    [
        None,
        np.array([[-2.5, 0, 0, 79], [0, -2.5, 0, 77], [0, 0, 2.5, -60], [0, 0, 0, 1.0]]),
        np.array([[0, 0, 3.0, -84], [2.5, 0, 0, -98], [0, 2.2, 0, -75], [0, 0, 0, 1.0]]),
    ],
    ids=["RAS", "LPS", "axes swapped and anisotropic"],
)
def test_the_lesion_lies_where_it_was_asked_for_on_any_grid(affine: np.ndarray | None) -> None:
    case = make_phantom(affine=affine, lesion_centre_mm=(32.0, -30.0, 18.0), lesion_radius_mm=9.0)
    assert centre_of_lesion_mm(case) == pytest.approx((32.0, -30.0, 18.0), abs=0.6)
    volume = case.lesion.sum() * abs(np.linalg.det(case.affine[:3, :3]))
    assert volume == pytest.approx(4 / 3 * np.pi * 9.0**3, rel=0.08)


def test_the_patients_right_is_the_brighter_half(phantom: Phantom) -> None:
    healthy = make_phantom(lesion_centre_mm=None)
    half = healthy.flair.shape[0] // 2
    left, right = healthy.flair[:half], healthy.flair[half:]
    assert np.median(right[right > 0]) > 1.02 * np.median(left[left > 0])
    assert healthy.lesion.sum() == 0
    assert phantom.flair[phantom.lesion == 1].mean() > 1.5 * np.median(phantom.flair[phantom.flair > 0])


def test_cases_on_disk_are_what_was_drawn(phantom_cases: Path) -> None:
    case = make_phantom(seed=0, lesion_centre_mm=(32.0, -30.0, 18.0))
    stored = nibabel.load(phantom_cases / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(stored.dataobj), case.flair)
    np.testing.assert_array_equal(stored.affine, case.affine)
    masks = {path.parts[-3] for path in phantom_cases.glob("sub-*/anat/*_roi.nii.gz")}
    assert len(masks) == 5
    assert not any(
        np.asanyarray(nibabel.load(path).dataobj).any() for path in phantom_cases.glob("sub-0[45]/anat/*roi*")
    )
