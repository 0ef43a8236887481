"""From folders of cases to a cache: what is used, what is left out and why, and when it is made again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import SMALL_GRID, small_config, write_image
from phantom import make_phantom

from jsddpm_core.config import Config
from jsddpm_core.data.prepare import PrepareReport, prepare
from jsddpm_core.data.preprocess import Placement, to_native
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.data.volumes import read_volume
from jsddpm_core.errors import CaseError, OutputError

PROJECT = Path(__file__).resolve().parents[2]
SHAPE, SPACING = (32, 38, 28), (5.0, 5.0, 5.0)


def write_cases(folder: Path) -> Path:
    """Two lesional people, a healthy one and one whose mask nobody drew, all in MNI152."""
    lesions = {"sub-01": (32.0, -30.0, 18.0), "sub-02": (-32.0, -30.0, 18.0), "sub-03": None, "sub-04": None}
    for seed, (subject, lesion) in enumerate(lesions.items()):
        head = make_phantom(seed=seed, shape=SHAPE, spacing_mm=SPACING, lesion_centre_mm=lesion, lesion_radius_mm=14)
        head.write(folder, subject, mask=subject != "sub-04")
    return folder


@pytest.fixture(scope="module")
def config() -> Config:
    return small_config()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, config: Config) -> PrepareReport:
    folder = tmp_path_factory.mktemp("prepared")
    return prepare([write_cases(folder / "cases")], config, folder / "cache", ["infarct"])


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return write_cases(tmp_path / "cases")


def test_every_slice_is_labelled_by_its_mask(prepared: PrepareReport, config: Config) -> None:
    for record, mask in zip(prepared.cache.records, prepared.cache.masks, strict=True):
        area = float(mask.sum()) * SMALL_GRID.spacing_mm**2
        assert record.lesion_mm2 == area
        if record.subject == "cases/sub-04":
            assert (record.mask_known, record.pathology, area) == (False, None, 0.0)
        elif area >= config.data.minimum_lesion_mm2:
            assert record.pathology == "infarct"
        else:
            assert record.pathology == (None if area else record.pathology)
    labels = Counter((record.subject, record.pathology) for record in prepared.cache.records)
    assert labels["cases/sub-01", "infarct"] >= 5
    assert labels["cases/sub-01", None] >= 1  # beside the lesion: a trace of it, too small to count
    assert labels["cases/sub-01", "none"] >= 10
    assert {label for subject, label in labels if subject == "cases/sub-03"} == {"none"}


def test_positions_are_those_of_the_grid(prepared: PrepareReport) -> None:
    lowest, highest = SMALL_GRID.position_range_mm
    for record in prepared.cache.records:
        assert lowest <= record.position_mm <= highest
        assert record.position_mm == SMALL_GRID.origin_mm[2] + record.slice_index * SMALL_GRID.spacing_mm
    slices = [record.slice_index for record in prepared.cache.records if record.subject == "cases/sub-01"]
    assert slices == list(range(slices[0], slices[0] + len(slices)))


def test_a_right_sided_lesion_lies_at_high_x(prepared: PrepareReport) -> None:
    sides = {}
    for record, mask in zip(prepared.cache.records, prepared.cache.masks, strict=True):
        if record.pathology == "infarct":
            sides.setdefault(record.subject, []).append(np.argwhere(mask)[:, 0].mean() > (SMALL_GRID.shape[0] - 1) / 2)
    assert all(sides["cases/sub-01"])
    assert not any(sides["cases/sub-02"])


def test_a_cached_slice_finds_back_to_its_native_volume(prepared: PrepareReport) -> None:
    manifest = prepared.cache.manifest
    tree = next(tree for tree in manifest["cases"] if tree["outcome"]["case"] == "cases/sub-01")
    placement = Placement.from_tree(tree["placement"])
    volume = np.zeros(placement.grid_shape, dtype=np.float32)
    for record, mask in zip(prepared.cache.records, prepared.cache.masks, strict=True):
        if record.case == "cases/sub-01":
            volume[..., record.slice_index] = mask
    lesion = make_phantom(shape=SHAPE, spacing_mm=SPACING, lesion_radius_mm=14).lesion
    back = to_native(volume, placement) > 0.5
    assert 2 * (back & (lesion > 0)).sum() / (back.sum() + lesion.sum()) > 0.8


def test_an_unreadable_case_is_left_out_with_its_reason(cases: Path, tmp_path: Path, config: Config) -> None:
    (cases / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz").write_bytes(b"broken")
    moved = np.eye(4)
    write_image(cases / "sub-03" / "anat" / "sub-03_FLAIR_roi.nii.gz", np.zeros(SHAPE, np.uint8), moved)
    report = prepare([cases], config, tmp_path / "cache", ["ms"])
    reasons = {outcome.case: outcome.reason for outcome in report.left_out}
    assert set(reasons) == {"cases/sub-02", "cases/sub-03"}
    assert "sub-02_FLAIR.nii.gz could not be read as NIfTI" in reasons["cases/sub-02"]
    assert "sub-03_FLAIR_roi.nii.gz lies up to" in reasons["cases/sub-03"]
    assert {record.subject for record in report.cache.records} == {"cases/sub-01", "cases/sub-04"}
    assert report.cache.manifest["cases"][1]["outcome"]["reason"] == reasons["cases/sub-02"]


def test_what_is_not_there_or_holds_nothing_is_named_in_the_table(cases: Path, tmp_path: Path, config: Config) -> None:
    linked = cases / "sub-05" / "anat" / "sub-05_FLAIR.nii.gz"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(tmp_path / "not-fetched.nii.gz")
    write_image(cases / "sub-06" / "anat" / "sub-06_FLAIR.nii.gz", np.full(SHAPE, 7, dtype=np.float32))
    report = prepare([cases], config, tmp_path / "cache", ["infarct"])
    reasons = {outcome.case: outcome.reason for outcome in report.left_out}
    assert "is a link to a file that is not there" in str(reasons.pop("cases/sub-05"))
    assert "sub-06_FLAIR.nii.gz is empty: every voxel is 7" in str(reasons.pop("cases/sub-06"))
    assert not reasons


def test_when_no_case_is_left_nothing_is_written(tmp_path: Path, config: Config) -> None:
    path = tmp_path / "cases" / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"broken")
    with pytest.raises(CaseError, match=r"none of 1 cases can be used; the first: .*sub-01_FLAIR"):
        prepare([tmp_path / "cases"], config, tmp_path / "deep" / "cache", ["ms"])
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]


def test_a_cache_is_made_again_only_when_something_changed(cases: Path, tmp_path: Path, config: Config) -> None:
    out = tmp_path / "cache"
    first = prepare([cases], config, out, ["infarct"])
    again = prepare([cases], config, out, ["infarct"])
    assert (first.rebuilt, again.rebuilt) == (True, False)
    assert again.cache.digest == first.cache.digest
    assert again.outcomes == first.outcomes

    other_label = prepare([cases], config, out, ["ms"])
    assert other_label.rebuilt
    assert {record.pathology for record in other_label.cache.records} == {"ms", "none", None}

    data = config.data.model_copy(update={"percentiles": (1.0, 99.0)})
    other_values = prepare([cases], config.model_copy(update={"data": data}), out, ["ms"])
    assert other_values.rebuilt

    mask = cases / "sub-02" / "anat" / "sub-02_FLAIR_roi.nii.gz"
    shutil.copyfile(cases / "sub-03" / "anat" / "sub-03_FLAIR_roi.nii.gz", mask)
    other_mask = prepare([cases], config, out, ["infarct"])
    assert other_mask.rebuilt
    assert not any(record.lesion_mm2 for record in other_mask.cache.records if record.subject == "cases/sub-02")


def test_a_damaged_cache_is_made_again(cases: Path, tmp_path: Path, config: Config) -> None:
    made = prepare([cases], config, tmp_path / "cache", ["infarct"])
    path = tmp_path / "cache" / "images.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    again = prepare([cases], config, tmp_path / "cache", ["infarct"])
    assert again.rebuilt
    assert SliceCache.open(tmp_path / "cache", verify=True).digest == made.cache.digest


def test_ctrl_c_leaves_nothing_half_written(cases: Path, tmp_path: Path, config: Config) -> None:
    def stop_at_the_third(done: int, total: int, name: str) -> None:
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare([cases], config, tmp_path / "cache", ["infarct"], stop_at_the_third)
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]


def test_a_killed_preparation_is_no_cache_and_the_next_one_cleans_up(
    cases: Path, tmp_path: Path, config: Config
) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from data_fixtures import small_config; from jsddpm_core.data.prepare import prepare\n"
        "kill = lambda done, total, name: done == 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare([Path(sys.argv[1])], small_config(), Path(sys.argv[2]), ['infarct'], kill)\n"
    )
    out = tmp_path / "cache"
    paths = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'Testing' / 'core'}", "PATH": "/usr/bin:/bin"}
    ended = subprocess.run([sys.executable, "-c", script, cases, out], env=paths, check=False, timeout=300)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    assert (tmp_path / "cache.partial").is_dir()
    assert prepare([cases], config, out, ["infarct"]).rebuilt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "cases"]


def test_a_single_slice_among_volumes_keeps_its_position(cases: Path, tmp_path: Path, config: Config) -> None:
    source = cases / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    volume = read_volume(source)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * 15
    write_image(tmp_path / "flat" / "images" / "p1.nii.gz", volume.data[..., 15:16], affine)
    report = prepare([tmp_path / "flat"], config, tmp_path / "cache", ["infarct"])
    (record,) = report.cache.records
    assert record.position_mm == pytest.approx(affine[2, 3])
    nearest = SMALL_GRID.origin_mm[2] + record.slice_index * SMALL_GRID.spacing_mm
    assert abs(nearest - record.position_mm) <= SMALL_GRID.spacing_mm / 2


def test_the_table_of_participants_can_name_the_pathology(cases: Path, tmp_path: Path, config: Config) -> None:
    table = "participant_id\tdiagnosis\nsub-01\tMS\nsub-02\tMS\nsub-03\tMS\nsub-04\thc\n"
    (cases / "participants.tsv").write_text(table, encoding="utf-8")
    report = prepare([cases], config, tmp_path / "cache")
    assert {record.pathology for record in report.cache.records} == {"ms", "none", None}
    control = [record for record in report.cache.records if record.subject == "cases/sub-04"]
    assert {(record.pathology, record.mask_known) for record in control} == {("none", True)}


def test_a_table_can_leave_a_person_out(cases: Path, tmp_path: Path, config: Config) -> None:
    table = tmp_path / "splits.tsv"
    table.write_text("subject\tsplit\nsub-03\tout\nsub-02\ttrain\n", encoding="utf-8")
    report = prepare([cases], config, tmp_path / "cache", ["infarct"], split_file=table)
    assert [(outcome.case, outcome.reason) for outcome in report.left_out] == [
        ("cases/sub-03", "the table of splits leaves it out")
    ]
    assert "cases/sub-03" not in {record.subject for record in report.cache.records}
    assert {record.split for record in report.cache.records if record.subject == "cases/sub-02"} == {"train"}
    again = prepare([cases], config, tmp_path / "cache", ["infarct"], split_file=table)
    assert not again.rebuilt and again.outcomes == report.outcomes


def test_wrong_requests_are_told_what_would_be_right(cases: Path, tmp_path: Path, config: Config) -> None:
    out = tmp_path / "cache"
    with pytest.raises(CaseError, match="unknown pathology 'infarkt': did you mean 'infarct'"):
        prepare([cases], config, out, ["infarkt"])
    with pytest.raises(CaseError, match="does not say which pathology.*infarct, ms"):
        prepare([cases], config, out)
    with pytest.raises(CaseError, match="2 pathologies were given for 1 folders"):
        prepare([cases], config, out, ["infarct", "ms"])
    with pytest.raises(CaseError, match="two folders are called 'cases'"):
        prepare([cases, cases], config, out, ["infarct", "ms"])
    with pytest.raises(CaseError, match="no folder of cases was given"):
        prepare([], config, out)
    with pytest.raises(OutputError, match="is no slice cache"):
        prepare([cases], config, cases, ["infarct"])


def test_slices_with_too_little_brain_are_left_out(cases: Path, tmp_path: Path, config: Config) -> None:
    strict = config.model_copy(update={"data": config.data.model_copy(update={"minimum_brain_share": 0.25})})
    lax, few = (
        prepare([cases], which, tmp_path / name, ["infarct"]) for which, name in ((config, "lax"), (strict, "strict"))
    )
    assert 0 < len(few.cache) < len(lax.cache)
    shares = (few.cache.images[:] > -1).mean(axis=(1, 2))
    assert shares.min() > 0.2, "what is left is brain (a few of its darkest pixels are clipped to the background)"
    assert (lax.cache.images[:] > -1).mean(axis=(1, 2)).min() < 0.25
