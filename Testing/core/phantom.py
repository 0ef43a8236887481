"""A brain-like phantom with a lesion of known size and place, for tests that need a case but no patient.

The head is an ellipsoid of cortex around white matter, with two ventricles and a faint texture; in RAS the
right half is a little brighter, so that a flip can be seen. The lesion is a bright ball on one side.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

CORTEX, WHITE_MATTER, FLUID, LESION = 700.0, 500.0, 120.0, 1100.0
HEAD_MM = (68.0, 86.0, 68.0)
HEAD_CENTRE_MM = (0.0, -18.0, 8.0)


@dataclass(frozen=True)
class Phantom:
    """One phantom case in memory.

    Attributes:
        flair: float32, shape (X, Y, Z); scanner-like intensities, background exactly 0.
        lesion: uint8 of the same shape, 1 inside the lesion.
        affine: 4 x 4, from voxel indices to RAS millimetres.
        lesion_centre_mm: RAS point, or None for a case without a lesion.
        lesion_radius_mm: 0 for a case without a lesion.
    """

    flair: np.ndarray
    lesion: np.ndarray
    affine: np.ndarray
    lesion_centre_mm: tuple[float, float, float] | None
    lesion_radius_mm: float

    def write(self, folder: Path, subject: str, *, mask: bool = True, session: str | None = None) -> Path:
        """Writes `sub-*/[ses-*/]anat/*_FLAIR.nii.gz`, with `_FLAIR_roi.nii.gz` beside it; returns the FLAIR's path."""
        name = subject if session is None else f"{subject}_{session}"
        anat = folder / subject / (session or "") / "anat"
        anat.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(self.flair, self.affine)
        image.header.set_xyzt_units("mm")
        image.set_sform(self.affine, code=4)  # MNI152
        path = anat / f"{name}_FLAIR.nii.gz"
        nibabel.save(image, path)
        if mask:
            nibabel.save(nibabel.Nifti1Image(self.lesion, self.affine), anat / f"{name}_FLAIR_roi.nii.gz")
        return path


def ras_affine(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """An axis-aligned RAS affine whose grid is centred on the phantom's head."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = np.asarray(HEAD_CENTRE_MM) - (np.asarray(shape) - 1) / 2 * np.asarray(spacing_mm)
    return affine


def make_phantom(
    *,
    seed: int = 0,
    shape: tuple[int, int, int] = (64, 76, 56),
    spacing_mm: tuple[float, float, float] = (2.5, 2.5, 2.5),
    affine: np.ndarray | None = None,
    lesion_centre_mm: tuple[float, float, float] | None = (32.0, -30.0, 18.0),
    lesion_radius_mm: float = 9.0,
) -> Phantom:
    """Draws a phantom on any grid.

    Args:
        seed: of texture and of the small differences between heads.
        shape: voxels along each axis of the array.
        spacing_mm: of the RAS grid that is used where `affine` is not given.
        affine: any invertible affine: flipped, oblique or anisotropic.
        lesion_centre_mm: RAS point (positive first coordinate: the patient's right), None for no lesion.
        lesion_radius_mm: of the ball, which is clipped to the head.
    """
    rng = np.random.default_rng(seed)
    affine = ras_affine(shape, spacing_mm) if affine is None else np.asarray(affine, dtype=float)
    index = np.indices(shape).reshape(3, -1)
    right, anterior, superior = (affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape)

    head = np.asarray(HEAD_MM) * rng.uniform(0.96, 1.04, size=3)
    x, y, z = (
        (axis - centre) / radius
        for axis, centre, radius in zip((right, anterior, superior), HEAD_CENTRE_MM, head, strict=True)
    )
    radius = np.sqrt(x**2 + y**2 + z**2)
    inside = radius < 1.0
    flair = np.where(radius < 0.8 + 0.05 * np.sin(9 * np.arctan2(y, x)), WHITE_MATTER, CORTEX)
    ventricles = ((np.abs(right) - 11) / 7) ** 2 + ((anterior + 18) / 28) ** 2 + ((superior - 18) / 13) ** 2 < 1
    flair = np.where(ventricles, FLUID, flair)

    lesion = np.zeros(shape, dtype=np.uint8)
    if lesion_centre_mm is not None:
        away = [axis - at for axis, at in zip((right, anterior, superior), lesion_centre_mm, strict=True)]
        lesion = ((sum(distance**2 for distance in away) <= lesion_radius_mm**2) & inside).astype(np.uint8)
        flair = np.where(lesion == 1, LESION, flair)

    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0)
    flair = (flair + 60 * texture) * np.where(right > 0, 1.05, 1.0)
    return Phantom(
        flair=np.where(inside, np.maximum(flair, 1.0), 0.0).astype(np.float32),
        lesion=lesion,
        affine=affine,
        lesion_centre_mm=lesion_centre_mm,
        lesion_radius_mm=lesion_radius_mm if lesion_centre_mm is not None else 0.0,
    )


def write_phantom_cases(folder: Path, *, lesional: int = 3, healthy: int = 2, unmasked: int = 1) -> Path:
    """Writes a BIDS-like folder of phantoms whose space is declared as MNI152; returns the folder.

    Lesional cases alternate between right and left; a healthy case has an empty mask; an unmasked one has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"Name": "phantoms", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
    (folder / "dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
    rows = ["participant_id\tgroup"]
    for number in range(lesional + healthy + unmasked):
        subject = f"sub-{number + 1:02d}"
        side = 1 if number % 2 == 0 else -1
        has_lesion = number < lesional or number >= lesional + healthy
        case = make_phantom(seed=number, lesion_centre_mm=(side * 32.0, -30.0, 18.0) if has_lesion else None)
        case.write(folder, subject, mask=number < lesional + healthy)
        rows.append(f"{subject}\t{'patient' if has_lesion else 'control'}")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
