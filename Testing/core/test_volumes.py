"""What a damaged or unfit image file is told."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from data_fixtures import write_image

from jsddpm_core.data.volumes import read_mask, read_volume
from jsddpm_core.errors import ImageError

IMAGE = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.nii\.gz does not exist"):
        read_volume(tmp_path / "gone.nii.gz")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    whole = write_image(tmp_path / "cut.nii.gz", np.random.default_rng(0).random((20, 20, 20), dtype=np.float32))
    whole.write_bytes(whole.read_bytes()[:4000])
    with pytest.raises(ImageError, match=r"cut\.nii\.gz could not be read"):
        read_volume(whole)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x1f\x8b" + b"\0" * 400])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"text\.nii\.gz could not be read"):
        read_volume(path)


def test_a_4d_image_is_refused_but_one_time_point_is_an_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"4 axes of sizes \(3, 4, 5, 2\)"):
        read_volume(write_image(tmp_path / "t.nii.gz", np.stack([IMAGE, IMAGE], axis=-1)))
    assert read_volume(write_image(tmp_path / "one.nii.gz", IMAGE[..., None])).data.shape == (3, 4, 5)


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    broken = IMAGE.copy()
    broken[0, 0, :2] = np.nan, np.inf
    with pytest.raises(ImageError, match="2 voxels that are NaN or infinite"):
        read_volume(write_image(tmp_path / "nan.nii.gz", broken))


def test_a_colour_image_is_refused(tmp_path: Path) -> None:
    colour = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ImageError, match=r"rgb\.nii\.gz holds values of the type"):
        read_volume(write_image(tmp_path / "rgb.nii.gz", colour))


def test_an_affine_without_an_inverse_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "flat.nii", IMAGE)
    content = bytearray(path.read_bytes())
    content[312:328] = bytes(16)  # srow_z of the NIfTI-1 header
    path.write_bytes(content)
    with pytest.raises(ImageError, match="affine that cannot be inverted"):
        read_volume(path)


def test_a_mask_of_another_shape_or_place_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.nii.gz", IMAGE)
    image = read_volume(path)
    with pytest.raises(ImageError, match=r"small\.nii\.gz has the sizes \(3, 4, 4\).*image\.nii\.gz has \(3, 4, 5\)"):
        read_mask(write_image(tmp_path / "small.nii.gz", np.zeros((3, 4, 4), np.uint8)), image, path)
    moved = np.eye(4)
    moved[0, 3] = 2.0
    with pytest.raises(ImageError, match=r"moved\.nii\.gz lies up to 2\.00 mm from its image"):
        read_mask(write_image(tmp_path / "moved.nii.gz", np.zeros((3, 4, 5), np.uint8), moved), image, path)


def test_a_mask_of_any_label_is_read_as_0_and_1(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.nii.gz", IMAGE)
    labels = np.zeros((3, 4, 5), np.float32)
    labels[0, 0, :4] = 0.2, 1.0, 3.0, 255.0
    mask = read_mask(write_image(tmp_path / "labels.nii.gz", labels), read_volume(path), path)
    assert mask.dtype == np.uint8
    assert mask[0, 0].tolist() == [0, 1, 1, 1, 0]
    assert mask.sum() == 3


def test_the_header_says_whether_the_space_is_mni152(tmp_path: Path) -> None:
    assert read_volume(write_image(tmp_path / "mni.nii.gz", IMAGE, sform_code=4)).declared_template
    assert not read_volume(write_image(tmp_path / "own.nii.gz", IMAGE, sform_code=1)).declared_template


@pytest.mark.parametrize(("sform", "qform", "declared"), [(1, 4, False), (4, 1, True), (0, 4, True)])
def test_only_the_code_of_the_affine_in_use_says_so(tmp_path: Path, sform: int, qform: int, declared: bool) -> None:
    image = nibabel.Nifti1Image(IMAGE, np.eye(4))
    image.set_sform(np.eye(4), code=sform)
    image.set_qform(np.eye(4), code=qform)
    nibabel.save(image, tmp_path / "both.nii.gz")
    assert read_volume(tmp_path / "both.nii.gz").declared_template == declared


def test_a_link_into_nowhere_is_told_from_a_wrong_path(tmp_path: Path) -> None:
    (tmp_path / "linked.nii.gz").symlink_to(tmp_path / "not-fetched")
    with pytest.raises(ImageError, match=r"linked\.nii\.gz is a link to a file that is not there"):
        read_volume(tmp_path / "linked.nii.gz")
