"""Readings killed in the middle: three times here, and a hundred times, evenly over all moments, by `make faults`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from study_kills import MOMENTS, counts_of, kill_through, readers

posix = pytest.mark.skipif(sys.platform == "win32", reason="readers are forked, and kill themselves by a signal")


@posix
def test_three_kills_of_a_reading_lose_and_double_nothing(tmp_path: Path) -> None:
    kills: list[str] = []
    with readers() as reader:
        kill_through(reader, tmp_path / "study", ["write", "fsync", "render"], lambda moment, _: kills.append(moment))
    assert kills == ["write", "fsync", "render"]


@posix
@pytest.mark.slow
def test_kills_spread_evenly_over_a_reading(tmp_path: Path) -> None:
    each = int(os.environ.get("JSDDPM_STUDY_KILLS_EACH", "20"))
    kills: list[str] = []
    with readers() as reader:
        for number in range(each):
            order = [*MOMENTS[number % len(MOMENTS) :], *MOMENTS[: number % len(MOMENTS)]]
            kill_through(reader, tmp_path / f"study-{number}", order, lambda moment, _: kills.append(moment))
    print(counts_of(kills))
    print(f"{len(kills)} kills of {each} readings: no answer was lost, none doubled")
    assert [kills.count(moment) for moment in MOMENTS] == [each] * len(MOMENTS)
