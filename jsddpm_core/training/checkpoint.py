"""Checkpoints that are whole or absent: a temporary file beside the target, fsync, rename, fsync of the folder.

Only plain types and tensors go in, and reading refuses everything else (`weights_only=True`).
"""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from jsddpm_core.errors import TrainingError


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's door to the disk; its own writer copies from the system's temporary folder without fsync."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        try:
            with partial.open("wb") as stream:
                _save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, target)
            sync_folder(target.parent)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise TrainingError(
                f"the checkpoint {target} could not be written ({error.strerror})",
                "free disk space and resume; the last complete checkpoint is kept",
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


class _Noting:
    """A stream that remembers why it could not be written to, which torch replaces by an error of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self.stream.write(content)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self.stream.flush()


def _save(checkpoint: dict[str, Any], stream: BinaryIO) -> None:
    noting = _Noting(stream)
    try:
        torch.save(checkpoint, noting)
    except Exception:
        if noting.error is not None:
            raise noting.error from None
        raise


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU.

    Raises:
        TrainingError: if the file is missing, damaged or holds more than plain types.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at its own checksums
            harmed = archive.testzip()
        content = torch.load(path, map_location="cpu", weights_only=True)
        if harmed is not None or not isinstance(content, dict):
            raise ValueError(harmed)
        return content
    except FileNotFoundError as error:
        raise TrainingError(f"there is no checkpoint {path}", "start without --resume") from error
    except Exception as error:
        raise TrainingError(
            f"the checkpoint {path} could not be read", "choose another one; it is damaged or not one of ours"
        ) from error


def steps_done(path: Path) -> int:
    """The optimiser steps that a run's checkpoint was written after.

    Raises:
        TrainingError: as `read_checkpoint`, and if it does not say.
    """
    said = read_checkpoint(path).get("global_step")
    if not isinstance(said, int):
        raise TrainingError(f"the checkpoint {path} says nothing of its run", "choose one of a run's checkpoints")
    return said


def sync_folder(folder: Path) -> None:
    """Makes a rename in the folder durable, where the system lets folders be opened."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
