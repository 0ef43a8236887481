"""Files of painted copies: images, masks, sidecars, table and description, each of which says that it is simulated."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from jsddpm_core import __version__
from jsddpm_core.data.cases import SIMULATED, Case, entities, stem
from jsddpm_core.data.fcd_simulation import NOTICE, PATHOLOGY, Painted
from jsddpm_core.data.volumes import Volume
from jsddpm_core.errors import CaseError
from jsddpm_core.files import write_file
from jsddpm_core.tensor_file import file_digest

DESCRIP = "SIMULATED lesion painted into a scan; not for clinical use; JSDDPM"  # 79 bytes at most
UNSTATED = "not stated by the source data set; local data, not to be shared"
COLUMNS = ("participant_id", "pathology", "source", "split")


@dataclass(frozen=True)
class CopyOf:
    """A painted copy on disk.

    Attributes:
        image: the FLAIR's path in the folder.
        number: of the copy, from 1.
        site_mm: RAS millimetres of the lesion's middle.
        lesion_mm: area in mm^2 of a single slice's lesion, or volume in mm^3.
        contrast: measured, as a share of the white matter's level; None where a slice shows no subcortical zone.
        tail: whether it has one.
    """

    image: str
    number: int
    site_mm: tuple[float, float, float]
    lesion_mm: float
    contrast: float | None
    tail: bool


class SimulatedFolder:
    """Fills a folder with painted copies.

    Args:
        folder: to be filled.
        source: the folder of the cases.

    Raises:
        CaseError: if the source's description cannot be read.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source = folder, Path(source).resolve()
        self._rows: dict[str, dict[str, str]] = {}
        self._told = _description(self.source)

    def add(self, case: Case, flair: Volume, number: int, painted: Painted, seed: int, known_free: bool) -> CopyOf:
        """Writes one copy.

        Args:
            case: whose scan was painted.
            flair: the scan.
            number: of the copy, from 1.
            painted: in three dimensions.
            seed: that it follows from.
            known_free: whether the scan was known to be free of lesions.

        Raises:
            OutputError: if it cannot be written.
            CaseError: if two people would go by one name.
        """
        parts = _entities(case)
        person = f"sub-{parts['sub']}"
        row = {"participant_id": person, "pathology": PATHOLOGY, "source": case.subject}
        row["split"] = case.row.get("split") or "n/a"
        if self._rows.setdefault(person, row)["source"] != case.subject:
            raise CaseError(f"'{case.subject}' and '{self._rows[person]['source']}' are both {person}", "rename one")
        anat = self.folder / person / (f"ses-{parts['ses']}" if "ses" in parts else "") / "anat"
        anat.mkdir(parents=True, exist_ok=True)
        name = "_".join(f"{key}-{value}" for key, value in parts.items()) + f"_desc-{SIMULATED}{number}"
        x, y, z, _ = (round(float(value), 3) for value in flair.affine @ np.append(painted.site, 1.0))
        copy = CopyOf(
            image=(anat / f"{name}_FLAIR.nii.gz").relative_to(self.folder).as_posix(),
            number=number,
            site_mm=(x, y, z),
            lesion_mm=painted.effects.lesion_mm,
            contrast=_finite(painted.effects.contrast),
            tail=painted.parameters.tail,
        )
        code = _code(case.image)
        write_file(anat / f"{name}_FLAIR_roi.nii.gz", _nifti(painted.mask, flair.affine, code, "mask"))
        images = [("FLAIR", case.image, painted.image), ("T1w", case.t1w, painted.t1w)]
        for kind, source, values in images:
            if source is not None and values is not None:
                write_file(anat / f"{name}_{kind}.nii.gz", _nifti(values, flair.affine, code, kind))
                told = _sidecar(source, painted, copy, seed, known_free)
                write_file(anat / f"{name}_{kind}.json", _json(told))
        return copy

    def finish(self) -> None:
        """Writes the table, the description and the notice.

        Raises:
            OutputError: if they cannot be written.
        """
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows[person] for person in sorted(self._rows))
        write_file(self.folder / "participants.tsv", text.getvalue().encode())
        write_file(self.folder / "dataset_description.json", _json(self._told))
        write_file(self.folder / "README", f"{NOTICE}.\n".encode())


def _entities(case: Case) -> dict[str, str]:
    """Of a copy's name: those of the scan, or its name as the person where it has none."""
    parts = {key: value for key, value in entities(stem(case.image)).items() if key != "desc"}
    if "sub" in parts:
        return parts
    person = re.sub(r"[\W_]", "", case.subject.split("/", 1)[1].removeprefix("sub-"))
    return {"sub": person, **parts}


def _description(source: Path) -> dict[str, Any]:
    path = source / "dataset_description.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise CaseError(f"{path} could not be read", "mend or remove it") from error
    said = said if isinstance(said, dict) else {}
    name = said.get("Name") or source.name
    return {
        "Name": f"{name}, with SIMULATED cortical dysplasia",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "License": said.get("License") or UNSTATED,
        "HowToAcknowledge": said.get("HowToAcknowledge") or UNSTATED,
        "Simulated": True,
        "Notice": NOTICE,
        "GeneratedBy": [{"Name": "JSDDPMSlicer", "Version": __version__, "Description": "jsddpm simulate-fcd"}],
        "SourceDatasets": [{"Name": name}],
    }


def _sidecar(source: Path, painted: Painted, copy: CopyOf, seed: int, known_free: bool) -> dict[str, Any]:
    return {
        "Simulated": True,
        "Notice": NOTICE,
        "Pathology": PATHOLOGY,
        "Parameters": painted.parameters.model_dump(mode="json"),
        "Seed": seed,
        "Copy": copy.number,
        "SiteRASmm": list(copy.site_mm),
        "Effects": {name: _finite(value) for name, value in asdict(painted.effects).items()},
        "SourceKnownToBeFreeOfLesions": known_free,
        "SourceFile": source.name,
        "SourceSHA256": file_digest(source),
        "GeneratedBy": f"JSDDPMSlicer {__version__}",
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _code(image: Path) -> int:
    """What the affine in use leads to, as NIfTI says it: 4 for MNI152, 1 for the scanner's own space."""
    if image.suffix.lower() == ".nrrd":
        return 1
    header: Any = nibabel.load(image).header
    codes = [int(header[key]) for key in ("sform_code", "qform_code") if key in header]
    return next((code for code in codes if code > 0), 1)


def _nifti(values: np.ndarray, affine: np.ndarray, code: int, kind: str) -> bytes:
    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    image.header.set_xyzt_units("mm")
    image.header.set_intent("none", name=f"simulated {kind}"[:15])
    image.header["descrip"] = DESCRIP.encode()
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)  # no time of writing: equal images, equal bytes


def _json(tree: dict[str, Any]) -> bytes:
    return (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode()
