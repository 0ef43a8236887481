"""The template: an average FLAIR at 2 mm, made from volumes that lie in MNI152 space.

`python -m jsddpm_core.data.template FOLDER --out Resources/Templates` computes it; no single person can be recognised
in it: the sessions of a person are averaged first, then the people, and the result is smoothed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from jsddpm_core.data.cases import Case, discover
from jsddpm_core.data.preprocess import foreground, resample, to_ras
from jsddpm_core.data.registration import in_template_space
from jsddpm_core.data.volumes import Volume, read_volume
from jsddpm_core.errors import CaseError, ImageError, JsddpmError
from jsddpm_core.files import make_folder, write_file

NAME = "flair-mni152-2mm"
SHAPE = (91, 109, 91)
SPACING_MM = 2.0
ORIGIN_MM = (-90.0, -126.0, -72.0)
SMOOTHING_MM = 2.5
LEAST_PEOPLE = 3


def template_affine() -> np.ndarray:
    """(4, 4) from the template's indices to RAS millimetres: the MNI152 field of view at 2 mm."""
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = ORIGIN_MM
    return affine


def default_template() -> Path:
    """Where the template lies that comes with the project.

    Raises:
        CaseError: if it is not there.
    """
    for folder in Path(__file__).resolve().parents:
        path = folder / "Resources" / "Templates" / f"{NAME}.nii.gz"
        if path.is_file():
            return path
    raise CaseError(f"the template {NAME}.nii.gz is not installed", "install it again, or name another template")


def load_template(path: Path | None = None) -> Volume:
    """Reads a template (the project's own where none is given), axes in RAS order."""
    return to_ras(read_volume(path or default_template()))[0]


def _on_template_grid(volume: Volume) -> np.ndarray:
    """A volume at the template's resolution, its foreground's median at 1 and its background 0."""
    ras, _ = to_ras(volume)
    inside = foreground(ras.data)
    values = np.where(inside, ras.data, 0)
    ratio = SPACING_MM / np.array(ras.spacing_mm)
    values = ndimage.gaussian_filter(values, np.maximum(0.0, (ratio - 1) / 2))
    median = float(np.median(ras.data[inside]))
    if median <= 0:
        raise ImageError("the image has a foreground around zero", "give one with positive values")
    moved = resample(values / median, np.linalg.inv(ras.affine) @ template_affine(), SHAPE, "linear")
    return np.clip(moved, 0, 1.5)


def average(cases: list[Case]) -> tuple[np.ndarray, int]:
    """The average over people of the average over each one's sessions.

    Returns:
        float32 (91, 109, 91), smoothed, background 0, and the number of people in it.

    Raises:
        CaseError: if fewer than three people have a volume in template space.
    """
    people: dict[str, list[np.ndarray]] = {}
    for case in cases:
        volume = read_volume(case.image)
        if in_template_space(case, volume) and min(volume.data.shape) > 1:
            people.setdefault(case.subject, []).append(_on_template_grid(volume))
    if len(people) < LEAST_PEOPLE:
        raise CaseError(
            f"{len(people)} people have a volume in MNI152 space, an average needs {LEAST_PEOPLE}", "add more of them"
        )
    each = np.stack([np.mean(sessions, axis=0) for sessions in people.values()])
    shared = (each > 0.05).mean(axis=0) >= 0.5
    mean = np.where(shared, each.sum(axis=0) / np.maximum((each > 0.05).sum(axis=0), 1), 0)
    smooth = ndimage.gaussian_filter(mean, SMOOTHING_MM / SPACING_MM)
    smooth[smooth < 0.02] = 0
    return smooth.astype(np.float32), len(people)


def write_template(folder: Path, out: Path) -> Path:
    """Computes the template of a folder's cases and writes it with its attribution.

    Raises:
        CaseError, ImageError: if there is nothing to average.
        OutputError: if `out` cannot be written.
    """
    mean, people = average(discover(folder))
    make_folder(out)
    stored = np.round(mean * 150).clip(0, 255).astype(np.uint8)
    image = nib.Nifti1Image(stored, template_affine())
    image.set_sform(template_affine(), code=4)
    image.set_qform(template_affine(), code=4)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"average FLAIR, MNI152, 2 mm"
    path = out / f"{NAME}.nii.gz"
    write_file(path, gzip.compress(image.to_bytes(), mtime=0))  # no time stamp: the same input gives the same file
    source = folder / "dataset_description.json"
    said = json.loads(source.read_text(encoding="utf-8")) if source.is_file() else {}
    attribution = {
        "name": NAME,
        "description": f"Average FLAIR of {people} people in MNI152 space at 2 mm, smoothed by {SMOOTHING_MM} mm; "
        "values are relative to the brain's median (150).",
        "source": said.get("Name", folder.name),
        "license": said.get("License", "unknown"),
        "how_to_acknowledge": said.get("HowToAcknowledge", "unknown"),
    }
    write_file(out / f"{NAME}.json", (json.dumps(attribution, indent=1) + "\n").encode("utf-8"))
    return path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="cases with volumes in MNI152 space")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        print(write_template(options.folder, options.out))
    except JsddpmError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
