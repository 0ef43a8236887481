"""Finding cases: BIDS-like folders, and flat folders of images and masks.

Understood are `sub-*/[ses-*/]anat/*_FLAIR.nii.gz` with `*_FLAIR_roi.nii.gz` and `*_T1w.nii.gz` beside it (the naming
of OpenNeuro ds004199), masks in a `derivatives` folder, `participants.tsv`, and flat folders
`images/NAME.nii.gz` with `masks/NAME.nii.gz`.

Copies with a simulated lesion (`*_desc-simulatedN_FLAIR.nii.gz`) are examinations of the person whose image they are
painted on, whom the column `source` of `participants.tsv` names as DATASET/sub-X: so no split parts the two.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jsddpm_core.errors import CaseError

SUFFIXES = (".nii.gz", ".nii")
TEMPLATE_SPACES = ("MNI152", "MNI")
IMAGE_FOLDERS = ("image", "images", "imagesTr")
MASK_FOLDERS = ("mask", "masks", "label", "labels", "labelsTr")
LESION_COUNTS = ("lesion_px", "lesion_voxels", "lesion_volume", "lesion_count")
GROUPS = ("group", "diagnosis", "pathology")
CONTROLS = ("hc", "control", "controls", "healthy", "none")
SIMULATED = "simulated"  # begins the `desc` entity of a copy with a painted lesion
MASK_ENDINGS = ("_roi", "_mask", "_lesion", "_label", "_seg")


@dataclass(frozen=True)
class Case:
    """One examination of one person.

    Attributes:
        name: unique among all cases, `DATASET/sub-X[_ses-Y]`.
        subject: the person, `DATASET/sub-X`; two sessions of a person share it, and so do simulated copies.
        dataset: name of the folder that the case was found in.
        image: the FLAIR file.
        mask: the lesion mask's file, where there is one.
        t1w: the T1-weighted file, where there is one.
        space: the `space` entity of the image's name, None where it has none.
        row: the person's row of `participants.tsv`, empty where there is none.
    """

    name: str
    subject: str
    dataset: str
    image: Path
    mask: Path | None = None
    t1w: Path | None = None
    space: str | None = None
    row: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared_free(self) -> bool:
        """Whether `participants.tsv` counts 0 lesion voxels or calls the person a control, and no mask gainsays it."""
        counted = any(self.row.get(column) == "0" for column in LESION_COUNTS)
        control = any(self.row.get(column, "").lower() in CONTROLS for column in GROUPS)
        return self.mask is None and (counted or control)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the case's slices are made of."""
        return (self.image,) if self.mask is None else (self.image, self.mask)


def stem(path: Path) -> str:
    """A file's name without `.nii` or `.nii.gz`."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def entities(name: str) -> dict[str, str]:
    """The `key-value` pairs of a BIDS file name."""
    return dict(part.split("-", 1) for part in name.split("_") if "-" in part)


def read_table(path: Path) -> list[dict[str, str]]:
    """A tab-separated table as one row a line, with lower-case column names and values stripped.

    Raises:
        CaseError: if it cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaseError(f"{path} could not be read", "save it as tab-separated UTF-8 text") from error
    header = [column.strip().lower() for column in lines[0]] if lines else []
    return [dict(zip(header, (value.strip() for value in line), strict=False)) for line in lines[1:] if any(line)]


def read_participants(folder: Path) -> dict[str, dict[str, str]]:
    """`participants.tsv` as a row for each person; empty where there is none.

    Raises:
        CaseError: if the table cannot be read, has no `participant_id` or names a person twice.
    """
    path = folder / "participants.tsv"
    if not path.is_file():
        return {}
    rows: dict[str, dict[str, str]] = {}
    for row in read_table(path):
        person = row.get("participant_id", "")
        if not person:
            raise CaseError(f"{path} has a row without 'participant_id'", "add it, or remove the file")
        person = person if person.startswith("sub-") else f"sub-{person}"
        if person in rows:
            raise CaseError(f"{path} lists '{person}' twice", "leave one row for each person")
        rows[person] = row
    return rows


def _niftis(folder: Path) -> list[Path]:
    # A link into nowhere (a data set whose files were not fetched) is a case that the table has to name as missing.
    return sorted(
        path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and (path.is_file() or path.is_symlink())
    )


def _mask_of(image: Path, files: Iterable[Path]) -> Path | None:
    """The lesion mask that belongs to a BIDS image: beside it or under `derivatives`, whatever its ending.

    Raises:
        CaseError: if two files could be the mask.
    """
    wanted = entities(stem(image))
    found = []
    for path in files:
        given = entities(stem(path))
        alike = all(given.get(key) == wanted.get(key) for key in ("sub", "ses"))
        alike &= all(given.get(key, wanted.get(key)) == wanted.get(key) for key in ("acq", "run", "space"))
        if alike and stem(path).endswith(MASK_ENDINGS) and "T1w" not in stem(path):
            found.append(path)
    exact = [path for path in found if stem(path).startswith(stem(image))]
    found = exact or found
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise CaseError(f"{image.name} has {len(found)} masks ({names})", "leave one of them in the folder")
    return found[0] if found else None


def _examinations(images: Iterable[Path]) -> dict[str, Path]:
    """The image of each examination: the one in template space where there are versions in several spaces.

    Raises:
        CaseError: if two images claim to be the same.
    """
    chosen: dict[str, Path] = {}
    for image in images:
        parts = entities(stem(image))
        keys = ("sub", "ses", "acq", "run", *(("desc",) if is_simulated(image) else ()))
        name = "_".join(f"{key}-{parts[key]}" for key in keys if key in parts)
        other = chosen.get(name)
        if other is None or _rank(image) < _rank(other):
            chosen[name] = image
        elif _rank(image) == _rank(other):
            raise CaseError(f"{other} and {image.name} are the same examination '{name}'", "leave one of them")
    return chosen


def is_simulated(image: Path) -> bool:
    """Whether a file's name says that a lesion was painted into it."""
    return entities(stem(image)).get("desc", "").startswith(SIMULATED)


def _person(image: Path, subject: str, row: Mapping[str, str]) -> str:
    """The person that an image shows; of a simulated copy, the one that the table names as its source."""
    source = row.get("source", "")
    return source if is_simulated(image) and re.fullmatch(r"[^/]+/[^/]+", source) else subject


def _t1w_of(image: Path, files: Iterable[Path]) -> Path | None:
    """The T1-weighted file beside a FLAIR, the one with the same entities first."""
    found = [path for path in files if path.parent == image.parent and stem(path).endswith("_T1w")]
    alike = [path for path in found if stem(path).removesuffix("_T1w") == stem(image).removesuffix("_FLAIR")]
    return next(iter(alike or found), None)


def _rank(image: Path) -> int:
    """Template space first, then the scanner's own, then any other."""
    space = entities(stem(image)).get("space")
    return 1 if space is None else 0 if space.startswith(TEMPLATE_SPACES) else 2


def _bids_cases(folder: Path, dataset: str) -> list[Case]:
    rows = read_participants(folder)
    of_subject: dict[str, list[Path]] = {}
    for path in _niftis(folder):
        subject = entities(stem(path)).get("sub")
        if subject is not None:
            of_subject.setdefault(subject, []).append(path)
    cases = []
    for subject, files in sorted(of_subject.items()):
        raw = [path for path in files if "derivatives" not in path.relative_to(folder).parts]
        flairs = _examinations(path for path in raw if stem(path).endswith("_FLAIR"))
        for name, image in sorted(flairs.items()):
            row = rows.get(f"sub-{subject}", {})
            cases.append(
                Case(
                    name=f"{dataset}/{name}",
                    subject=_person(image, f"{dataset}/sub-{subject}", row),
                    dataset=dataset,
                    image=image,
                    mask=_mask_of(image, files),
                    t1w=_t1w_of(image, raw),
                    space=entities(stem(image)).get("space"),
                    row=row,
                )
            )
    return cases


def _flat_cases(folder: Path, dataset: str) -> list[Case]:
    images = next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), None)
    if images is None:
        return []
    rows = read_participants(folder)
    masks_folder = next((folder / name for name in MASK_FOLDERS if (folder / name).is_dir()), None)
    masks = {_without_ending(stem(path)): path for path in _niftis(masks_folder)} if masks_folder else {}
    cases = []
    for image in _niftis(images):
        base = stem(image).removesuffix("_0000").removesuffix("_FLAIR").removesuffix("_flair")
        parts = entities(base)
        person = f"sub-{parts['sub']}" if "sub" in parts else base
        cases.append(
            Case(
                name=f"{dataset}/{base}",
                subject=f"{dataset}/{person}",
                dataset=dataset,
                image=image,
                mask=masks.get(base),
                space=parts.get("space"),
                row=rows.get(person, rows.get(f"sub-{person}", {})),
            )
        )
    return cases


def _without_ending(name: str) -> str:
    for ending in MASK_ENDINGS:
        name = name.removesuffix(ending)
    return name.removesuffix("_FLAIR").removesuffix("_flair")


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def discover(folder: Path, dataset: str | None = None) -> list[Case]:
    """Finds the cases of a folder, sorted by name.

    Args:
        folder: a BIDS-like folder, or one with `images` (and `masks`) in it.
        dataset: the name that the cases are listed under; the folder's own where not given.

    Raises:
        CaseError: if the folder is missing or holds no case.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CaseError(f"{folder} is no folder", "give the folder that holds the cases")
    dataset = dataset or folder.resolve().name or "cases"  # a drive has no name
    cases = _bids_cases(folder, dataset) or _flat_cases(folder, dataset)
    for case in cases:
        if not _is_text(case.name):
            raise CaseError(f"{case.name!a} has letters that are no Unicode", "rename its folder or files")
    if not cases:
        raise CaseError(
            f"{folder} holds no FLAIR image",
            "name them sub-X/anat/sub-X_FLAIR.nii.gz, or put them into images/ and masks/",
        )
    return cases
