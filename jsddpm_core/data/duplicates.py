"""The same scan under two names: equal voxels, or a print of the anatomy that no two people share.

The print is the detail of the image between two smoothings on a coarse grid over its foreground's box, so that another
place, spacing, brightness or file format leaves it nearly as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from jsddpm_core.data.looks import Coarse
from jsddpm_core.data.preprocess import resample, to_ras
from jsddpm_core.data.volumes import Volume

SIDE = {True: 64, False: 40}  # of the print of a slice and of a volume
DETAIL = (1.0, 4.0)  # voxels of the print
ALIKE = 0.95  # from this correlation on two prints are of one brain


@dataclass(frozen=True)
class Print:
    """What a scan is recognised by.

    Attributes:
        name: of its case.
        subject: the person.
        voxels: SHA-256 of the decoded voxels in RAS order, with shape and spacing.
        detail: (n,) float32 of mean 0 and length 1.
        flat: whether it is of one slice.
    """

    name: str
    subject: str
    voxels: str
    detail: np.ndarray
    flat: bool


@dataclass(frozen=True)
class Duplicate:
    """Two cases that show the same scan.

    Attributes:
        first, second: their names.
        alike: correlation of their prints; 1 where the voxels are equal.
        equal: whether the voxels are equal.
        same_subject: whether both are said to be of one person.
    """

    first: str
    second: str
    alike: float
    equal: bool
    same_subject: bool


def print_of(volume: Volume, coarse: Coarse, name: str, subject: str) -> Print:
    """Takes the print of an image.

    Args:
        volume: the image.
        coarse: the same at 2 mm, with a foreground.
        name: of its case.
        subject: the person.
    """
    flat = coarse.inside.shape[2] == 1
    box = tuple(slice(int(where.min()), int(where.max()) + 1) for where in np.nonzero(coarse.inside))
    values = np.where(coarse.inside, coarse.values, 0)[box]
    shape = (SIDE[flat], SIDE[flat], 1 if flat else SIDE[flat])
    step = [max(size - 1, 1) / max(count - 1, 1) for size, count in zip(values.shape, shape, strict=True)]
    small = resample(values, np.diag([*step, 1.0]), shape, "linear")
    small = np.clip(small / (float(np.percentile(small, 99)) or 1.0), 0, 1)
    fine, rough = (ndimage.gaussian_filter(small, [0 if n == 1 else sigma for n in shape]) for sigma in DETAIL)
    detail = (fine - rough).ravel()
    detail = detail - detail.mean()
    length = float(np.linalg.norm(detail)) or 1.0
    return Print(name, subject, voxels_digest(volume), (detail / length).astype(np.float32), flat)


def voxels_digest(volume: Volume) -> str:
    """SHA-256 of the decoded voxels in RAS order, with shape and spacing."""
    ras, _ = to_ras(volume)
    said = f"{ras.data.shape} {np.round(ras.spacing_mm, 3).tolist()}"
    return hashlib.sha256(said.encode() + np.ascontiguousarray(ras.data, dtype="<f4").tobytes()).hexdigest()


def duplicates(prints: Sequence[Print]) -> list[Duplicate]:
    """Pairs of the same scan. Sessions of one person look alike as they are: of these only equal voxels count."""
    found = []
    for flat in (True, False):
        own = [entry for entry in prints if entry.flat is flat]
        if len(own) < 2:
            continue
        details = np.stack([entry.detail for entry in own])
        alike = details @ details.T
        voxels = np.array([entry.voxels for entry in own])
        equal = voxels[:, None] == voxels[None, :]
        for first, second in np.argwhere(np.triu(equal | (alike >= ALIKE), 1)):
            same_person = own[first].subject == own[second].subject
            if equal[first, second] or not same_person:
                similarity = 1.0 if equal[first, second] else float(alike[first, second])
                found.append(
                    Duplicate(own[first].name, own[second].name, similarity, bool(equal[first, second]), same_person)
                )
    return found
