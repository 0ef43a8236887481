"""Figures of all readers together: whole, by pathology, by position, and under other ways with time-outs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jsddpm_core.reading_study.multireader import (
    Pooled,
    ReaderFigures,
    auc_figures,
    d_prime_figures,
    pair_d_prime_figures,
    pooled,
    proportion_figures,
)
from jsddpm_core.reading_study.readings import ItemReadings

Endpoint = Literal["auc", "accuracy", "d-prime"]
BANDS = 3


@dataclass(frozen=True)
class Group:
    """Some of the cases.

    Attributes:
        kind: what they have in common.
        name: which, as the report prints it.
        signals: cases with the signal.
        others: cases without.
        pooled: the endpoint over these cases.
    """

    kind: Literal["pathology", "position", "arm"]
    name: str
    signals: int
    others: int
    pooled: Pooled


def endpoints_of(readings: ItemReadings) -> tuple[Endpoint, ...]:
    """Which endpoints an item has; of pairs, the proportion correct is the area (Green & Swets 1966)."""
    return ("accuracy", "d-prime") if readings.item.kind == "pair" else ("auc", "accuracy", "d-prime")


def endpoint_of(readings: ItemReadings, wanted: Endpoint) -> Endpoint:
    """The endpoint that stands for the wanted one: of pairs, the proportion correct for the area."""
    return wanted if wanted in endpoints_of(readings) else "accuracy"


def figures_of(readings: ItemReadings, endpoint: Endpoint) -> ReaderFigures:
    """One endpoint of every reader.

    The proportion correct is over all answers where every reader answered as many cases of either class, and the mean
    of the two classes' where not, so that guessing gives 0.5 whichever answer a reader leans to.
    """
    signal, clusters = readings.signal, readings.clusters
    if endpoint == "auc":
        return auc_figures(readings.counted, signal, clusters)
    if endpoint == "accuracy":
        equal = unevenly_answered(readings)
        strata = np.unique(signal, return_inverse=True)[1]
        return proportion_figures(readings.correct, strata, clusters, equal_weights=equal)
    if readings.item.kind == "pair":
        return pair_d_prime_figures(readings.correct, clusters)
    return d_prime_figures(readings.called, signal, clusters)


def unevenly_answered(readings: ItemReadings) -> bool:
    """Whether some reader answered more cases of one class than of the other."""
    known = ~np.isnan(readings.counted)
    return bool((known[:, readings.signal].sum(axis=1) != known[:, ~readings.signal].sum(axis=1)).any())


def pooled_of(readings: ItemReadings, endpoint: Endpoint, level: float = 0.95) -> Pooled:
    """The mean over those readers who answered enough cases of both classes; without a value where nobody did."""
    readers = pooling(readings)
    if readers.any():
        return pooled(figures_of(readings.by(readers), endpoint), level)
    guessing = 0.0 if endpoint == "d-prime" else 0.5
    return pooled(ReaderFigures(np.full(len(readers), np.nan), None, guessing, len(readings.signal)), level)


def answering(readings: ItemReadings) -> np.ndarray:
    """`(R,)` bool: which readers have an answer of either class; of pairs, which lie on either side, of any."""
    known = ~np.isnan(readings.counted)
    if readings.item.kind == "pair":
        return known.any(axis=1)
    return known[:, readings.signal].any(axis=1) & known[:, ~readings.signal].any(axis=1)


def pooling(readings: ItemReadings) -> np.ndarray:
    """`(R,)` bool: which readers enter the pooled figures.

    Those with answers to two subjects of either class: the errors of somebody who stopped after a case or two cannot be
    known, and would take the interval from all others. Where nobody has so many, all who answer both classes.
    """
    known = ~np.isnan(readings.counted)
    enough = answering(readings)
    for of in (readings.signal, ~readings.signal):
        for row in np.flatnonzero(enough):
            enough[row] = len(np.unique(readings.clusters[known[row] & of])) >= 2
    return enough if enough.any() else answering(readings)


def groups_of(readings: ItemReadings, endpoint: Endpoint, level: float = 0.95) -> tuple[Group, ...]:
    """The endpoint by pathology, by thirds of the position, and, of lesions, by arm."""
    pathologies = np.array([truth.pathology for truth in readings.truths])
    found = [
        _group("pathology", name, readings, pathologies == name, endpoint, level) for name in sorted(set(pathologies))
    ]
    for name, chosen in bands([truth.position_mm for truth in readings.truths]):
        found.append(_group("position", name, readings, chosen, endpoint, level))
    if readings.item.kind == "lesion":
        arms = np.array([truth.arm for truth in readings.truths])
        found += [_group("arm", name, readings, arms == name, endpoint, level) for name in sorted(set(arms))]
    return tuple(found)


def bands(positions_mm: Sequence[float]) -> list[tuple[str, np.ndarray]]:
    """Thirds of the cases by position, each with its name and `(N,)` bool: fewer where few positions differ.

    The borders come of the cases, never of the answers.
    """
    positions = np.asarray(positions_mm, dtype=float)
    inner = np.unique(np.quantile(positions, np.arange(1, BANDS) / BANDS))
    number = np.searchsorted(inner, positions, side="left")
    found = []
    for band in np.unique(number):
        chosen = number == band
        found.append((f"z {positions[chosen].min():.0f} to {positions[chosen].max():.0f} mm", chosen))
    return found


def _group(
    kind: Literal["pathology", "position", "arm"],
    name: str,
    readings: ItemReadings,
    chosen: np.ndarray,
    endpoint: Endpoint,
    level: float,
) -> Group:
    part = readings.of(chosen)
    signals = int(part.signal.sum())
    return Group(kind, name, signals, len(part.signal) - signals, pooled_of(part, endpoint, level))
