"""Bundles from elsewhere: what is taken, what is refused, and that nothing stays of the latter."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from generation_fixtures import write_small_bundle

from jsddpm_core.bundle import read_bundle
from jsddpm_core.bundle_import import import_bundle
from jsddpm_core.errors import BundleError, OutputError


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "small"
    write_small_bundle(folder)
    return folder


def zipped(folder: Path, target: Path, prefix: str = "", extra: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"{prefix}{path.name}")
        for name in extra:
            archive.writestr(name, "{}")
    return target


@pytest.mark.parametrize("prefix", [None, "", "some model/"], ids=["folder", "zip", "folder in a zip"])
def test_a_bundle_is_copied_byte_for_byte(bundle: Path, tmp_path: Path, prefix: str | None) -> None:
    told = []
    source = bundle if prefix is None else zipped(bundle, tmp_path / "mine.zip", prefix)
    made = import_bundle(source, tmp_path / "models" / "mine", lambda done, total: told.append((done, total)))
    assert made.digest == read_bundle(bundle).digest
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.iterdir()
    }
    assert told[-1][0] == told[-1][1] == sum(path.stat().st_size for path in bundle.iterdir())


@pytest.mark.parametrize(
    "evil", ["../evil.json", "/evil.json", "deeper/evil.json", ".hidden", "..\\evil.json", "C:evil.json"]
)
def test_a_zip_file_cannot_write_elsewhere(bundle: Path, tmp_path: Path, evil: str) -> None:
    source = zipped(bundle, tmp_path / "mine.zip", extra=(evil,))
    with pytest.raises(BundleError, match="which no model has"):
        import_bundle(source, tmp_path / "models" / "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.zip"}


def test_a_file_that_comes_twice_is_refused(bundle: Path, tmp_path: Path) -> None:
    source = zipped(bundle, tmp_path / "mine.zip", extra=("MODEL_card.md",))
    with pytest.raises(BundleError, match="holds a file twice"):
        import_bundle(source, tmp_path / "mine")


def test_a_link_out_of_the_folder_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (tmp_path / "secret.txt").write_text("of another")
    (copy / "secret.txt").symlink_to(tmp_path / "secret.txt")
    made = import_bundle(copy, tmp_path / "mine")
    assert not (made.folder / "secret.txt").exists()


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.zip"
    text.write_text("not a zip file")
    with pytest.raises(BundleError, match="notes.zip is not a zip file"):
        import_bundle(text, tmp_path / "models" / "mine")
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        import_bundle(tmp_path, tmp_path / "models" / "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"notes.zip"}


def test_a_damaged_zip_file_is_refused_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    source = zipped(bundle, tmp_path / "mine.zip")
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 255
    source.write_bytes(content)
    with pytest.raises(BundleError):
        import_bundle(source, tmp_path / "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.zip"}


def test_a_name_that_is_taken_is_refused(bundle: Path, tmp_path: Path) -> None:
    import_bundle(bundle, tmp_path / "mine")
    with pytest.raises(OutputError, match="is there already"):
        import_bundle(bundle, tmp_path / "mine")
