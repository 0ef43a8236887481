"""Training, validation and test sets: always by subject, never by slice or session."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsddpm_core.config import DataConfig
from jsddpm_core.data.cases import Case, read_table
from jsddpm_core.errors import CaseError, nearest

NAMES = {"train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test"}
LEAST_TO_SPLIT = 3


def _named(value: str, where: str) -> str:
    try:
        return NAMES[value.lower()]
    except KeyError:
        raise CaseError(f"{where}: unknown split '{value}'", nearest(value, ("train", "validation", "test"))) from None


def read_split_file(path: Path) -> dict[str, str]:
    """Reads `subject` (or `participant_id`) and `split` from a tab-separated table.

    Raises:
        CaseError: for a missing file or column, or an unknown split.
    """
    rows = read_table(path)
    key = next((name for name in ("subject", "participant_id") if rows and name in rows[0]), None)
    if key is None or "split" not in rows[0]:
        raise CaseError(f"{path} needs the columns 'subject' and 'split'", "add them, separated by tabs")
    return {row[key]: _named(row["split"], f"{path.name}, {row[key]}") for row in rows}


def _order(seed: int, subject: str) -> bytes:
    return hashlib.sha256(f"{subject}:{seed}".encode()).digest()


def assign_splits(
    cases: Sequence[Case], config: DataConfig, seed: int, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Gives every subject one of `train`, `validation` and `test`.

    A split that is given (`given`, then the `split` column of participants.tsv) is kept. The others are drawn by
    subject within strata of dataset and presence of a mask: at least one test subject from three subjects on, at least
    one for validation from five on, so that two remain for training.

    Args:
        cases: all of them.
        config: `test_share`, `validation_share`.
        seed: of the order in which subjects are drawn.
        given: subject -> split; `DATASET/sub-X` or plain `sub-X`.

    Raises:
        CaseError: if a given split is unknown or names a subject that there is not.
    """
    subjects: dict[str, list[Case]] = {}
    for case in cases:
        subjects.setdefault(case.subject, []).append(case)
    given = dict(given or {})
    plain = {subject.split("/", 1)[1] for subject in subjects}
    for name in given:
        if name not in subjects and name not in plain:
            raise CaseError(f"the split names '{name}', which is no subject here", nearest(name, plain))
    splits: dict[str, str] = {}
    strata: dict[tuple[str, bool], list[str]] = {}
    for subject, own in subjects.items():
        said = given.get(subject) or given.get(subject.split("/", 1)[1]) or own[0].row.get("split", "")
        if said and said.lower() != "n/a":
            splits[subject] = _named(said, subject)
        else:
            strata.setdefault((own[0].dataset, any(case.mask or case.declared_free for case in own)), []).append(
                subject
            )
    for members in strata.values():
        members.sort(key=lambda subject: _order(seed, subject))
        count = len(members)
        test = max(1, round(config.test_share * count)) if config.test_share and count >= LEAST_TO_SPLIT else 0
        ask = config.validation_share
        validation = max(1, round(ask * count)) if ask and count >= LEAST_TO_SPLIT + 2 else 0
        for index, subject in enumerate(members):
            splits[subject] = "test" if index < test else "validation" if index < test + validation else "train"
    return splits
