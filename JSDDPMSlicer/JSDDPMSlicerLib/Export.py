"""Saving a result where the user wants it: the files as they are, as NRRD, or the scene."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from .NiftiFile import isSheared, rewritten
from .NodeFrames import volumeMatrix
from .Scene import Result
from .SyntheticItems import NO_DICOM

NIFTI, NRRD, MRB = ".nii.gz", ".nrrd", ".mrb"
FILTERS = f"NIfTI (*{NIFTI});;NRRD (*{NRRD});;MRB scene (*{MRB})"
DICOM = (".dcm", ".dicom", ".ima")


def askAndSave(result: Result, parent: Any) -> str:
    """Asks for a file name and saves; returns sentences for the panel, empty when the user thought better."""
    stem = result.shown.image.name.split("_desc-")[0]
    # Slicer cannot read a sheared NIfTI file.
    ending = NRRD if _sheared(result) else NIFTI
    suggestion = Path.home() / f"{stem}_desc-synthetic_FLAIR{ending}"
    chosen = qt.QFileDialog.getSaveFileName(parent, _("Save the result"), str(suggestion), FILTERS)
    # PySide answers with the filter too, PythonQt without.
    path, chosenFilter = chosen if isinstance(chosen, tuple) else (chosen, "")
    if not path:
        return ""
    try:
        place = withEnding(Path(path), chosenFilter)
        there = [file.name for file in targets(result, place) if file.exists()]
        question = _("Replace {names} in {folder}?").format(names=", ".join(there), folder=place.parent)
        if there and not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Save the result")):
            return _("Nothing was saved, for there are files of these names: {names}.").format(names=", ".join(there))
        return _said(result, save(result, place))
    except OSError as error:
        told = _("The result could not be saved ({reason}): choose another name or place.")
        return told.format(reason=error.strerror or error)
    except (ValueError, RuntimeError) as error:  # Slicer's own functions raise the latter
        return _("The result was not saved: {reason}.").format(reason=str(error).rstrip("."))


def _said(result: Result, written: list[Path]) -> str:
    names = ", ".join(file.name for file in written)
    if len(written) == 1 or len(result.samples) == 1:
        spoken = [_("Saved {names}.").format(names=names)]
    else:
        told = _("Saved sample {n} of {all}: {names}.")
        spoken = [told.format(n=result.number + 1, all=len(result.samples), names=names)]
    if any("-edited" in file.name for file in written):
        spoken.append(_("The lesion was saved as it was edited, not as the model drew it."))
    if written[0].name.endswith(NIFTI) and _sheared(result):
        spoken.append(_("The patient's frame shears the image, and Slicer reads no sheared NIfTI: use NRRD there."))
    return " ".join(spoken)


def withEnding(path: Path, chosenFilter: str = "") -> Path:
    """A name with the ending of the chosen filter, or of the first one, where the user typed none."""
    if path.suffix:
        return path
    ending = next((known for known in (NIFTI, NRRD, MRB) if f"*{known}" in chosenFilter), NIFTI)
    return path.with_name(path.name + ending)


def targets(result: Result, path: Path) -> list[Path]:
    """The files that `save` writes: image, lesion and sidecar, or the scene.

    Raises:
        ValueError: for a format that a synthetic result is not saved in, DICOM above all, and for what cannot be saved.
    """
    lower = path.name.lower()
    if lower.endswith(DICOM):
        raise ValueError(NO_DICOM)
    if lower.endswith(MRB):
        return [path]
    ending = next((known for known in (NIFTI, NRRD) if lower.endswith(known)), None)
    if ending is None:
        raise ValueError(_("{name} has none of the endings .nii.gz, .nrrd and .mrb").format(name=path.name))
    if not result.filesThere:
        told = _("its files in {folder} are gone; the scene can still be saved as MRB")
        raise ValueError(told.format(folder=result.folder))
    if path.parent.resolve() == result.folder.resolve():
        raise ValueError(_("{folder} holds the result as made: choose another folder").format(folder=path.parent))
    if result.toWorld is None:
        told = _("{name} lies under a transform that is not linear: take it out of that transform first")
        raise ValueError(told.format(name=result.volume.GetName()))
    stem = re.sub(r"(_desc-synthetic)?(_FLAIR|_mask|_mask-edited)?$", "", path.name[: -len(ending)])
    stem = stem or "result"
    mask = "mask" if result.editedMask() is None else "mask-edited"
    return [path.with_name(f"{stem}_desc-synthetic{end}") for end in (f"_FLAIR{ending}", f"_{mask}{ending}", ".json")]


def save(result: Result, path: Path) -> list[Path]:
    """Saves image, lesion and sidecar of the sample that is shown, or the whole scene.

    Every name says that the content is synthetic, whatever the user typed. A result in a patient's frame is saved in
    that frame. Where the disk is full, files that were there stay as they were.

    Raises:
        ValueError: as for `targets`.
        OSError: if a file cannot be written.
    """
    files = targets(result, path)
    if len(files) == 1:
        if not slicer.util.saveScene(str(path)):
            raise OSError(_("{name} could not be written").format(name=path.name))
        return files
    with tempfile.TemporaryDirectory(prefix=".jsddpm-", suffix=".partial", dir=path.parent) as folder:
        whole = [Path(folder) / file.name for file in files]
        _write(result, *whole)
        return [file.replace(target) for file, target in zip(whole, files, strict=True)]


def _write(result: Result, image: Path, mask: Path, sidecar: Path) -> None:
    sample, edited, matrix = result.shown, result.editedMask(), _matrix(result)
    for source, target, voxels in ((sample.image, image, None), (sample.mask, mask, edited)):
        if not target.name.endswith(NIFTI):
            _writeNrrd(source, target, voxels, matrix)
        elif voxels is None and matrix is None:
            shutil.copyfile(source, target)
        else:
            target.write_bytes(rewritten(source.read_bytes(), voxels, matrix))
    if matrix is None and edited is None:
        shutil.copyfile(sample.sidecarFile, sidecar)
        return
    saved: dict[str, Any] = {"mask_edited": edited is not None}
    if matrix is not None:
        saved["model_to_patient"] = result.toWorld.tolist()
        if result.patient is not None:
            saved["reference"] = hashlib.sha256(result.patient.GetName().encode()).hexdigest()
    text = json.dumps({**sample.sidecar, "saved": saved}, indent=1, ensure_ascii=False)
    sidecar.write_text(text + "\n", encoding="utf-8")


def _writeNrrd(source: Path, target: Path, voxels: np.ndarray | None, matrix: np.ndarray | None) -> None:
    node = slicer.util.loadVolume(str(source), {"name": target.stem, "show": False, "singleFile": True})
    try:
        if voxels is not None:
            slicer.util.updateVolumeFromArray(node, voxels.astype(np.uint8))
        if matrix is not None:
            node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        if not slicer.util.saveNode(node, str(target), {}):
            raise OSError(_("{name} could not be written").format(name=target.name))
    finally:
        slicer.mrmlScene.RemoveNode(node)


def _matrix(result: Result) -> np.ndarray | None:
    """IJKToRAS of a result in the world; None where the files have it already."""
    if result.toWorld is None or np.allclose(result.toWorld, np.eye(4), atol=1e-9):
        return None
    return result.toWorld @ volumeMatrix(result.volume)


def _sheared(result: Result) -> bool:
    matrix = _matrix(result)
    return matrix is not None and isSheared(matrix)
