"""`jsddpm study size`: what a study of some size can be expected to show, and how large one has to be."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer

from jsddpm_core.commands import options
from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.errors import StudyError

CASES = (20, 40, 80)
READERS = (2, 4, 6, 8)
"""Shown where none are named."""

MOST_CASES, MOST_READERS = 5000, 1000

Endpoint = Literal["auc", "accuracy", "pairs"]


def size(
    cases: Annotated[
        list[int] | None,
        typer.Option("--cases", min=2, max=MOST_CASES, help="Real cases, and as many synthetic; may be repeated."),
    ] = None,
    readers: Annotated[
        list[int] | None, typer.Option("--readers", min=1, max=MOST_READERS, help="Readers; may be repeated.")
    ] = None,
    width: Annotated[
        float | None, typer.Option("--width", min=0.01, max=1, help="Cases for an interval no wider than this.")
    ] = None,
    power: Annotated[
        float | None, typer.Option("--power", min=0.01, max=0.99, help="Cases for this chance of showing it (--to).")
    ] = None,
    to: Annotated[
        Literal["equivalence", "difference"], typer.Option("--to", help="What --power is the chance to show.")
    ] = "equivalence",
    endpoint: Annotated[
        Endpoint,
        typer.Option(
            "--endpoint", help="AUC of all readers, or one reader's proportion correct: of cases or of pairs."
        ),
    ] = "auc",
    truth: Annotated[
        float, typer.Option("--expected", min=0.01, max=0.99, help="Mean AUC or proportion; 0.5: readers guess.")
    ] = 0.5,
    reader_sd: Annotated[
        float, typer.Option("--reader-sd", min=0, max=0.5, help="Standard deviation of the readers' true AUCs.")
    ] = 0.05,
    correlation: Annotated[
        float, typer.Option("--correlation", min=0, max=1, help="Of two readers' errors over the same cases.")
    ] = 0.3,
    margin: Annotated[
        float, typer.Option("--margin", min=0.01, max=0.49, help="Equivalence is the AUC within 0.5 ± this.")
    ] = 0.1,
    alpha: Annotated[float, typer.Option("--alpha", min=0.001, max=0.49, help="Of the tests, two-sided.")] = 0.05,
    tests: Annotated[
        int,
        typer.Option(
            "--tests", min=1, max=100, help="AUC: tests that the plan corrects for their number; 1: no correction."
        ),
    ] = 2,
    as_json: options.AsJson = False,
) -> None:
    """Says what a study of some size can be expected to show; with --width or --power, how large it has to be."""
    if cases and (width is not None or power is not None):
        raise StudyError("cases are given, and asked for by --width or --power", "leave one of the two out")
    _check(endpoint, power, to, truth, margin)
    wanted: dict[str, Any] = {"width": width, "power": power}
    report = Reporter(as_json)
    if endpoint == "auc":
        model = {"area": truth, "reader_sd": reader_sd, "correlation": correlation}
        _areas(report, cases or CASES, readers or READERS, model, wanted, to == "equivalence", margin, alpha, tests)
    else:
        _proportions(report, cases or CASES, truth, wanted, 1 if endpoint == "pairs" else 2, alpha)


def _check(endpoint: Endpoint, power: float | None, to: str, truth: float, margin: float) -> None:
    if power is None:
        return
    if to == "difference" and truth == 0.5:
        raise StudyError("readers who guess (--expected 0.5) show no difference", "expect another value of them")
    if to == "equivalence" and endpoint != "auc":
        raise StudyError(f"one reader's {endpoint} is not tested for equivalence", "give --to difference")
    if to == "equivalence" and abs(truth - 0.5) >= margin:
        raise StudyError(
            f"an AUC of {truth:g} is not within 0.5 ± {margin:g}, so that no study shows equivalence",
            "give a wider --margin, or expect another value",
        )


def _areas(
    report: Reporter,
    cases: Any,
    readers: Any,
    assumed: dict[str, float],
    wanted: dict[str, Any],
    equivalence: bool,
    margin: float,
    alpha: float,
    tests: int,
) -> None:
    from jsddpm_core.reading_study.sample_size import ReaderModel, cases_needed, expected

    model = ReaderModel(**assumed)
    how: dict[str, Any] = {"margin": margin, "alpha": alpha, "tests": tests}
    if any(value is not None for value in wanted.values()):
        found = {n: [cases_needed(n, model, equivalence=equivalence, **wanted, **how)] for n in readers}
    else:
        found = {n: [expected(number, n, model, **how) for number in cases] for n in readers}
    rows: list[list[Any]] = [
        [n, None, None, None, None]
        if one is None
        else [n, one.cases_an_arm, one.width, one.power_equivalence, one.power_difference]
        for n, row in found.items()
        for one in row
    ]
    columns = [
        "readers", "cases an arm", f"width of the {100 * (1 - alpha):g} % interval",
        f"power, equivalence within 0.5 ± {margin:g}", "power, difference from guessing",
    ]  # fmt: skip
    report.table("AUC of all readers, who are a sample of readers", columns, rows)
    if any(one is None for row in found.values() for one in row):
        report.line(f"-: more than {MOST_CASES} cases an arm, or no number of cases; ask more readers.")
    said = next((one.assumptions for row in found.values() for one in row if one is not None), ())
    for sentence in said[1:]:  # the first is about numbers of cases and readers
        report.line(sentence)
    told = [asdict(one) for row in found.values() for one in row if one is not None]
    report.event("done", endpoint="auc", expected=told)


def _proportions(
    report: Reporter, cases: Any, truth: float, wanted: dict[str, Any], answers_a_case: int, alpha: float
) -> None:
    from jsddpm_core.reading_study.sample_size import answers_for_width, answers_needed, expected_proportion

    width, power = wanted["width"], wanted["power"]
    if width is None and power is None:
        numbers: list[int | None] = [answers_a_case * number for number in cases]
    else:
        needed = [] if width is None else [answers_for_width(width, truth, alpha)]
        needed += [] if power is None else [answers_needed(truth, power, alpha)]
        most = None if None in needed else max(n for n in needed if n is not None)
        numbers = [None if most is None else -(-most // answers_a_case) * answers_a_case]
    found = [None if number is None else expected_proportion(number, truth, alpha) for number in numbers]
    columns = ["answers", f"width of the {100 * (1 - alpha):g} % interval", "power, difference from guessing"]
    rows = [[None] * 3 if one is None else [one.answers, one.width, one.power_difference] for one in found]
    report.table("Proportion correct of one reader", columns, rows)
    if None in found:
        report.line("-: more than 2000 answers.")
    report.line(f"The reader is right with a chance of {truth:g}; Wilson interval, exact two-sided test at {alpha:g}.")
    report.line("An answer is to a pair." if answers_a_case == 1 else "Half of the answers are to synthetic cases.")
    told = [asdict(one) for one in found if one is not None]
    report.event("done", endpoint="proportion", expected=told)
