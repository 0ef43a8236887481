"""The gallery shows what training learns: the same voxels, the same sides."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import SMALL_DATA, SMALL_GRID, reoriented, small_config, write_image
from phantom import make_phantom
from PIL import Image

from jsddpm_core.data.gallery import SLICES_A_CASE, GalleryCase, chosen_slices, gallery_case, write_gallery
from jsddpm_core.data.on_grid import ToGrid
from jsddpm_core.data.prepare import prepare_entries
from jsddpm_core.errors import CaseError
from jsddpm_core.generation.picture import MOST_TILES
from jsddpm_core.progress import Progress
from jsddpm_core.training.request import CaseEntry, Corrections

SHAPE, SPACING = (32, 38, 28), (5.0, 5.0, 5.0)


def an_entry(folder: Path, name: str, codes: str = "RAS", masked: bool = True) -> CaseEntry:
    """A phantom with a lesion on its right, stored along any axes."""
    head = make_phantom(shape=SHAPE, spacing_mm=SPACING, lesion_radius_mm=14)
    flair, affine = reoriented(head.flair, head.affine, codes)
    lesion, _ = reoriented(head.lesion, head.affine, codes)
    image = write_image(folder / f"{name}.nii.gz", flair, affine)
    mask = write_image(folder / f"{name}_roi.nii.gz", lesion, affine) if masked else None
    return CaseEntry(name=f"d/{name}", subject=f"d/{name}", dataset="d", image=image, mask=mask, pathology="infarct")


def test_the_slices_are_those_that_training_learns(tmp_path: Path) -> None:
    config, entry = small_config(), an_entry(tmp_path, "a", "LPS")
    cache = prepare_entries([entry], config, tmp_path / "cache", Corrections(n4=True)).cache
    shown = gallery_case(entry, config, ToGrid(SMALL_DATA, Corrections(n4=True)))
    assert list(shown.positions_mm) == [record.position_mm for record in cache.records]
    for number, record in enumerate(cache.records):
        assert np.array_equal(shown.image[..., number], cache.images[number])
        assert np.array_equal(shown.mask[..., number], cache.masks[number])
        at = shown.affine @ [0, 0, number, 1]
        assert at[2] == pytest.approx(record.position_mm)
    assert shown.steps == ("header", "N4 bias correction")


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPI"])
def test_a_lesion_of_the_right_side_is_outlined_at_the_left_of_the_picture(codes: str, tmp_path: Path) -> None:
    config = small_config()
    made = write_gallery([an_entry(tmp_path, "a", codes)], config, tmp_path / "out")
    picture = np.asarray(Image.open(tmp_path / "out" / made["pictures"][0]).convert("RGB")).astype(int)
    colour = next(entry.colour for entry in config.pathologies if entry.name == "infarct")
    outline = np.argwhere((np.abs(picture - np.array(colour)) < 12).all(axis=2))
    assert len(outline) > 30
    tile = picture.shape[1] / SLICES_A_CASE
    assert (outline[:, 1] % tile < tile / 2).all()


def test_the_slice_with_most_of_the_lesion_is_among_those_shown() -> None:
    mask = np.zeros((8, 8, 30), np.uint8)
    mask[2:5, 2:5, 3] = 1
    mask[2, 2, 4] = 1
    image = np.zeros((8, 8, 30), np.float32)
    assert 3 in chosen_slices(GalleryCase("a", image, mask), 4)
    assert len(chosen_slices(GalleryCase("a", image, mask), 4)) == 4
    assert chosen_slices(GalleryCase("a", image, None), 4) == sorted(chosen_slices(GalleryCase("a", image, None), 4))
    assert chosen_slices(GalleryCase("a", image[..., :1], None), 4) == [0]


def test_volumes_are_written_for_a_viewer(tmp_path: Path) -> None:
    entries = [an_entry(tmp_path, "a"), an_entry(tmp_path, "b", masked=False)]
    made = write_gallery(entries, small_config(), tmp_path / "out")
    first, second = made["cases"]
    image = np.load(tmp_path / "out" / first["image"], allow_pickle=False)
    mask = np.load(tmp_path / "out" / first["mask"], allow_pickle=False)
    assert image.shape == mask.shape == (*SMALL_GRID.shape[:2], len(first["positions_mm"]))
    assert (image.dtype, mask.dtype) == (np.float32, np.uint8)
    centre = np.array(first["affine"]) @ np.append(np.argwhere(mask).mean(axis=0), 1)
    assert np.allclose(centre[:3], [32, -30, 18], atol=2)
    assert second["mask"] is None
    assert second["reason"] is None


def test_many_cases_fill_several_pages_and_one_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    entry = an_entry(tmp_path, "a")
    count = MOST_TILES // SLICES_A_CASE + 1
    entries = [entry.model_copy(update={"name": f"d/{number}"}) for number in range(count)]
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    entries.append(entry.model_copy(update={"name": "d/broken", "image": broken}))
    heard: list[Progress] = []
    made = write_gallery(
        entries, small_config(), tmp_path / "out", None, heard.append, picture="mine.png", volumes=False
    )
    assert made["pictures"] == ["mine.png", "mine-02.png"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(made["pictures"])
    assert [case["page"] for case in made["cases"]] == [0] * (count - 1) + [1, None]
    assert "could not be read as NIfTI" in made["cases"][-1]["reason"]
    assert heard[-1].done == heard[-1].total == count + 1
    with pytest.raises(CaseError, match="none of 1 cases can be shown; the first: .*broken"):
        write_gallery(entries[-1:], small_config(), tmp_path / "none")


def test_the_picture_says_that_it_shows_patients(tmp_path: Path) -> None:
    made = write_gallery([an_entry(tmp_path, "a")], small_config(), tmp_path / "out")
    content = (tmp_path / "out" / made["pictures"][0]).read_bytes()
    assert "real patients" in Image.open(io.BytesIO(content)).info["Description"]


def test_real_cases_are_shown_as_they_are_cached(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "soop-axial" / "sub-0003" / "anat"
    entry = CaseEntry(
        name="soop-axial/sub-0003",
        subject="soop-axial/sub-0003",
        dataset="soop-axial",
        image=folder / "sub-0003_space-MNI152_FLAIR.nii.gz",
        mask=folder / "sub-0003_space-MNI152_FLAIR_roi.nii.gz",
        pathology="infarct",
        space="MNI152",
    )
    config = small_config()
    cache = prepare_entries([entry], config, tmp_path / "cache").cache
    shown = gallery_case(entry, config, ToGrid(config.data, Corrections()))
    assert np.array_equal(shown.image[..., 0], cache.images[0])
    assert shown.mask.sum() > 0
