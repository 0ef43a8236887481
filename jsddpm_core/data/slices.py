"""The slice cache: what training reads, memory-mapped, with the hashes of what it was made of.

A folder of `cache.json` (manifest), `images.npy` float32 (N, X, Y) in [-1, 1] and `masks.npy` uint8 (N, X, Y) of 0
and 1.
It is written beside its place and renamed when complete, so that a cache is whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import ValidationError

from jsddpm_core.config import GridConfig
from jsddpm_core.errors import CacheError, OutputError
from jsddpm_core.files import make_folder, output_error, remove_empty
from jsddpm_core.tensor_file import file_digest

SCHEMA = 1
MANIFEST = "cache.json"
ARRAYS = {"images.npy": np.dtype("<f4"), "masks.npy": np.dtype("u1")}
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SliceRecord:
    """What is known of one slice.

    Attributes:
        subject: the person, `DATASET/sub-X`.
        case: the examination, `DATASET/sub-X[_ses-Y]`.
        split: `train`, `validation` or `test`.
        slice_index: the slice of the model's grid that it is, or is nearest to.
        position_mm: RAS z in template space.
        pathology: a name from the configuration, None where it is unknown.
        mask_known: whether the mask is one; where not, it is empty and must not enter a loss.
        lesion_mm2: area of the mask.
        dataset: the folder that it came from.
        simulated: whether its lesion was painted into a real slice.
        synthetic: whether a model drew it: such a slice is nobody's, and stands in the training split only.
    """

    subject: str
    case: str
    split: str
    slice_index: int
    position_mm: float
    pathology: str | None
    mask_known: bool
    lesion_mm2: float
    dataset: str
    simulated: bool = False
    synthetic: bool = False


def _digest(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


class SliceCache:
    """An open cache; the arrays stay on disk and are read as they are used.

    Attributes:
        folder: where it lies.
        records: one `SliceRecord` a slice, in the arrays' order.
        images: (N, X, Y) float32 in [-1, 1], read-only, X to the patient's right and Y to the front.
        masks: (N, X, Y) uint8 of 0 and 1, read-only.
        grid: the model's grid.
        digest: SHA-256 of the manifest; changes with every slice, label and setting.
        manifest: the whole manifest: `made_of`, `cases` with their placements and reasons, `arrays`.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], images: np.ndarray, masks: np.ndarray) -> None:
        self.folder = folder
        self.manifest = manifest
        self.records = [SliceRecord(**record) for record in manifest["records"]]
        self.images = images
        self.masks = masks
        self.grid = GridConfig.model_validate(manifest["grid"])
        self.digest = _digest(manifest)

    @classmethod
    def open(cls, folder: Path, verify: bool = False) -> SliceCache:
        """Opens a cache.

        Args:
            folder: the cache.
            verify: read both arrays through and compare their hashes with the manifest (seconds).

        Raises:
            CacheError: if it is missing, of another version, damaged, or its parts disagree.
        """
        folder = Path(folder)
        manifest = _read_manifest(folder)
        remedy = "prepare the cases again"
        arrays = []
        for name, dtype in ARRAYS.items():
            path = folder / name
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise CacheError(f"{path} is missing or damaged", remedy) from error
            said = manifest["arrays"].get(name, {})
            if array.dtype != dtype or list(array.shape) != said.get("shape"):
                raise CacheError(
                    f"{path} holds {array.dtype} {array.shape}, its manifest says {dtype} {said.get('shape')}", remedy
                )
            if verify and file_digest(path) != said.get("sha256"):
                raise CacheError(f"{path} is not what its manifest says (another SHA-256)", remedy)
            arrays.append(array)
        try:
            cache = cls(folder, manifest, *arrays)
        except (TypeError, KeyError, ValidationError) as error:
            raise CacheError(f"{folder / MANIFEST} has records that cannot be read", remedy) from error
        if len(cache.records) != len(cache.images):
            raise CacheError(f"{folder} has {len(cache.images)} slices but {len(cache.records)} records", remedy)
        return cache

    def indices(self, split: str, *, synthetic: bool = True) -> np.ndarray:
        """(n,) int64: the slices of one split, with or without those that a model drew.

        Raises:
            CacheError: for a split that there is not.
        """
        if split not in SPLITS:
            raise CacheError(f"there is no split '{split}'", f"choose one of {', '.join(SPLITS)}")
        chosen = (
            index
            for index, record in enumerate(self.records)
            if record.split == split and (synthetic or not record.synthetic)
        )
        return np.array(list(chosen), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.records)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    remedy = "make it with jsddpm prepare"
    if not path.is_file():
        raise CacheError(f"{folder} holds no slice cache", remedy)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CacheError(f"{path} is damaged", remedy) from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise CacheError(f"{path} has the version {found}, this program reads {SCHEMA}", remedy)
    for key in ("arrays", "records", "grid", "made_of"):
        if key not in manifest:
            raise CacheError(f"{path} has no '{key}'", remedy)
    return manifest


def made_of(folder: Path) -> Any:
    """What an existing cache was made of, None where there is no whole cache."""
    try:
        return SliceCache.open(folder, verify=True).manifest["made_of"]
    except CacheError:
        return None


class SliceCacheWriter:
    """Writes a cache beside its place; `finish` puts it there. As a context manager it removes what is not finished.

    Args:
        folder: where the cache shall lie; an older cache there is replaced by `finish`.
        grid: the model's grid.

    Raises:
        OutputError: if the place cannot be written to, or holds something that is no cache.
    """

    def __init__(self, folder: Path, grid: GridConfig) -> None:
        self.folder = Path(folder)
        self.partial = self.folder.with_name(self.folder.name + ".partial")
        self.grid = grid
        self.records: list[SliceRecord] = []
        self._files: dict[str, BinaryIO] = {}
        if self.folder.exists() and not self.replaceable:
            raise OutputError(f"{self.folder} exists and is no slice cache", "choose another folder")
        self._made = make_folder(self.folder.parent)
        try:
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir()
            for name, dtype in ARRAYS.items():
                self._files[name] = (self.partial / name).open("wb")
                self._write_header(name, dtype)
        except OSError as error:
            self.discard()
            raise output_error(self.partial, error) from error

    @property
    def replaceable(self) -> bool:
        """Whether what lies in the cache's place is a cache, or an empty folder."""
        return self.folder.is_dir() and ((self.folder / MANIFEST).is_file() or not any(self.folder.iterdir()))

    def _write_header(self, name: str, dtype: np.dtype) -> int:
        """NumPy pads headers so that the first axis can grow in place."""
        shape = (len(self.records), *self.grid.shape[:2])
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        file = self._files[name]
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header)
        return file.tell()

    def add(self, record: SliceRecord, image: np.ndarray, mask: np.ndarray) -> None:
        """Appends a slice.

        Args:
            record: what is known of it.
            image: (X, Y) float32 in [-1, 1].
            mask: (X, Y) of 0 and 1.

        Raises:
            OutputError: if the disk is full or the folder has gone.
        """
        try:
            for (name, dtype), values in zip(ARRAYS.items(), (image, mask), strict=True):
                if values.shape != tuple(self.grid.shape[:2]):
                    raise ValueError(f"{name}: a slice has the shape {values.shape}, not {self.grid.shape[:2]}")
                self._files[name].write(np.ascontiguousarray(values, dtype=dtype).tobytes())
        except OSError as error:
            raise output_error(self.partial, error) from error
        self.records.append(record)

    def add_text(self, name: str, text: str) -> None:
        """Puts a small text file beside the arrays; `name` may hold one folder.

        Raises:
            OutputError: if the disk is full or the folder has gone.
        """
        try:
            (self.partial / name).parent.mkdir(exist_ok=True)
            (self.partial / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise output_error(self.partial / name, error) from error

    def finish(self, made_of: Any, **more: Any) -> SliceCache:
        """Completes the cache and puts it in its place.

        Args:
            made_of: plain tree that says what the slices were made of.
            **more: further plain parts of the manifest.

        Raises:
            OutputError: if the disk is full or the place cannot be written to.
        """
        try:
            arrays = {}
            for name, dtype in ARRAYS.items():
                self._write_header(name, dtype)
                file = self._files[name]
                file.flush()
                os.fsync(file.fileno())
                file.close()
                shape = [len(self.records), *self.grid.shape[:2]]
                arrays[name] = {"dtype": dtype.str, "shape": shape, "sha256": file_digest(self.partial / name)}
            manifest = {
                "schema": SCHEMA,
                "grid": self.grid.model_dump(mode="json"),
                "arrays": arrays,
                "made_of": made_of,
                **more,
                "records": [asdict(record) for record in self.records],
            }
            with (self.partial / MANIFEST).open("w", encoding="utf-8") as file:
                json.dump(manifest, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            self._put_in_place()
        except OSError as error:
            self.discard()
            raise output_error(self.folder, error) from error
        return SliceCache.open(self.folder)

    def _put_in_place(self) -> None:
        """A folder cannot replace a folder in one step: the old cache steps aside until the new one is there."""
        old = self.folder.with_name(self.folder.name + ".old.partial")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            self.folder.replace(old)
        try:
            self.partial.replace(self.folder)
        finally:
            if old.exists() and not self.folder.exists():
                old.replace(self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Removes what was written and is not finished."""
        for file in self._files.values():
            with suppress(OSError):  # closing flushes, which a full disk refuses
                file.close()
        shutil.rmtree(self.partial, ignore_errors=True)
        if self._made is not None:
            remove_empty(self._made)

    def __enter__(self) -> SliceCacheWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.discard()
