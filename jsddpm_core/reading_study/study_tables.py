"""The tables of an analysis."""

from __future__ import annotations

from typing import Any

import numpy as np

from jsddpm_core.reading_study.analysis import Analysis, ItemAnalysis
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.manifest import AnswerKey
from jsddpm_core.reading_study.multireader import Pooled
from jsddpm_core.reading_study.pooled_results import Endpoint
from jsddpm_core.reading_study.readings import ItemReadings
from jsddpm_core.reading_study.response_tables import (
    ITEM,
    READER,
    ratings_table,
    readers_table,
    responses_table,
    roc_table,
    times_table,
)
from jsddpm_core.reading_study.tables import Column, Table

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
        readers_table(analysis),
        _reader_results(analysis, level),
        _pooled(analysis, level),
        _groups(analysis, level),
        _agreement(analysis, level),
        times_table(analysis),
        _localisation(analysis, level),
        _questions(analysis, level),
        _timeouts(analysis, level),
        ratings_table(analysis),
        roc_table(analysis),
        responses_table(analysis, key),
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
            accuracy = (*_ends(r.exact), r.score.low, r.score.high, r.exact.p)
            two_by_two = (*_ends(rates[0]), *_ends(rates[1]), *_ends(d.d_prime), *_ends(d.criterion))
            name = item.readings.item.name
            rows.append((r.reader, name, r.answered, r.correct, *accuracy, *two_by_two, *_ends(r.area), r.area.p))
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
        Column("these_readers_low", "lower end of the interval with readers held fixed: about these readers alone"),
        Column("these_readers_high", "upper end of it"),
        Column("published_low", "lower end of the interval as published: MS(R) without a floor, no logit"),
        Column("published_high", "upper end of it"),
    )


def _pooled_cells(found: Pooled) -> tuple[Any, ...]:
    e = found.estimate
    plain = found.published or Estimate(None)
    intervals = (found.these_readers.low, found.these_readers.high, plain.low, plain.high)
    return (*_ends(e), e.se, e.df, e.p, found.readers, e.n, found.ms_readers, found.cov2, *intervals)


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
