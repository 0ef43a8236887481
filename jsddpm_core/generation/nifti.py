"""Generated images as NIfTI files: equal voxels give equal bytes, and every header says synthetic."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np

from jsddpm_core.manifest import ImageGrid

SYNTHETIC = "SYNTHETIC, not a patient; JSDDPM"
_MNI152_CODE, _ALIGNED_CODE = 4, 2


def affine_of(grid: ImageGrid, lowest_mm: float) -> np.ndarray:
    """From voxel indices to RAS millimetres, 4 x 4: the first slice's centre lies at z = `lowest_mm`."""
    affine = np.diag([grid.spacing_mm, grid.spacing_mm, grid.spacing_mm, 1.0])
    affine[:3, 3] = grid.origin_mm[0], grid.origin_mm[1], lowest_mm
    return affine


def image_bytes(image: np.ndarray, grid: ImageGrid, lowest_mm: float) -> bytes:
    """A `.nii.gz` file of a slice `(X, Y)` or volume `(X, Y, Z)` as float32, in the model's range."""
    low, high = grid.intensity.range
    return _bytes(image.astype(np.float32), grid, lowest_mm, "FLAIR", (low, high))


def mask_bytes(mask: np.ndarray, grid: ImageGrid, lowest_mm: float) -> bytes:
    """A `.nii.gz` file of a mask of such a shape as uint8, 1 inside the lesion."""
    return _bytes(mask.astype(np.uint8), grid, lowest_mm, "mask", (0.0, 1.0))


def _bytes(array: np.ndarray, grid: ImageGrid, lowest_mm: float, intent: str, shown: tuple[float, float]) -> bytes:
    volume = array if array.ndim == 3 else array[..., None]
    nifti = nibabel.Nifti1Image(volume, affine_of(grid, lowest_mm))
    code = _MNI152_CODE if grid.space.upper().startswith("MNI152") else _ALIGNED_CODE
    nifti.set_sform(nifti.affine, code)
    nifti.set_qform(nifti.affine, code)
    header = nifti.header
    header.set_xyzt_units("mm")
    header.set_intent("none", name=f"synthetic {intent}"[:15])
    header["descrip"] = SYNTHETIC.encode()
    header["cal_min"], header["cal_max"] = shown
    # No time of writing in the gzip header, or equal images would differ.
    return gzip.compress(nifti.to_bytes(), compresslevel=6, mtime=0)
