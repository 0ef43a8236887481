"""The cases of a training run as rows of a table: what was found, what the user says of them, and what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .Vocabulary import Vocabulary

SAID_FREE, UNNAMED, MASKLESS = "it is said to be free", "no pathology named", "no mask:"
"""How the survey's sentences begin that are about what is said of a case, and not about its files."""

ENTRY_KEYS = ("name", "subject", "dataset", "image", "mask", "t1w", "pathology", "lesion_free", "space", "split")


@dataclass
class CaseRow:
    """One examination.

    Attributes:
        entry: as a request takes it, plain values.
        spacing: of the image's voxels in mm.
        orientation: of its axes, such as RAS.
        lesionMl: volume of its lesions; None without a mask.
        found: what the survey found, one sentence each.
        usable: whether it can be used at all.
        used: whether the user wants it.
        says: what the user says that it shows, a label of the vocabulary.
    """

    entry: dict[str, Any]
    spacing: tuple[float, ...]
    orientation: str
    lesionMl: float | None
    found: tuple[str, ...]
    usable: bool
    used: bool
    says: str

    @classmethod
    def of(cls, told: dict[str, Any], vocabulary: Vocabulary) -> CaseRow:
        """A row from what the worker's survey tells of a case."""
        entry = {key: told[key] for key in ENTRY_KEYS if key in told}
        found = tuple(told.get("problems") or ())
        # What the user says can be said otherwise; what the files hold cannot.
        usable = bool(told["usable"]) or any(problem.startswith(SAID_FREE) for problem in found)
        return cls(
            entry=entry,
            spacing=tuple(told.get("spacing") or ()),
            orientation=told.get("orientation") or "",
            lesionMl=told.get("lesion_ml"),
            found=found,
            usable=usable,
            used=bool(told["usable"]),
            says=vocabulary.label(entry.get("pathology"), bool(entry.get("lesion_free"))),
        )

    def problems(self, vocabulary: Vocabulary) -> list[str]:
        """What was found, but for what the user has answered since."""
        pathology, free = vocabulary.meaning(self.says)
        answered = {UNNAMED: free or pathology is not None, MASKLESS: free, SAID_FREE: not free}
        return [
            sentence
            for sentence in self.found
            if not any(sentence.startswith(key) and answered[key] for key in answered)
        ]

    @property
    def name(self) -> str:
        return self.entry["name"]

    @property
    def taken(self) -> bool:
        """Whether the run will use it."""
        return self.used and self.usable

    @property
    def hasLesion(self) -> bool:
        return bool(self.lesionMl)

    def request(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """The entry with what the user says; without a mask, a pathology says nothing about the image."""
        pathology, free = vocabulary.meaning(self.says)
        masked = self.entry.get("mask") is not None
        return {**self.entry, "pathology": pathology if masked else None, "lesion_free": free}

    def contradiction(self, vocabulary: Vocabulary) -> str:
        """Why what the user says cannot be; empty where it can."""
        _pathology, free = vocabulary.meaning(self.says)
        if free and self.hasLesion:
            told = _("{name} has {ml:.1f} ml of lesion in its mask and is said to have none: name its pathology.")
            return told.format(name=self.name, ml=self.lesionMl)
        return ""


def moved(rows: Sequence[CaseRow], before: Path, after: Path) -> None:
    """Notes that the files of a folder lie elsewhere now."""
    for row in rows:
        for key in ("image", "mask", "t1w"):
            path = row.entry.get(key)
            if path is not None and Path(path).is_relative_to(before):
                row.entry[key] = str(after / Path(path).relative_to(before))


def splitCounts(rows: Sequence[CaseRow], vocabulary: Vocabulary, data: Any, seed: int) -> dict[str, int]:
    """How many people a run learns from, is watched with and is judged by, drawn as the run itself draws them.

    Args:
        rows: those that are taken.
        vocabulary: of what they show.
        data: the core's data configuration.
        seed: of the run.

    Raises:
        CaseError: if the cases send one person to two splits.
    """
    from jsddpm_core.data.entries import given_splits, kinds_of
    from jsddpm_core.data.split import draw_splits
    from jsddpm_core.training.request import CaseEntry

    entries = [CaseEntry.model_validate(row.request(vocabulary)) for row in rows]
    given = given_splits(entries)
    drawn = kinds_of(
        [entry for entry in entries if entry.subject not in given], {row.name: row.lesionMl for row in rows}
    )
    counted = Counter([*given.values(), *draw_splits(drawn, data, seed).values()])
    return {split: counted[split] for split in ("train", "validation", "test")}


def problem(rows: Sequence[CaseRow], vocabulary: Vocabulary) -> str:
    """Why no run can be started with these cases; empty where one can."""
    taken = [row for row in rows if row.taken]
    if not rows:
        return _("Choose cases first.")
    if not taken:
        return _("No case is ticked: tick those to learn from.")
    for row in taken:
        if row.contradiction(vocabulary):
            return row.contradiction(vocabulary)
    if not any(vocabulary.meaning(row.says) != (None, False) for row in taken):
        return _("Say what the cases show: choose a pathology, or No lesion.")
    return ""


def summary(rows: Sequence[CaseRow], vocabulary: Vocabulary, splits: dict[str, int] | None) -> str:
    """What will be used, in words."""
    taken = [row for row in rows if row.taken]
    out = len(rows) - len(taken)
    said = [_("{n} of {all} cases are used.").format(n=len(taken), all=len(rows)) if out else _caseCount(len(taken))]
    counted = Counter(_kind(row, vocabulary) for row in taken)
    said.append("; ".join(f"{kind}: {count}" for kind, count in counted.items()) + ".")
    if splits is not None:
        said.append(
            _("People to learn from: {train}; to watch the training: {validation}; kept back to judge it: {test}.")
            .format(**splits)
        )  # fmt: skip
    said += _novelties(taken, vocabulary)
    return " ".join(said)


def _novelties(taken: Sequence[CaseRow], vocabulary: Vocabulary) -> list[str]:
    """A sentence for each pathology that the model has to learn from nothing: it may be a misspelt one."""
    said = []
    for label in dict.fromkeys(row.says for row in taken if vocabulary.isNew(row.says)):
        meant = vocabulary.nearest(label)
        if meant:
            told = _("{label} is new to the model: if you mean {meant}, choose that.")
            said.append(told.format(label=label, meant=meant))
        else:
            said.append(_("{label} is new to the model.").format(label=label))
    return said


def _caseCount(count: int) -> str:
    return _("The one case is used.") if count == 1 else _("All {n} cases are used.").format(n=count)


def _kind(row: CaseRow, vocabulary: Vocabulary) -> str:
    pathology, free = vocabulary.meaning(row.says)
    if free:
        return vocabulary.free
    if row.entry.get("mask") is None:
        return _("without a mask, teaching the image only")
    if pathology is None:
        return _("with an unnamed lesion, teaching the image only")
    return row.says
