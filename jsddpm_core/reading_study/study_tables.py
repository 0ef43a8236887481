"""The tables of an analysis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jsddpm_core.reading_study.analysis import Analysis, ItemAnalysis
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.manifest import AnswerKey
from jsddpm_core.reading_study.multireader import Pooled
from jsddpm_core.reading_study.pooled_results import Endpoint
from jsddpm_core.reading_study.readings import ItemReadings
from jsddpm_core.reading_study.roc import roc_points
from jsddpm_core.reading_study.tables import Column, Table

READER = Column("reader", "label of the reader, by the number of the slot")
ITEM = Column("item", "name of the question, as in study.json")
N = Column("n", "answers behind the value")


def interval_columns(name: str, description: str, level: float) -> tuple[Column, Column, Column]:
    """Columns of a value and both ends of its interval."""
    percent = f"{100 * level:g} %"
    return (
        Column(name, description),
        Column(f"{name}_low", f"lower end of the {percent} interval of {name}"),
        Column(f"{name}_high", f"upper end of the {percent} interval of {name}"),
    )


def tables_of(analysis: Analysis, key: AnswerKey) -> tuple[Table, ...]:
    """Every table, those without rows left out."""
    level = 1 - analysis.plan.alpha
    made = (
        _tests(analysis, level),
        _readers(analysis),
        _reader_results(analysis, level),
        _pooled(analysis, level),
        _groups(analysis, level),
        _agreement(analysis, level),
        _times(analysis),
        _localisation(analysis, level),
        _questions(analysis, level),
        _timeouts(analysis, level),
        _ratings(analysis),
        _roc(analysis),
        _responses(analysis, key),
    )
    return tuple(table for table in made if table.rows)


def _ends(estimate: Estimate) -> tuple[Any, Any, Any]:
    return estimate.value, estimate.low, estimate.high


def _tests(analysis: Analysis, level: float) -> Table:
    columns = (
        Column("family", "which tests of the plan it belongs to"),
        Column("test", "what is tested"),
        *interval_columns("estimate", "estimate that the test rests on", level),
        Column("p", "of the test by itself"),
        Column("p_adjusted", f"corrected for the whole family ({analysis.plan.correction})"),
        Column("rejects", f"whether p_adjusted is below {analysis.plan.alpha:g}"),
    )
    tests = () if analysis.conclusion is None else analysis.conclusion.tests
    rows = tuple((t.kind, t.name, *_ends(t.estimate), t.p, t.adjusted, t.rejects) for t in tests)
    return Table("tests", "Tests of the plan's family", columns, rows)


def _readers(analysis: Analysis) -> Table:
    columns = (
        READER,
        Column("experience_years", "years of experience that the reader gave", "years"),
        Column("readings", "cases that count, read for the first time"),
        Column("repeats", "cases read again, for the agreement with oneself"),
        Column("timed_out", "of all of these, how many ran out of time"),
        Column("complete", "whether every case of the slot was read"),
        Column("intact", "whether the log's chain of hashes is whole; if not, its intact part was analysed"),
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


def _reader_results(analysis: Analysis, level: float) -> Table:
    columns = (
        READER,
        ITEM,
        N,
        Column("correct", "right answers; halves where the plan counts a time-out so"),
        *interval_columns("accuracy", "proportion correct, Clopper-Pearson interval", level),
        Column("accuracy_wilson_low", "lower end of the Wilson interval of accuracy"),
        Column("accuracy_wilson_high", "upper end of the Wilson interval of accuracy"),
        Column("accuracy_p", "exact binomial test against guessing; balanced answers only"),
        *interval_columns("sensitivity", "share of signals (synthetic, or a lesion) that were called one", level),
        *interval_columns("specificity", "share of the other cases that were not called a signal", level),
        *interval_columns("d_prime", "d', log-linear correction", level),
        *interval_columns("criterion", "criterion c; positive: slow to call a signal", level),
        *interval_columns("auc", "area under the empirical ROC curve, DeLong, logit scale", level),
        Column("auc_p", "test of the area against 0.5"),
    )
    rows = []
    for item in analysis.items:
        for r in item.readers:
            d = r.detection
            # Of pairs there is neither a signal nor a criterion.
            rates = (Estimate(None), Estimate(None)) if d.sensitivity.n == 0 else (d.sensitivity, d.specificity)
            rows.append(
                (r.reader, item.readings.item.name, r.answered, r.correct, *_ends(r.exact))
                + (r.score.low, r.score.high, r.exact.p, *_ends(rates[0]), *_ends(rates[1]))
                + (*_ends(d.d_prime), *_ends(d.criterion), *_ends(r.area), r.area.p)
            )
    return Table("reader_results", "Each reader", columns, tuple(rows))


def _pooled_columns(level: float) -> tuple[Column, ...]:
    return (
        *interval_columns("estimate", "mean over readers, Obuchowski-Rockette", level),
        Column("se", "standard error, readers and cases random; of one reader, cases random"),
        Column("df", "Hillis' degrees of freedom; n/a: normal distribution"),
        Column("p", "two-sided, against guessing, uncorrected"),
        Column("readers", "how many readers"),
        N,
        Column("ms_readers", "MS(R), mean square of the readers' figures"),
        Column("cov2", "covariance of two readers' errors over cases"),
    )


def _pooled_cells(found: Pooled) -> tuple[Any, ...]:
    e = found.estimate
    return (*_ends(e), e.se, e.df, e.p, found.readers, e.n, found.ms_readers, found.cov2)


def _pooled(analysis: Analysis, level: float) -> Table:
    columns = (ITEM, Column("endpoint", "figure of merit"), *_pooled_columns(level))
    rows = tuple(
        (item.readings.item.name, endpoint, *_pooled_cells(found))
        for item in analysis.items
        for endpoint, found in item.pooled.items()
    )
    return Table("pooled_results", "All readers", columns, rows)


def endpoint_in(item: ItemAnalysis, wanted: Endpoint) -> Endpoint:
    """The plan's endpoint as an item has it."""
    return wanted if wanted in item.pooled else "accuracy"


def _groups(analysis: Analysis, level: float) -> Table:
    columns = (
        ITEM,
        Column("by", "what the cases have in common"),
        Column("group", "which"),
        Column("endpoint", "figure of merit"),
        Column("signals", "cases with the signal; of pairs, with the real one left"),
        Column("others", "cases without"),
        *_pooled_columns(level),
    )
    rows = tuple(
        (
            item.readings.item.name,
            group.kind,
            group.name,
            endpoint_in(item, analysis.plan.primary),
            group.signals,
            group.others,
            *_pooled_cells(group.pooled),
        )
        for item in analysis.items
        for group in item.groups
    )
    return Table("breakdown", "By pathology and position", columns, rows)


def _agreement(analysis: Analysis, level: float) -> Table:
    columns = (
        ITEM,
        Column("who", "a reader with themselves on repeated cases, or all readers with one another"),
        Column("answers", "the scale as given, or the two classes that its halves stand for"),
        Column("coefficient", "which"),
        *interval_columns("estimate", "agreement beyond chance, subjects resampled", level),
        Column("n", "cases behind the value"),
    )
    rows = tuple(
        (a.item, a.who, a.answers, a.coefficient, *_ends(a.estimate), a.estimate.n) for a in analysis.agreements
    )
    return Table("agreement", "Agreement", columns, rows)


def _times(analysis: Analysis) -> Table:
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


def _localisation(analysis: Analysis, level: float) -> Table:
    columns = (
        READER,
        ITEM,
        Column("radius", "within which a mark hits", "mm"),
        *interval_columns("hits", "share of lesions that were hit, Wilson interval", level),
        *interval_columns("false_marks", "share of cases without a lesion that were marked, Wilson interval", level),
        *interval_columns("afroc_area", "area under the AFROC curve; readers: subjects resampled", level),
    )
    rows: list[tuple[Any, ...]] = []
    for found in (item.localisation for item in analysis.items):
        if found is not None:
            name, radius = found.item.name, found.item.radius_mm
            for r in found.readers:
                rows.append((r.reader, name, radius, *_ends(r.hits), *_ends(r.false_marks), *_ends(r.area)))
            rows.append(("all", name, radius, *[None] * 6, *_ends(found.pooled.estimate)))
    return Table("localisation", "Marks of lesions", columns, tuple(rows))


def _questions(analysis: Analysis, level: float) -> Table:
    columns = (
        ITEM,
        Column("arm", "of the pictures; pair: both arms, asked of together"),
        N,
        Column("mean", "of the answers"),
        Column("median", "of the answers"),
        *interval_columns("above_real", "how often a synthetic picture is rated above a real one", level),
    )
    rows = []
    for found in analysis.questions:
        readings = found.readings
        for name, chosen in _arms(analysis, readings):
            given = readings.raw[:, chosen]
            given = given[~np.isnan(given)]
            if len(given):
                shown = found.preference is not None and name == "synthetic"
                preference = _ends(found.preference.estimate) if shown and found.preference else (None,) * 3
                rows.append(
                    (readings.item.name, name, len(given), float(given.mean()), float(np.median(given)), *preference)
                )
    return Table("questions", "Questions of the study's own", columns, tuple(rows))


def _arms(analysis: Analysis, readings: ItemReadings) -> list[tuple[str, np.ndarray]]:
    if any(item.kind == "pair" for item in analysis.manifest.items):
        return [("pair", np.ones(len(readings.cases), bool))]
    return [("real", ~readings.signal), ("synthetic", readings.signal)]


def _timeouts(analysis: Analysis, level: float) -> Table:
    columns = (
        ITEM,
        Column("counted_as", "what a time-out counts as"),
        Column("planned", "whether the plan says so"),
        *_pooled_columns(level),
    )
    rows = tuple(
        (item.readings.item.name, way, way == analysis.plan.timeouts, *_pooled_cells(found))
        for item in analysis.items
        for way, found in item.timeouts.items()
    )
    return Table("timeouts", "Time-outs counted in other ways", columns, rows)


def _ratings(analysis: Analysis) -> Table:
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


def _roc(analysis: Analysis) -> Table:
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


def _responses(analysis: Analysis, key: AnswerKey) -> Table:
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
                rows.append(
                    (f"reader-{log.slot}", reading.index + 1, reading.case, seen[reading.case], answer.item)
                    + (answer.value, *(answer.mark_mm or (None,) * 3), reading.response_s, reading.timed_out)
                    + (reading.undone, truth.arm, truth.pathology, truth.position_mm, truth.lesion, truth.subject)
                )
    return Table("responses", "Raw responses", columns, tuple(rows))
