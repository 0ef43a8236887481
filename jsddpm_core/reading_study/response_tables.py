"""Tables of what was answered: who read, how long it took, how often each answer came, and the raw answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jsddpm_core.reading_study.analysis import Analysis
from jsddpm_core.reading_study.manifest import AnswerKey
from jsddpm_core.reading_study.readings import ItemReadings
from jsddpm_core.reading_study.roc import roc_points
from jsddpm_core.reading_study.tables import Column, Table

READER = Column("reader", "label of the reader, by the number of the slot")
ITEM = Column("item", "name of the question, as in study.json")


def readers_table(analysis: Analysis) -> Table:
    """Who read how much; no names, no words of experience."""
    columns = (
        READER,
        Column("experience_years", "years of experience that the reader gave", "years"),
        Column("readings", "cases that count, read for the first time"),
        Column("repeats", "cases read again, for the agreement with oneself"),
        Column("timed_out", "of all of these, how many ran out of time"),
        Column("complete", "whether every case of the slot was read"),
        Column("sound", "whether nothing was noted of the log; of one that is damaged the intact part was analysed"),
    )
    rows = []
    for log in analysis.logs:
        counted = [reading for reading in log.readings if reading.part == "cases"]
        first = len({reading.case for reading in counted})
        late = sum(reading.timed_out for reading in counted)
        rows.append(
            (f"reader-{log.slot}", log.years, first, len(counted) - first, late, log.complete, not log.problems)
        )
    return Table("readers", "Readers", columns, tuple(rows))


def times_table(analysis: Analysis) -> Table:
    """Response times of the cases' first readings."""
    columns = (
        READER,
        Column("cases", "which", levels=(("all", "every case"), ("right", "answered rightly"), ("wrong", "wrongly"))),
        Column("n", "cases"),
        Column("median", "of the response time; a case that ran out of time counts with the limit", "s"),
        Column("quartile_1", "lower quartile", "s"),
        Column("quartile_3", "upper quartile", "s"),
        Column("timed_out", "how many ran out of time"),
    )
    rows = []
    main = analysis.main
    source = main or next(iter(analysis.questions), None)
    readings: ItemReadings | None = None if source is None else source.readings
    if readings is not None:
        for row, reader in enumerate(readings.readers):
            for name, chosen in _by_answer(readings, row, main is not None):
                times = readings.response_s[row, chosen]
                quartiles = np.quantile(times, [0.5, 0.25, 0.75]).tolist() if len(times) else [None] * 3
                rows.append((reader, name, len(times), *quartiles, int(readings.timed_out[row, chosen].sum())))
    return Table("response_times", "Response times", columns, tuple(rows))


def _by_answer(readings: ItemReadings, row: int, has_truth: bool) -> Iterator[tuple[str, np.ndarray]]:
    read = ~np.isnan(readings.response_s[row])
    yield "all", read
    if has_truth:
        answered = read & ~readings.timed_out[row]
        yield "right", answered & (readings.correct[row] == 1)
        yield "wrong", answered & (readings.correct[row] == 0)


def ratings_table(analysis: Analysis) -> Table:
    """How often each reader gave each answer to each class of cases."""
    columns = (
        READER,
        ITEM,
        Column("cases", "which: by the truth of the item"),
        Column("answer", "on the item's scale"),
        Column("count", "how often it was given; time-outs left out"),
    )
    rows = []
    for readings in (found.readings for found in (*analysis.items, *analysis.questions)):
        for row, reader in enumerate(readings.readers):
            for name, chosen in truths_of(readings):
                for answer in range(1, readings.categories + 1):
                    count = int((readings.raw[row, chosen] == answer).sum())
                    rows.append((reader, readings.item.name, name, answer, count))
    return Table("answers", "How often each answer was given", columns, tuple(rows))


def truths_of(readings: ItemReadings) -> list[tuple[str, np.ndarray]]:
    """The two classes of cases of an item: name, and `(N,)` bool."""
    names = {"lesion": ("no lesion", "lesion"), "pair": ("real one right", "real one left")}
    other, signal = names.get(readings.item.kind, ("real", "synthetic"))
    return [(other, ~readings.signal), (signal, readings.signal)]


def roc_table(analysis: Analysis) -> Table:
    """Each reader's empirical curve."""
    columns = (
        READER,
        ITEM,
        Column("threshold", "rating from which on a case is called a signal; inf at the first point"),
        Column("false_positive_rate", "share of the others called one"),
        Column("true_positive_rate", "share of signals called one"),
    )
    rows = []
    for item in analysis.items:
        readings = item.readings
        if readings.item.kind == "pair":
            continue
        for row, reader in enumerate(readings.readers):
            known = ~np.isnan(readings.counted[row])
            signal = readings.signal[known]
            if 0 < signal.sum() < len(signal):
                for x, y, threshold in zip(*roc_points(readings.counted[row, known], signal), strict=True):
                    rows.append((reader, readings.item.name, float(threshold), float(x), float(y)))
    return Table("roc_points", "Points of the empirical ROC curves", columns, tuple(rows))


def responses_table(analysis: Analysis, key: AnswerKey) -> Table:
    """Every answer, without names, words of experience, and times of day."""
    columns = (
        READER,
        Column("order", "position in the reader's order, from 1"),
        Column("case", "name of the case"),
        Column("occasion", "1 for the first time that the reader saw the case"),
        ITEM,
        Column("answer", "on the item's scale; n/a: time ran out"),
        *(Column(f"mark_{axis}", f"where the reader clicked, RAS {axis}", "mm") for axis in "xyz"),
        Column("response_time", "first full render to confirmation", "s"),
        Column("timed_out", "whether time ran out"),
        Column("undone", "answers taken back before the confirmation"),
        Column("arm", "of the picture; of a pair, of the left one"),
        Column("pathology", "of the picture"),
        Column("position", "MNI152 z", "mm"),
        Column("lesion", "whether the picture shows one"),
        Column("subject", "label of the person shown; n/a: synthetic"),
    )
    rows: list[tuple[Any, ...]] = []
    for log in analysis.logs:
        seen: dict[str, int] = {}
        for reading in (reading for reading in log.readings if reading.part == "cases"):
            seen[reading.case] = seen.get(reading.case, 0) + 1
            truth = key.cases[reading.case]
            for answer in reading.answers:
                given = (answer.value, *(answer.mark_mm or (None,) * 3), reading.response_s, reading.timed_out)
                shown = (truth.arm, truth.pathology, truth.position_mm, truth.lesion, truth.subject)
                place = (f"reader-{log.slot}", reading.index + 1, reading.case, seen[reading.case], answer.item)
                rows.append((*place, *given, reading.undone, *shown))
    return Table("responses", "Raw responses", columns, tuple(rows))
