"""Saving a result where the user wants it: the files as they are, as NRRD, or the scene."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .Scene import Result
from .SyntheticItems import NO_DICOM

FILTERS = "NIfTI (*.nii.gz);;NRRD (*.nrrd);;MRB scene (*.mrb)"


def askAndSave(result: Result, parent: Any) -> str:
    """Asks for a file name and saves; returns one sentence for the panel, empty when the user thought better."""
    suggestion = str(Path.home() / f"{result.samples[0].image.name.split('_desc-')[0]}_desc-synthetic.nii.gz")
    chosen = qt.QFileDialog.getSaveFileName(parent, _("Save the result"), suggestion, FILTERS)
    # PySide answers with the filter too, PythonQt without.
    path = chosen[0] if isinstance(chosen, tuple) else chosen
    if not path:
        return ""
    try:
        written = save(result, Path(path))
    except (OSError, ValueError) as error:
        return _("The result could not be saved ({error}): choose another place.").format(error=error)
    return _("Saved {names}.").format(names=", ".join(file.name for file in written))


def save(result: Result, path: Path) -> list[Path]:
    """Saves image, lesion and sidecar of the sample that is shown, or the whole scene.

    Every name says that the content is synthetic, whatever the user typed.

    Raises:
        ValueError: for a format that a synthetic result is not saved in, DICOM above all.
        OSError: if a file cannot be written.
    """
    lower = path.name.lower()
    if lower.endswith(".mrb"):
        if not slicer.util.saveScene(str(path)):
            raise OSError(f"{path} could not be written")
        return [path]
    ending = next((known for known in (".nii.gz", ".nrrd") if lower.endswith(known)), None)
    if ending is None:
        if lower.endswith((".dcm", ".ima")):
            raise ValueError(NO_DICOM)
        raise ValueError(f"{path.name} has none of the endings .nii.gz, .nrrd and .mrb")
    stem = path.name[: -len(ending)].removesuffix("_desc-synthetic")
    sample = result.shown
    image, mask, sidecar = (
        path.with_name(f"{stem}_desc-synthetic{end}") for end in (f"_FLAIR{ending}", f"_mask{ending}", ".json")
    )
    if ending == ".nii.gz":
        shutil.copyfile(sample.image, image)
        shutil.copyfile(sample.mask, mask)
    else:
        for source, target in ((sample.image, image), (sample.mask, mask)):
            node = slicer.util.loadVolume(str(source), {"name": target.stem, "show": False, "singleFile": True})
            try:
                if not slicer.util.saveNode(node, str(target), {}):
                    raise OSError(f"{target} could not be written")
            finally:
                slicer.mrmlScene.RemoveNode(node)
    shutil.copyfile(sample.sidecarFile, sidecar)
    return [image, mask, sidecar]
