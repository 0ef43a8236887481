"""What readers' marks of lesions come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.localisation import afroc_area, distance_mm, lesion_points_mm, mark_ratings
from jsddpm_core.reading_study.manifest import AnalysisPlan, LesionItem
from jsddpm_core.reading_study.multireader import Pooled, auc_figures, pooled
from jsddpm_core.reading_study.pooled_results import pooling
from jsddpm_core.reading_study.proportions import wilson
from jsddpm_core.reading_study.readings import ItemReadings

Grid = tuple[tuple[int, ...], np.ndarray]
"""Shape of a picture's array, and its affine `(4, 4)` from voxel indices to RAS millimetres."""


@dataclass(frozen=True)
class ReaderMarks:
    """One reader's marks.

    Attributes:
        reader: label.
        hits: share of lesions that were hit, Wilson interval.
        false_marks: share of the cases without a lesion that were marked, Wilson interval.
        area: under the AFROC curve, interval by resampling subjects.
    """

    reader: str
    hits: Estimate
    false_marks: Estimate
    area: Estimate


@dataclass(frozen=True)
class Localisation:
    """All readers' marks of one item.

    Attributes:
        item: asked.
        ratings: `(R, N)` that the cases enter the AFROC curve with.
        signal: `(N,)` bool.
        readers: one by one.
        pooled: area over all readers, readers and cases random; it has no chance level, so its p says nothing.
    """

    item: LesionItem
    ratings: np.ndarray
    signal: np.ndarray
    readers: tuple[ReaderMarks, ...]
    pooled: Pooled


def localisation(readings: ItemReadings, grids: Mapping[str, Grid], plan: AnalysisPlan) -> Localisation | None:
    """Works out the marks of a lesion item; None where nothing was marked.

    Of cases that all show a lesion, or none of which does, there are hits or false marks and no area.

    Args:
        readings: of the item.
        grids: of the pictures, by the names of cases; needed of those that show a lesion and were marked.
        plan: of the analysis.

    Raises:
        StudyError: if the key's lesion does not fit a picture.
    """
    item, signal = readings.item, readings.signal
    if not isinstance(item, LesionItem) or np.isnan(readings.marks_mm).all():
        return None
    distances = np.full(readings.raw.shape, np.nan)
    for column, (name, truth) in enumerate(zip(readings.cases, readings.truths, strict=True)):
        marked = ~np.isnan(readings.marks_mm[:, column, 0])
        if not marked.any():
            continue
        try:
            lesion = lesion_points_mm(truth.lesion_voxels, *grids[name]) if truth.lesion else np.empty((0, 3))
        except ValueError:
            raise StudyError(
                f"the lesion that the key has of {name} lies outside its picture", "choose the key made with this study"
            ) from None
        for row in np.flatnonzero(marked):
            distances[row, column] = distance_mm(readings.marks_mm[row, column], lesion)
    ratings = mark_ratings(readings.counted, distances, signal, item.radius_mm)
    level = 1 - plan.alpha
    readers = tuple(
        ReaderMarks(
            readings.readers[row],
            _share(given, signal, level),
            _share(given, ~signal, level),
            afroc_area(given, signal, readings.clusters, resamples=plan.bootstrap, seed=plan.seed, level=level),
        )
        for row, given in enumerate(ratings)
    )
    both = pooling(readings)
    figures = auc_figures(ratings[both] if both.any() else ratings, signal, readings.clusters)
    return Localisation(item, ratings, signal, readers, pooled(figures, level))


def _share(ratings: np.ndarray, of: np.ndarray, level: float) -> Estimate:
    given = ratings[of & ~np.isnan(ratings)]
    return wilson(int((given > 0).sum()), len(given), level)
