"""A study read through the real window, by keys and mouse."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from fixtures import until
from reading_fixtures import ALL_ITEMS, affine_of, write_study
from study_reader import State, begin, click, open_panel, press, ready, settle, shown

from jsddpm_core.reading_study.manifest import LesionItem, LikertItem, PairItem, RealItem, read_manifest
from jsddpm_core.reading_study.responses import log_file
from jsddpm_core.reading_study.session import read_log


@pytest.fixture
def study(app: Any, scene: Any) -> Iterator[Any]:
    """The panel, without a study."""
    panel = open_panel()
    yield panel
    panel.close()
    panel.widget.close()
    panel.widget.deleteLater()
    app.userSettings().remove("JSDDPMSlicer/LastStudyFolder")
    settle()


def readings(folder: Path) -> tuple[Any, ...]:
    return read_log(folder, 1, read_manifest(folder)).readings


def test_a_study_is_read_by_the_keyboard_alone(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=3, training=1, items=ALL_ITEMS, display={"break_every": 2}, instructions="Look well.")
    run = begin(study, folder)
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
    assert study.read.run is None
    assert code in study.ui.readStatus.text
    assert study.ui.slotCombo.currentText == "1: A. Reader, finished"
    log = read_log(folder, 1, read_manifest(folder))
    assert log.complete and log.problems == ()
    assert [[answer.value for answer in reading.answers] for reading in log.readings] == [[1, 1, 4], *[[6, 1, 3]] * 3]
    assert [reading.undone for reading in log.readings] == [4, 0, 0, 0]
    assert all(0 < reading.response_s < 60 for reading in log.readings)
    kinds = [json.loads(line)["body"]["kind"] for line in log_file(folder, 1).read_text().splitlines()]
    assert kinds == ["start", *["reading"] * 3, "break", "reading", "end"]


def test_slicer_stays_as_it_was_and_shows_nothing_of_the_study(study: Any, tmp_path: Path) -> None:
    """Layout, layers, mouse mode and settings are untouched while a study is read, so a crash leaves them, too."""
    folder = tmp_path / "study"
    write_study(folder, cases=2, training=0)
    own = slicer.util.addVolumeFromArray(np.zeros((4, 8, 8), np.float32), name="own")
    slicer.util.setSliceViewerLayers(background=own)
    study.read.choose(folder)
    settings = slicer.app.userSettings()

    def outside() -> list[Any]:
        layout = slicer.app.layoutManager()
        mouse = slicer.app.applicationLogic().GetInteractionNode().GetCurrentInteractionMode()
        composites = [layout.sliceWidget(view).mrmlSliceCompositeNode() for view in layout.sliceViewNames()]
        planes = [str(layout.sliceWidget(view).mrmlSliceNode().GetSliceToRAS()) for view in layout.sliceViewNames()]
        kept = {key: settings.value(key) for key in settings.allKeys()}
        return [layout.layout, list(layout.sliceViewNames()), mouse, planes, kept,
                [each.GetBackgroundVolumeID() for each in composites]]  # fmt: skip

    def visible() -> list[str]:
        nodes = [slicer.mrmlScene.GetNthNode(index) for index in range(slicer.mrmlScene.GetNumberOfNodes())]
        return sorted(node.GetName() or "" for node in nodes if not node.GetHideFromEditors())

    before, names = outside(), visible()
    run = begin(study, folder)
    view = run.window.views[0]
    crosshair = slicer.util.getNodesByClass("vtkMRMLCrosshairNode")[0]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    press(run.window.widget, " ")
    for _ in range(2):
        ready(run)
        assert run.window.widget.isFullScreen()
        assert outside() == before and visible() == names
        assert hierarchy.GetItemByDataNode(view.volume) == 0
        for node in (view.volume, view.sliceNode, view.composite, view.volume.GetDisplayNode()):
            assert not node.GetSaveWithScene()
            assert "JSDDPMReading" in f"{node.GetName()}{node.GetID()}"
            assert not {str(folder), "case", "real", "synth"} & set(str(node.GetDescription()).split())
        assert view.volume.GetStorageNode() is None
        assert view.view.cornerAnnotation().GetText(0) in (None, "")
        view.view.interactor().SetEventInformation(60, 60, 0, 1)
        view.view.interactor().MouseMoveEvent()
        assert crosshair.GetCursorPositionRAS([0.0, 0.0, 0.0]) == 0, "Data Probe has no place to tell of"
        slicer.util.setSliceViewerLayers(background=own, foreground=own)  # what a result of another panel does
        assert view.composite.GetBackgroundVolumeID() == view.volume.GetID()
        assert view.composite.GetForegroundVolumeID() is None
        slicer.util.setSliceViewerLayers(background=own, foreground=None)
        press(run.window.widget, "1 ")
    ready(run, State.TEXT)
    press(run.window.widget, " ")
    settle()
    assert outside() == before and visible() == names
    assert not [node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if "JSDDPM" in node.GetID()]
    slicer.mrmlScene.RemoveNode(own)


def test_slicers_keys_do_nothing_in_the_study(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=2, training=0)
    run = begin(study, folder)
    press(run.window.widget, " ")
    ready(run)
    view = run.window.views[0]
    click(view.view, 100, 100, (100, 160), "Right")
    zoomed = view.sliceNode.GetFieldOfView()
    assert view.state["zoom"] != 1.0
    press(view.view, "rvgbf")
    settle()
    assert view.sliceNode.GetFieldOfView() == zoomed, "r would show the whole slice again"
    assert not view.sliceNode.GetSliceVisible(), "v would show the slice in 3D"
    press(view.view, "4")
    assert run.sheet.values == [4], "the study's own keys work wherever the mouse was"
    run.window.keys.close()
    press(view.view, "r")
    assert view.sliceNode.GetFieldOfView() != zoomed, "or nothing was tested"
    run.close()


def test_long_instructions_scroll_and_leave_the_window_its_height(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=2, training=0, instructions="Look well at this.\n" * 200)
    run = begin(study, folder)
    settle()
    window, ui = run.window.widget, run.window.ui
    height, bar = window.height, ui.textScroll.verticalScrollBar()
    assert bar.value == 0 < bar.maximum
    press(window, "vv^")
    assert bar.value > 0
    press(window, " ")
    ready(run)
    settle()
    assert window.height == height
    press(window, "\x1b")
    settle()
    assert ui.textScroll.verticalScrollBar().maximum == 0


def test_keys_that_are_held_down_answer_once(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    wording = LikertItem(name="look", text="R&D?", low="black & white", high="<b>grey</b>", points=2)
    write_study(folder, cases=2, training=1, items=(RealItem(), wording))
    run = begin(study, folder)
    window, ui = run.window.widget, run.window.ui
    press(window, " ")
    press(window, " ", held=True)
    ready(run)
    press(window, "1")
    press(window, "1", held=True)
    assert "Question 2 of 2" in ui.givenLabel.text and ui.questionLabel.text == "R&D?"
    assert (ui.answer1.text, ui.answer2.text) == ("1  black && white", "2  <b>grey</b>"), "&& is drawn as &"
    press(window, "2 ")
    ready(run, State.FEEDBACK)
    press(window, " ", held=True)
    assert run.state == State.FEEDBACK, "it can be read"
    press(window, " ")
    ready(run)


def test_a_lesion_is_marked_moved_and_recorded(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=2, training=1, items=(LesionItem(),), masks=True, display={"mask_overlay": True})
    run = begin(study, folder)
    window, ui, view = run.window.widget, run.window.ui, run.window.views[0]
    press(window, " ")
    ready(run)
    width, height = view.view.width, view.view.height
    click(view.view, width // 2, height // 2)
    assert run.sheet.mark is None, "no lesion was said to be there yet"
    press(window, "6 ")
    assert "Click on the lesion" in ui.hintLabel.text and run.state == State.CASE
    click(view.view, 5, 5)
    assert run.sheet.mark is None, "beside the picture there is no lesion"
    click(view.view, width // 2, height // 2)
    first = np.array(run.sheet.mark)
    assert view.overlay.markShown
    np.testing.assert_allclose(view.overlay.inView(first[None])[0], (width / 2, height / 2), atol=1.0)
    press(window, ">>^")
    moved = np.array(run.sheet.mark) - first
    np.testing.assert_allclose(moved, [-4.0, 2.0, 0.0], atol=1e-6)  # the patient's left is on the right
    press(window, "\b")
    assert run.sheet.mark is None and not view.overlay.markShown and run.sheet.values == [6]
    click(view.view, width // 2, height // 2)
    click(view.view, width // 2 + 20, height // 2)
    press(window, " ")
    ready(run, State.FEEDBACK)
    assert "There is no lesion. You said: 6 Surely one. Not right." in ui.questionLabel.text
    press(window, " ")
    ready(run)
    assert run.window.views[0].overlay.outlineShown is False, "case 1 has no lesion, and so an empty mask"
    press(window, "3")
    click(view.view, width // 2 - 10, height // 2)
    press(window, "1 ")
    ready(run)
    press(window, "4>")
    press(window, " ")
    ready(run, State.TEXT)
    run.close()
    marks = [reading.answers[0].mark_mm for reading in readings(folder)]
    assert marks[1] is None, "none is not marked"
    assert marks[0][2] == marks[2][2] == pytest.approx(18.0)
    np.testing.assert_allclose(marks[2], (affine_of() @ [23.5, 27.5, 0, 1])[:3], atol=1e-6)


def test_masks_are_outlined_where_they_are(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=3, training=0, masks=True, display={"mask_overlay": True})
    run = begin(study, folder)
    view = run.window.views[0]
    press(run.window.widget, " ")
    seen = []
    for _ in range(3):
        ready(run)
        seen.append(view.overlay.outlineShown)
        if seen[-1]:
            corners = affine_of() @ np.array([[27.5, 32.5], [29.5, 35.5], [0, 0], [1, 1]])
            low, high = np.sort(view.overlay.inView(corners[:3].T), axis=0)
            bounds = view.overlay._outlineData.GetBounds()
            np.testing.assert_allclose([bounds[0], bounds[2]], low, atol=0.5)
            np.testing.assert_allclose([bounds[1], bounds[3]], high, atol=0.5)
        press(run.window.widget, "1 ")
    assert seen == [False, False, True]
    ready(run, State.TEXT)
    run.close()


@pytest.mark.parametrize("mode", ["locked", "free"])
def test_what_the_reader_does_to_the_view_is_recorded(study: Any, tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=2, training=0, display={"window_level": mode, "window": 0.8, "level": 0.4})
    run = begin(study, folder)
    view = run.window.views[0]
    press(run.window.widget, " ")
    ready(run)
    click(view.view, 100, 100, (160, 130))
    click(view.view, 100, 100, (100, 40), "Right")
    click(view.view, 100, 100, (130, 100), "Middle")
    view.view.interactor().MouseWheelForwardEvent()
    settle()
    press(run.window.widget, "1 ")
    ready(run)
    assert view.state["zoom"] == 1.0 and view.state["pan"] == (0.0, 0.0), "the next case is shown as it was made"
    assert (view.state["window"], view.state["level"]) == (0.8, 0.4)
    press(run.window.widget, "1 ")
    ready(run, State.TEXT)
    run.close()
    first, second = (reading.view for reading in readings(folder))
    assert (first.window, first.level) == (0.8, 0.4) if mode == "locked" else first.window != 0.8
    assert first.zoom != 1.0 and first.pan[0] < 0 and first.changes >= 1
    assert first.scrolls == 0, "one slice is all there is"
    assert (second.zoom, second.pan, second.changes) == (1.0, (0.0, 0.0), 0)


def test_two_side_by_side_are_looked_at_alike(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=2, training=1, items=(PairItem(),))
    run = begin(study, folder)
    left, right = run.window.views
    press(run.window.widget, " ")
    ready(run)
    assert run.window.ui.leftLabel.visible and run.window.ui.questionLabel.text.startswith("Which of the two")
    click(right.view, 100, 100, (100, 160), "Right")
    click(left.view, 100, 100, (130, 100), "Middle")
    assert left.sliceNode.GetFieldOfView() == right.sliceNode.GetFieldOfView()
    assert left.sliceNode.GetXYZOrigin() == right.sliceNode.GetXYZOrigin()
    press(run.window.widget, "2 ")
    ready(run, State.FEEDBACK)
    assert "The left image is a patient's. You said: 2 Right. Not right." in run.window.ui.questionLabel.text
    press(run.window.widget, " 1 ")
    ready(run)
    run.close()
    assert [reading.answers[0].value for reading in readings(folder)][:1] == [2]


def test_time_runs_out_visibly_and_is_recorded(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=2, training=0, items=(RealItem(), LesionItem()), display={"time_limit_s": 3})
    run = begin(study, folder)
    press(run.window.widget, " ")
    ready(run)
    press(run.window.widget, "5")
    assert until(lambda: run.window.ui.timeLabel.text.startswith("0:0"), 5)
    ready(run, State.TEXT)
    assert "Time is up" in shown(run)
    press(run.window.widget, " ")
    ready(run)
    press(run.window.widget, "\x1b")
    assert run.state == State.LEAVING
    ready(run, State.TEXT)
    run.close()
    first, second = readings(folder)
    assert [answer.value for answer in first.answers] == [5, None] and first.timed_out
    assert first.response_s == second.response_s == 3.0
    assert [answer.value for answer in second.answers] == [None, None], "who leaves the case has not stopped its clock"


def test_an_answer_that_cannot_be_saved_stays_on_the_screen(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    from jsddpm_core.reading_study import responses

    folder = tmp_path / "study"
    write_study(folder, cases=2, training=0)
    run = begin(study, folder)
    press(run.window.widget, " ")
    ready(run)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(responses.os, "write", full)
    press(run.window.widget, "5 ")
    problem = run.window.ui.problemLabel
    assert problem.visible and "No space left on device" in problem.text and "confirm again" in problem.text
    assert run.state == State.CASE and run.sheet.values == [5]
    monkeypatch.undo()
    press(run.window.widget, " ")
    ready(run)
    assert not problem.visible
    assert [reading.answers[0].value for reading in readings(folder)] == [5]
    run.close()


def test_an_image_that_went_missing_is_named_before_the_case_shows(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=3, training=0)
    run = begin(study, folder)
    press(run.window.widget, " ")
    ready(run)
    image = folder / "images" / "000003.nii"
    content = image.read_bytes()
    image.write_bytes(content[:-4] + b"abcd")
    press(run.window.widget, "1 ")
    ready(run)
    press(run.window.widget, "1 ")
    ready(run, State.TEXT)
    assert "This case cannot be shown" in shown(run) and "images/000003.nii is not the image" in shown(run)
    assert len(readings(folder)) == 2
    image.write_bytes(content)
    press(run.window.widget, " ")
    ready(run)
    press(run.window.widget, "1 ")
    run.close()
    assert len(readings(folder)) == 3


def test_who_leaves_goes_on_at_the_first_case_without_an_answer(study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, cases=3, training=1)
    run = begin(study, folder)
    press(run.window.widget, " ")
    for _ in range(2):
        ready(run)
        press(run.window.widget, "1 ")
        if run.state == State.FEEDBACK:
            press(run.window.widget, " ")
    ready(run)
    press(run.window.widget, "4\x1b")
    assert "Leave the study?" in shown(run)
    press(run.window.widget, " ")
    assert run.state == State.CASE and run.sheet.values == [4]
    press(run.window.widget, "\x1bl")
    ui = study.ui
    assert "2 of 4 cases are read and saved" in ui.readStatus.text
    assert ui.slotCombo.currentText == "1: A. Reader, 2 of 4 read" and ui.readButton.text == "Go on reading"
    ui.readerEdit.text = "B. Reader"
    ui.readButton.click()
    assert "slot 1 was started by 'A. Reader'" in ui.readStatus.text
    run = begin(study, folder)
    assert "Welcome back, A. Reader" in shown(run)
    press(run.window.widget, " ")
    ready(run)
    assert run.window.ui.progressLabel.text == "Case 2 of 3" and run.sheet.values == [None]
    run.close()
    ui.slotCombo.setCurrentIndex(1)
    assert ui.readStatus.text == "A. Reader has begun slot 1: choose that to go on there."
    ui.readerEdit.text = "B. Reader"
    assert ui.readStatus.text == ""


def test_the_panel_says_what_is_wrong_with_a_study(study: Any, tmp_path: Path) -> None:
    read, ui = study.read, study.ui
    assert ui.readButton.toolTip == "Choose the folder of a study."
    folder = tmp_path / "study"
    write_study(folder, cases=3)
    ui.studyFolderEdit.currentPath = str(folder)
    assert until(lambda: read._steps is None, 10)
    assert "A small study: 3 cases, 1 for training first." in ui.studySummary.text
    assert ui.readStatus.text == "Type your name."
    (folder / "images" / "000002.nii").unlink()
    read.choose(folder)
    assert until(lambda: read._steps is None, 10)
    assert "images/000002.nii is missing" in ui.readStatus.text and not ui.readButton.enabled
    manifest = folder / "study.json"
    manifest.write_text(manifest.read_text().replace("A small study", "A great study"))
    read.choose(folder)
    assert "was changed after the study was frozen" in ui.readStatus.text
    read.choose(tmp_path)
    assert "could not be read" in ui.readStatus.text


def test_the_next_case_appears_at_once(study: Any, tmp_path: Path) -> None:
    """From the confirming key, with the answer made durable, to the last view drawn."""
    folder = tmp_path / "study"
    write_study(folder, cases=12, training=0)
    run = begin(study, folder)
    press(run.window.widget, " ")
    computed = []
    for _ in range(12):
        ready(run)
        assert until(lambda: run.session.following is None or run._prefetch.ready(run.session.following.case), 10)
        began = time.thread_time()
        press(run.window.widget, "1 ")
        ready(run, State.CASE, State.TEXT)
        computed.append(time.thread_time() - began)
    run.close()
    for what, seconds in (("on the clock", run.latencies[1:]), ("of the processor's time", computed[:-1])):
        p50, p95 = 1000 * np.percentile(seconds, [50, 95])
        print(f"the next case is there after {p50:.0f} ms (p50), {p95:.0f} ms (p95) {what}")
    assert min(computed) < 0.1, "without what else this machine does at the moment"
