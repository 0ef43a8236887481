"""The analysis of a reading study, as its plan says: manifest, key and response logs in, every result out.

Repeated cases enter the agreement of readers with themselves only; training cases enter nothing. Time-outs count as the
plan says, in readers' results and in pooled ones alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.agreement_results import Agreement, agreements
from jsddpm_core.reading_study.family import Conclusion, conclude
from jsddpm_core.reading_study.localisation_results import Grid, Localisation, localisation
from jsddpm_core.reading_study.manifest import AnalysisPlan, AnswerKey, StudyManifest
from jsddpm_core.reading_study.multireader import Pooled, auc_figures, pooled
from jsddpm_core.reading_study.pooled_results import (
    Endpoint,
    Group,
    answering,
    endpoint_of,
    endpoints_of,
    groups_of,
    pooled_of,
)
from jsddpm_core.reading_study.reader_results import ReaderResult, reader_result
from jsddpm_core.reading_study.readings import ItemReadings, ReaderLog, Timeouts, check_together, item_readings

TIMEOUTS: tuple[Timeouts, ...] = ("wrong", "middle", "left-out")


@dataclass(frozen=True)
class ItemAnalysis:
    """What the answers to one item with a right answer come to.

    Attributes:
        readings: the answers.
        readers: each one's results.
        pooled: over all readers, by endpoint.
        groups: the plan's endpoint by pathology, by position, and, of lesions, by arm.
        localisation: of marked lesions; None where nothing was marked.
        timeouts: the plan's endpoint under each way with time-outs; empty where there were none.
    """

    readings: ItemReadings
    readers: tuple[ReaderResult, ...]
    pooled: dict[Endpoint, Pooled]
    groups: tuple[Group, ...]
    localisation: Localisation | None
    timeouts: dict[Timeouts, Pooled]


@dataclass(frozen=True)
class QuestionAnalysis:
    """What the answers to a question of one's own (Likert) come to.

    Attributes:
        readings: the answers.
        preference: how often a synthetic picture is rated above a real one, ties counting a half; 0.5 where both are
            rated alike. None where pairs are shown, of which a question is asked together.
    """

    readings: ItemReadings
    preference: Pooled | None


@dataclass(frozen=True)
class Analysis:
    """Everything that was worked out.

    Attributes:
        manifest: of the study.
        logs: of the readers, in the order of their slots.
        items: with a right answer, in the manifest's order.
        questions: without.
        conclusion: of the first item on real and synthetic; of lesions where that is all that was asked; None of
            questions only.
        agreements: of readers with themselves and with one another.
    """

    manifest: StudyManifest
    logs: tuple[ReaderLog, ...]
    items: tuple[ItemAnalysis, ...]
    questions: tuple[QuestionAnalysis, ...]
    conclusion: Conclusion | None
    agreements: tuple[Agreement, ...]

    @property
    def plan(self) -> AnalysisPlan:
        """As it was frozen."""
        return self.manifest.plan

    @property
    def main(self) -> ItemAnalysis | None:
        """The item that the conclusion is about."""
        first = [item for item in self.items if item.readings.item.kind in ("real", "pair")]
        return next(iter([*first, *self.items]), None)


def analyse_study(
    manifest: StudyManifest, key: AnswerKey, logs: Sequence[ReaderLog], grids: Mapping[str, Grid] | None = None
) -> Analysis:
    """Analyses a study.

    Args:
        manifest: of the study, with its plan.
        key: of the cases that count.
        logs: one a reader; those without a case that counts are passed over.
        grids: of the pictures, by the names of cases, for marks; None where there is nothing to localise.

    Raises:
        StudyError: if they do not belong together, nobody has read a case, or only one class was read.
    """
    read = sorted((log for log in logs if any(r.part == "cases" for r in log.readings)), key=lambda log: log.slot)
    check_together(manifest, key, read)
    items, questions, agreed = [], [], []
    for item in manifest.items:
        readings = item_readings(item, manifest, key, read, manifest.plan.timeouts)
        agreed += agreements(readings, manifest.plan)
        if item.kind == "likert":
            questions.append(_question(readings, manifest))
        else:
            items.append(_item(readings, manifest, key, read, grids or {}))
    analysis = Analysis(manifest, tuple(read), tuple(items), tuple(questions), None, tuple(agreed))
    main = analysis.main
    if main is None:
        return analysis
    endpoint = endpoint_of(main.readings, manifest.plan.primary)
    conclusion = conclude(manifest.plan, endpoint, main.pooled[endpoint], main.groups, main.readers)
    return Analysis(manifest, tuple(read), tuple(items), tuple(questions), conclusion, tuple(agreed))


def _item(
    readings: ItemReadings,
    manifest: StudyManifest,
    key: AnswerKey,
    logs: Sequence[ReaderLog],
    grids: Mapping[str, Grid],
) -> ItemAnalysis:
    plan = manifest.plan
    level = 1 - plan.alpha
    name = readings.item.name
    if readings.item.kind != "pair" and len(np.unique(readings.signal)) < 2:
        raise StudyError(f"the key has one class only of '{name}'", "a study needs cases of both")
    if not answering(readings).any():
        raise StudyError(f"no reader has answered cases of both classes of '{name}'", "wait until more are read")
    endpoint = endpoint_of(readings, plan.primary)
    others: dict[Timeouts, Pooled] = {}
    if readings.timed_out.any():
        for way in TIMEOUTS:
            under = item_readings(readings.item, manifest, key, logs, way)
            if answering(under).any():
                others[way] = pooled_of(under, endpoint, level)
    return ItemAnalysis(
        readings,
        tuple(reader_result(readings, row, level) for row in range(len(readings.readers))),
        {name: pooled_of(readings, name, level) for name in endpoints_of(readings)},
        groups_of(readings, endpoint, level),
        localisation(readings, grids, plan),
        others,
    )


def _question(readings: ItemReadings, manifest: StudyManifest) -> QuestionAnalysis:
    pairs = any(item.kind == "pair" for item in manifest.items)
    if pairs or len(np.unique(readings.signal)) < 2 or not answering(readings).any():
        return QuestionAnalysis(readings, None)
    chosen = readings.by(answering(readings))
    figures = auc_figures(chosen.raw, chosen.signal, chosen.clusters)
    return QuestionAnalysis(readings, pooled(figures, 1 - manifest.plan.alpha))
