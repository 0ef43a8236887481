"""A patient's image brought to the template: the transform, and the image on the template's grid to look at."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from jsddpm_core.data.preprocess import resample, smoothed, to_ras
from jsddpm_core.data.registration import Alignment, align
from jsddpm_core.data.template import load_template
from jsddpm_core.data.volumes import Volume, read_volume
from jsddpm_core.files import write_file
from jsddpm_core.progress import OnProgress, Progress

RESAMPLED = "patient-on-template.nii.gz"
TRANSFORM = "patient-to-template.json"


def align_to_template(image: Path, folder: Path, on_progress: OnProgress = None) -> Alignment:
    """Finds the rigid, then affine transform from a patient's image to the shipped template.

    Args:
        image: NIfTI or NRRD file of a whole head.
        folder: where the transform (JSON) and the image on the template's grid (float32 NIfTI) are written.
        on_progress: told after each iteration; what it raises ends the search.

    Returns:
        The transform from the image's RAS millimetres to the template's.

    Raises:
        ImageError: if the file cannot be read, or the image cannot be aligned.
        CaseError: if the template is not installed.
        OutputError: if the folder cannot be written to.
    """
    template = load_template()
    volume = read_volume(image)
    found = align(volume, template, str(image), affine=True, on_progress=on_progress)
    if on_progress is not None:
        on_progress(Progress("resampling", 0, 1))
    write_file(folder / TRANSFORM, found.to_json().encode())
    write_file(folder / RESAMPLED, _on_grid(volume, found.matrix, template))
    return found


def _on_grid(volume: Volume, to_template: np.ndarray, template: Volume) -> bytes:
    """A `.nii.gz` file of the volume, resampled to the template's grid; the patient's own values."""
    ras, _ = to_ras(volume)
    back = np.linalg.inv(to_template @ ras.affine) @ template.affine
    values = resample(smoothed(ras.data, back), back, template.data.shape, "linear", float(ras.data.min()))
    nifti = nib.Nifti1Image(values, template.affine)
    nifti.set_sform(template.affine, code=4)
    nifti.set_qform(template.affine, code=4)
    nifti.header.set_xyzt_units("mm")
    return gzip.compress(nifti.to_bytes(), compresslevel=6, mtime=0)
