"""A study's image files: checked against the manifest and read with nothing but numpy."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.manifest import Picture, StudyCase, StudyManifest

LARGEST: Final = 500_000_000
"""Bytes of an image."""

_TYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
"""NIfTI-1 codes of voxel types (nifti1.h)."""


@dataclass(frozen=True, eq=False)
class PictureData:
    """A picture as it is shown.

    Attributes:
        voxels: float32 `(K, J, I)`.
        affine: 4 x 4, from `(i, j, k)` to RAS millimetres.
        mask: bool `(K, J, I)`; None where no mask belongs to the picture.
    """

    voxels: np.ndarray
    affine: np.ndarray
    mask: np.ndarray | None = None


def read_case(folder: Path, case: StudyCase) -> tuple[PictureData, ...]:
    """The pictures of a case, each held against its hash.

    Raises:
        StudyError: if a file is missing, changed, or no image.
    """
    return tuple(read_picture(folder, picture) for picture in case.pictures)


def read_picture(folder: Path, picture: Picture) -> PictureData:
    """One picture, held against its hash.

    Raises:
        StudyError: if a file is missing, changed, or no image.
    """
    voxels, affine = _volume(folder / picture.file, _checked(folder, picture.file, picture.sha256))
    if picture.mask is None or picture.mask_sha256 is None:
        return PictureData(voxels, affine)
    file = folder / picture.mask
    mask, _ = _volume(file, _checked(folder, picture.mask, picture.mask_sha256))
    if mask.shape != voxels.shape:
        raise StudyError(f"{file} has another grid than its picture", "copy the study again")
    return PictureData(voxels, affine, mask > 0)


def files_of(manifest: StudyManifest) -> list[tuple[str, str]]:
    """Every image file of a study with its hash, each once, in the order of the manifest."""
    found: dict[str, str] = {}
    for case in (*manifest.training, *manifest.cases):
        for picture in case.pictures:
            found[picture.file] = picture.sha256
            if picture.mask is not None and picture.mask_sha256 is not None:
                found[picture.mask] = picture.mask_sha256
    return list(found.items())


def problem_of(folder: Path, name: str, digest: str) -> str:
    """What is wrong with an image file of a study; empty where it is as the manifest says."""
    try:
        _checked(folder, name, digest)
    except StudyError as error:
        return str(error)
    return ""


def missing_files(folder: Path, manifest: StudyManifest) -> list[str]:
    """Names of the image files that are not there: what a folder lacks that was copied by half."""
    return [name for name, _ in files_of(manifest) if not (folder / name).is_file()]


def _checked(folder: Path, name: str, digest: str) -> bytes:
    file = folder / name
    try:
        if file.stat().st_size > LARGEST:
            raise StudyError(f"{file} is larger than any picture of a study", "copy the study again")
        content = file.read_bytes()
    except FileNotFoundError:
        raise StudyError(f"{file} is missing", "copy the whole study again; the answers so far are kept") from None
    except OSError as error:
        said = error.strerror or error
        raise StudyError(f"{file} could not be read ({said})", "copy the study again; the answers are kept") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise StudyError(f"{file} is not the image of the study", "copy the study again; the answers so far are kept")
    return content


def _volume(file: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Voxels `(K, J, I)` and affine of an uncompressed NIfTI-1 file (nifti1.h).

    Raises:
        StudyError: if it is none, or says no place.
    """
    damaged = StudyError(f"{file} is no NIfTI image that can be shown", "make the study again")
    if len(content) < 352 or content[344:347] != b"n+1":
        raise damaged
    order = "<" if struct.unpack_from("<i", content)[0] == 348 else ">"
    axes, *dimensions = struct.unpack_from(f"{order}8h", content, 40)
    kind = _TYPES.get(struct.unpack_from(f"{order}h", content, 70)[0])
    if kind is None or not 2 <= axes <= 7 or min(dimensions[:axes]) < 1 or max(dimensions[3:axes], default=1) > 1:
        raise damaged
    size = [*dimensions[: min(axes, 3)], *([1] * (3 - axes))]
    start, slope, intercept = struct.unpack_from(f"{order}3f", content, 108)
    if not 352 <= start <= len(content) - int(np.prod(size)) * np.dtype(kind).itemsize:
        raise damaged
    voxels = np.frombuffer(content, np.dtype(f"{order}{kind}"), int(np.prod(size)), int(start)).astype(np.float32)
    if slope != 0.0 and (slope, intercept) != (1.0, 0.0):
        voxels = voxels * np.float32(slope) + np.float32(intercept)
    affine = _affine(content, order)
    if affine is None or not np.isfinite(voxels).all():
        raise damaged
    return np.ascontiguousarray(voxels.reshape(size[::-1])), affine


def _affine(content: bytes, order: str) -> np.ndarray | None:
    """From voxel indices to RAS, as the sform says, or else the qform; None where neither does."""
    affine = np.eye(4)
    by_quaternion, by_matrix = struct.unpack_from(f"{order}2h", content, 252)
    if by_matrix > 0:
        affine[:3] = np.reshape(struct.unpack_from(f"{order}12f", content, 280), (3, 4))
    elif by_quaternion > 0:
        b, c, d, *origin = struct.unpack_from(f"{order}6f", content, 256)
        factor, *spacing = struct.unpack_from(f"{order}4f", content, 76)
        a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
        rotation = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        affine[:3, :3] = rotation * spacing * [1.0, 1.0, -1.0 if factor < 0 else 1.0]
        affine[:3, 3] = origin
    else:
        return None
    usable = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9
    return affine if usable else None
