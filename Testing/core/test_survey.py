"""What is said of a folder of cases before anything is made of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from data_fixtures import reoriented, write_image
from phantom import Phantom, make_phantom
from scipy import ndimage
from worker_fixtures import a_worker

from jsddpm_core.cli import run
from jsddpm_core.data.cases import discover
from jsddpm_core.data.looks import coarse_of, looks_of
from jsddpm_core.data.survey import SurveyedCase, survey
from jsddpm_core.data.volumes import Volume, read_volume
from jsddpm_core.progress import Progress
from jsddpm_core.training.request_file import read_request

SHAPE, SPACING = (48, 57, 42), (3.4, 3.4, 3.4)
LEFT, RIGHT = (-32.0, -30.0, 18.0), (32.0, -30.0, 18.0)


def phantom(seed: int = 0, lesion: tuple[float, float, float] | None = RIGHT) -> Phantom:
    """A head with folds of its own: phantoms have one anatomy, people do not."""
    head = make_phantom(seed=seed, shape=SHAPE, spacing_mm=SPACING, lesion_centre_mm=lesion, lesion_radius_mm=10)
    folds = ndimage.gaussian_filter(np.random.default_rng(1000 + seed).standard_normal(SHAPE), 1.5)
    change = np.where(head.lesion > 0, 1, 1 + 0.3 * folds / folds.std())
    flair = np.where(head.flair > 0, np.maximum(head.flair * change, 1), 0)
    return replace(head, flair=flair.astype(np.float32))


def flair(folder: Path, subject: str) -> Path:
    return folder / subject / "anat" / f"{subject}_FLAIR.nii.gz"


def roi(folder: Path, subject: str) -> Path:
    return folder / subject / "anat" / f"{subject}_FLAIR_roi.nii.gz"


def say(folder: Path, pathology: str, *subjects: str) -> None:
    rows = ["participant_id\tdiagnosis", *(f"{subject}\t{pathology}" for subject in subjects)]
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def only(folder: Path) -> SurveyedCase:
    (row,) = survey(folder)
    return row


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """One case that nothing is wrong with."""
    folder = tmp_path / "cases"
    phantom().write(folder, "sub-01")
    say(folder, "FCD", "sub-01")
    return folder


def test_a_good_case_has_its_measures_and_no_problem(cases: Path) -> None:
    row = only(cases)
    assert row.problems == ()
    assert row.usable
    assert (row.shape, row.orientation, row.entry.pathology) == (SHAPE, "RAS", "fcd")
    assert row.spacing == pytest.approx(SPACING)
    assert row.lesions == 1
    assert row.lesion_ml == pytest.approx(phantom().lesion.sum() * np.prod(SPACING) / 1000)
    assert json.loads(json.dumps(row.to_tree()))["orientation"] == "RAS"


def test_nothing_in_the_folder_changes(cases: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in cases.rglob("*") if path.is_file()}
    survey(cases)
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in cases.rglob("*") if path.is_file()}
    assert after == before


def test_a_missing_and_an_empty_mask_are_told_apart(cases: Path) -> None:
    phantom(1, None).write(cases, "sub-02")
    phantom(2, LEFT).write(cases, "sub-03", mask=False)
    say(cases, "fcd", "sub-01", "sub-02", "sub-03")
    _, empty, missing = survey(cases)
    assert empty.problems == ("empty mask: it counts as free of lesions",)
    assert (empty.lesion_ml, empty.lesions) == (0.0, 0)
    assert "no mask: it teaches the image only" in missing.problems[0]
    assert missing.lesion_ml is None
    assert empty.usable and missing.usable


def test_a_mask_of_the_healthy_part_or_of_the_whole_brain_is_pointed_out(cases: Path) -> None:
    head = phantom()
    write_image(roi(cases, "sub-01"), ((head.flair > 0) & (head.lesion == 0)).astype(np.uint8), head.affine)
    assert "of the head: it looks inverted, or like a mask of the brain" in only(cases).problems[0]
    write_image(roi(cases, "sub-01"), (head.flair > 0).astype(np.uint8), head.affine)
    assert only(cases).problems == ("the mask covers 100% of the head: it looks inverted, or like a mask of the brain",)


def test_a_control_needs_no_mask(cases: Path) -> None:
    phantom(1, None).write(cases, "sub-02", mask=False)
    phantom(2, None).write(cases, "sub-03")
    rows = ["participant_id\tgroup", "sub-01\tfcd", "sub-02\thc", "sub-03\thc"]
    (cases / "participants.tsv").write_text("\n".join(rows), encoding="utf-8")
    _, unmasked, masked = survey(cases)
    for row in (unmasked, masked):
        assert row.entry.lesion_free
        assert (row.problems, row.lesion_ml) == ((), 0.0)


def test_a_mask_without_a_named_pathology_is_pointed_out(cases: Path) -> None:
    (cases / "participants.tsv").unlink()
    assert only(cases).problems == ("no pathology named: its mask is not learned until one is",)


def test_a_mask_on_a_finer_grid_keeps_its_place_and_volume(cases: Path) -> None:
    affine = phantom().affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine = make_phantom(shape=tuple(2 * n for n in SHAPE), affine=affine, lesion_radius_mm=10)
    write_image(roi(cases, "sub-01"), fine.lesion, affine)
    row = only(cases)
    assert row.problems[0].startswith("mask on another grid: it has 96 x 114 x 84 voxels of 1.7 x 1.7 x 1.7 mm, its im")
    assert row.usable
    assert row.lesion_ml == pytest.approx(4 / 3 * np.pi, rel=0.1)


def test_a_mask_of_another_space_cannot_be_used(cases: Path) -> None:
    far = phantom().affine.copy()
    far[0, 3] += 200
    write_image(roi(cases, "sub-01"), np.ones((20, 20, 20), np.uint8), far)
    row = only(cases)
    assert not row.usable
    assert "of its lesions lie outside the head" in row.problems[0]
    moved = phantom().affine.copy()
    moved[1, 3] += 7
    write_image(roi(cases, "sub-01"), phantom().lesion, moved)
    row = only(cases)
    assert not row.usable
    assert "lies up to 7.00 mm from its image" in row.problems[0]


def test_files_that_cannot_be_used_are_said_to_be(cases: Path) -> None:
    whole = phantom(1).flair
    holes = whole.copy()
    holes[3, 3, 3] = np.nan
    write_image(flair(cases, "sub-02"), holes, phantom().affine)
    write_image(flair(cases, "sub-03"), np.stack([whole, whole], axis=3), phantom().affine)
    write_image(flair(cases, "sub-04"), np.full(SHAPE, 7, np.float32), phantom().affine)
    flair(cases, "sub-05").parent.mkdir(parents=True)
    flair(cases, "sub-05").write_bytes(b"broken")
    write_image(flair(cases, "sub-06"), whole[..., 20:26], phantom().affine, sform_code=1)
    good, *bad = survey(cases)
    assert good.usable
    assert not any(row.usable for row in bad)
    for row, said in zip(
        bad, ("1 voxels that are NaN", "4 axes", "every voxel is 7", "as NIfTI", "20 mm"), strict=True
    ):
        assert said in " ".join(row.problems), row.entry.name
    assert bad[0].shape is None


def test_integers_with_a_scale_are_read_as_their_values(cases: Path) -> None:
    image = nibabel.load(flair(cases, "sub-01"))
    scaled = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
    scaled.set_data_dtype(np.int16)
    nibabel.save(scaled, flair(cases, "sub-01"))
    assert nibabel.load(flair(cases, "sub-01")).dataobj.slope != 1
    assert only(cases).problems == ()


def with_head(volume: Volume, scalp: float, bone_mm: float, scalp_mm: float, noise: float) -> Volume:
    """Bone and scalp painted around a stripped brain, air with or without noise."""
    rng = np.random.default_rng(0)
    wide = [
        0 if size == 1 else int(24 / length) for size, length in zip(volume.data.shape, volume.spacing_mm, strict=True)
    ]
    data = np.pad(volume.data, [(width, width) for width in wide])
    reach = [1e3 if size == 1 else length for size, length in zip(volume.data.shape, volume.spacing_mm, strict=True)]
    brain = np.stack([ndimage.binary_fill_holes(data[..., z] > 0) for z in range(data.shape[2])], axis=2)
    away = ndimage.distance_transform_edt(~brain, sampling=reach)
    bright = float(np.median(volume.data[volume.data > 0]))
    data = np.where((away > 0) & (away <= bone_mm), 0.12 * bright, data)
    data = np.where((away > bone_mm) & (away <= bone_mm + scalp_mm), scalp * bright, data)
    data = np.abs(data + noise * bright * rng.standard_normal(data.shape))
    affine = volume.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.array(wide)
    return Volume(data.astype(np.float32), affine)


@pytest.mark.parametrize(("scalp", "noise"), [(1.3, 0.03), (0.9, 0.0), (0.6, 0.02)])
def test_a_scalp_around_the_brain_is_seen(scalp: float, noise: float) -> None:
    head = phantom(lesion=None)
    brain = Volume(head.flair, head.affine)
    assert not looks_of(coarse_of(brain)).has_skull
    assert looks_of(coarse_of(with_head(brain, scalp, 8, 7, noise))).has_skull


def test_a_head_is_reported_and_stays_usable(cases: Path) -> None:
    head = with_head(read_volume(flair(cases, "sub-01")), 1.2, 8, 7, 0.02)
    roi(cases, "sub-01").unlink()
    write_image(flair(cases, "sub-01"), head.data, head.affine)
    row = only(cases)
    assert row.problems[0] == "not skull-stripped: strip it, or tick skull stripping"
    assert row.usable


def test_white_matter_brighter_than_cortex_looks_like_t1(cases: Path) -> None:
    head = phantom()
    swapped = np.where(head.flair > 300, 1250 - head.flair, head.flair)  # cortex 550, white matter 750
    write_image(flair(cases, "sub-01"), np.where(head.lesion > 0, 750, swapped).astype(np.float32), head.affine)
    assert only(cases).problems == ("looks like T1, not FLAIR: white matter is among the brightest",)


def test_a_copy_is_found_whatever_it_is_saved_as(cases: Path) -> None:
    first = phantom()
    data, affine = reoriented(first.flair, first.affine, "LPS")
    write_image(flair(cases, "sub-02"), data, affine)
    louder = phantom(1, LEFT)
    louder.write(cases, "sub-03")
    write_image(flair(cases, "sub-04"), (3 * louder.flair**0.9).astype(np.float32)[1:, 1:, 1:], louder.affine)
    phantom(2, None).write(cases, "sub-05")
    found = {row.entry.name[-2:]: [said for said in row.problems if said.startswith("dup")] for row in survey(cases)}
    assert found["01"] == ["duplicate of cases/sub-02: the same voxels; leave one out, or give both the same split"]
    assert found["02"][0].startswith("duplicate of cases/sub-01")
    assert found["03"][0].startswith("duplicate of cases/sub-04: the same brain (correlation ")
    assert found["05"] == []


def test_two_sessions_of_a_person_are_no_duplicates_unless_the_file_is_the_same(tmp_path: Path) -> None:
    person = phantom()
    for session in ("ses-1", "ses-2", "ses-3"):
        person.write(tmp_path, "sub-01", session=session)
    later = tmp_path / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_FLAIR.nii.gz"
    write_image(later, (person.flair * 1.2 + (person.flair > 0)).astype(np.float32), person.affine)
    one, two, three = ([said for said in row.problems if said.startswith("dup")] for row in survey(tmp_path))
    assert (one, two, three) == (
        [f"duplicate of {tmp_path.name}/sub-01_ses-3: the same voxels"],
        [],
        [f"duplicate of {tmp_path.name}/sub-01_ses-1: the same voxels"],
    )


def test_headers_that_leave_left_and_right_open_are_suspect(cases: Path) -> None:
    image = nibabel.load(flair(cases, "sub-01"))
    image.set_sform(image.affine, code=0)
    image.set_qform(image.affine, code=0)
    nibabel.save(nibabel.Nifti1Image(phantom().flair, None, image.header), flair(cases, "sub-01"))
    assert "neither sform nor qform is set" in only(cases).problems[0]

    data = phantom().flair
    mirrored = phantom().affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    image = nibabel.Nifti1Image(data, phantom().affine)
    image.set_sform(phantom().affine, code=4)
    image.set_qform(mirrored, code=1)
    nibabel.save(image, flair(cases, "sub-01"))
    assert "sform and qform disagree about left and right" in only(cases).problems[0]


def test_masks_that_are_all_mirrored_are_suspect_and_one_alone_is_not(tmp_path: Path) -> None:
    for number in range(6):
        head = phantom(number, LEFT if number % 2 else RIGHT)
        head.write(tmp_path, f"sub-{number}")
        write_image(roi(tmp_path, f"sub-{number}"), head.lesion[::-1], head.affine)
    told = [said for row in survey(tmp_path) for said in row.problems if "mirrored" in said]
    assert len(told) == 6
    for number in range(1, 6):
        phantom(number, LEFT if number % 2 else RIGHT).write(tmp_path, f"sub-{number}")
    assert not [said for row in survey(tmp_path) for said in row.problems if "mirrored" in said]


def test_progress_is_told_for_each_case_and_can_end_it(cases: Path) -> None:
    phantom(1).write(cases, "sub-02")
    heard: list[Progress] = []
    survey(cases, heard.append)
    assert [(step.done, step.total) for step in heard] == [(0, 2), (1, 2), (2, 2)]

    def stop(_progress: Progress) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        survey(cases, stop)


def test_the_command_prints_a_row_a_case_and_draws_the_gallery(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "gallery.png"
    assert run(["survey", str(cases), "--json", "--gallery", str(picture)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    row, done = (event for event in told if event["event"] in ("case", "done"))
    assert (row["event"], row["name"], row["problems"]) == ("case", "cases/sub-01", [])
    assert done["pictures"] == [str(picture)]
    assert picture.is_file()
    assert run(["survey", str(cases)]) == 0
    assert "1 cases, 1 of them usable; 0 have something to look at." in capsys.readouterr().out
    assert run(["survey", str(tmp_path / "absent")]) == 2
    request = tmp_path / "request.yaml"
    assert run(["survey", str(cases), "--request", str(request), "--pathology", "ms"]) == 0
    drafted = read_request(request)
    assert [(entry.name, entry.label) for entry in drafted.pathologies] == [("fcd", "Fcd")], "the case said so itself"
    assert {case.pathology for case in drafted.cases} == {"fcd"}
    assert (drafted.start, drafted.preset) == ("demo", "standard")
    assert run(["survey", str(cases), "--request", str(request)]) == 2, "a request would have been overwritten"
    assert run(["survey", str(cases), "--gallery", "x.jpg"]) == 2


def test_the_worker_answers_like_the_command(cases: Path, tmp_path: Path) -> None:
    with a_worker(tmp_path / "log") as client:
        (row,) = client.call("survey", folder=str(cases))["cases"]
        assert row == only(cases).to_tree()
        fields = ("name", "subject", "dataset", "image", "mask", "t1w", "pathology", "lesion_free", "space", "split")
        entry = {key: row[key] for key in fields}
        assert client.call("survey", cases=[entry])["cases"] == [row]
        assert "give either a folder or cases" in client.refusal("survey")["message"]
        out = tmp_path / "gallery"
        made = client.call("gallery", cases=[{**entry, "pathology": "infarct"}], out=str(out))
        (shown,) = made["cases"]
        assert {path.name for path in out.iterdir()} == {*made["pictures"], shown["image"], shown["mask"]}


# ---------------------------------------------------------------- real scans


def test_no_real_stripped_flair_is_taken_for_a_head_or_a_t1(shared_data: Path) -> None:
    images = [case.image for case in discover(shared_data / "ms-volumes")[:4]]
    for path in images:
        looks = looks_of(coarse_of(read_volume(path)))
        assert not looks.has_skull, path.name
        assert not looks.is_t1, path.name


def test_real_t1_volumes_are_told_from_flair(shared_data: Path) -> None:
    images = [case.t1w for case in discover(shared_data / "ms-volumes") if case.t1w is not None][::4]
    assert len(images) >= 3
    assert all(looks_of(coarse_of(read_volume(path))).is_t1 for path in images)


def test_a_head_painted_around_a_real_brain_is_seen(shared_data: Path) -> None:
    volume = read_volume(discover(shared_data / "ms-volumes")[6].image)
    assert looks_of(coarse_of(with_head(volume, 1.0, 8, 6, 0.02))).has_skull


def test_two_names_for_one_real_person_are_found(shared_data: Path, tmp_path: Path) -> None:
    """Of SOOP, some people were scanned again under another name; others only look alike."""
    for person in ("sub-1489", "sub-1682", "sub-0002", "sub-0003", "sub-0005"):
        shutil.copytree(shared_data / "soop-axial" / person, tmp_path / "some" / person)
    found = {row.entry.name[-4:]: " ".join(row.problems) for row in survey(tmp_path / "some")}
    assert "duplicate of some/sub-1682: the same brain" in found["1489"]
    assert "duplicate of some/sub-1489" in found["1682"]
    assert not any("duplicate" in found[person] for person in ("0002", "0003", "0005"))


@pytest.mark.parametrize("length", [1000.0, 1e12])
def test_voxels_that_are_no_millimetres_are_refused(cases: Path, length: float) -> None:
    write_image(flair(cases, "sub-02"), phantom(1).flair, np.diag([length, length, length, 1.0]))
    _, row = survey(cases)
    assert not row.usable
    assert "mm long: export it again with its geometry in millimetres" in row.problems[0]


def test_a_mask_that_is_nowhere_above_one_half_is_not_taken_for_empty(cases: Path) -> None:
    write_image(roi(cases, "sub-01"), (phantom().lesion * 0.4).astype(np.float32), phantom().affine)
    row = only(cases)
    assert not row.usable
    assert row.problems[0].endswith("has no value above 0.4: give a mask of 0 and 1")


def test_what_is_wrong_with_a_request_is_said_before_the_cases_are_read(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.yaml"
    there.write_text("mine", encoding="utf-8")
    for more in (["--request", there], ["--request", tmp_path / "r.yaml", "--start", "nope"], ["--config", "nope"]):
        assert run(["survey", str(cases), "--json", *map(str, more)]) == 2
        assert '"case"' not in capsys.readouterr().out
    assert there.read_text(encoding="utf-8") == "mine"


def test_a_request_of_no_use_is_not_written(cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = tmp_path / "request.yaml"
    (cases / "participants.tsv").unlink()
    assert run(["survey", str(cases), "--request", str(request), "--pathology", "none"]) == 2
    assert "'none' is no pathology of a lesion: name what the lesions are." in capsys.readouterr().err
    flair(cases, "sub-01").write_bytes(b"broken")
    assert run(["survey", str(cases), "--request", str(request)]) == 2
    assert "no case can be used, so there is nothing to request: mend the cases first." in capsys.readouterr().err
    assert run(["survey", str(cases), "--gallery", str(tmp_path / "g.png")]) == 2
    assert "no case can be used, so there is nothing to show: mend the cases first." in capsys.readouterr().err
    assert not request.exists()
    assert not (tmp_path / "g.png").exists()


def test_a_long_name_of_a_folder_gives_a_title_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("n" * 240)
    phantom().write(folder, "sub-01")
    request = tmp_path / "request.yaml"
    assert run(["survey", str(folder), "--request", str(request), "--pathology", "fcd"]) == 0
    assert read_request(request).title.startswith("Fine-tuned on nnn")
