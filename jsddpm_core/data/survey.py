"""What a folder of cases holds, before anything is made of it: a row for each case, with its problems in words.

Every problem follows from a measurement of the case's own files; `looks`, `sides`, `duplicates` and `mask_grid` say of
what, and how sure it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from jsddpm_core.data.cases import discover
from jsddpm_core.data.duplicates import Print, duplicates, print_of
from jsddpm_core.data.entries import entry_of, is_control, said_pathology
from jsddpm_core.data.looks import Looks, coarse_of, looks_of
from jsddpm_core.data.mask_grid import MaskOnImage, mask_on_image
from jsddpm_core.data.preprocess import foreground
from jsddpm_core.data.registration import as_declared, in_template_space, require_extent
from jsddpm_core.data.sides import gain_of_mirroring, header_problem, seem_mirrored
from jsddpm_core.data.template import load_template
from jsddpm_core.data.volumes import Volume, lesion_of, read_volume
from jsddpm_core.errors import ImageError
from jsddpm_core.progress import OnProgress, Progress
from jsddpm_core.training.request import CaseEntry

SURVEYING = "looking at the cases"
FEW_VOXELS = 3  # a lesion of fewer is a slip of the pen
MOST_OF_HEAD = 0.4  # an infarct of all that one middle cerebral artery feeds takes some 0.2 of the brain

NO_MASK = "no mask: it teaches the image only; if it is known to be free of lesions, say so"
EMPTY_MASK = "empty mask: it counts as free of lesions"
SKULL = "not skull-stripped: strip it, or tick skull stripping"
NO_PATHOLOGY = "no pathology named: its mask is not learned until one is"
T1 = "looks like T1, not FLAIR: white matter is among the brightest"


@dataclass(frozen=True)
class SurveyedCase:
    """A row of the table of cases.

    Attributes:
        entry: the case, as preparation takes it.
        shape: voxels along the image's own axes; None where the image cannot be read.
        spacing: of these voxels in mm.
        orientation: where the axes point, such as `RAS`.
        lesion_ml: volume of the lesions; None where it is not known.
        lesions: how many there are, touching at a corner being one.
        looks: measures of the image.
        problems: sentences.
        usable: whether training can use the case.
    """

    entry: CaseEntry
    shape: tuple[int, int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    orientation: str | None = None
    lesion_ml: float | None = None
    lesions: int | None = None
    looks: Looks | None = None
    problems: tuple[str, ...] = ()
    usable: bool = True

    def to_tree(self) -> dict[str, Any]:
        """Plain values: the entry's keys and the row's own."""
        return {
            **self.entry.model_dump(mode="json"),
            "shape": None if self.shape is None else list(self.shape),
            "spacing": None if self.spacing is None else [round(length, 4) for length in self.spacing],
            "orientation": self.orientation,
            "lesion_ml": None if self.lesion_ml is None else round(self.lesion_ml, 3),
            "lesions": self.lesions,
            "problems": list(self.problems),
            "usable": self.usable,
        }


@dataclass(frozen=True)
class _Seen:
    """A case by itself, and what it is compared with the others by."""

    case: SurveyedCase
    print: Print | None = None
    gain: float | None = None


def survey(source: Path | Sequence[CaseEntry], on_progress: OnProgress = None) -> list[SurveyedCase]:
    """Looks at every case of a folder, or at some cases; changes none of their files.

    Args:
        source: a folder as `discover` takes it, or entries.
        on_progress: told before each case; what it raises ends the survey.

    Returns:
        A row a case, in their order.

    Raises:
        CaseError: if the folder is missing or holds no case, or files of it cannot be told apart.
    """
    entries = entries_of(source) if isinstance(source, Path) else list(source)
    template = load_template()
    seen = []
    for number, entry in enumerate(entries):
        if on_progress is not None:
            on_progress(Progress(SURVEYING, number, len(entries)))
        seen.append(_look_at(entry, template))
    if on_progress is not None:
        on_progress(Progress(SURVEYING, len(entries), len(entries)))
    return _compared(seen)


def entries_of(folder: Path) -> list[CaseEntry]:
    """The cases of a folder with what its `participants.tsv` says of them; splits are left to be drawn.

    Raises:
        CaseError: if it is missing, holds no case, or files of it cannot be told apart.
    """
    found = []
    for case in discover(folder):
        said = said_pathology(case)
        entry = entry_of(case, said)
        if case.mask is not None and said is None and is_control(case) and _is_empty(case.mask):
            entry = entry.model_copy(update={"lesion_free": True})
        found.append(entry)
    return found


def _is_empty(mask: Path) -> bool:
    try:
        return not lesion_of(read_volume(mask), mask).any()
    except ImageError:
        return False  # the case's own reading says why


def _look_at(entry: CaseEntry, template: Volume) -> _Seen:
    try:
        volume = read_volume(entry.image)
    except ImageError as error:
        return _Seen(SurveyedCase(entry, problems=(f"the image cannot be used: {_without_stop(error)}",), usable=False))
    row = SurveyedCase(
        entry, tuple(volume.data.shape), volume.spacing_mm, "".join(nib.aff2axcodes(volume.affine))
    )  # fmt: skip
    if volume.data.min() == volume.data.max():
        said = f"the image cannot be used: every voxel is {volume.data.flat[0]:g}"
        return _Seen(replace(row, problems=(said,), usable=False))
    problems = [said for said in (header_problem(entry.image), _no_place(entry, volume, template)) if said is not None]
    usable = not any(said.startswith("it cannot be aligned") for said in problems)
    coarse = coarse_of(volume)
    looks = looks_of(coarse)
    problems += [SKULL] if looks.has_skull else []
    problems += [T1] if looks.is_t1 else []
    row = replace(row, looks=looks)
    gain = None
    if entry.mask is not None:
        try:
            mask = mask_on_image(entry.mask, volume, entry.image)
        except ImageError as error:
            problems.append(f"the mask cannot be used: {_without_stop(error)}")
            usable = False
        else:
            row = _with_lesions(row, mask, volume)
            problems += _of_mask(row, mask, volume)
            if entry.lesion_free and mask.data.any():
                usable = False
            gain = gain_of_mirroring(volume, mask.data)
    elif entry.lesion_free:
        row = replace(row, lesion_ml=0.0, lesions=0)
    else:
        problems.append(NO_MASK)
    row = replace(row, problems=tuple(problems), usable=usable)
    known = print_of(volume, coarse, entry.name, entry.subject) if coarse.inside.any() else None
    return _Seen(row, known, gain)


def _without_stop(error: ImageError) -> str:
    return str(error).rstrip(".")  # it stands among others in a list


def _no_place(entry: CaseEntry, volume: Volume, template: Volume) -> str | None:
    """Why an image cannot come into the model's space, as far as can be told without the search for it."""
    flat = [axis for axis, size in enumerate(volume.data.shape) if size == 1]
    across = int(np.argmax(np.abs(volume.affine[2, :3]) / np.array(volume.spacing_mm)))
    try:
        if in_template_space(entry, volume):
            as_declared(volume, template, entry.image.name)
        else:
            extent = [size * length for size, length in zip(volume.data.shape, volume.spacing_mm, strict=True)]
            require_extent(extent, entry.image.name)
    except ImageError as error:
        return f"it cannot be aligned: {_without_stop(error)}"
    if flat and flat != [across]:
        return f"it cannot be aligned: {entry.image.name} is a single slice that is not axial"
    return None


def _with_lesions(row: SurveyedCase, mask: MaskOnImage, volume: Volume) -> SurveyedCase:
    _, count = ndimage.label(mask.data, structure=np.ones((3, 3, 3)))
    size_ml = float(mask.data.sum() * abs(np.linalg.det(volume.affine[:3, :3])) / 1000)
    return replace(row, lesion_ml=size_ml, lesions=int(count))


def _of_mask(row: SurveyedCase, mask: MaskOnImage, volume: Volume) -> Iterable[str]:
    covered = float(mask.data[foreground(volume.data)].mean())
    if covered > MOST_OF_HEAD:
        yield f"the mask covers {covered:.0%} of the head: it looks inverted, or like a mask of the brain"
    if mask.differed is not None:
        yield f"mask on another grid: {mask.differed}; it is resampled to its image"
    if not mask.data.any() and not row.entry.lesion_free:
        yield EMPTY_MASK
    if row.entry.pathology is None and not row.entry.lesion_free:
        yield NO_PATHOLOGY
    if mask.data.any() and row.entry.lesion_free:
        yield f"it is said to be free of lesions but its mask holds {row.lesion_ml:.2f} ml: correct one of the two"
    elif 0 < mask.data.sum() < FEW_VOXELS:
        yield f"the mask has {int(mask.data.sum())} voxels in all: a slip of the pen"


def _compared(seen: Sequence[_Seen]) -> list[SurveyedCase]:
    """Adds what shows only when the cases stand beside each other."""
    said: dict[str, list[str]] = {}
    for pair in duplicates([each.print for each in seen if each.print is not None]):
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if pair.equal:
                told = f"duplicate of {other}: the same voxels"
            else:
                told = f"duplicate of {other}: the same brain (correlation {pair.alike:.2f})"
            said.setdefault(one, []).append(
                told + ("" if pair.same_subject else "; leave one out, or give both the same split")
            )
    of_dataset: dict[str, list[_Seen]] = {}
    for each in seen:
        if each.gain is not None:
            of_dataset.setdefault(each.case.entry.dataset, []).append(each)
    for own in of_dataset.values():
        if seem_mirrored([each.gain for each in own if each.gain is not None]):
            for each in own:
                told = "left-right suspect: most masks of this folder fit their images better when mirrored"
                said.setdefault(each.case.entry.name, []).append(told)
    return [replace(each.case, problems=(*each.case.problems, *said.get(each.case.entry.name, ()))) for each in seen]
