"""Another place or other voxels for a NIfTI file that the worker wrote; all else in it stays, byte for byte."""

from __future__ import annotations

import gzip
import struct

import numpy as np

SCANNER = 2
"""Code of a transform to coordinates that are no standard space's."""

_OFFSET, _PIXDIM, _CODES, _QUATERNION, _SFORM = 108, 76, 252, 256, 280
"""Where the fields of a NIfTI-1 header lie (nifti1.h)."""


def rewritten(content: bytes, voxels: np.ndarray | None, affine: np.ndarray | None) -> bytes:
    """A `.nii.gz` file with other voxels, another place, or both.

    Args:
        content: of the file.
        voxels: `(K, J, I)` of its mask; None for those that it has.
        affine: from voxel indices to RAS millimetres, 4 x 4; None for the one that it has. Where it is sheared, only
            the sform can say so, and there is no qform.
    """
    raw = bytearray(gzip.decompress(content))
    order = "<" if struct.unpack_from("<i", raw)[0] == 348 else ">"
    if voxels is not None:
        start = int(struct.unpack_from(f"{order}f", raw, _OFFSET)[0])
        raw[start:] = np.ascontiguousarray(voxels, np.uint8).tobytes()
    if affine is not None:
        _place(raw, order, np.asarray(affine, float))
    return gzip.compress(bytes(raw), compresslevel=6, mtime=0)


def isSheared(affine: np.ndarray) -> bool:
    """Whether a grid's axes are not at right angles: a qform cannot say so, and Slicer reads no such NIfTI file."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)


def _place(raw: bytearray, order: str, affine: np.ndarray) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    rotation = affine[:3, :3] / spacing
    orthogonal = not isSheared(affine)
    factor = -1.0 if np.linalg.det(rotation) < 0 else 1.0
    struct.pack_into(f"{order}2h", raw, _CODES, SCANNER if orthogonal else 0, SCANNER)
    struct.pack_into(f"{order}4f", raw, _PIXDIM, factor, *spacing)
    struct.pack_into(f"{order}12f", raw, _SFORM, *affine[:3].ravel())
    if orthogonal:
        rotation[:, 2] *= factor
        struct.pack_into(f"{order}6f", raw, _QUATERNION, *_quaternion(rotation), *affine[:3, 3])


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """b, c and d of a rotation's quaternion whose a is not negative."""
    # The quaternion is the eigenvector of the largest eigenvalue (Bar-Itzhack 2000): no case is singular.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    form = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    b, c, d, a = np.linalg.eigh(form)[1][:, -1]
    return np.array([b, c, d]) * (-1 if a < 0 else 1)
