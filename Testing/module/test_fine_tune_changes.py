"""The Fine-tune panel where something changes under it: models, scene, folders and nodes go or are others."""

# ruff: noqa: F811 - fixtures of another file

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import slicer
from fixtures import until
from JSDDPMSlicerLib import Bundles, Runs
from kills import workers
from test_fine_tune_panel import (  # noqa: F401 - fixtures
    PATIENCE,
    PROJECT,
    a_scene_volume,
    begin,
    cases,
    look,
    ready,
    say,
    segments_of,
    small_models,
    stopped,
    tick,
    tiny_model,
    tune,
)

from jsddpm_core.training.runs import list_runs


def scratches() -> list[Path]:
    return list((Path(slicer.app.temporaryPath) / "JSDDPMSlicer").glob("gallery-*"))


# ---------------------------------------------------------------- cases and models


def test_a_folder_of_the_same_name_does_not_replace_another(tune: Any, cases: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / cases.name
    shutil.copytree(cases / "sub-01", other / "sub-91")
    look(tune, cases)
    before = [row.entry["image"] for row in tune.cases.rows]
    tune.cases.look(other)
    assert until(lambda: tune.cases.job is None, PATIENCE)
    assert [row.entry["image"] for row in tune.cases.rows] == before
    assert tune.ui.casesSummary.text == f"Two folders are called {cases.name}: rename one of them."
    shutil.copytree(cases / "sub-01", tmp_path / "third" / "sub-01")
    look(tune, tmp_path / "third")
    assert len(tune.cases.rows) == len(before) + 1


def test_another_start_model_while_the_cases_are_looked_at(tune: Any, cases: Path) -> None:
    tune.cases.look(cases)
    tune.ui.startCombo.setCurrentIndex(0)
    assert tune.cases.job is not None
    assert until(lambda: tune.cases.job is None, PATIENCE)
    assert len(tune.cases.rows) == 7
    tune.ui.startCombo.setCurrentIndex(tune.ui.startCombo.findText("Random weights"))
    say(tune, "Acute infarct")
    tune.ui.titleEdit.text = "Another model"
    assert tune.whyNot() == ""
    assert {case["pathology"] for case in tune.request()["cases"]} == {"infarct", None}


# ---------------------------------------------------------------- the gallery


@pytest.mark.parametrize("how", ["the scene is closed", "the table is emptied"])
def test_slices_that_are_given_up_while_they_are_prepared_leave_nothing(
    tune: Any, cases: Path, module: Any, how: str
) -> None:
    ready(tune, cases)
    before = scratches()
    tune.ui.galleryBox.collapsed = False
    tune.ui.galleryButton.click()
    gallery = tune.cases.gallery
    assert until(lambda: "case 1 of" in tune.ui.galleryCaption.text, PATIENCE)
    if how == "the scene is closed":
        slicer.mrmlScene.Clear(False)
    else:
        tune.ui.clearButton.click()
    assert gallery.job is None
    if how == "the scene is closed":
        assert tune.ui.galleryButton.text == "Show slices"
        tune.ui.galleryButton.click()
        assert until(lambda: gallery.job is None, PATIENCE)
        assert "Case 1 of 7" in tune.ui.galleryCaption.text, tune.ui.galleryCaption.text
        assert len(gallery.nodes) == 2
        tune.ui.galleryButton.click()
    assert until(lambda: scratches() == before, PATIENCE), scratches()
    assert not gallery.nodes


# ---------------------------------------------------------------- the scene


@pytest.mark.parametrize("gone", ["segmentation", "volume", "segment"])
def test_what_was_chosen_of_the_scene_and_is_gone_is_not_learned(tune: Any, cases: Path, gone: str) -> None:
    volume = a_scene_volume(cases, "sub-01", "Scan")
    segments = segments_of(cases, "sub-01", volume)
    tune.ui.sceneButton.click()
    tick(tune, "Scan", "Scan segments: lesion")
    assert tune.ui.addSceneButton.enabled
    if gone == "segment":
        segments.GetSegmentation().RemoveSegment("lesion")
    else:
        slicer.mrmlScene.RemoveNode(segments if gone == "segmentation" else volume)
    tune.ui.addSceneButton.click()
    assert not tune.cases.scene.busy
    assert tune.ui.sceneStatus.text == "The scene has changed: choose again."
    assert not tune.ui.addSceneButton.enabled
    assert tune.cases.draft is None
    assert not tune.cases.rows


# ---------------------------------------------------------------- runs


def test_a_start_model_that_is_deleted_while_a_run_learns(tune: Any, cases: Path, small_models: Path) -> None:
    ready(tune, cases)
    assert tune.request()["start"] is not None
    folder = begin(tune, 10_000)
    shutil.rmtree(small_models / "small")
    tune.onPause()
    assert stopped(tune)
    tune.ui.resumeButton.click()
    assert stopped(tune)
    assert "small" in tune.ui.runDetail.text
    assert "Traceback" not in tune.ui.runDetail.text
    (summary,) = list_runs(Runs.trainingFolder())
    assert (summary.folder, summary.resumable) == (folder, True)


def test_two_runs_of_one_title_become_two_models(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    for number in (1, 2):
        tune.ui.titleEdit.text = "Twice"
        tune.ui.nameEdit.text = f"twice-{number}"
        assert tune.whyNot() == "", tune.whyNot()
        tune.training.settings.set({"training.max_steps": 2})
        tune.ui.startButton.click()
        assert stopped(tune)
        assert until(lambda: "is among your models" in tune.ui.runDetail.text, PATIENCE), tune.ui.runDetail.text
    assert len(list_runs(Runs.trainingFolder())) == 2
    assert {path.name for path in Bundles.modelsFolder().iterdir()} >= {"twice-1", "twice-2"}


def test_a_run_whose_cases_were_moved_goes_on_with_what_it_prepared(tune: Any, cases: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(cases, tmp_path / "copy"))
    ready(tune, copy)
    folder = begin(tune, 10_000)
    tune.onPause()
    assert stopped(tune)
    copy.rename(tmp_path / "moved")
    tune.ui.resumeButton.click()
    assert until(lambda: tune.run.stage == "training" and "step " in tune.ui.runStatus.text, PATIENCE)
    tune.onPause()
    assert stopped(tune)
    shutil.rmtree(folder / "cache")
    tune.ui.resumeButton.click()
    assert stopped(tune)
    assert "none of 7 cases can be used" in tune.ui.runDetail.text
    assert "does not exist: fetch the file or check the path" in tune.ui.runDetail.text
    (tmp_path / "moved").rename(copy)
    tune.ui.resumeButton.click()
    assert until(lambda: tune.run.stage == "training" and "step " in tune.ui.runStatus.text, PATIENCE)
    tune.onPause()
    assert stopped(tune)


# ---------------------------------------------------------------- reload


@pytest.mark.parametrize("state", ["surveying", "gallery", "measuring", "writing the scene"])
def test_a_reload_in_any_state_leaves_nothing(tune: Any, cases: Path, module: Any, app: Any, state: str) -> None:
    from slicerhost import application

    before = scratches()
    if state == "surveying":
        tune.cases.look(cases)
        assert until(lambda: tune.helper.pid is not None, PATIENCE)
    elif state == "writing the scene":
        a_scene_volume(cases, "sub-04", "Scan")
        tune.ui.sceneButton.click()
        tick(tune, "Scan", None)
        tune.ui.addSceneButton.click()
        assert tune.cases.scene.busy
    else:
        ready(tune, cases)
        if state == "gallery":
            tune.ui.galleryBox.collapsed = False
            tune.ui.galleryButton.click()
        else:
            tune.estimate.measure(tune.request())
        assert until(lambda: (tune.cases.gallery.job is not None) or tune.estimate.busy, PATIENCE)
    pids = [tune.worker.pid, tune.helper.pid]
    application.unload_module("JSDDPMSlicer")
    app.processEvents()
    assert not [pid for pid in pids if pid in workers()]
    assert scratches() == before
    folder = Runs.trainingFolder()
    assert not (list(folder.iterdir()) if folder.is_dir() else [])
    loaded = application.load_module(PROJECT / "JSDDPMSlicer" / "JSDDPMSlicer.py")
    loaded.widgetRepresentation().enter()
    assert not loaded.widgetRepresentation().self().fineTune.cases.rows
