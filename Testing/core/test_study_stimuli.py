"""The one way from a slice to a file: what goes in differently comes out alike."""

from __future__ import annotations

import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
from evaluation_fixtures import brain_images

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study import stimuli
from jsddpm_core.reading_study.manifest import NOTICE

SPACING = 1.25


def grey(image: np.ndarray, seed: int = 0) -> np.ndarray:
    return stimuli.harmonised(image, SPACING, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def a_brain() -> np.ndarray:
    return brain_images(1)[0]


def test_outside_of_the_brain_is_one_value_whatever_the_background_was(a_brain: np.ndarray) -> None:
    noisy = np.clip(a_brain + np.random.default_rng(0).normal(0, 0.02, a_brain.shape), -1, 1)
    for picture in (grey(a_brain), grey(noisy)):
        assert picture[0, 0] == picture[-1, 20] == stimuli.BACKGROUND
        inside = picture[stimuli.outline(a_brain, SPACING)]
        assert stimuli.RIM < inside.min() <= inside.max() <= stimuli.LEVELS
    assert ((grey(a_brain) > 0) != (grey(noisy) > 0)).mean() < 0.01


def test_a_comb_of_256_values_is_gone_and_the_picture_is_not(a_brain: np.ndarray) -> None:
    comb = np.round((a_brain + 1) * 60) / 60 - 1
    before, after = np.unique(comb[a_brain > -1]).size, np.unique(grey(comb)).size
    assert before < 130 < 300 < after
    brain = stimuli.outline(comb, SPACING)
    wanted = (comb[brain] + stimuli.CLIP) / (2 * stimuli.CLIP) * (stimuli.HIGHEST - stimuli.LOWEST) + stimuli.LOWEST
    away = grey(comb)[brain] - np.clip(wanted, stimuli.LOWEST, stimuli.HIGHEST)
    assert abs(away.mean()) < 0.5
    assert away.std() == pytest.approx(stimuli.DITHER, rel=0.1)


def test_all_pictures_have_as_many_zeros_however_large_the_brain() -> None:
    pictures = [grey(brain_images(1, seed=n, radius=radius)[0], n) for n, radius in enumerate((0.25, 0.3, 0.35))]
    evened = stimuli.with_even_background(pictures)
    assert len({int((picture == stimuli.BACKGROUND).sum()) for picture in evened}) == 1
    for before, after in zip(pictures, evened, strict=True):
        assert np.array_equal(before[before > 0], after[before > 0])
        assert set(np.unique(after[before == 0])) <= {stimuli.BACKGROUND, stimuli.RIM}


def test_a_slice_without_a_brain_or_with_no_numbers_is_refused(a_brain: np.ndarray) -> None:
    with pytest.raises(StudyError, match="shows no brain"):
        grey(np.full((64, 64), -1.0, dtype=np.float32))
    with pytest.raises(StudyError, match="no numbers"):
        grey(np.where(a_brain > 0, np.nan, a_brain))


def test_a_brain_that_reaches_the_frame_keeps_its_edge(a_brain: np.ndarray) -> None:
    assert stimuli.outline(np.zeros((32, 32)), SPACING)[1:-1, 1:-1].mean() > 0.9


def test_files_of_one_kind_differ_in_voxels_only(a_brain: np.ndarray) -> None:
    files = [stimuli.picture_bytes(grey(a_brain, seed), SPACING) for seed in (1, 2)]
    assert len(files[0]) == len(files[1]) == 352 + 2 * a_brain.size
    assert files[0][:352] == files[1][:352]
    image = nibabel.Nifti1Image.from_stream(io.BytesIO(files[0]))
    assert bytes(image.header["descrip"]).strip(b"\0").decode() == NOTICE
    assert image.header.get_data_dtype() == np.int16
    assert np.array_equal(np.asarray(image.dataobj)[..., 0], grey(a_brain, 1))
    assert image.affine[2, 3] == 0  # no position shows


def test_a_file_is_never_written_over_and_has_the_time_stamp_of_all(tmp_path: Path) -> None:
    stimuli.write_picture(tmp_path / "1.nii", b"content")
    assert (tmp_path / "1.nii").stat().st_mtime == stimuli.MODIFIED
    with pytest.raises(FileExistsError):
        stimuli.write_picture(tmp_path / "1.nii", b"other")


def test_a_mask_is_cut_to_the_brain_and_loses_its_specks() -> None:
    mask, brain = np.zeros((20, 20), dtype=np.uint8), np.ones((20, 20), dtype=bool)
    mask[2:6, 2:6], mask[10, 10:13], mask[15:19, 15:19] = 1, 1, 1
    brain[17:] = False
    clean = stimuli.cleaned_mask(mask, brain)
    assert clean.sum() == 16 + 8
    assert clean[10].sum() == 0


def test_runs_of_a_mask_are_read_back(a_brain: np.ndarray) -> None:
    mask = (a_brain > 0.2).astype(np.uint8)
    runs = stimuli.runs_of(mask)
    again = np.zeros(mask.size, dtype=np.uint8)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        again[start : start + length] = 1
    assert np.array_equal(again.reshape(mask.shape), mask)
    assert stimuli.runs_of(np.zeros((3, 3))) == ()


def test_random_numbers_follow_from_the_secret_and_from_what_they_are_for() -> None:
    draws = [stimuli.stream(secret, *parts).integers(2**40) for secret, parts in
             ((b"a", ("x", 1)), (b"a", ("x", 1)), (b"a", ("x", 2)), (b"b", ("x", 1)))]  # fmt: skip
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
