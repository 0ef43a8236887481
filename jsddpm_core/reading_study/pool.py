"""Slices that a study may draw from, of either arm, and which of them it draws.

A person is shown once in a study, with one slice. Every pathology has equal numbers in each arm, as near as whole
numbers allow. Positions are spread over bands of `BAND_MM` in the real arm; the synthetic arm takes the positions of
the real one, pathology by pathology.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from jsddpm_core.errors import StudyError

BAND_MM: Final = 10.0

_FAR = 1e6


@dataclass(frozen=True)
class Candidate:
    """A slice that may be shown.

    Attributes:
        pathology: as its arm calls it.
        lesional: whether it shows a lesion; where not, its mask is empty.
        position_mm: MNI152 z.
        subject: whom it shows; None of a synthetic one.
        load: gives image (X, Y) float32 in [-1, 1] and mask (X, Y).
        source: where it comes from, for the key.
    """

    pathology: str
    lesional: bool
    position_mm: float
    subject: str | None
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    source: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """A place in an arm.

    Attributes:
        pathology: that it is of.
        training: whether it has feedback.
        position_mm: None where the arm may choose.
        match: index of the other arm's place that it belongs to.
    """

    pathology: str
    training: bool
    position_mm: float | None = None
    match: int | None = None


def quotas(count: int, training: int, pathologies: Sequence[str]) -> list[Wanted]:
    """The places of an arm: equal numbers of each pathology, what is over going to the first, then to the next ones."""
    counted = [Wanted(pathologies[index % len(pathologies)], False) for index in range(count)]
    shift = count % len(pathologies)
    return counted + [Wanted(pathologies[(index + shift) % len(pathologies)], True) for index in range(training)]


def choose_real(wanted: Sequence[Wanted], candidates: Sequence[Candidate], numbers: np.random.Generator) -> list[int]:
    """One slice for each place, no person twice.

    Args:
        wanted: the places.
        candidates: to choose from.
        numbers: that are drawn from.

    Returns:
        Index of a candidate for each place.

    Raises:
        StudyError: if there are too few people, with how many there are of each pathology.
    """
    subjects = sorted({candidate.subject or "" for candidate in candidates})
    has: dict[tuple[str, str], list[int]] = {}
    for index, candidate in enumerate(candidates):
        has.setdefault((candidate.subject or "", candidate.pathology), []).append(index)
    cost = np.full((len(wanted), len(subjects)), _FAR)
    for column, subject in enumerate(subjects):
        for row, place in enumerate(wanted):
            if (subject, place.pathology) in has:
                cost[row, column] = numbers.random()
    rows, columns = linear_sum_assignment(cost)
    if len(rows) < len(wanted) or cost[rows, columns].max() >= _FAR:
        there = Counter(pathology for _, pathology in has)
        need = Counter(place.pathology for place in wanted)
        said = ", ".join(f"{there.get(name, 0)} with '{name}' for {count}" for name, count in need.items())
        raise StudyError(
            f"there are too few people for the real arm, each being shown once: {said}",
            "ask for fewer cases or training cases, other pathologies, or add people",
        )
    chosen = [0] * len(wanted)
    filled: Counter[tuple[str, int]] = Counter()
    for row, column in sorted(zip(rows.tolist(), columns.tolist(), strict=True), key=lambda _: numbers.random()):
        pathology = wanted[row].pathology
        own = has[subjects[column], pathology]
        chosen[row] = min(own, key=lambda i: (filled[pathology, _band(candidates[i])], numbers.random()))
        filled[pathology, _band(candidates[chosen[row]])] += 1
    return chosen


def _band(candidate: Candidate) -> int:
    return int(candidate.position_mm // BAND_MM)


def positions_for(
    wanted: Sequence[Wanted], real: Sequence[tuple[Wanted, float]], numbers: np.random.Generator
) -> list[Wanted]:
    """The synthetic arm's places with the positions of the real arm's, pathology by pathology.

    Args:
        wanted: places of the synthetic arm.
        real: places of the real arm, and where they were filled.
        numbers: that are drawn from, where the arms are not of one size.
    """
    placed = []
    unused: dict[tuple[str, bool], list[int]] = {}
    for place in wanted:
        kind = (place.pathology, place.training)
        if not unused.get(kind):
            alike = [index for index, (other, _) in enumerate(real) if (other.pathology, other.training) == kind]
            alike = alike or [index for index, (other, _) in enumerate(real) if other.pathology == place.pathology]
            if not alike:
                raise StudyError(
                    f"no real case with '{place.pathology}' says at which position a synthetic one shall be",
                    "ask for more real cases or fewer pathologies",
                )
            unused[kind] = numbers.permutation(alike).tolist()
        match = unused[kind].pop()
        placed.append(Wanted(place.pathology, place.training, real[match][1], match))
    return placed


def choose_synthetic(
    wanted: Sequence[Wanted], candidates: Sequence[Candidate], tolerance_mm: float | None, numbers: np.random.Generator
) -> list[int]:
    """The results nearest to the wanted positions on the whole, each used once.

    Args:
        wanted: places with positions.
        candidates: to choose from.
        tolerance_mm: how far a result may lie from its place; None for any distance.
        numbers: that decide between results of one position.

    Returns:
        Index of a candidate for each place.

    Raises:
        StudyError: if there are too few, or none near enough.
    """
    cost = np.full((len(wanted), len(candidates)), _FAR)
    for row, place in enumerate(wanted):
        for column, candidate in enumerate(candidates):
            if candidate.pathology == place.pathology:
                assert place.position_mm is not None
                apart = abs(candidate.position_mm - place.position_mm)
                if tolerance_mm is None or apart <= tolerance_mm + 1e-6:
                    cost[row, column] = apart + 1e-3 * numbers.random()
    rows, columns = linear_sum_assignment(cost)
    if len(rows) < len(wanted) or cost[rows, columns].max() >= _FAR:
        there = Counter(candidate.pathology for candidate in candidates)
        need = Counter(place.pathology for place in wanted)
        said = ", ".join(f"{there.get(name, 0)} with '{name}' for {count}" for name, count in need.items())
        near = "" if tolerance_mm is None else f" within {tolerance_mm:g} mm of the real ones"
        raise StudyError(
            f"there are too few synthetic results{near}: {said}",
            "make more of them, let a model make what is wanted, or ask for fewer cases",
        )
    return [int(column) for _, column in sorted(zip(rows.tolist(), columns.tolist(), strict=True))]
