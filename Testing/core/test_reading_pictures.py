"""A study's images as the reading window gets them, and what a training case says afterwards."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from reading_fixtures import LESION, SHAPE, affine_of, head, truth, write_study

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.answers import feedback
from jsddpm_core.reading_study.manifest import Item, LesionItem, LikertItem, PairItem, Picture, RealItem
from jsddpm_core.reading_study.pictures import files_of, missing_files, problem_of, read_case, read_picture
from jsddpm_core.reading_study.reader_log import training_key
from jsddpm_core.reading_study.responses import Answer


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_voxels_and_place_are_those_that_nibabel_reads(tmp_path: Path, kind: type) -> None:
    (tmp_path / "images").mkdir()
    file = tmp_path / "images" / "000001.nii"
    voxels = np.arange(60).reshape(5, 4, 3).astype(kind)
    affine = np.array([[-1.5, 0.2, 0, 4], [0.3, 2.0, 0.1, -7], [0, 0.1, 3.0, 9], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_slope_inter(*((2.0, -1.0) if kind is np.int16 else (1.0, 0.0)))
    nibabel.save(image, file)
    read = read_picture(tmp_path, Picture(file="images/000001.nii", sha256=digest(file)))
    again = nibabel.load(file)
    np.testing.assert_allclose(read.voxels, np.asarray(again.dataobj).T, rtol=1e-6)
    np.testing.assert_allclose(read.affine, again.affine, atol=1e-6)
    assert read.voxels.dtype == np.float32


def test_a_place_told_by_a_quaternion_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    file = tmp_path / "images" / "000001.nii"
    image = nibabel.Nifti1Image(np.zeros((4, 5), np.float32), None)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1.0]]) * [2, 3, 4]
    image.set_qform(nibabel.affines.from_matvec(turn, [7, 8, 9]), code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, file)
    read = read_picture(tmp_path, Picture(file="images/000001.nii", sha256=digest(file)))
    np.testing.assert_allclose(read.affine, nibabel.load(file).affine, atol=1e-5)
    assert read.voxels.shape == (1, 5, 4)


def digest(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_missing_and_a_changed_image_are_named(tmp_path: Path) -> None:
    manifest = write_study(tmp_path / "study", masks=True)
    folder, case = tmp_path / "study", manifest.cases[0]
    shown = read_case(folder, case)[0]
    assert shown.voxels.shape == SHAPE[::-1] and shown.mask is not None
    assert len(files_of(manifest)) == 10 and missing_files(folder, manifest) == []
    file = folder / case.pictures[0].file
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StudyError, match=r"images/000002.nii is not the image of the study"):
        read_case(folder, case)
    file.unlink()
    with pytest.raises(StudyError, match=r"images/000002.nii is missing"):
        read_case(folder, case)
    assert "is missing" in problem_of(folder, *files_of(manifest)[2])
    assert missing_files(folder, manifest) == [case.pictures[0].file]


@pytest.mark.parametrize("damage", ["short", "magic", "type", "endless", "nan"])
def test_what_is_no_image_is_refused_in_a_sentence(tmp_path: Path, damage: str) -> None:
    (tmp_path / "images").mkdir()
    file = tmp_path / "images" / "000001.nii"
    image = head(1)
    if damage == "nan":
        image[0, 0, 0] = np.nan
    content = bytearray(nibabel.Nifti1Image(image, affine_of()).to_bytes())
    if damage == "short":
        content = content[:600]
    elif damage == "magic":
        content[344:348] = b"none"
    elif damage == "type":
        content[70:72] = (1536).to_bytes(2, "little")
    elif damage == "endless":
        content[42:44] = (30_000).to_bytes(2, "little")
    file.write_bytes(content)
    with pytest.raises(StudyError, match="is no NIfTI image that can be shown"):
        read_picture(tmp_path, Picture(file="images/000001.nii", sha256=digest(file)))


@pytest.mark.parametrize(
    ("number", "item", "value", "mark", "right", "correct", "hit"),
    [
        (2, RealItem(), 6, None, 6, True, None),
        (2, RealItem(), 3, None, 6, False, None),
        (1, RealItem(scale="forced"), 1, None, 1, True, None),
        (2, PairItem(), 2, None, 2, True, None),
        (1, PairItem(), 2, None, 1, False, None),
        (3, LesionItem(), 5, "on it", 6, True, True),
        (3, LesionItem(), 5, "far off", 6, True, False),
        (3, LesionItem(), 2, None, 6, False, None),
        (1, LesionItem(), 2, None, 1, True, None),
    ],
)
def test_feedback_says_what_is_right(
    number: int, item: Item, value: int, mark: str | None, right: int, correct: bool, hit: bool | None
) -> None:
    places = {"on it": np.array([30, 33, 0, 1.0]), "far off": np.array([2, 2, 0, 1.0])}
    mark_mm = None if mark is None else tuple((affine_of() @ places[mark])[:3])
    answer = Answer(item=item.name, value=value, mark_mm=mark_mm)
    (said,) = feedback((item,), (answer,), truth(number), SHAPE, affine_of())
    assert (said.right, said.correct, said.hit) == (right, correct, hit)


def test_questions_of_taste_have_no_feedback_and_the_key_opens_without_a_passphrase(tmp_path: Path) -> None:
    manifest = write_study(tmp_path / "study", training=3)
    key = training_key(tmp_path / "study", manifest)
    assert set(key.cases) == {"training-0001", "training-0002", "training-0003"}
    assert np.count_nonzero(np.zeros(SHAPE)[LESION] == 0) == sum(key.cases["training-0003"].lesion_voxels[1::2])
    taste = LikertItem(name="noise", text="Noise?", low="bad", high="good")
    assert feedback((taste,), (Answer(item="noise", value=3),), truth(1), SHAPE, affine_of()) == ()
    (tmp_path / "study" / "training_key.json").unlink()
    with pytest.raises(StudyError, match="training_key.json could not be read"):
        training_key(tmp_path / "study", manifest)
