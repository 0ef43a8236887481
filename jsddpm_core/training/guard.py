"""What may go wrong in the middle of a run: it is stopped, its loss is no number, its cache changes under it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from jsddpm_core.data.slices import ARRAYS, MANIFEST, SliceCache
from jsddpm_core.errors import CacheError

MOST_HALVINGS = 2
"""How often a run that diverges goes on with half its learning rate."""


class Stopped(Exception):  # noqa: N818 - an outcome, not an error
    """Ends a run that is no longer wanted; its checkpoint is written."""


class Diverged(Exception):  # noqa: N818 - answered by going back
    """A loss or a weight is no number any more.

    Args:
        step: optimiser steps done.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is no number after step {step}")
        self.step = step


def all_finite(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether every weight is a number; on a GPU, one wait for all of them."""
    return bool(torch.stack([parameter.detach().isfinite().all() for parameter in parameters]).all())


class _Rows:
    """The rows of an array file, read one by one through an open file.

    A memory map of a file that somebody cuts off ends the process at once (SIGBUS); a read comes back short.
    """

    def __init__(self, path: Path, array: np.ndarray) -> None:
        self.path, self.shape, self.dtype = path, array.shape, array.dtype
        self._size = int(np.prod(array.shape[1:])) * array.dtype.itemsize
        self._offset = path.stat().st_size - self._size * len(array)
        self._file = path.open("rb", buffering=0)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: int) -> np.ndarray:
        self._file.seek(self._offset + self._size * int(index))
        content = self._file.read(self._size)
        if len(content) != self._size:
            raise CacheError(f"{self.path} was cut off while it was in use", "prepare the cases again and resume")
        return np.frombuffer(content, dtype=self.dtype).reshape(self.shape[1:])

    def close(self) -> None:
        self._file.close()


class WatchedCache(SliceCache):
    """A cache that notices when its files are changed, replaced or removed while a run reads them.

    Args:
        cache: as it was opened; it must stay as it is from now on.
    """

    def __init__(self, cache: SliceCache) -> None:
        self.folder, self.manifest, self.records = cache.folder, cache.manifest, cache.records
        self.grid, self.digest = cache.grid, cache.digest
        try:
            self._seen = self._look()
            rows = {name: _Rows(cache.folder / name, array) for name, array in _arrays(cache).items()}
        except OSError as error:
            raise self._changed() from error
        self.images, self.masks = (rows[name] for name in ARRAYS)  # type: ignore[assignment]

    def check(self) -> None:
        """Looks whether the files are still those that were opened.

        Raises:
            CacheError: if not.
        """
        try:
            same = self._look() == self._seen
        except OSError as error:
            raise self._changed() from error
        if not same:
            raise self._changed()

    def close(self) -> None:
        """Lets go of the files."""
        for rows in (self.images, self.masks):
            rows.close()  # type: ignore[attr-defined]

    def _look(self) -> list[tuple[int, int, int]]:
        found = [os.stat(self.folder / name) for name in (*ARRAYS, MANIFEST)]  # noqa: PTH116 - once a step
        return [(entry.st_ino, entry.st_size, entry.st_mtime_ns) for entry in found]

    def _changed(self) -> CacheError:
        return CacheError(
            f"the slice cache {self.folder} was changed or removed while it was in use",
            "prepare the cases again and resume",
        )


def _arrays(cache: SliceCache) -> dict[str, np.ndarray]:
    return dict(zip(ARRAYS, (cache.images, cache.masks), strict=True))
