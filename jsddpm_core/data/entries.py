"""Cases as rows of a table: what a folder holds, as preparation takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from jsddpm_core.data.cases import CONTROLS, Case
from jsddpm_core.data.split import LEAST_TO_SPLIT, Kind
from jsddpm_core.errors import CaseError
from jsddpm_core.training.request import CaseEntry

Split = Literal["train", "validation", "test"]
SAYING = ("pathology", "diagnosis", "group")
SAYING_NOTHING = ("", "n/a", "patient", "patients", "case", "unknown")


def said_pathology(case: Case) -> str | None:
    """The pathology that `participants.tsv` names, spelled as pathologies are; None where it names none."""
    for column in SAYING:
        said = case.row.get(column, "").lower()
        if said not in SAYING_NOTHING and said not in CONTROLS:
            return re.sub(r"[^a-z0-9]+", "-", said).strip("-") or None
    return None


def is_control(case: Case) -> bool:
    """Whether `participants.tsv` calls the person a control or counts no lesion voxels, whatever files there are."""
    return case.declared_free or any(case.row.get(column, "").lower() in CONTROLS for column in SAYING)


def entry_of(case: Case, pathology: str | None, split: str | None = None) -> CaseEntry:
    """A case that was found, as a row of the table.

    Args:
        case: from `discover`.
        pathology: that its lesions are of.
        split: where it must go.
    """
    return CaseEntry(
        name=case.name,
        subject=case.subject,
        dataset=case.dataset,
        image=case.image.absolute(),
        mask=None if case.mask is None else case.mask.absolute(),
        t1w=None if case.t1w is None else case.t1w.absolute(),
        pathology=pathology,
        lesion_free=case.declared_free,
        space=case.space,
        split=cast(Split | None, split),
    )


def given_splits(entries: Sequence[CaseEntry]) -> dict[str, str]:
    """The splits that the table says, by subject.

    Raises:
        CaseError: if it sends a subject to two of them.
    """
    splits: dict[str, str] = {}
    for entry in entries:
        if entry.split is not None and splits.setdefault(entry.subject, entry.split) != entry.split:
            raise CaseError(
                f"'{entry.subject}' is to go to {splits[entry.subject]} and to {entry.split}",
                "give one split to all examinations of a person",
            )
    return splits


def kinds_of(entries: Sequence[CaseEntry], sizes: Mapping[str, float | None]) -> dict[str, Kind]:
    """What each subject is drawn among: those of its data set with the same pathology, by lesion size.

    Where fewer than three subjects of a data set share a pathology, none of them could be kept for a test; those few
    are then drawn together.

    Args:
        entries: of subjects without a split of their own.
        sizes: volume of the lesions in ml by entry, None where it is not known.
    """
    strata: dict[str, tuple[str, ...]] = {}
    of_subject: dict[str, float | None] = {}
    for entry in entries:
        # A lesion in one session says more of a person than its absence in another.
        known = entry.pathology is not None and entry.mask is not None and (sizes.get(entry.name) or 0) > 0
        free = entry.lesion_free or sizes.get(entry.name) == 0
        label = f"lesion {entry.pathology}" if known else "free" if free else "unknown"
        before = strata.get(entry.subject)
        if before is None or (known and not before[1].startswith("lesion")):
            strata[entry.subject] = (entry.dataset, label)
        both = [size for size in (of_subject.get(entry.subject), sizes.get(entry.name)) if size is not None]
        of_subject[entry.subject] = max(both) if both else None
    members = list(strata.values())
    return {
        subject: Kind(stratum if members.count(stratum) >= LEAST_TO_SPLIT else (stratum[0], "few"), of_subject[subject])
        for subject, stratum in strata.items()
    }
