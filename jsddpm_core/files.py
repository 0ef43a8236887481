"""Results on disk that are whole or absent: written beside their place, made durable, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jsddpm_core.errors import OutputError

PARTIAL = ".partial"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def output_error(path: Path, error: OSError) -> OutputError:
    """Says why a file or folder could not be written, and what helps."""
    said = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return OutputError(f"{path} could not be written ({said})", "free disk space or choose another folder")
    if error.errno in _FORBIDDEN:
        return OutputError(f"{path} may not be written ({said})", "choose a folder that you may write to")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(f"{path} could not be made because a file is in its place", "choose another folder")
    return OutputError(f"{path} could not be written ({said})", "choose another folder")


def is_disk_full(error: BaseException) -> bool:
    """Whether that is why something could not be written."""
    cause = error.__cause__ if isinstance(error, OutputError) else error
    return isinstance(cause, OSError) and cause.errno in _FULL


def make_folder(folder: Path) -> Path | None:
    """Makes an output folder with its parents and makes sure that it can be written to.

    Returns:
        The topmost folder that had to be made, None where the folder was there: what an abandoned job may remove.

    Raises:
        OutputError: if it cannot be made or written to.
    """
    made = None
    for candidate in [folder, *folder.parents]:
        if candidate.exists():
            break
        made = candidate
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}{PARTIAL}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        if made is not None:
            remove_empty(made)
        raise output_error(folder, error) from error
    return made


def remove_empty(folder: Path) -> None:
    """Removes a folder tree that holds no file; one that does is left as it is."""
    if folder.is_dir():
        for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                path.rmdir()
        with suppress(OSError):
            folder.rmdir()


def write_file(path: Path, content: bytes) -> None:
    """Writes a file so that it is complete under its name or not there at all.

    Raises:
        OutputError: if the disk is full or the folder cannot be written to; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to fill, which takes its name only when the block ends without an error.

    Args:
        target: the folder's final place.
        overwrite: whether a folder that stands there is replaced.

    Yields:
        The `.partial` folder beside it; removed if the block fails or is interrupted.

    Raises:
        OutputError: if the target is there already, or cannot be written.
    """
    occupied = OutputError(f"{target} is there already", "choose another name or remove it first")
    if target.exists() and not overwrite:
        raise occupied
    made = make_folder(target.parent)
    partial = target.with_name(target.name + PARTIAL)
    replaced = target.with_name(f".{target.name}.replaced{PARTIAL}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        if target.exists():
            if not overwrite:
                raise occupied
            target.replace(replaced)
        partial.replace(target)
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if replaced.exists() and not target.exists():
            replaced.replace(target)
        shutil.rmtree(replaced, ignore_errors=True)
        if made is not None:
            remove_empty(made)
