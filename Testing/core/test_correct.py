"""Corrections on the way to the grid: what they do to the image, and that the mask stays with it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from data_fixtures import SMALL_DATA, SMALL_GRID, small_config, write_image
from phantom import Phantom, make_phantom
from scipy import ndimage

from jsddpm_core.data import correct
from jsddpm_core.data.on_grid import ToGrid, registrable
from jsddpm_core.data.prepare import prepare_entries
from jsddpm_core.data.preprocess import grid_affine, resample
from jsddpm_core.data.template import default_template, load_template, template_affine
from jsddpm_core.data.volumes import Volume, read_volume
from jsddpm_core.errors import CaseError, ImageError, PackageError
from jsddpm_core.training.request import CaseEntry, Corrections

SHAPE, SPACING = (64, 76, 56), (2.5, 2.5, 2.5)
LESION_MM = (32.0, -30.0, 18.0)


@pytest.fixture(scope="module")
def head() -> Phantom:
    return make_phantom(shape=SHAPE, spacing_mm=SPACING, lesion_radius_mm=10)


@pytest.fixture
def entry(head: Phantom, tmp_path: Path) -> CaseEntry:
    image = head.write(tmp_path / "cases", "sub-01")
    mask = image.with_name("sub-01_FLAIR_roi.nii.gz")
    return CaseEntry(name="d/sub-01", subject="d/sub-01", dataset="d", image=image, mask=mask, pathology="infarct")


def bias(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A field that is half as bright again at the front of the head as at its back."""
    y = (affine[:3, :3] @ np.indices(shape).reshape(3, -1) + affine[:3, 3:])[1].reshape(shape)
    return np.exp(0.25 * (y + 18) / 80)


def unevenness(data: np.ndarray, head: Phantom) -> float:
    """Slope of the white matter's log brightness from back to front, per 160 mm."""
    white = (head.flair > 420) & (head.flair < 580) & (head.lesion == 0)
    y = (head.affine[1, 1] * np.argwhere(white)[:, 1]) / 160
    return float(np.polyfit(y, np.log(data[white]), 1)[0])


def test_n4_takes_a_bias_field_away(head: Phantom) -> None:
    biased = (head.flair * bias(head.affine, SHAPE)).astype(np.float32)
    evened = correct.n4_corrected(Volume(biased, head.affine), "head")
    assert abs(unevenness(evened.data, head)) < 0.35 * abs(unevenness(biased, head))
    assert ((evened.data == 0) == (biased == 0)).all()
    again = correct.n4_corrected(Volume(biased, head.affine), "head")
    assert np.array_equal(evened.data, again.data)


def test_n4_serves_one_slice_too(head: Phantom) -> None:
    biased = (head.flair * bias(head.affine, SHAPE))[..., 30:31].astype(np.float32)
    evened = correct.n4_corrected(Volume(biased, head.affine), "slice")
    assert evened.data.shape == (64, 76, 1)
    front, back = (slice(20, 44), slice(50, 62)), (slice(20, 44), slice(12, 24))
    ratios = [np.median(data[front][..., 0]) / np.median(data[back][..., 0]) for data in (biased, evened.data)]
    assert abs(ratios[1] - 1) < 0.6 * abs(ratios[0] - 1)


def test_n4_of_nothing_is_refused(head: Phantom) -> None:
    with pytest.raises(ImageError, match="no foreground above zero"):
        correct.n4_corrected(Volume(-np.abs(head.flair), head.affine), "dark")


# ---------------------------------------------------------------- skull stripping

_STAND_IN = """#!{python}
# Stands in for HD-BET where that is not installed: takes its options, and calls brain what lies in a ball.
import sys, nibabel, numpy
given = dict(zip(sys.argv[1::1], sys.argv[2::1]))
image = nibabel.load(given["-i"])
if "{how}" == "fails":
    sys.exit("out of luck")
at = image.affine[:3, :3] @ numpy.indices(image.shape).reshape(3, -1) + image.affine[:3, 3:]
away = numpy.linalg.norm((at - [[0], [-18], [8]]) / [[68], [86], [68]], axis=0).reshape(image.shape)
mask = numpy.zeros(image.shape, numpy.uint8) if "{how}" == "finds nothing" else (away < 1.0).astype(numpy.uint8)
assert given["-device"] == "cpu" and "--save_bet_mask" in sys.argv and "--disable_tta" in sys.argv
if "{how}" == "never ends":
    import time; time.sleep(600)
nibabel.save(nibabel.Nifti1Image(mask, image.affine), given["-o"].replace(".nii.gz", "_bet.nii.gz"))
"""


def install_stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str = "works", weights: bool = True) -> None:
    """Puts a program called hd-bet on the path, and a home with its weights."""
    program = folder / "bin" / "hd-bet"
    program.parent.mkdir()
    program.write_text(_STAND_IN.format(python=sys.executable, how=how))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(Path, "home", lambda: folder / "home")
    if weights:
        checkpoint = folder / "home" / "hd-bet_params" / "release_2.0.0" / "fold_all" / "checkpoint_final.pth"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()


def with_scalp(head: Phantom) -> Volume:
    wide = 10
    data = np.pad(head.flair, wide)
    away = ndimage.distance_transform_edt(data == 0, sampling=SPACING)
    data = np.where((away > 8) & (away <= 15), 700, data).astype(np.float32)
    affine = head.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, wide)
    return Volume(data, affine)


def write_with_scalp(head: Phantom, entry: CaseEntry) -> None:
    volume = with_scalp(head)
    write_image(entry.image, volume.data, volume.affine)
    write_image(entry.mask, np.pad(head.lesion, 10), volume.affine)


def test_without_hd_bet_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match="HD-BET is not installed.*pip install hd-bet"):
        ToGrid(SMALL_DATA, Corrections(skull_strip=True))


def test_without_its_weights_hd_bet_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stand_in(tmp_path, monkeypatch, weights=False)
    with pytest.raises(PackageError, match=r"weights are not on this machine.*run hd-bet once by hand"):
        ToGrid(SMALL_DATA, Corrections(skull_strip=True))


def test_a_head_is_stripped_on_a_copy_and_its_lesion_stays(
    head: Phantom, entry: CaseEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stand_in(tmp_path, monkeypatch)
    write_with_scalp(head, entry)
    before = entry.image.read_bytes()
    stripped = ToGrid(SMALL_DATA, Corrections(skull_strip=True))(entry)
    whole = ToGrid(SMALL_DATA, Corrections())(entry)
    assert stripped.steps == ("skull stripped by HD-BET",)
    assert stripped.prepared.brain.sum() < 0.8 * whole.prepared.brain.sum()
    assert stripped.prepared.mask.sum() == whole.prepared.mask.sum()
    assert entry.image.read_bytes() == before


def test_a_brain_that_is_bare_already_is_left_alone(
    entry: CaseEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stand_in(tmp_path, monkeypatch, "fails")
    assert ToGrid(SMALL_DATA, Corrections(skull_strip=True))(entry).steps == ()


@pytest.mark.parametrize(
    ("how", "said"), [("fails", r"could not strip .*out of luck"), ("finds nothing", "found no brain in sub-01")]
)
def test_a_failure_of_hd_bet_names_the_case(
    how: str, said: str, head: Phantom, entry: CaseEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stand_in(tmp_path, monkeypatch, how)
    write_with_scalp(head, entry)
    with pytest.raises(ImageError, match=said):
        ToGrid(SMALL_DATA, Corrections(skull_strip=True))(entry)


def test_whoever_stops_does_not_wait_for_hd_bet(
    head: Phantom, entry: CaseEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stand_in(tmp_path, monkeypatch, "never ends")
    write_with_scalp(head, entry)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ToGrid(SMALL_DATA, Corrections(skull_strip=True))(entry, stop)


# ---------------------------------------------------------------- alignment and template


def turned(degrees: float, stretch: float) -> np.ndarray:
    a = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    matrix[:3, :3] *= [stretch, 1.0, 1 / stretch]
    matrix[:3, 3] = (8.0, -12.0, 15.0)
    return matrix


@pytest.mark.parametrize("alignment", ["rigid", "affine"])
def test_a_lesion_stays_on_its_side_through_every_step(alignment: str, tmp_path: Path) -> None:
    """The template itself as a scan of another place and shape, stored from left to right, with a bright right spot."""
    template = load_template()
    to_template = turned(7, 1.06)
    affine = np.diag([-2.5, 2.5, 2.5, 1.0])
    affine[:3, 3] = (115.0, -140.0, -90.0)
    shape = (90, 110, 80)
    index = np.indices(shape).reshape(3, -1)
    place = (to_template @ affine @ np.vstack([index, np.ones(index.shape[1])]))[:3]
    lesion = (np.linalg.norm(place - np.array([[32.0], [-30.0], [28.0]]), axis=0) < 9).reshape(shape)
    data = resample(template.data, np.linalg.inv(template.affine) @ to_template @ affine, shape, "linear")
    data = np.where(lesion & (data > 0), 1.6 * data.max(), data * bias(affine, shape)).astype(np.float32)
    image = write_image(tmp_path / "scan.nii.gz", data, affine, sform_code=1)
    mask = write_image(tmp_path / "mask.nii.gz", lesion.astype(np.uint8), affine, sform_code=1)
    entry = CaseEntry(name="d/a", subject="d/a", dataset="d", image=image, mask=mask, pathology="infarct")
    placed = ToGrid(SMALL_DATA, Corrections(n4=True, alignment=alignment))(entry)
    at = grid_affine(SMALL_GRID) @ np.append(np.argwhere(placed.prepared.mask).mean(axis=0), 1)
    assert np.linalg.norm(at[:3] - [32.0, -30.0, 28.0]) < (3 if alignment == "affine" else 6)
    assert placed.alignment.how == ("rigid+affine" if alignment == "affine" else "rigid")
    assert np.linalg.det(placed.alignment.matrix[:3, :3]) > 0
    bright = placed.prepared.image > 0.9
    inside = (placed.prepared.mask > 0) & bright
    assert inside.sum() > 0.8 * placed.prepared.mask.sum(), "image and mask went the same way"
    assert placed.steps == ("N4 bias correction",)


def test_a_template_of_ones_own_serves_on_any_grid_of_its_space(tmp_path: Path) -> None:
    template = load_template()
    coarse = np.diag([-3.0, 3.0, 4.0, 1.0])
    coarse[:3, 3] = (90.0, -126.0, -72.0)
    back = np.linalg.inv(template.affine) @ coarse
    path = write_image(tmp_path / "own.nii.gz", resample(template.data, back, (61, 73, 46), "linear"), coarse)
    ready = registrable(load_template(path), path)
    assert np.allclose(ready.affine, template_affine())
    assert np.corrcoef(ready.data.ravel(), template.data.ravel())[0, 1] > 0.95
    assert ToGrid(SMALL_DATA, Corrections(template=path)).template_file == path


def test_a_template_in_another_space_is_refused(tmp_path: Path) -> None:
    template = load_template()
    moved = template.affine.copy()
    moved[:3, 3] += (60.0, 0.0, 50.0)
    path = write_image(tmp_path / "elsewhere.nii.gz", template.data, moved)
    with pytest.raises(CaseError, match=r"elsewhere\.nii\.gz does not lie where MNI152 does"):
        registrable(load_template(path), path)
    assert registrable(template, default_template()) is template


# ---------------------------------------------------------------- preparing a table of cases


def test_the_cache_remembers_its_corrections(entry: CaseEntry, tmp_path: Path) -> None:
    config = small_config()
    plain = prepare_entries([entry], config, tmp_path / "cache")
    assert "corrections" not in plain.cache.manifest["made_of"]
    evened = prepare_entries([entry], config, tmp_path / "cache", Corrections(n4=True))
    assert evened.rebuilt
    assert evened.cache.manifest["made_of"]["corrections"] == {"n4": True, "skull_strip": False, "alignment": "rigid"}
    assert evened.cache.manifest["cases"][0]["steps"] == ["N4 bias correction"]
    assert not prepare_entries([entry], config, tmp_path / "cache", Corrections(n4=True)).rebuilt


def test_each_case_has_its_own_pathology_and_what_is_unknown_teaches_the_image_only(
    entry: CaseEntry, tmp_path: Path
) -> None:
    config = small_config()
    others = [
        entry.model_copy(update={"name": "d/b", "subject": "d/b", "pathology": "ms"}),
        entry.model_copy(update={"name": "d/c", "subject": "d/c", "pathology": None}),
        entry.model_copy(update={"name": "d/d", "subject": "d/d", "mask": None, "lesion_free": True}),
        entry.model_copy(update={"name": "d/e", "subject": "d/e", "lesion_free": True}),
    ]
    report = prepare_entries([entry, *others], config, tmp_path / "cache")
    found: dict[str, set[tuple[str | None, bool]]] = {}
    for record in report.cache.records:
        found.setdefault(record.case, set()).add((record.pathology, record.mask_known))
    assert ("infarct", True) in found["d/sub-01"]
    assert ("ms", True) in found["d/b"]
    assert found["d/c"] == {(None, False)}
    assert found["d/d"] == {("none", True)}
    (left_out,) = report.left_out
    assert "d/e is said to be free of lesions but sub-01_FLAIR_roi.nii.gz has" in left_out.reason
    assert report.cache.manifest["made_of"]["datasets"]["d"]["d/b"] == "ms"


def test_a_mask_on_another_grid_is_resampled(head: Phantom, entry: CaseEntry, tmp_path: Path) -> None:
    affine = head.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine = make_phantom(shape=tuple(2 * size for size in SHAPE), affine=affine, lesion_radius_mm=10)
    plain = ToGrid(SMALL_DATA, Corrections())(entry).prepared.mask
    write_image(entry.mask, fine.lesion, affine)
    placed = ToGrid(SMALL_DATA, Corrections())(entry)
    assert placed.steps[0].startswith("mask resampled: it has 128 x 152 x 112 voxels of 1.25 x 1.25 x 1.25 mm")
    assert 2 * (placed.prepared.mask & plain).sum() / (placed.prepared.mask.sum() + plain.sum()) > 0.9


def test_a_case_that_vanishes_meanwhile_is_left_out_and_taken_up_again_later(
    head: Phantom, entry: CaseEntry, tmp_path: Path
) -> None:
    config = small_config()
    second = make_phantom(seed=1, shape=SHAPE, spacing_mm=SPACING).write(tmp_path / "cases", "sub-02")
    other = CaseEntry(name="d/sub-02", subject="d/sub-02", dataset="d", image=second, pathology="ms")
    content = second.read_bytes()

    def vanish(done: int, _total: int, name: str) -> None:
        if done == 1 and name == "d/sub-02" and second.exists():
            second.unlink()

    report = prepare_entries([entry, other], config, tmp_path / "cache", on_progress=vanish)
    (left_out,) = report.left_out
    assert "sub-02_FLAIR.nii.gz does not exist" in left_out.reason
    second.write_bytes(content)
    again = prepare_entries([entry, other], config, tmp_path / "cache")
    assert again.rebuilt
    assert not again.left_out


def test_wrong_entries_are_told_what_would_be_right(entry: CaseEntry, tmp_path: Path) -> None:
    config = small_config()
    with pytest.raises(CaseError, match="d/sub-01: unknown pathology 'infarkt': did you mean 'infarct'"):
        prepare_entries([entry.model_copy(update={"pathology": "infarkt"})], config, tmp_path / "cache")
    twice = [entry.model_copy(update={"split": "train"}), entry.model_copy(update={"name": "d/2", "split": "test"})]
    with pytest.raises(CaseError, match="'d/sub-01' is to go to train and to test"):
        prepare_entries(twice, config, tmp_path / "cache")
    with pytest.raises(CaseError, match="no case was given"):
        prepare_entries([], config, tmp_path / "cache")


def test_n4_evens_a_real_scan(shared_data: Path) -> None:
    path = next((shared_data / "ms-volumes").rglob("sub-long01_ses-1_FLAIR.nii.gz"))
    volume = read_volume(path)
    evened = correct.n4_corrected(volume, path.name)
    inside = volume.data > 0
    spread = [
        np.std(np.log(data[inside & (data > np.median(data[inside]) * 0.7)])) for data in (volume.data, evened.data)
    ]
    assert spread[1] < spread[0]
    assert ((evened.data == 0) == (volume.data == 0)).all()
    assert nibabel.load(path).shape == evened.data.shape
