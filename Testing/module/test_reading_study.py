"""A study read through the real window, by keys and mouse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from fixtures import until
from reading_fixtures import ALL_ITEMS, affine_of, write_study
from study_reader import State, begin, click, press, ready, settle, shown

from jsddpm_core.reading_study.manifest import LesionItem, PairItem, RealItem, read_manifest
from jsddpm_core.reading_study.responses import log_file
from jsddpm_core.reading_study.session import read_log


def readings(folder: Path) -> tuple[Any, ...]:
    return read_log(folder, 1, read_manifest(folder)).readings


def test_a_study_is_read_by_the_keyboard_alone(module: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=3, training=1, items=ALL_ITEMS, display={"break_every": 2}, instructions="Look well.")
    run = begin(module, folder)
    window, ui = run.window.widget, run.window.ui
    assert "Welcome, A. Reader" in shown(run) and "Look well." in shown(run)
    press(window, " ")
    ready(run)
    assert ui.progressLabel.text == "Training 1 of 1"
    assert ui.noticeLabel.text == "May be synthetic, not for clinical use"
    press(window, "51")
    assert "Question 3 of 3" in ui.givenLabel.text and "Image: 5 Probably synthetic" in ui.givenLabel.text
    press(window, "\b2\b\b6u1")  # another mind, several times
    press(window, "1")
    assert ui.questionLabel.text == "How natural does the noise look?"
    press(window, "4 ")
    ready(run, State.FEEDBACK)
    assert "This is the image of a patient. You said: 1 Surely real. Right." in ui.questionLabel.text
    assert "There is no lesion. You said: 1 Surely none. Right." in ui.questionLabel.text
    assert len(readings(folder)) == 1, "it is saved before anything is told"
    press(window, " ")
    for number in (1, 2, 3):
        ready(run)
        assert ui.progressLabel.text == f"Case {number} of 3"
        press(window, "61")
        assert len(readings(folder)) == number
        press(window, "3 ")
        if number == 2:
            ready(run, State.TEXT)
            assert "Time for a break" in shown(run) and "2 of 3 cases are read" in shown(run)
            assert run.session.receipt.code in shown(run)
            press(window, " ")
    ready(run, State.TEXT)
    assert "Finished" in shown(run) and run.session.receipt.code in shown(run)
    code = run.session.receipt.code
    press(window, " ")
    assert module.readingStudy.read.run is None
    assert code in module.readingStudy.ui.readStatus.text
    assert module.readingStudy.ui.slotCombo.currentText == "1: A. Reader, finished"
    log = read_log(folder, 1, read_manifest(folder))
    assert log.complete and log.problems == ()
    assert [[answer.value for answer in reading.answers] for reading in log.readings] == [[1, 1, 4], *[[6, 1, 3]] * 3]
    assert [reading.undone for reading in log.readings] == [4, 0, 0, 0]
    assert all(0 < reading.response_s < 60 for reading in log.readings)
    kinds = [json.loads(line)["body"]["kind"] for line in log_file(folder, 1).read_text().splitlines()]
    assert kinds == ["start", *["reading"] * 3, "break", "reading", "end"]
