"""Bundles from elsewhere: copied out of a folder or a zip file, checked, and only then there."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from jsddpm_core.bundle import MANIFEST, Bundle, check_bundle, read_bundle
from jsddpm_core.errors import BundleError
from jsddpm_core.files import whole_folder

LARGEST_UNPACKED = 8 * 2**30
MOST_FILES = 64
PIECE = 2**22

OnBytes = Callable[[int, int], None]
"""Told how many bytes are copied, of how many; it may raise to end the copying."""


def import_bundle(source: Path, target: Path, on_bytes: OnBytes | None = None) -> Bundle:
    """Copies a bundle, a folder or a zip file of one; nothing stays of one that is unsound.

    Raises:
        BundleError: if it is no bundle or is damaged.
        OutputError: if the target is there already or cannot be written.
    """
    with whole_folder(target) as partial:
        fill_bundle(source, partial, on_bytes)
    return read_bundle(target)


def fill_bundle(source: Path, folder: Path, on_bytes: OnBytes | None = None) -> None:
    """Copies a bundle's files into an empty folder and checks them there, digests included.

    Raises:
        BundleError: if it is no bundle or is damaged.
    """
    try:
        if source.is_dir():
            _copy(source, folder, on_bytes)
        else:
            _unpack(source, folder, on_bytes)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:  # of zipfile, for what it is fed
        raise BundleError(f"{source.name} could not be unpacked ({error})", "get it again") from error
    problems = check_bundle(folder)
    if problems:
        raise BundleError(problems[0].replace(str(folder), source.name), "get it again")


def _copy(source: Path, folder: Path, on_bytes: OnBytes | None) -> None:
    """The files directly in a bundle's folder; a bundle has no subfolders."""
    if not (source / MANIFEST).is_file():
        raise BundleError(f"{source} holds no {MANIFEST}", "choose the folder of a model")
    files = [path for path in sorted(source.iterdir()) if path.is_file() and not path.is_symlink()]
    wanted = [path for path in files if not path.name.startswith(".")]
    total = sum(path.stat().st_size for path in wanted)
    _check_size(source, len(wanted), total)
    progress = _Progress(total, on_bytes)
    for path in wanted:
        with path.open("rb") as stream:
            progress.copy(stream, folder / path.name)


def _unpack(source: Path, folder: Path, on_bytes: OnBytes | None) -> None:
    """The files of a bundle in a zip file, which may lie in one folder there; any other path is refused."""
    if not zipfile.is_zipfile(source):
        raise BundleError(f"{source.name} is not a zip file", "choose the folder or the zip file of a model")
    with zipfile.ZipFile(source) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and "__MACOSX" not in entry.filename]
        manifests = [entry.filename for entry in entries if Path(entry.filename).name == MANIFEST]
        if len(manifests) != 1:
            raise BundleError(
                f"{source.name} holds {len(manifests)} files {MANIFEST}", "choose a zip file of exactly one model"
            )
        prefix = manifests[0][: -len(MANIFEST)]
        wanted = [entry for entry in entries if entry.filename.startswith(prefix)]
        total = sum(entry.file_size for entry in wanted)
        _check_size(source, len(wanted), total)
        names = [entry.filename[len(prefix) :] for entry in wanted]
        for entry, name in zip(wanted, names, strict=True):
            if Path(name).name != name or "\\" in name or ":" in name or name.startswith("."):
                raise BundleError(f"{source.name} holds '{entry.filename}', which no model has", "get it again")
        if len({name.lower() for name in names}) != len(names):
            raise BundleError(f"{source.name} holds a file twice", "get it again")
        progress = _Progress(total, on_bytes)
        for entry, name in zip(wanted, names, strict=True):
            with archive.open(entry) as stream:
                progress.copy(stream, folder / name)


def _check_size(source: Path, files: int, total: int) -> None:
    if files > MOST_FILES or total > LARGEST_UNPACKED:
        raise BundleError(f"{source.name} holds more than a model can", "choose the folder or the zip file of a model")


class _Progress:
    """Copies piece by piece, and no more bytes than were announced."""

    def __init__(self, total: int, on_bytes: OnBytes | None) -> None:
        self._total, self._done, self._on_bytes = total, 0, on_bytes

    def copy(self, stream: BinaryIO, target: Path) -> None:
        with target.open("wb") as out:
            while piece := stream.read(PIECE):
                self._done += len(piece)
                if self._done > self._total:
                    raise BundleError(f"{target.name} is longer than it says", "get the model again")
                out.write(piece)
                if self._on_bytes is not None:
                    self._on_bytes(self._done, self._total)
