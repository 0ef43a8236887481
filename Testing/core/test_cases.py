"""Which cases a folder is seen to hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from jsddpm_core.data.cases import discover
from jsddpm_core.errors import CaseError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_naming_of_ds004199_is_understood(tmp_path: Path) -> None:
    anat = "sub-00003/anat/sub-00003"
    touch(
        tmp_path / "ds004199",
        f"{anat}_acq-T2sel_FLAIR.nii.gz",
        f"{anat}_acq-T2sel_FLAIR_roi.nii.gz",
        f"{anat}_acq-iso08_T1w.nii.gz",
        "sub-00001/anat/sub-00001_acq-T2sel_FLAIR.nii.gz",
    )
    table = "participant_id\tgroup\tage\nsub-00001\thc\t30\nsub-00003\tfcd\t31\n"
    (tmp_path / "ds004199" / "participants.tsv").write_text(table, encoding="utf-8")
    control, patient = discover(tmp_path / "ds004199")
    assert patient.subject == "ds004199/sub-00003"
    assert patient.mask is not None
    assert patient.mask.name == "sub-00003_acq-T2sel_FLAIR_roi.nii.gz"
    assert patient.t1w is not None
    assert patient.t1w.name == "sub-00003_acq-iso08_T1w.nii.gz"
    assert patient.row["group"] == "fcd"
    assert control.mask is None
    assert control.declared_free
    assert not patient.declared_free


def test_two_sessions_are_two_cases_of_one_person(tmp_path: Path) -> None:
    for session in ("ses-1", "ses-2"):
        base = f"sub-a/{session}/anat/sub-a_{session}_FLAIR"
        touch(tmp_path, f"{base}.nii.gz", f"{base}_roi.nii.gz")
    first, second = discover(tmp_path, "d")
    assert (first.name, second.name) == ("d/sub-a_ses-1", "d/sub-a_ses-2")
    assert first.subject == second.subject == "d/sub-a"
    assert first.mask is not None
    assert "ses-1" in first.mask.name
    assert second.mask is not None
    assert "ses-2" in second.mask.name


def test_a_mask_under_derivatives_belongs_to_its_image(tmp_path: Path) -> None:
    touch(tmp_path, "sub-a/anat/sub-a_FLAIR.nii.gz", "derivatives/manual/sub-a/anat/sub-a_label-lesion_mask.nii.gz")
    touch(tmp_path, "sub-b/anat/sub-b_FLAIR.nii.gz")
    with_mask, without = discover(tmp_path)
    assert with_mask.mask is not None
    assert with_mask.mask.name == "sub-a_label-lesion_mask.nii.gz"
    assert without.mask is None


def test_an_image_under_derivatives_is_no_case_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "sub-a/anat/sub-a_FLAIR.nii.gz", "derivatives/n4/sub-a/anat/sub-a_desc-n4_FLAIR.nii.gz")
    assert [case.image.name for case in discover(tmp_path)] == ["sub-a_FLAIR.nii.gz"]


def test_of_two_versions_the_one_in_template_space_is_taken(tmp_path: Path) -> None:
    base = "sub-a/anat/sub-a"
    touch(tmp_path, f"{base}_FLAIR.nii.gz", f"{base}_space-MNI152_FLAIR.nii.gz")
    touch(tmp_path, f"{base}_FLAIR_roi.nii.gz", f"{base}_space-MNI152_FLAIR_roi.nii.gz")
    (case,) = discover(tmp_path)
    assert case.space == "MNI152"
    assert case.mask is not None
    assert case.mask.name == "sub-a_space-MNI152_FLAIR_roi.nii.gz"


def test_flat_folders_pair_images_and_masks_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "images/p1.nii.gz", "images/p2_FLAIR.nii", "masks/p1_mask.nii.gz")
    first, second = discover(tmp_path, "flat")
    assert (first.subject, second.subject) == ("flat/p1", "flat/p2")
    assert first.mask is not None
    assert first.mask.name == "p1_mask.nii.gz"
    assert second.mask is None


def test_two_possible_masks_are_refused_by_name(tmp_path: Path) -> None:
    base = "sub-a/anat/sub-a_FLAIR"
    touch(tmp_path, f"{base}.nii.gz", f"{base}_roi.nii.gz", f"{base}_mask.nii.gz")
    with pytest.raises(CaseError, match=r"2 masks .*_mask\.nii\.gz.*_roi\.nii\.gz"):
        discover(tmp_path)


def test_a_folder_without_flair_says_how_to_name_the_files(tmp_path: Path) -> None:
    touch(tmp_path, "sub-a/anat/sub-a_T1w.nii.gz")
    with pytest.raises(CaseError, match=r"holds no FLAIR image.*sub-X_FLAIR"):
        discover(tmp_path)
    with pytest.raises(CaseError, match="is no folder"):
        discover(tmp_path / "absent")


def test_a_person_listed_twice_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "sub-a/anat/sub-a_FLAIR.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-a\t3\na\t4\n", encoding="utf-8")
    with pytest.raises(CaseError, match="lists 'sub-a' twice"):
        discover(tmp_path)


def test_a_count_of_no_lesion_voxels_stands_for_an_empty_mask(tmp_path: Path) -> None:
    for person in "abc":
        touch(tmp_path, f"sub-{person}/anat/sub-{person}_FLAIR.nii.gz")
    touch(tmp_path, "sub-c/anat/sub-c_FLAIR_roi.nii.gz")
    table = "participant_id\tlesion_px\nsub-a\t0\nsub-b\t12\nsub-c\t0\n"
    (tmp_path / "participants.tsv").write_text(table, encoding="utf-8")
    assert [case.declared_free for case in discover(tmp_path)] == [True, False, False]


def test_the_real_folders_hold_853_cases_of_847_people(shared_data: Path) -> None:
    soop, ms = discover(shared_data / "soop-axial"), discover(shared_data / "ms-volumes")
    assert len(soop) == len({case.subject for case in soop}) == 836
    assert sum(case.mask is None for case in soop) == sum(case.declared_free for case in soop) == 319
    assert (len(ms), len({case.subject for case in ms})) == (17, 11)
    assert sum(case.mask is not None for case in ms) == 6
    assert {case.space for case in ms if case.mask is None} == {None}
