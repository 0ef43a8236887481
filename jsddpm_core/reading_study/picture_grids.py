"""The grids of a study's pictures, from the headers of their files: where a mark in millimetres lies."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.localisation_results import Grid
from jsddpm_core.reading_study.manifest import StudyManifest


def picture_grids(folder: Path, manifest: StudyManifest) -> dict[str, Grid]:
    """Shape and affine of each case's picture; of pairs and where no lesion is asked about, nothing.

    Args:
        folder: of the study.
        manifest: of the same.

    Raises:
        StudyError: if a picture is missing or no NIfTI file.
    """
    if not any(item.kind == "lesion" for item in manifest.items):
        return {}
    grids = {}
    for case in manifest.cases:
        file = folder / case.pictures[0].file
        try:
            image = nibabel.load(file)
        except (OSError, ImageFileError) as error:
            said = getattr(error, "strerror", None) or "no NIfTI image"
            raise StudyError(f"{file} could not be read ({said})", "copy the study again") from None
        grids[case.name] = tuple(image.shape), np.asarray(image.affine, dtype=float)
    return grids
