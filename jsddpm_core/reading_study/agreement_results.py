"""Agreement of readers with themselves, on the cases that came twice, and with one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jsddpm_core.reading_study.agreement import cohen, fleiss, krippendorff
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.manifest import AnalysisPlan
from jsddpm_core.reading_study.readings import ItemReadings


@dataclass(frozen=True)
class Agreement:
    """One coefficient.

    Attributes:
        item: asked.
        who: a reader, with themselves; or "all readers", with one another.
        answers: the scale as given, or which of the two classes the answer says.
        coefficient: its name.
        estimate: with its interval; `n` cases.
    """

    item: str
    who: str
    answers: str
    coefficient: str
    estimate: Estimate


def agreements(readings: ItemReadings, plan: AnalysisPlan) -> tuple[Agreement, ...]:
    """All coefficients of an item. An answer that did not come in time is none."""
    top, item = readings.categories, readings.item.name
    scale = f"1 to {top}"
    how = {"resamples": plan.bootstrap, "seed": plan.seed, "level": 1 - plan.alpha}
    clusters = readings.clusters
    classes = [("classes", 2, _classes)] if top > 2 and readings.item.kind != "likert" else []
    found: list[Agreement] = []

    def add(who: str, answers: str, coefficient: str, estimate: Estimate) -> None:
        found.append(Agreement(item, who, answers, coefficient, estimate))

    for row, reader in enumerate(readings.readers):
        first, second = readings.raw[row], readings.again[row]
        if np.isnan(first + second).all():
            continue
        for name, count, seen in [*classes, *([] if classes else [(scale, top, _as_given)])]:
            add(reader, name, "Cohen's kappa", cohen(seen(first, top), seen(second, top), count, clusters, **how))
        if top > 2:
            for weights in ("linear", "quadratic"):
                estimate = cohen(first, second, top, clusters, weights, **how)
                add(reader, scale, f"Cohen's kappa, {weights} weights", estimate)
    if len(readings.readers) > 1:
        everybody = "all readers"
        for name, count, seen in [*classes, *([] if classes else [(scale, top, _as_given)])]:
            answers = seen(readings.raw, top)
            add(everybody, name, "Fleiss' kappa", fleiss(answers, count, clusters, **how))
            add(everybody, name, "Krippendorff's alpha, nominal", krippendorff(answers, "nominal", clusters, **how))
        if top > 2:
            for metric in ("ordinal", "interval"):
                estimate = krippendorff(readings.raw, metric, clusters, **how)
                add(everybody, scale, f"Krippendorff's alpha, {metric}", estimate)
    return tuple(found)


def _as_given(values: np.ndarray, _top: int) -> np.ndarray:
    return values


def _classes(values: np.ndarray, top: int) -> np.ndarray:
    """1 for the lower half of a scale, 2 for the upper."""
    return np.where(np.isnan(values), np.nan, 1 + (values > top / 2))
