"""Folders of painted copies: whole, on their scans' grids, labelled everywhere, and read again by prepare."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from data_fixtures import reoriented, small_config
from fcd_phantom import layered_head
from nibabel.orientations import aff2axcodes

from jsddpm_core.cli import run
from jsddpm_core.config import DataConfig, GridConfig
from jsddpm_core.data.cases import discover
from jsddpm_core.data.fcd_simulation import NOTICE, PATHOLOGY
from jsddpm_core.data.prepare import PrepareReport, prepare
from jsddpm_core.data.simulate_cases import SimulationRequest, simulate_cases
from jsddpm_core.data.volumes import read_mask, read_volume
from jsddpm_core.errors import CaseError, OutputError
from jsddpm_core.progress import Progress
from jsddpm_core.tensor_file import file_digest

SPACING = (2.0, 2.0, 2.0)
GRID = GridConfig(shape=(80, 96, 72), spacing_mm=2.0, first_slice=10, last_slice=60, centre_mm=(0.0, -18.0, 8.0))
CONFIG = small_config().model_copy(update={"data": DataConfig(grid=GRID)})
LESION = SimulationRequest(radius_mm=15, thickening_mm=2, contrast=0.5, conspicuity=1, tail=False)


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(data, affine)
    image.set_sform(affine, 4)  # MNI152
    nibabel.save(image, path)


def centred(shape: tuple[int, ...]) -> np.ndarray:
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = np.array([0.0, -18.0, 8.0]) - (np.array(shape) - 1) / 2 * SPACING
    return affine


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two controls, one of them with a T1-weighted image and stored as LPS, and one person of unknown lesions."""
    folder = tmp_path_factory.mktemp("data") / "heads"
    head = layered_head(SPACING)
    affine = centred(head.flair.shape)
    save(folder / "sub-a" / "anat" / "sub-a_FLAIR.nii.gz", *reoriented(head.flair, affine, "LPS"))
    save(folder / "sub-a" / "anat" / "sub-a_T1w.nii.gz", *reoriented(head.t1w, affine, "LPS"))
    save(folder / "sub-b" / "ses-1" / "anat" / "sub-b_ses-1_FLAIR.nii.gz", head.flair * 1.5, affine)
    save(folder / "sub-c" / "anat" / "sub-c_FLAIR.nii.gz", head.flair * 0.8, affine)
    table = "participant_id\tgroup\tsplit\nsub-a\tcontrol\ttest\nsub-b\tcontrol\tn/a\nsub-c\tn/a\tn/a\n"
    (folder / "participants.tsv").write_text(table, encoding="utf-8")
    told = {"Name": "heads", "License": "CC0", "HowToAcknowledge": "nobody", "BIDSVersion": "1.9.0"}
    (folder / "dataset_description.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def copies(heads: Path) -> Path:
    out = heads.parent / "painted"
    outcomes = simulate_cases(heads, out, LESION.model_copy(update={"count": 2, "side": "left"}))
    assert [(outcome.case, len(outcome.copies)) for outcome in outcomes] == [
        ("heads/sub-a", 2),
        ("heads/sub-b_ses-1", 2),
        ("heads/sub-c", 0),
    ]
    assert "not known to be free of lesions" in str(outcomes[2].reason)
    return out


def test_all_that_is_written_says_that_it_is_simulated(copies: Path) -> None:
    images = sorted(copies.rglob("*.nii.gz"))
    assert len(images) == 10
    for path in images:
        assert "_desc-simulated" in path.name
        header = nibabel.load(path).header
        assert bytes(header["descrip"].item()).startswith(b"SIMULATED")
        assert b"simulated" in bytes(header["intent_name"].item())
    for path in copies.rglob("sub-*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        assert told["Simulated"] is True and told["Notice"] == NOTICE
    description = json.loads((copies / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["Simulated"] is True and "SIMULATED" in description["Name"]
    assert (description["License"], description["HowToAcknowledge"]) == ("CC0", "nobody")
    with (copies / "participants.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["participant_id"], row["pathology"], row["source"], row["split"]) for row in rows] == [
        ("sub-a", PATHOLOGY, "heads/sub-a", "test"),
        ("sub-b", PATHOLOGY, "heads/sub-b", "n/a"),
    ]


def test_a_sidecar_tells_what_was_painted_on_what(heads: Path, copies: Path) -> None:
    told = json.loads((copies / "sub-a" / "anat" / "sub-a_desc-simulated2_FLAIR.json").read_text(encoding="utf-8"))
    assert told["SourceFile"] == "sub-a_FLAIR.nii.gz"
    assert told["SourceSHA256"] == file_digest(heads / "sub-a" / "anat" / "sub-a_FLAIR.nii.gz")
    assert (told["Seed"], told["Copy"], told["SourceKnownToBeFreeOfLesions"]) == (0, 2, True)
    assert told["Parameters"]["radius_mm"] == 15
    assert told["Effects"]["contrast"] == pytest.approx(0.5, rel=0.1)
    assert str(heads.parent) not in json.dumps(told)


def test_a_copy_lies_on_its_scans_grid_and_keeps_the_rest_of_it(heads: Path, copies: Path) -> None:
    for kind in ("FLAIR", "T1w"):
        source = nibabel.load(heads / "sub-a" / "anat" / f"sub-a_{kind}.nii.gz")
        copy = nibabel.load(copies / "sub-a" / "anat" / f"sub-a_desc-simulated1_{kind}.nii.gz")
        assert np.allclose(copy.affine, source.affine, atol=1e-5)
        assert aff2axcodes(copy.affine) == ("L", "P", "S")
        assert copy.get_data_dtype() == np.float32
        assert int(copy.header["sform_code"]) == 4
        changed = copy.get_fdata() != source.get_fdata()
        assert 0 < changed.mean() < 0.1


def test_a_lesion_on_the_left_lies_on_the_patients_left(copies: Path) -> None:
    for case in discover(copies):
        image = read_volume(case.image)
        assert case.mask is not None
        index = np.argwhere(read_mask(case.mask, image, case.image))
        right = (image.affine[:3, :3] @ index.T + image.affine[:3, 3:])[0]
        assert right.mean() < -8


def test_a_site_is_millimetres_of_the_patient(heads: Path, tmp_path: Path) -> None:
    request = LESION.model_copy(update={"site": (45.0, -18.0, 8.0)})
    for outcome in simulate_cases(heads, tmp_path / "out", request):
        for copy in outcome.copies:
            assert np.linalg.norm(np.array(copy.site_mm) - request.site) < 15


def test_seeds_and_copies_differ_and_are_the_same_again(heads: Path, copies: Path, tmp_path: Path) -> None:
    again = tmp_path / "painted"
    simulate_cases(heads, again, LESION.model_copy(update={"count": 2, "side": "left"}))
    names = sorted(path.relative_to(copies).as_posix() for path in copies.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file())
    assert all((copies / name).read_bytes() == (again / name).read_bytes() for name in names)
    first, second = (copies / "sub-a" / "anat" / f"sub-a_desc-simulated{number}_FLAIR.nii.gz" for number in (1, 2))
    assert first.read_bytes() != second.read_bytes()


def test_prepare_reads_the_copies_and_keeps_them_with_their_people(heads: Path, copies: Path, tmp_path: Path) -> None:
    found = discover(copies)
    assert [case.name for case in found] == [
        "painted/sub-a_desc-simulated1",
        "painted/sub-a_desc-simulated2",
        "painted/sub-b_ses-1_desc-simulated1",
        "painted/sub-b_ses-1_desc-simulated2",
    ]
    assert [case.subject for case in found] == ["heads/sub-a"] * 2 + ["heads/sub-b"] * 2
    assert {case.t1w.name for case in found if case.t1w} == {f"sub-a_desc-simulated{n}_T1w.nii.gz" for n in (1, 2)}
    for order in ([heads, copies], [copies, heads]):
        names = ["ms" if folder == heads else PATHOLOGY for folder in order]
        cache = prepare(order, CONFIG, tmp_path / "cache", names).cache
        of_subject: dict[str, set[str]] = {}
        for record in cache.records:
            of_subject.setdefault(record.subject, set()).add(record.split)
        assert set(of_subject) == {"heads/sub-a", "heads/sub-b", "heads/sub-c"}
        assert all(len(splits) == 1 for splits in of_subject.values())
        assert of_subject["heads/sub-a"] == {"test"}
        painted = [record for record in cache.records if record.pathology == PATHOLOGY]
        assert painted and all(record.simulated and record.dataset == "painted" for record in painted)
        assert not any(record.simulated for record in cache.records if record.dataset == "heads")


def test_what_is_there_already_or_contradicts_itself_is_refused(heads: Path, copies: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is there already"):
        simulate_cases(heads, copies, LESION)
    with pytest.raises(OutputError, match="lies in the folder of the cases"):
        simulate_cases(heads, heads / "out", LESION)
    with pytest.raises(CaseError, match="a side and a site"):
        simulate_cases(heads, tmp_path / "out", LESION.model_copy(update={"side": "left", "site": (0, 0, 0)}))
    with pytest.raises(CaseError, match="none of 4 cases can be painted.*a simulated copy itself"):
        simulate_cases(copies, tmp_path / "out", LESION)
    with pytest.raises(CaseError, match="none of 3 cases.*lies outside the image"):
        simulate_cases(heads, tmp_path / "out", LESION.model_copy(update={"site": (500.0, 0.0, 0.0)}))
    assert not list(tmp_path.iterdir())


def test_a_t1w_on_another_grid_is_brought_to_that_of_the_flair(heads: Path, tmp_path: Path) -> None:
    head = layered_head(SPACING)
    affine = centred(head.flair.shape)
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ (6, 4, 2)
    anat = tmp_path / "one" / "sub-a" / "anat"
    save(anat / "sub-a_FLAIR.nii.gz", head.flair, affine)
    save(anat / "sub-a_T1w.nii.gz", head.t1w[6:, 4:, 2:], moved)
    simulate_cases(tmp_path / "one", tmp_path / "out", LESION.model_copy(update={"every": True}))
    copy = nibabel.load(tmp_path / "out" / "sub-a" / "anat" / "sub-a_desc-simulated1_T1w.nii.gz")
    assert np.allclose(copy.affine, affine)
    assert (np.abs(copy.get_fdata() - head.t1w) < 0.01)[7:, 5:, 3:].mean() > 0.9


def test_a_single_slice_stays_one(heads: Path, tmp_path: Path) -> None:
    head = layered_head(SPACING)
    affine = centred(head.flair.shape)
    middle = head.flair.shape[2] // 2
    affine[:3, 3] += affine[:3, 2] * middle
    save(tmp_path / "flat" / "images" / "p_1.nii.gz", head.flair[..., middle : middle + 1], affine)
    (outcome,) = simulate_cases(tmp_path / "flat", tmp_path / "out", LESION.model_copy(update={"every": True}))
    (copy,) = outcome.copies
    assert copy.image == "sub-p1/anat/sub-p1_desc-simulated1_FLAIR.nii.gz"
    (case,) = discover(tmp_path / "out")
    assert case.subject == "flat/p_1"
    volume = read_volume(case.image)
    assert volume.data.shape == (*head.flair.shape[:2], 1)
    assert copy.site_mm[2] == pytest.approx(affine[2, 3])
    assert case.mask is not None
    assert read_mask(case.mask, volume, case.image).any()


def test_an_interrupted_simulation_leaves_nothing(heads: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_cases(heads, tmp_path / "deep" / "out", LESION, stop)
    assert not list(tmp_path.iterdir())


def test_the_command_lists_copies_and_what_was_left_out(
    heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "some"
    shutil.copytree(heads, source)
    (source / "sub-b" / "ses-1" / "anat" / "sub-b_ses-1_FLAIR.nii.gz").write_bytes(b"broken")
    out = tmp_path / "out"
    wanted = ["--all", "--radius-mm", "12", "--no-tail", "--site", "-45", "-18", "8", "--json"]
    assert run(["simulate-fcd", str(source), "--out", str(out), *wanted]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["case"] for event in events if event["event"] == "copy"] == ["some/sub-a", "some/sub-c"]
    left_out = [event for event in events if event["event"] == "left_out"]
    assert [event["case"] for event in left_out] == ["some/sub-b_ses-1"]
    assert "could not be read as NIfTI" in left_out[0]["reason"]
    assert events[-1]["event"] == "done" and events[-1]["copies"] == 2 and events[-1]["simulated"] is True
    assert not list(tmp_path.glob("*.partial"))


# ---------------------------------------------------------------- painted slices of a cache


@pytest.fixture(scope="module")
def slices(heads: Path) -> tuple[PrepareReport, PrepareReport]:
    """The cache of the heads without and with painted copies."""
    plain = prepare([heads], CONFIG, heads.parent / "plain", ["ms"])
    return plain, prepare([heads], CONFIG, heads.parent / "simulated", ["ms"], simulate_fcd=0.5)


def test_painted_slices_are_labelled_and_stay_with_their_person(slices: tuple[PrepareReport, PrepareReport]) -> None:
    _, made = slices
    records = made.cache.records
    splits = {record.subject: record.split for record in records if not record.simulated}
    painted = [(number, record) for number, record in enumerate(records) if record.simulated]
    assert painted
    assert {record.subject for _, record in painted} == {"heads/sub-a", "heads/sub-b"}, "sub-c may have lesions"
    for number, record in painted:
        assert (record.pathology, record.mask_known, record.split) == (PATHOLOGY, True, splits[record.subject])
        assert "_desc-simulated" in record.case
        area = float(made.cache.masks[number].sum()) * GRID.spacing_mm**2
        assert record.lesion_mm2 == area >= CONFIG.data.minimum_lesion_mm2
    assert sum(outcome.simulated for outcome in made.outcomes) == len(painted)


def test_a_lesion_in_a_volume_spans_slices_that_follow_each_other(slices: tuple[PrepareReport, PrepareReport]) -> None:
    of_copy: dict[str, list[int]] = {}
    for record in slices[1].cache.records:
        if record.simulated:
            of_copy.setdefault(record.case, []).append(record.slice_index)
    assert max(len(planes) for planes in of_copy.values()) >= 2
    for planes in of_copy.values():
        assert planes == list(range(planes[0], planes[0] + len(planes)))


def test_the_real_slices_are_as_without_the_simulation(slices: tuple[PrepareReport, PrepareReport]) -> None:
    plain, made = slices
    real = [number for number, record in enumerate(made.cache.records) if not record.simulated]
    assert [made.cache.records[number] for number in real] == list(plain.cache.records)
    np.testing.assert_array_equal(made.cache.images[real], plain.cache.images)
    np.testing.assert_array_equal(made.cache.masks[real], plain.cache.masks)
    assert made.cache.digest != plain.cache.digest


def test_a_simulation_needs_its_pathology(heads: Path, tmp_path: Path) -> None:
    known = tuple(entry for entry in CONFIG.pathologies if entry.name != PATHOLOGY)
    without = CONFIG.model_copy(update={"pathologies": known})
    with pytest.raises(CaseError, match="no lesional pathology 'fcd-simulated'"):
        prepare([heads], without, tmp_path / "cache", ["ms"], simulate_fcd=0.5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("site", ["nan", "inf"])
def test_a_site_is_a_place(heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], site: str) -> None:
    assert run(["simulate-fcd", str(heads), "--out", str(tmp_path / "out"), "--site", site, "0", "0"]) == 2
    assert f"--site {site} 0.0 0.0 is no place: give RAS millimetres of the image." in capsys.readouterr().err
