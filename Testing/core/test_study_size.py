"""`jsddpm study size`: its tables are those of the functions, and what cannot be is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from jsddpm_core.cli import run
from jsddpm_core.reading_study.sample_size import (
    ReaderModel,
    answers_for_width,
    cases_needed,
    expected,
    expected_proportion,
    proportion_width,
)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert run(["study", "size", *arguments, "--json"]) == 0
    (event,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert event["event"] == "done"
    return event["expected"]


def test_numbers_of_cases_and_readers_say_what_to_expect(capsys: pytest.CaptureFixture[str]) -> None:
    rows = told(capsys, "--cases", "40", "--cases", "80", "--readers", "4", "--expected", "0.6", "--margin", "0.2")
    plans = [expected(cases, 4, ReaderModel(0.6), margin=0.2, tests=2) for cases in (40, 80)]
    assert [(row["cases_an_arm"], row["width"], row["power_equivalence"], row["power_difference"]) for row in rows] == [
        (plan.cases_an_arm, plan.width, plan.power_equivalence, plan.power_difference) for plan in plans
    ]


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        (["--width", "0.2"], {"width": 0.2}),
        (["--power", "0.8"], {"power": 0.8, "equivalence": True}),
        (["--power", "0.8", "--to", "difference", "--expected", "0.65"], {"model": ReaderModel(0.65), "power": 0.8}),
    ],
)
def test_what_is_wanted_says_how_many_cases_it_takes(
    arguments: list[str], how: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = told(capsys, *arguments, "--readers", "8")
    needed = cases_needed(8, tests=2, **how)
    assert needed is not None and row["cases_an_arm"] == needed.cases_an_arm


def test_the_power_is_that_of_the_plans_corrected_tests(capsys: pytest.CaptureFixture[str]) -> None:
    size = ("--cases", "80", "--readers", "8")
    (planned,), (alone,) = told(capsys, *size), told(capsys, *size, "--tests", "1")
    assert planned == json.loads(json.dumps(asdict(expected(80, 8, tests=2))))
    assert alone["power_equivalence"] - planned["power_equivalence"] > 0.1 and alone["width"] == planned["width"]
    assert any("each is made at 0.05 / 2" in sentence for sentence in planned["assumptions"])


def test_a_table_for_people_has_a_row_for_what_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "size", "--width", "0.2", "--readers", "2", "--readers", "6"]) == 0
    said = capsys.readouterr().out
    assert "more than 5000 cases an arm, or no number of cases; ask more readers" in said
    assert "a standard deviation of 0.05" in said and " 33 " in said


def test_proportions_are_one_readers_and_exact(capsys: pytest.CaptureFixture[str]) -> None:
    rows = told(capsys, "--endpoint", "accuracy", "--cases", "20")
    assert [(row["answers"], row["width"]) for row in rows] == [(40, expected_proportion(40).width)]
    rows = told(capsys, "--endpoint", "pairs", "--cases", "20")
    assert [row["answers"] for row in rows] == [20]
    needed = answers_for_width(0.2)
    assert needed is not None and proportion_width(needed) <= 0.2 < proportion_width(needed - 1)
    (row,) = told(capsys, "--endpoint", "accuracy", "--width", "0.2")
    assert row["answers"] - needed in (0, 1) and row["answers"] % 2 == 0
    (row,) = told(
        capsys, "--endpoint", "pairs", "--width", "0.2", "--power", "0.95", "--to", "difference", "--expected", "0.65"
    )
    assert row["width"] <= 0.2 and row["power_difference"] >= 0.95
    assert told(capsys, "--endpoint", "pairs", "--width", "0.01") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--power", "0.8", "--to", "difference"], "readers who guess (--expected 0.5) show no difference"),
        (["--power", "0.8", "--expected", "0.7"], "an AUC of 0.7 is not within 0.5 ± 0.1"),
        (["--power", "0.8", "--endpoint", "pairs"], "--to difference"),
        (["--width", "0.2", "--cases", "40"], "leave one of the two out"),
        (["--cases", "1"], "--cases"),
        (["--margin", "0.5"], "--margin"),
        (["--power", "1"], "--power"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "size", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
