"""Which slices are asked for, and which real slices they are compared with.

Every request stands at the position of a real test slice of the same pathology, and that slice stands in the
comparison as often as it was asked for: so positions agree by construction, and no measure mistakes another mix of
levels for another quality. Slices of other real subjects are matched in the same way, which gives real against real.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.evaluation.image_set import ImageSet
from jsddpm_core.evaluation.measure import MeasureError

ENOUGH_SUBJECTS = 10
"""From how many subjects on the validation split alone stands for other real subjects."""
HELD_OUT = ("test", "validation")


@dataclass(frozen=True)
class Request:
    """One slice to be drawn.

    Attributes:
        name: of its file, such as `infarct-0007`.
        sample: its number, for the noise.
        pathology: by name.
        position_mm: z in the bundle's space.
        reference: row of the real slice at that position, in the cache.
    """

    name: str
    sample: int
    pathology: str
    position_mm: float
    reference: int


@dataclass(frozen=True)
class Plan:
    """All requests of a measurement.

    Attributes:
        requests: every pathology's, in the order of their samples.
        splits: the splits that each pathology's positions and references come from.
    """

    requests: tuple[Request, ...]
    splits: dict[str, tuple[str, ...]]

    def of(self, pathology: str) -> list[Request]:
        return [request for request in self.requests if request.pathology == pathology]

    def as_dict(self) -> dict[str, Any]:
        return {"splits": self.splits, "requests": [asdict(request) for request in self.requests]}


def rows_of(cache: SliceCache, splits: Iterable[str], pathology: str) -> np.ndarray:
    """Rows of the cache with a known mask and this pathology, `(n,)` int64."""
    rows = np.concatenate([cache.indices(split, synthetic=False) for split in splits])
    keep = [row for row in rows if cache.records[row].pathology == pathology and cache.records[row].mask_known]
    return np.array(keep, dtype=np.int64)


def make_plan(
    cache: SliceCache, ranges: Sequence[tuple[str, tuple[float, float] | None]], count: int, seed: int = 0
) -> Plan:
    """Spreads `count` requests a pathology evenly over its test slices.

    A pathology with fewer than two held-out subjects is asked for over all its levels instead: evenly over all real
    subjects, those of training included, and over the slices of each. `held_out` tells the requests apart.

    Args:
        cache: the slice cache.
        ranges: pathologies by name, each with the positions that a model offers, None for all.
        count: requests a pathology.
        seed: of the order.

    Raises:
        MeasureError: for a pathology of which the cache holds no slice in range.
    """
    rng = np.random.default_rng(seed)
    requests: list[Request] = []
    splits: dict[str, tuple[str, ...]] = {}
    for pathology, limits in ranges:
        for part in (("test",), HELD_OUT, (*HELD_OUT, "train")):
            rows = _within(cache, rows_of(cache, part, pathology), limits)
            if len({cache.records[row].subject for row in rows}) > 1:
                break
        if not len(rows):
            raise MeasureError(
                f"the cache holds no slice of '{pathology}' that the model could be asked for",
                "prepare cases of it, or leave it out with --pathology",
            )
        splits[pathology] = part
        order = _in_turn(cache, rows, rng) if "train" in part else rng.permutation(rows)
        for number in range(count):
            row = int(order[number % len(order)])
            requests.append(
                Request(
                    name=f"{pathology}-{number:04d}",
                    sample=len(requests),
                    pathology=pathology,
                    position_mm=float(cache.records[row].position_mm),
                    reference=row,
                )
            )
    return Plan(tuple(requests), splits)


def can_be_asked(cache: SliceCache, pathology: str, limits: tuple[float, float] | None) -> bool:
    """Whether the cache holds a real slice that a request of this pathology could stand beside."""
    return len(_within(cache, rows_of(cache, (*HELD_OUT, "train"), pathology), limits)) > 0


def _within(cache: SliceCache, rows: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
    if limits is None:
        return rows
    positions = np.array([cache.records[row].position_mm for row in rows])
    return rows[(positions >= limits[0] - 1e-3) & (positions <= limits[1] + 1e-3)]


def _in_turn(cache: SliceCache, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows so that subjects take turns, each going through its slices in a random order, again where it has few."""
    owner = np.array([cache.records[row].subject for row in rows])
    series = [rng.permutation(rows[owner == subject]) for subject in np.unique(owner)]
    longest = max(len(own) for own in series)
    return np.array([own[turn % len(own)] for turn in range(longest) for own in series])


def held_out(cache: SliceCache, requests: Sequence[Request]) -> list[Request]:
    """The requests whose real slice is of a subject that the model was not trained on."""
    return [request for request in requests if cache.records[request.reference].split in HELD_OUT]


def real_set(cache: SliceCache, rows: np.ndarray) -> ImageSet:
    """Real slices; a row that occurs several times becomes one slice of that weight."""
    unique, counts = np.unique(rows, return_counts=True)
    return ImageSet(
        images=np.stack([np.asarray(cache.images[row], dtype=np.float32) for row in unique]),
        masks=np.stack([np.asarray(cache.masks[row]) > 0 for row in unique]),
        positions_mm=np.array([cache.records[row].position_mm for row in unique], dtype=np.float32),
        groups=np.array([cache.records[row].subject for row in unique]),
        weights=counts.astype(np.float64),
    )


def reference_set(cache: SliceCache, requests: Sequence[Request]) -> ImageSet:
    """The real slices whose positions were asked for, as often as they were."""
    return real_set(cache, np.array([request.reference for request in requests]))


def other_real_set(cache: SliceCache, requests: Sequence[Request], seed: int = 1) -> ImageSet | None:
    """For each request of one pathology a slice of another real subject, of that pathology and the nearest position.

    They come from the validation split where that has enough subjects, else from training as well. A subject is drawn
    evenly first, so that long series do not outweigh the others. None where there is no other subject.
    """
    rng = np.random.default_rng(seed)
    taken = {cache.records[request.reference].subject for request in requests}
    pathology = requests[0].pathology
    for splits in (("validation",), ("validation", "train")):
        rows = np.array([row for row in rows_of(cache, splits, pathology) if cache.records[row].subject not in taken])
        subjects = sorted({cache.records[row].subject for row in rows})
        if len(subjects) >= ENOUGH_SUBJECTS:
            break
    if not subjects:
        return None
    owner = np.array([cache.records[row].subject for row in rows])
    position = np.array([cache.records[row].position_mm for row in rows])
    step = cache.grid.spacing_mm
    chosen = []
    for request in requests:
        away = np.abs(position - request.position_mm)
        # Only subjects who have a slice at this level, or, where nobody has, those who come nearest.
        near = away <= max(step, float(away.min()) + 1e-3)
        subject = rng.choice(np.unique(owner[near]))
        own = np.flatnonzero(owner == subject)
        chosen.append(rows[own[np.argmin(away[own])]])
    return real_set(cache, np.array(chosen))
