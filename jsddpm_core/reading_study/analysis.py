"""The analysis of a reading study, as its plan says: manifest, key and response logs in, every result out.

Repeated cases enter the agreement of readers with themselves only; training cases enter nothing. Time-outs count as the
plan says, in readers' results and in pooled ones alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from jsddpm_core.reading_study.agreement_results import Agreement, agreements
from jsddpm_core.reading_study.family import Conclusion, conclude
from jsddpm_core.reading_study.localisation_results import Grid, Localisation, localisation
from jsddpm_core.reading_study.manifest import AnalysisPlan, AnswerKey, StudyManifest
from jsddpm_core.reading_study.multireader import Pooled, auc_figures, pooled
from jsddpm_core.reading_study.names import same_name
from jsddpm_core.reading_study.pooled_results import (
    Endpoint,
    Group,
    answering,
    endpoint_of,
    endpoints_of,
    groups_of,
    pooled_of,
    pooling,
)
from jsddpm_core.reading_study.reader_results import ReaderResult, reader_result
from jsddpm_core.reading_study.readings import ItemReadings, ReaderLog, Timeouts, check_together, item_readings

_SHOWN = {"lesion": ("shows", "a lesion", "none"), "real": ("is", "synthetic", "real")}
"""What a case with the signal does, and what one without."""

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
        lacking: why areas, d' and their tests cannot be worked out; empty where they can.
    """

    readings: ItemReadings
    readers: tuple[ReaderResult, ...]
    pooled: dict[Endpoint, Pooled]
    groups: tuple[Group, ...]
    localisation: Localisation | None
    timeouts: dict[Timeouts, Pooled]
    lacking: str = ""


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

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what could not be worked out, and on readers who may be one."""
        return (*self._lacking_notes, *_one_name(self.logs))

    @property
    def _lacking_notes(self) -> tuple[str, ...]:
        return tuple(
            f"Of “{item.readings.item.name}”, neither AUC, d' nor a test could be worked out: {item.lacking}. "
            "What each reader answered, and where, is reported all the same."
            for item in self.items
            if item.lacking
        )


def _one_name(logs: Sequence[ReaderLog]) -> tuple[str, ...]:
    return tuple(
        f"reader-{one.slot} and reader-{two.slot} gave one name: if they are one person, the pooled figures take that "
        "person for two readers."
        for one, two in combinations(logs, 2)
        if one.reader and same_name(one.reader, two.reader)
    )


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
        StudyError: if they do not belong together, or nobody has read a case.
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
    conclusion = conclude(manifest.plan, endpoint, main.pooled[endpoint], main.groups, main.readers, main.lacking)
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
        _lacking(readings),
    )


def _lacking(readings: ItemReadings) -> str:
    """Why nothing can be said of how well both classes are told apart; empty where something can."""
    if answering(readings).any():
        return ""
    if readings.item.kind == "pair":
        return "nobody has yet answered in time"
    verb, signal, other = _SHOWN["lesion" if readings.item.kind == "lesion" else "real"]
    if readings.signal.all() or not readings.signal.any():
        return f"every case that counts {verb} {signal if readings.signal.all() else other}"
    return f"nobody has yet answered both a case that {verb} {signal} and one that {verb} {other}"


def _question(readings: ItemReadings, manifest: StudyManifest) -> QuestionAnalysis:
    pairs = any(item.kind == "pair" for item in manifest.items)
    if pairs or not answering(readings).any():
        return QuestionAnalysis(readings, None)
    chosen = readings.by(pooling(readings))
    figures = auc_figures(chosen.raw, chosen.signal, chosen.clusters)
    return QuestionAnalysis(readings, pooled(figures, 1 - manifest.plan.alpha))
