"""The pictures of a study: one way from a slice to a file, whichever arm the slice is of.

A real slice and a generated one differ in much that no reader looks at: the background is one value or noise, the edge
of the brain was cut by a program or drawn by a network, grey values lie on the comb of an 8-bit scan or anywhere.
`harmonised` takes both through the same steps, none of which asks where a slice comes from; `STEPS` says them in words.
`picture_bytes` writes what comes out so that files of one kind are equal but for their voxels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from scipy import ndimage

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.design import LEVELS
from jsddpm_core.reading_study.manifest import NOTICE

OUTLINE_ABOVE: Final = -0.8
"""Tissue, in slices from -1 to 1."""

SEAM_MM: Final = 3.0
CLOSED_MM: Final = 7.5
ROUNDED_MM: Final = 2.5
CUT_MM: Final = 1.25
"""Of the outline: what is thinner is cut off, what is narrower is filled, how it is rounded, what is taken off."""

CLIP: Final = 0.94
"""Values beyond are set to it: both ends of a real slice were cut at percentiles, those of a generated one at 1."""

LOWEST: Final = 30
HIGHEST: Final = LEVELS - 30
"""Grey values that the ends of the range go to; the dither has room on either side."""

DITHER: Final = 4.0
"""Standard deviation in grey values: half of the distance between the 256 values of an 8-bit scan."""

HEADER_BYTES: Final = 352
"""Of a NIfTI-1 file: the header and the flag that no extension follows."""

BACKGROUND: Final = 0
RIM: Final = 1
"""Background next to the brain, one grey value of a thousand above the rest: see `with_even_background`."""

SPECK_PX: Final = 4
"""Pieces of a lesion's mask that are smaller are left out."""

MODIFIED: Final = 946_684_800
"""When every file says that it was changed: the first second of 2000, UTC."""

STEPS: Final = (
    f"The outline of the brain is taken from the picture itself: what is above {OUTLINE_ABOVE:g} in the range from -1 "
    f"to 1, opened by {SEAM_MM:g} mm, its largest piece closed by {CLOSED_MM:g} mm, holes filled, rounded by a "
    f"Gaussian of {ROUNDED_MM:g} mm and drawn in by {CUT_MM:g} mm; everything outside of it is {BACKGROUND}, but "
    f"for a rim beside it that is {RIM} and as wide as makes the number of pixels at {BACKGROUND} the "
    "same in all pictures.",
    f"Grey values are clipped to -{CLIP:g} and {CLIP:g}, mapped linearly to {LOWEST} and {HIGHEST}, dithered with "
    f"Gaussian noise of {DITHER:g} grey values from a stream that is secret until the study is unblinded, and "
    f"rounded to whole numbers from {RIM + 1} to {LEVELS}.",
    f"Lesion masks are cut to the brain, and pieces of fewer than {SPECK_PX} pixels are left out.",
    "Files are uncompressed NIfTI with one header, one length, one time stamp, and numbers drawn at random.",
)
"""What the manifest says under `harmonisation`."""


def stream(secret: bytes, *parts: str | int) -> np.random.Generator:
    """Random numbers that nobody without the secret can make again: Philox, keyed by SHA-256."""
    digest = hashlib.sha256(secret + "|".join(str(part) for part in parts).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)))


def outline(image: np.ndarray, spacing_mm: float) -> np.ndarray:
    """The brain of a slice, smooth and without holes, told from the slice alone.

    Args:
        image: (X, Y) in [-1, 1].
        spacing_mm: edge of a pixel.

    Returns:
        (X, Y) bool.

    Raises:
        StudyError: if there is no tissue.
    """
    pad = round(2 * CLOSED_MM / spacing_mm) + 1
    tissue = np.pad(ndimage.binary_fill_holes(image > OUTLINE_ABOVE), pad)
    pieces, count = ndimage.label(_opened(tissue, SEAM_MM / 2 / spacing_mm))
    if count == 0:
        raise StudyError("a slice shows no brain", "leave it out of the cases or results that are drawn from")
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    whole = ndimage.binary_fill_holes(_closed(largest, CLOSED_MM / 2 / spacing_mm))
    rounded = ndimage.gaussian_filter(whole.astype(np.float64), ROUNDED_MM / spacing_mm) > 0.5
    drawn_in = ndimage.distance_transform_edt(rounded) > CUT_MM / spacing_mm
    return ndimage.binary_fill_holes(drawn_in)[pad:-pad, pad:-pad]


def _opened(mask: np.ndarray, radius: float) -> np.ndarray:
    kept = ndimage.distance_transform_edt(mask) > radius
    return ndimage.distance_transform_edt(~kept) <= radius if kept.any() else kept


def _closed(mask: np.ndarray, radius: float) -> np.ndarray:
    return ndimage.distance_transform_edt(ndimage.distance_transform_edt(~mask) <= radius) > radius


def harmonised(image: np.ndarray, spacing_mm: float, noise: np.random.Generator) -> np.ndarray:
    """A slice as readers see it but for the rim of its background; see `STEPS`.

    Args:
        image: (X, Y) float in [-1, 1], of either arm.
        spacing_mm: edge of a pixel.
        noise: of the dither; one of its own for every picture.

    Returns:
        (X, Y) int16: 0 outside of the brain, 2 to `LEVELS` inside.

    Raises:
        StudyError: if it is not finite or shows no brain.
    """
    if not np.isfinite(image).all():
        raise StudyError("a slice has values that are no numbers", "leave it out")
    brain = outline(image, spacing_mm)
    share = (np.clip(image, -CLIP, CLIP).astype(np.float64) + CLIP) / (2 * CLIP)
    grey = LOWEST + share * (HIGHEST - LOWEST) + DITHER * noise.standard_normal(image.shape)
    return np.where(brain, np.clip(np.rint(grey), RIM + 1, LEVELS), BACKGROUND).astype(np.int16)


def with_even_background(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The pictures with equally many pixels at `BACKGROUND`, the pixels nearest to each brain being `RIM`.

    How many pixels are exactly 0 would otherwise say how large a brain is, to whoever only counts zeros; and models
    draw brains of less various sizes than people have.

    Args:
        pictures: (X, Y) int16 each, from `harmonised`.
    """
    fewest = min(int((picture == BACKGROUND).sum()) for picture in pictures)
    evened = []
    for picture in pictures:
        away = ndimage.distance_transform_edt(picture == BACKGROUND).ravel()
        outside = np.flatnonzero(away)
        nearest = outside[np.argsort(away[outside], kind="stable")[: len(outside) - fewest]]
        flat = picture.ravel().copy()
        flat[nearest] = RIM
        evened.append(flat.reshape(picture.shape))
    return evened


def cleaned_mask(mask: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """A lesion's mask (X, Y) as uint8 of 0 and 1, inside the brain and without specks."""
    pieces, count = ndimage.label(mask.astype(bool) & brain, ndimage.generate_binary_structure(2, 2))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    keep = sizes >= SPECK_PX
    keep[0] = False
    return keep[pieces].astype(np.uint8)


def picture_affine(shape: tuple[int, int], spacing_mm: float) -> np.ndarray:
    """From voxels to RAS millimetres about the picture's middle; the same for a whole study, so no position shows."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:2, 3] = [-(size - 1) / 2 * spacing_mm for size in shape]
    return affine


def picture_bytes(array: np.ndarray, spacing_mm: float) -> bytes:
    """A NIfTI file of (X, Y) int16, or of a mask as uint8: of one length and with one header for equal shapes."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return _header(array.shape[0], array.shape[1], array.dtype == np.uint8, spacing_mm) + little.tobytes(order="F")


@lru_cache(maxsize=8)
def _header(width: int, height: int, mask: bool, spacing_mm: float) -> bytes:
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(np.uint8 if mask else np.int16)
    header.set_data_shape((width, height, 1))
    header.set_zooms([spacing_mm] * 3)
    affine = picture_affine((width, height), spacing_mm)
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)
    header.set_xyzt_units("mm")
    header["descrip"] = NOTICE.encode()
    header["cal_min"], header["cal_max"] = (0, 1) if mask else (BACKGROUND, LEVELS)
    header.set_slope_inter(1, 0)
    header["vox_offset"] = HEADER_BYTES
    return header.binaryblock + bytes(HEADER_BYTES - len(header.binaryblock))


def write_picture(path: Path, content: bytes) -> str:
    """Writes a file of a study that is not in its place yet, with the time stamp of all; gives its SHA-256."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.utime(path, (MODIFIED, MODIFIED))
    return hashlib.sha256(content).hexdigest()


def runs_of(mask: np.ndarray) -> tuple[int, ...]:
    """Voxels of a mask as runs (start, length, start, length, ...) of the array flattened in C order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel() != 0, [0]]).astype(np.int8)))
    return tuple(int(value) for start, end in edges.reshape(-1, 2) for value in (start, end - start))
