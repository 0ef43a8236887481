"""Training, validation and test sets: always by subject, never by slice or session.

Subjects are drawn within strata, and within a stratum the few that are kept out of the training are spread over small,
medium and large lesions. What that means with few subjects of one kind, at the usual shares of 15 % for the test and
10 % for validation: 5 give one to each and keep 3, of whatever size; 10 give two and one and keep 7, the two tests from
different thirds by size; 30 give four and three and keep 23, at least one of each third in either. Two keep both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsddpm_core.config import DataConfig
from jsddpm_core.data.cases import Case, read_table
from jsddpm_core.errors import CaseError, nearest

LEFT_OUT = "out"
"""Of a subject that a table wants used for nothing: a scan of another contrast, or one that cannot be trusted."""

NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "out": LEFT_OUT,
}
LEAST_TO_SPLIT = 3
CLASSES = 3  # small, medium and large lesions
LEAST_IN_A_CLASS = 3  # subjects


def _named(value: str, where: str) -> str:
    try:
        return NAMES[value.lower()]
    except KeyError:
        raise CaseError(
            f"{where}: unknown split '{value}'", nearest(value, ("train", "validation", "test", LEFT_OUT))
        ) from None


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


@dataclass(frozen=True)
class Kind:
    """What a subject is drawn among.

    Attributes:
        stratum: subjects of one stratum are drawn together, so that each has its share of every split.
        size: of the lesions (ml), by which a stratum is divided further; None where it is not known.
    """

    stratum: tuple[str, ...]
    size: float | None = None


def assign_splits(
    cases: Sequence[Case], config: DataConfig, seed: int, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Gives every subject one of `train`, `validation` and `test`; `out` where a table leaves it out.

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
    kinds: dict[str, Kind] = {}
    for subject, own in subjects.items():
        tables = (case.row.get("split", "") for case in own)
        said = given.get(subject) or given.get(subject.split("/", 1)[1]) or next(filter(None, tables), "")
        if said and said.lower() != "n/a":
            splits[subject] = _named(said, subject)
        else:
            # A simulated copy lies in another folder than the person's own examinations.
            masked = any(case.mask or case.declared_free for case in own)
            kinds[subject] = Kind((subject.split("/", 1)[0], "masked" if masked else "unmasked"))
    return splits | draw_splits(kinds, config, seed)


def draw_splits(kinds: Mapping[str, Kind], config: DataConfig, seed: int) -> dict[str, str]:
    """Draws a split for each subject: the same for the same subjects, whatever their order.

    Args:
        kinds: subject -> what it is drawn among.
        config: `test_share`, `validation_share`.
        seed: of the order in which subjects are drawn.
    """
    strata: dict[tuple[str, ...], list[str]] = {}
    for subject, kind in kinds.items():
        strata.setdefault(kind.stratum, []).append(subject)
    splits = {}
    for members in strata.values():
        count = len(members)
        test = max(1, round(config.test_share * count)) if config.test_share and count >= LEAST_TO_SPLIT else 0
        ask = config.validation_share
        validation = max(1, round(ask * count)) if ask and count >= LEAST_TO_SPLIT + 2 else 0
        thirds = _by_size(members, kinds, seed)
        held: list[int] = [0] * len(thirds)
        for split, seats in (("test", test), ("validation", validation)):
            for third, number in enumerate(_seats(seats, thirds, held)):
                for subject in thirds[third][:number]:
                    splits[subject] = split
                del thirds[third][:number]
                held[third] += number
        splits.update(dict.fromkeys((subject for third in thirds for subject in third), "train"))
    return splits


def _by_size(members: Sequence[str], kinds: Mapping[str, Kind], seed: int) -> list[list[str]]:
    """The subjects in classes from small to large, three where there are enough, each in the order of drawing."""
    drawn = sorted(members, key=lambda subject: _order(seed, subject))
    sizes = {subject: kinds[subject].size or 0.0 for subject in drawn}
    classes = min(CLASSES, len(drawn) // LEAST_IN_A_CLASS) if len(set(sizes.values())) > 1 else 1
    rank = {subject: place for place, subject in enumerate(sorted(drawn, key=lambda subject: sizes[subject]))}
    thirds: list[list[str]] = [[] for _ in range(max(classes, 1))]
    for subject in drawn:
        thirds[rank[subject] * len(thirds) // len(drawn)].append(subject)
    return thirds


def _seats(seats: int, classes: Sequence[Sequence[str]], held: Sequence[int]) -> list[int]:
    """How many each class gives: one at a time from the one that has given least for its size, the middle one first."""
    given = [0] * len(classes)
    whole = [len(own) + before for own, before in zip(classes, held, strict=True)]
    for _ in range(seats):
        able = [index for index, own in enumerate(classes) if given[index] < len(own)]
        middle = (len(classes) - 1) / 2
        chosen = min(able, key=lambda i: ((held[i] + given[i]) / whole[i], given[i], abs(i - middle), i))
        given[chosen] += 1
    return given
