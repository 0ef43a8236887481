"""What bad input gets: one sentence that names file, value and remedy, exit code 2, and nothing half-written."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from generation_fixtures import write_small_bundle
from phantom import make_phantom
from privileges import without_privileges
from safetensors.numpy import load_file, save_file

from jsddpm_core.cli import run
from jsddpm_core.data.volumes import read_volume
from jsddpm_core.errors import ImageError


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_bundle(tmp_path_factory.mktemp("bundles") / "small").folder


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused; returns the sentence that was said."""

    def check(*arguments: object) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        assert run([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("Error: ")
        assert said.err.count("\n") == 1, "one sentence, no traceback"
        assert said.err.rstrip().endswith(".")
        after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        assert set(after) == set(before), "nothing is left behind"
        return said.err

    return check


def sample(model: Path, out: Path, **changes: object) -> list[object]:
    asked = {"model": model, "pathology": "infarct", "position": 18, "out": out, **changes}
    return ["sample", *[part for key, value in asked.items() for part in (f"--{key}", value)]]


# ---------------------------------------------------------------- requests


def test_an_unknown_pathology(sound: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "'fcd': choose one of none, infarct, ms" in refused(*sample(sound, tmp_path / "o", pathology="fcd"))


def test_a_position_outside_the_range(sound: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    said = refused(*sample(sound, tmp_path / "o", position=40))
    assert "40 mm" in said
    assert "17 to 19 mm" in said


def test_a_range_outside_the_models(sound: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    asked = ["--model", sound, "--pathology", "ms", "--from", -60, "--out", tmp_path / "o"]
    assert "-30 to 30 mm" in refused("volume", *asked)


@pytest.mark.parametrize("option", ["model", "pathology", "position"])
def test_a_missing_option_is_named(sound: Path, tmp_path: Path, refused: Callable[..., str], option: str) -> None:
    arguments = sample(sound, tmp_path / "o")
    place = arguments.index(f"--{option}")
    assert f"--{option} is missing" in refused(*arguments[:place], *arguments[place + 2 :])


@pytest.mark.parametrize(
    ("option", "value"),
    [("steps", 0), ("eta", 2), ("guidance", -1), ("count", 0), ("seed", -3), ("shard", "3/3"), ("position", "nan")],
)
def test_a_value_that_cannot_be(
    sound: Path, tmp_path: Path, refused: Callable[..., str], option: str, value: object
) -> None:
    said = refused(*sample(sound, tmp_path / "o", **{option: value}))
    assert str(value) in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"task": "generate", "stpes": 3}', "did you mean 'steps'"),
        ('{"task": "volume", "model": "m", "pathology": "ms"}', "use the command of that task"),
        ("{", "JSON"),
        (None, "could not be read"),
    ],
)
def test_a_request_file(tmp_path: Path, refused: Callable[..., str], content: str | None, said: str) -> None:
    file = tmp_path / "request.json"
    if content is not None:
        file.write_text(content)
    assert said in refused("sample", "--request", file, "--out", tmp_path / "o")


# ---------------------------------------------------------------- bundles


def change_tensors(folder: Path, change: Callable[[dict], object]) -> None:
    tensors = load_file(folder / "denoiser.safetensors")
    change(tensors)
    save_file(tensors, folder / "denoiser.safetensors")


def change_version(folder: Path) -> None:
    tree = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(tree | {"schema_version": 99}))


BROKEN = {
    "a missing tensor": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop("noise_level.mlp.0.bias")),
        "lacks tensor 'noise_level.mlp.0.bias'",
    ),
    "an extra tensor": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.update(extra=np.zeros(2, np.float16))),
        "holds tensor 'extra'",
    ),
    "a mis-shaped tensor": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({"noise_level.mlp.0.bias": np.zeros(3, np.float16)})
        ),
        "'noise_level.mlp.0.bias' is F16 [3] in place of F16 [32]",
    ),
    "another schema version": (change_version, "schema version 99 but this program reads 1"),
    "a pickle in place of safetensors": (
        lambda folder: (folder / "denoiser.safetensors").write_bytes(pickle.dumps({"weights": [1.0]})),
        "is a pickle in place of safetensors and was refused",
    ),
    "no weights": (lambda folder: (folder / "denoiser.safetensors").unlink(), "denoiser.safetensors is missing"),
    "no manifest": (lambda folder: (folder / "bundle.json").unlink(), "holds no bundle.json"),
}


@pytest.mark.parametrize("command", ["sample", "check-bundle"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_bundle_with(sound: Path, tmp_path: Path, refused: Callable[..., str], kind: str, command: str) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "bundle"))
    broken, said = BROKEN[kind]
    broken(folder)
    arguments = sample(folder, tmp_path / "o") if command == "sample" else ["check-bundle", folder]
    assert said in refused(*arguments)


def test_a_model_that_is_not_there(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "there is no model 'nowhere'" in refused(*sample(Path("nowhere"), tmp_path / "o"))


def test_a_folder_of_models_that_is_not_there(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "is not a folder" in refused("models", tmp_path / "none")


# ---------------------------------------------------------------- places to write to


def test_a_file_in_place_of_the_output_folder(sound: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "o").write_text("mine")
    assert "choose another folder" in refused(*sample(sound, tmp_path / "o"))
    assert "choose another folder" in refused(*sample(sound, tmp_path / "o" / "below"))
    assert (tmp_path / "o").read_text() == "mine"


@pytest.mark.parametrize("place", ["locked", "locked/below"])
def test_an_unwritable_folder(sound: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    # Not in pytest's own folder, which only the user who runs it may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = Path(shutil.copytree(sound, folder / "model"))
        # The same request elsewhere: it is sound, and all that it imports is there before privileges are given up.
        assert run([str(part) for part in sample(model, folder / "open")]) == 0
        (folder / "locked").mkdir(mode=0o500)
        with without_privileges(folder):
            assert run([str(part) for part in sample(model, folder / place)]) == 2
        assert "choose a folder that you may write to" in capsys.readouterr().err
        assert list((folder / "locked").iterdir()) == []


def test_a_folder_that_the_system_forbids(
    sound: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path, _content: bytes) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", forbidden)
    assert "choose a folder that you may write to" in refused(*sample(sound, tmp_path / "o" / "below"))


def test_a_disk_that_fills_up(
    sound: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jsddpm_core.files.os.fsync", full)
    assert "free disk space or choose another folder" in refused(*sample(sound, tmp_path / "o"))


def test_a_result_of_another_request(sound: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert run([str(part) for part in sample(sound, tmp_path / "o", seed=1)]) == 0
    assert "belongs to another request or model" in refused(*sample(sound, tmp_path / "o", seed=2))


# ---------------------------------------------------------------- sidecars


@pytest.mark.parametrize("content", [None, "{", '{"version": 9}', "[]"])
def test_a_sidecar(tmp_path: Path, refused: Callable[..., str], content: str | None) -> None:
    file = tmp_path / "sample-000000.json"
    if content is not None:
        file.write_text(content)
    assert "sample-000000.json" in refused("reproduce", file)


# ---------------------------------------------------------------- scans


def write_case(
    folder: Path, image: np.ndarray | bytes | None, mask: np.ndarray | None = None, shift: float = 0
) -> None:
    """One BIDS case whose image or mask is not what it should be."""
    anat = folder / "sub-01" / "anat"
    anat.mkdir(parents=True)
    affine = np.diag([2.5, 2.5, 2.5, 1.0])
    affine[:3, 3] = -78.75, -111.75, -60.75
    path = anat / "sub-01_space-MNI152_FLAIR.nii.gz"
    if isinstance(image, bytes):
        path.write_bytes(image)
    elif image is not None:
        nibabel.save(nibabel.Nifti1Image(image, affine), path)
    if mask is not None:
        moved = affine.copy()
        moved[0, 3] += shift
        nibabel.save(nibabel.Nifti1Image(mask, moved), anat / "sub-01_space-MNI152_FLAIR_roi.nii.gz")


FLAIR = make_phantom().flair
MASK = np.zeros(FLAIR.shape, np.uint8)
SCANS: dict[str, tuple] = {
    "no image": (None,),
    "a corrupt image": (b"\x1f\x8bnot a scan",),
    "a mask of another shape that lies elsewhere": (FLAIR, np.ones_like(MASK[:-1]), 500.0),
    "a mask of another affine": (FLAIR, MASK, 5.0),
    "non-finite values": (np.where(FLAIR > 600, np.nan, FLAIR).astype(np.float32),),
    "an empty image": (np.zeros_like(FLAIR),),
    "a 4-D image": (np.stack([FLAIR, FLAIR], axis=-1),),
    "a mask that is nowhere above one half": (FLAIR, (0.4 * (FLAIR > 600)).astype(np.float32)),
}


@pytest.mark.parametrize("kind", SCANS)
def test_a_scan_with(tmp_path: Path, refused: Callable[..., str], kind: str) -> None:
    write_case(tmp_path / "cases", *SCANS[kind])
    said = refused("prepare", tmp_path / "cases", "--out", tmp_path / "cache", "--pathology", "ms")
    assert "cases" in said
    if SCANS[kind][0] is not None:
        assert "sub-01_space-MNI152_FLAIR" in said, "the file is named"


def test_names_that_are_no_unicode(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_case(tmp_path / "cases", FLAIR, MASK)
    try:
        (tmp_path / "cases" / "sub-01" / "anat").joinpath("sub-01_space-MNI152_FLAIR.nii.gz").rename(
            tmp_path / "cases" / "sub-\udce4_FLAIR.nii.gz"
        )
    except (OSError, UnicodeEncodeError):
        pytest.skip("this system has Unicode names only")
    for command in (
        ["survey", tmp_path / "cases"],
        ["prepare", tmp_path / "cases", "--out", tmp_path / "cache", "--pathology", "ms"],
        ["simulate-fcd", tmp_path / "cases", "--out", tmp_path / "copies", "--all"],
    ):
        assert "'cases/sub-\\udce4' has letters that are no Unicode: rename its folder or files" in refused(*command)


def test_a_scan_that_may_not_be_read(tmp_path: Path) -> None:
    write_case(tmp_path / "cases", FLAIR, MASK)
    (image,) = (tmp_path / "cases").rglob("*_FLAIR.nii.gz")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "locked").mkdir(mode=0o700)
        shutil.copy(image, place / "locked" / "scan.nii.gz")
        shutil.copy(image, place / "scan.nii.gz")
        with without_privileges(place):
            (place / "locked").chmod(0)
            (place / "scan.nii.gz").chmod(0)
            for scan in (place / "scan.nii.gz", place / "locked" / "scan.nii.gz"):
                with pytest.raises(ImageError, match=r"scan.nii.gz cannot be opened \(Permission denied\)"):
                    read_volume(scan)
            (place / "locked").chmod(0o700)
    with pytest.raises(ImageError, match=r"cannot be opened \(File name too long\)"):
        read_volume(tmp_path / ("x" * 300))


def test_an_immense_image_is_refused_before_it_takes_the_memory(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    image.header["dim"][1:4] = 2000
    (tmp_path / "bomb.nii").write_bytes(image.header.binaryblock + bytes(4))
    with pytest.raises(ImageError, match=r"has the sizes \(2000, 2000, 2000\)"):
        read_volume(tmp_path / "bomb.nii")


def test_a_folder_of_cases_that_is_not_there(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "is not a folder" in refused("prepare", tmp_path / "none", "--out", tmp_path / "cache")


def test_a_pathology_that_the_configuration_lacks(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_case(tmp_path / "cases", FLAIR, MASK)
    said = refused("prepare", tmp_path / "cases", "--out", tmp_path / "cache", "--pathology", "mss")
    assert "'mss': did you mean 'ms'" in said


# ---------------------------------------------------------------- configurations and caches


def test_an_unknown_key_suggests_the_nearest(tmp_path: Path, refused: Callable[..., str]) -> None:
    given = ["--cache", tmp_path, "--out", tmp_path / "run", "--set", "training.bacth_size=3"]
    assert "did you mean 'batch_size'" in refused("train", "fast", *given)


def test_an_unknown_configuration_lists_the_shipped_ones(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "did you mean 'fast'" in refused("train", "fsat", "--cache", tmp_path, "--out", tmp_path / "run")


def test_a_cache_that_is_not_there(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "holds no slice cache" in refused("train", "fast", "--cache", tmp_path, "--out", tmp_path / "run")


def test_a_checkpoint_that_is_none(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "last.ckpt").write_bytes(pickle.dumps({"state_dict": {}}))
    (tmp_path / "dataset_description.json").write_text('{"Name": "n", "License": "l", "HowToAcknowledge": "a"}')
    given = ["--cache", tmp_path, "--out", tmp_path / "b", "--data", tmp_path, "--title", "t", "--licence", "l"]
    assert "last.ckpt" in refused("export", tmp_path / "last.ckpt", *given)
