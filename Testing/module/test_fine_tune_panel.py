"""The Fine-tune panel, from a folder of cases to a model in Generate, with real worker processes and a tiny network."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import qt
import slicer
from fixtures import shown_plots, until
from JSDDPMSlicerLib import Bundles, Runs, SceneCases
from JSDDPMSlicerLib.Scene import isSynthetic
from kills import workers

from jsddpm_core.training.runs import list_runs, read_curves, read_run_request

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 180
STEPS = 8
TINY = {
    "training.precision": "fp32", "training.batch_size": 4, "training.max_steps": STEPS, "training.warmup_steps": 2,
    "training.validation_samples": 2, "training.validation_steps": 1, "sampling.steps": 1,
}  # fmt: skip


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A start model of random weights on a grid of few, coarse slices."""
    from generation_fixtures import write_small_bundle

    folder = tmp_path_factory.mktemp("tiny") / "small"
    grid = ("shape=[32,32,24]", "spacing_mm=6.0", "first_slice=11", "last_slice=13", "centre_mm=[0.0,-18.0,8.0]")
    write_small_bundle(folder, *(f"data.grid.{entry}" for entry in grid))
    return folder


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five lesional phantoms, a healthy one, and one without a mask: enough to keep some back."""
    from phantom import write_phantom_cases

    return write_phantom_cases(tmp_path_factory.mktemp("phantoms") / "phantoms", lesional=5, healthy=1)


@pytest.fixture
def small_models(tiny_model: Path, tmp_path: Path) -> Path:
    """The user's models folder, with the start model in it; a test may change it."""
    shutil.copytree(tiny_model, tmp_path / "models" / "small")
    return tmp_path / "models"


@pytest.fixture
def tune(module: Any) -> Any:
    """The Fine-tune panel in front, with the tiny start model and a run of some steps chosen."""
    module.tabs.setCurrentIndex(1)
    panel = module.fineTune
    combo = panel.ui.startCombo
    combo.setCurrentIndex(combo.findText("Random weights"))
    panel.training.settings.set(TINY)
    panel.ui.replaySpin.value = 4
    panel.ui.trainDeviceCombo.setCurrentIndex(panel.ui.trainDeviceCombo.findData("cpu"))
    return panel


def look(panel: Any, folder: Path) -> None:
    panel.cases.look(folder)
    assert until(lambda: panel.cases.job is None, PATIENCE)
    assert panel.cases.rows, panel.ui.casesSummary.text


def say(panel: Any, label: str) -> None:
    """All cases with a lesion show this."""
    for row in panel.cases.rows:
        if row.hasLesion:
            row.says = label
    panel.cases.table.refreshLabels()
    panel.refresh()


def ready(panel: Any, cases: Path) -> Any:
    look(panel, cases)
    say(panel, "Acute infarct")
    panel.ui.titleEdit.text = "Phantoms of ours"
    assert panel.whyNot() == ""
    return panel


def steps_done(panel: Any) -> int:
    return max((step for name in panel.view.curves.names for step in panel.view.curves.points(name)), default=0)


def begin(panel: Any, steps: int = STEPS) -> Path:
    """Starts a run that goes on until it is told otherwise, and waits for its first steps."""
    panel.training.settings.set({"training.max_steps": steps})
    panel.ui.startButton.click()
    assert panel.run.busy, panel.ui.startStatus.text
    assert until(lambda: panel.run.stage == "training" and "step " in panel.ui.runStatus.text, PATIENCE)
    return panel.run.folder


def stopped(panel: Any) -> bool:
    return until(lambda: not panel.run.busy, PATIENCE)


# ---------------------------------------------------------------- cases


def test_a_folder_becomes_a_table_with_problems_in_words(tune: Any, cases: Path) -> None:
    look(tune, cases)
    table = tune.ui.casesTable
    assert table.rowCount == 7
    headers = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount)]
    assert headers == ["Case", "Shows", "ml", "To look at", "Voxels, mm", "Axes", "FLAIR", "Mask"]
    row = [table.item(0, column).text() for column in range(8)]
    assert row[0] == "sub-01"
    assert float(row[2]) == pytest.approx(4 / 3 * np.pi * 9**3 / 1000, rel=0.1)
    assert row[4:] == ["2.5 x 2.5 x 2.5", "RAS", "sub-01_FLAIR.nii.gz", "sub-01_FLAIR_roi.nii.gz"]
    assert table.item(6, 3).text().startswith("no mask")
    assert table.item(6, 3).toolTip().startswith("no mask")
    table.setCurrentCell(6, 0)
    assert "no mask" in tune.ui.caseDetail.text


def test_what_the_user_says_answers_a_problem(tune: Any, cases: Path) -> None:
    look(tune, cases)
    table = tune.ui.casesTable
    assert "no pathology named" in table.item(0, 3).text()
    table.item(0, 1).setText("ms")
    assert table.item(0, 1).text() == "Multiple sclerosis lesion"
    assert "no pathology named" not in table.item(0, 3).text()
    table.setCurrentCell(1, 0)
    tune.ui.pathologyCombo.setEditText("Tuber of ours")
    tune.ui.pathologyButton.click()
    assert table.item(1, 1).text() == "Tuber of ours"
    request = tune.request()
    assert [case["pathology"] for case in request["cases"][:2]] == ["ms", "tuber-of-ours"]
    new = next(entry for entry in request["pathologies"] if entry["name"] == "tuber-of-ours")
    assert new["label"] == "Tuber of ours"


def test_a_lesion_cannot_be_said_to_be_none(tune: Any, cases: Path) -> None:
    look(tune, cases)
    say(tune, "Acute infarct")
    tune.ui.casesTable.item(0, 1).setText("No lesion")
    assert not tune.ui.startButton.enabled
    assert "phantoms/sub-01 has 3.0 ml of lesion" in tune.ui.startButton.toolTip
    assert tune.ui.startStatus.text == tune.ui.startButton.toolTip


def test_a_case_that_is_left_out_is_not_in_the_request(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    assert len(tune.request()["cases"]) == 7
    tune.ui.casesTable.item(1, 0).setCheckState(qt.Qt.Unchecked)
    assert "phantoms/sub-02" not in [case["name"] for case in tune.request()["cases"]]
    assert tune.ui.casesSummary.text.startswith("6 of 7 cases are used.")
    look(tune, cases)
    assert not tune.cases.rows[1].used, "looking again keeps what the user said"
    for number in range(7):
        tune.ui.casesTable.item(number, 0).setCheckState(qt.Qt.Unchecked)
    assert tune.ui.startButton.toolTip == "No case is ticked: tick those to learn from."


def test_the_split_is_shown_as_the_run_will_draw_it(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    assert until(lambda: "People to learn from" in tune.ui.casesSummary.text, PATIENCE)
    counts = tune._splits()
    assert sum(counts.values()) == 7
    assert counts["train"] >= 2
    assert counts["test"] >= 1


def test_a_folder_without_cases_is_said_and_changes_nothing(tune: Any, cases: Path, tmp_path: Path) -> None:
    look(tune, cases)
    (tmp_path / "empty").mkdir()
    tune.cases.look(tmp_path / "empty")
    assert until(lambda: tune.cases.job is None, PATIENCE)
    assert "holds no FLAIR image" in tune.ui.casesSummary.text
    assert len(tune.cases.rows) == 7


def test_the_slices_are_shown_as_the_network_will_see_them(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    tune.ui.galleryBox.collapsed = False
    before = slicer.mrmlScene.GetNumberOfNodes()
    tune.ui.galleryButton.click()
    assert until(lambda: tune.cases.gallery.job is None, PATIENCE)
    assert "Case 1 of 7: phantoms/sub-01." in tune.ui.galleryCaption.text
    volume, segmentation = tune.cases.gallery.nodes
    assert slicer.util.arrayFromVolume(volume).shape[1:] == (32, 32)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert red.GetBackgroundVolumeID() == volume.GetID()
    assert not segmentation.GetDisplayNode().GetSegmentVisibility2DFill("lesion")
    tune.ui.galleryNextButton.click()
    assert "Case 2 of 7" in tune.ui.galleryCaption.text
    tune.ui.galleryButton.click()
    assert not tune.cases.gallery.nodes
    assert slicer.mrmlScene.GetNumberOfNodes() == before


# ---------------------------------------------------------------- cases of the scene


def a_scene_volume(cases: Path, subject: str, name: str) -> Any:
    path = cases / subject / "anat" / f"{subject}_FLAIR.nii.gz"
    return slicer.util.loadVolume(str(path), {"name": name, "show": False})


def segments_of(cases: Path, subject: str, volume: Any) -> Any:
    """A segmentation with the brain and the lesion."""
    lesion = np.asarray(nibabel.load(cases / subject / "anat" / f"{subject}_FLAIR_roi.nii.gz").dataobj).T
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} segments")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    masks = {"brain": slicer.util.arrayFromVolume(volume) > 0, "lesion": lesion > 0}
    for name, mask in masks.items():
        node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, name, volume)
    return node


def tick(panel: Any, name: str, segment: str | None) -> None:
    table = panel.ui.sceneTable
    row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == name)
    table.item(row, 0).setCheckState(qt.Qt.Checked)
    if segment is not None:
        combo = table.cellWidget(row, 1)
        combo.setCurrentIndex(combo.findText(segment))


def test_volumes_of_the_scene_become_cases_with_the_chosen_segment(tune: Any, cases: Path, tmp_path: Path) -> None:
    volumes = [a_scene_volume(cases, subject, f"Scan {subject}") for subject in ("sub-01", "sub-02")]
    segments = [segments_of(cases, f"sub-0{n}", volume) for n, volume in enumerate(volumes, start=1)]
    turn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turn")
    matrix = np.eye(4)
    matrix[:3, 3] = (3.0, -2.0, 1.0)
    turn.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    for node in (volumes[0], segments[0]):
        node.SetAndObserveTransformNodeID(turn.GetID())
    before = [slicer.util.arrayFromVolume(volume).copy() for volume in volumes]
    nodes = slicer.mrmlScene.GetNumberOfNodes()

    tune.ui.sceneButton.click()
    assert not tune.ui.addSceneButton.enabled
    assert tune.ui.addSceneButton.toolTip == "Tick a volume first."
    tick(tune, "Scan sub-01", None)
    assert "Choose which segment is the lesion of Scan sub-01" in tune.ui.addSceneButton.toolTip
    tick(tune, "Scan sub-01", "Scan sub-01 segments: lesion")
    tick(tune, "Scan sub-02", "Scan sub-02 segments: lesion")
    tune.ui.addSceneButton.click()
    assert until(lambda: len(tune.cases.rows) == 2 and tune.cases.job is None, PATIENCE), tune.ui.sceneStatus.text
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    for volume, voxels in zip(volumes, before, strict=True):
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), voxels)
    assert [round(row.lesionMl, 1) for row in tune.cases.rows] == [3.0, 3.0]
    written = nibabel.load(tune.cases.rows[0].entry["image"])
    original = nibabel.load(cases / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz")
    np.testing.assert_allclose(written.affine, matrix @ original.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(original.dataobj))
    mask = nibabel.load(tune.cases.rows[0].entry["mask"])
    roi = nibabel.load(cases / "sub-01" / "anat" / "sub-01_FLAIR_roi.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, np.asarray(roi.dataobj) > 0)
    np.testing.assert_allclose(mask.affine, written.affine, atol=1e-4)

    look(tune, cases)
    assert len(tune.cases.rows) == 9
    say(tune, "Acute infarct")
    assert any("duplicate of" in problem for row in tune.cases.rows for problem in row.found)
    tune.ui.titleEdit.text = "With the scene"
    folder = begin(tune, 10_000)
    assert tune.cases.draft is None
    assert len(list((folder / "scene" / "images").iterdir())) == 2
    assert all(Path(case.image).is_file() for case in read_run_request(folder).cases)
    tune.ui.pauseButton.click()
    assert stopped(tune)


def test_copies_that_no_run_took_over_do_not_stay(tune: Any, cases: Path, module: Any) -> None:
    a_scene_volume(cases, "sub-04", "Scan")
    tune.ui.sceneButton.click()
    tick(tune, "Scan", None)
    tune.ui.addSceneButton.click()
    assert until(lambda: tune.cases.job is None and tune.cases.rows, PATIENCE)
    draft = tune.cases.draft
    assert draft.is_dir()
    tune.ui.clearButton.click()
    assert not draft.exists()
    assert not tune.cases.rows


def test_what_cannot_be_a_case_says_why(scene: Any) -> None:
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Scan")
    assert "holds no image" in SceneCases.problem(volume)
    slicer.util.updateVolumeFromArray(volume, np.zeros((3, 4, 5), np.float32))
    assert SceneCases.problem(volume) == ""
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sheared))
    assert "right angles" in SceneCases.problem(volume)
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.eye(4)))
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "warp")
    volume.SetAndObserveTransformNodeID(warp.GetID())
    assert "not linear" in SceneCases.problem(volume)
    volume.SetAttribute("JSDDPM.Synthetic", "1")
    assert "is synthetic" in SceneCases.problem(volume)


def test_two_volumes_of_one_patient_stay_one_person(scene: Any, tmp_path: Path) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Miller^A")
    stems = []
    for name in ("first", "second"):
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(volume, np.zeros((3, 4, 5), np.float32))
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), patient)
        stems.append(SceneCases.freeStem(volume, tmp_path))
        list(SceneCases.write([SceneCases.SceneCase(volume)], tmp_path))
    assert stems == ["sub-Miller-A_first", "sub-Miller-A_second"]
    from jsddpm_core.data.cases import discover

    assert {case.subject.partition("/")[2] for case in discover(tmp_path)} == {"sub-Miller-A"}


# ---------------------------------------------------------------- settings


def test_a_setting_is_checked_as_it_is_typed(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    tune.ui.settingsBox.collapsed = False
    settings = tune.training.settings
    assert until(lambda: settings.config is not None, PATIENCE)
    assert tune.ui.sectionCombo.count == 7
    settings.type("training.learning_rate", "-1")
    assert "greater than" in tune.ui.settingMessage.text
    assert tune.ui.startButton.toolTip == tune.ui.settingMessage.text
    assert not tune.ui.startButton.enabled
    settings.type("training.learning_rate", "0.0005")
    assert tune.ui.settingMessage.text == ""
    assert tune.ui.startButton.enabled
    assert tune.request()["settings"]["training.learning_rate"] == 0.0005
    assert settings.config.training.learning_rate == 0.0005
    assert tune.ui.settingExplanation.text.startswith("training.learning_rate: ")
    tune.ui.settingResetButton.click()
    assert "training.learning_rate" not in tune.request()["settings"]
    assert until(lambda: settings.config.training.learning_rate == 1e-4, PATIENCE)
    settings.type("losses.terms.FLAIR.weight", "2")
    assert tune.request()["settings"]["losses.terms.FLAIR.weight"] == 2


def test_every_setting_has_an_explanation(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    tune.ui.settingsBox.collapsed = False
    assert until(lambda: tune.training.settings.config is not None, PATIENCE)
    lacking = [entry["key"] for entry in tune.training.settings._settings if not entry["explanation"]]
    assert not lacking


def test_the_short_name_follows_the_title_until_it_is_typed(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    assert tune.ui.nameEdit.text == "phantoms-of-ours"
    tune.ui.nameEdit.text = "small"
    assert "There is a model named small already" in tune.ui.startButton.toolTip
    tune.ui.nameEdit.text = "Not A Name"
    assert "small letters" in tune.ui.startButton.toolTip


def test_fresh_weights_have_nothing_to_keep(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    tune.ui.startCombo.setCurrentIndex(0)
    assert tune.request()["start"] is None
    assert tune.request()["train"] == "all"
    for control in (tune.ui.replaySlider, tune.ui.layersCombo):
        assert not control.enabled
        assert "Only with a start model" in control.toolTip
    assert tune.ui.configCombo.enabled


def test_time_and_memory_are_measured_before_the_start(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    tune.ui.trainingSection.collapsed = False  # it begins by itself
    assert until(lambda: tune.estimate.busy, 30)
    assert tune.ui.probeButton.text == "Stop measuring"
    assert until(lambda: not tune.estimate.busy, PATIENCE)
    assert f" here for {STEPS} steps, with " in tune.ui.estimateLabel.text


def test_a_smaller_suggestion_is_taken_over_by_a_button(tune: Any, cases: Path) -> None:
    ready(tune, cases)
    tune.estimate.measure(tune.request())
    assert until(lambda: not tune.estimate.busy, PATIENCE)
    found = tune.estimate.of(tune.request())
    found.update(warning="It does not fit.", suggestion={"train": "low-rank", "settings": {"training.batch_size": 2}})
    tune.refresh()
    assert tune.ui.warningLabel.text == "It does not fit."
    assert "training.batch_size = 2" in tune.ui.smallerButton.toolTip
    tune.ui.smallerButton.click()
    assert tune.request()["train"] == "low-rank"
    assert tune.request()["settings"]["training.batch_size"] == 2


# ---------------------------------------------------------------- runs


def test_from_a_folder_to_a_model_in_generate(tune: Any, cases: Path, module: Any) -> None:
    ready(tune, cases)
    begin(tune)
    folder = tune.run.folder
    assert stopped(tune)
    assert until(lambda: "is among your models" in tune.ui.runDetail.text, PATIENCE), tune.ui.runDetail.text
    (summary,) = list_runs(Runs.trainingFolder())
    assert (summary.folder, summary.state) == (folder, "finished")
    assert (Bundles.modelsFolder() / "phantoms-of-ours" / "bundle.json").is_file()
    combo = module.generate.ui.modelCombo
    assert combo.findText("Phantoms of ours") >= 0
    table = tune.ui.runsTable
    assert [table.item(0, column).text() for column in range(3)] == [
        "Phantoms of ours",
        "finished",
        f"{STEPS} / {STEPS}",
    ]
    assert not tune.ui.addModelButton.enabled
    assert tune.ui.addModelButton.toolTip == "Its model is among yours already."
    assert not tune.ui.resumeButton.enabled
    assert tune.ui.reportBox.visible
    assert "copies" in tune.ui.reportSummary.text or "copy" in tune.ui.reportSummary.text
    assert tune.ui.reportNotes.plainText
    assert {"train/loss", "learning_rate"} & set(tune.view.curves.names), tune.view.curves.names
    sample = tune.view.samples.node
    assert sample is not None
    assert isSynthetic(sample)
    assert "Synthetic" in sample.GetName()
    combo.setCurrentIndex(combo.findText("Phantoms of ours"))
    module.generate.parameters.steps = 1
    assert until(lambda: module.generate._measuring is None, PATIENCE)
    module.generate.ui.applyButton.click()
    assert until(lambda: not module.generate.busy, PATIENCE)
    assert module.generate.result is not None, module.generate.ui.statusLabel.text


def test_a_run_is_paused_without_a_question_and_goes_on_after_a_restart(
    tune: Any, cases: Path, module: Any, app: Any
) -> None:
    from slicerhost import application

    ready(tune, cases)
    folder = begin(tune, 10_000)
    assert until(lambda: steps_done(tune) > 0, PATIENCE)
    tune.ui.pauseButton.click()
    assert not tune.ui.pauseButton.enabled
    assert tune.ui.pauseButton.toolTip == "The run is stopping already."
    assert stopped(tune)
    assert tune.ui.runsTable.item(0, 1).text() == "stopped"
    done = read_curves(folder)
    application.unload_module("JSDDPMSlicer")
    app.processEvents()
    loaded = application.load_module(PROJECT / "JSDDPMSlicer" / "JSDDPMSlicer.py")
    widget = loaded.widgetRepresentation().self()
    loaded.widgetRepresentation().enter()
    widget.tabs.setCurrentIndex(1)
    again = widget.fineTune
    assert again.ui.runsTable.item(0, 1).text() == "stopped"
    assert again.view.curves.points("train/loss") == dict(done["train/loss"])
    again.ui.resumeButton.click()
    assert again.run.folder == folder
    first = max(step for step, _value in done["train/loss"])
    assert until(lambda: steps_done(again) > first, PATIENCE)
    again.ui.pauseButton.click()
    assert stopped(again)


def test_stop_asks_first(tune: Any, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(tune, cases)
    folder = begin(tune, 10_000)
    tune.ui.stopButton.click()
    assert not tune.run.ending, "in testing mode the question is answered with no"
    asked = []
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text, **_: (asked.append(text), True)[1])
    tune.ui.stopButton.click()
    assert "Its last and its best state are kept" in asked[0]
    assert stopped(tune)
    assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_another_panel_works_while_a_model_is_trained(tune: Any, cases: Path, module: Any) -> None:
    ready(tune, cases)
    begin(tune, 10_000)
    assert not tune.ui.startButton.enabled
    assert "A run is under way" in tune.ui.startButton.toolTip
    generate = module.generate
    module.tabs.setCurrentIndex(0)
    generate.ui.modelCombo.setCurrentIndex(generate.ui.modelCombo.findText("Random weights"))
    generate.parameters.steps = 1
    assert until(lambda: generate._measuring is None, PATIENCE)
    generate.ui.applyButton.click()
    assert until(lambda: not generate.busy, PATIENCE)
    assert generate.result is not None, generate.ui.statusLabel.text
    assert tune.run.busy
    slicer.mrmlScene.Clear(False)  # a run does not end with its scene
    assert tune.run.busy
    tune.onPause()
    assert stopped(tune)


def test_a_reload_while_training_leaves_a_run_to_resume_and_no_process(tune: Any, cases: Path, module: Any) -> None:
    ready(tune, cases)
    folder = begin(tune, 10_000)
    pid = tune.worker.pid
    module.cleanup()
    assert pid not in workers()
    (summary,) = list_runs(Runs.trainingFolder())
    assert (summary.folder, summary.state, summary.resumable) == (folder, "stopped", True)
    assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_a_killed_process_leaves_an_interrupted_run_and_a_usable_panel(tune: Any, cases: Path) -> None:
    import os
    import signal

    ready(tune, cases)
    begin(tune, 10_000)
    os.kill(tune.worker.pid, signal.SIGKILL)
    assert stopped(tune)
    assert "was ended from outside" in tune.ui.runDetail.text
    assert tune.ui.runsTable.item(0, 1).text() == "interrupted"
    assert tune.ui.resumeButton.enabled


def test_a_run_that_fails_says_why(tune: Any, cases: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cases, copy)
    ready(tune, copy)
    for image in copy.glob("sub-*/anat/*.nii.gz"):
        image.unlink()
    tune.ui.startButton.click()
    assert stopped(tune)
    assert tune.ui.runsTable.item(0, 1).text() == "failed"
    assert len(tune.ui.runDetail.text) > 20
    assert "Traceback" not in tune.ui.runDetail.text


def test_a_run_is_deleted_after_a_yes(tune: Any, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(tune, cases)
    folder = begin(tune, 10_000)
    assert not tune.ui.deleteRunButton.enabled
    tune.onPause()
    assert stopped(tune)
    tune.ui.deleteRunButton.click()
    assert folder.is_dir()
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    tune.ui.deleteRunButton.click()
    assert not folder.exists()
    assert until(lambda: not tune.runs.removal.busy, 30)
    assert not list(Runs.trainingFolder().iterdir())
    assert tune.ui.runsTable.rowCount == 0


def test_curves_are_updated_in_place_and_at_most_once_a_second(tune: Any, cases: Path) -> None:
    curves = tune.view.curves
    curves.replace({"train/loss": [(1, 3.0), (2, 2.0)], "validation/loss": [(2, 2.5)], "learning_rate": [(1, 0.1)]})
    assert until(lambda: curves.updates == 1, 5)
    plot = curves.plots["losses"]
    table, chart = plot.tables["train/loss"], plot.chart
    nodes, began = slicer.mrmlScene.GetNumberOfNodes(), time.monotonic()
    for step in range(3, 200):
        curves.add(step, {"train/loss": 1 / step, "validation/loss": float("nan")})
        slicer.app.processEvents()
    assert until(lambda: curves.updates == 2, 5)
    assert time.monotonic() - began >= 0.9
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert plot.tables["train/loss"] is table
    assert table.GetTable().GetNumberOfRows() == 199
    assert chart.GetNumberOfPlotSeriesNodes() == 1
    assert curves.points("validation/loss") == {2: 2.5}


def test_watching_changes_the_views_and_gives_them_back(tune: Any) -> None:
    manager = slicer.app.layoutManager()
    before = manager.layout
    tune.view.setRun(Path("nowhere"), "Title")
    tune.refresh()
    tune.ui.watchButton.click()
    assert manager.layout != before
    assert "TrainingLosses" in shown_plots() and len(shown_plots()) == 3
    chart = slicer.mrmlScene.GetSingletonNode("TrainingLosses", "vtkMRMLPlotViewNode").GetPlotChartNode()
    assert chart is tune.view.curves.plots["losses"].chart
    tune.ui.watchButton.click()
    assert manager.layout == before


# ---------------------------------------------------------------- the panel


def test_every_control_has_a_tooltip_and_what_is_disabled_says_why(tune: Any, cases: Path) -> None:
    kinds = (
        qt.QAbstractButton, qt.QComboBox, qt.QLineEdit, qt.QAbstractSpinBox, qt.QTableWidget, qt.QProgressBar,
        qt.QPlainTextEdit, qt.QGroupBox,
    )  # fmt: skip
    for state in ("empty", "with cases"):
        if state == "with cases":
            ready(tune, cases)
        lacking = [
            name
            for name, control in vars(tune.ui).items()
            if isinstance(control, kinds) and not name.endswith("Section") and name[:3] != "qt_" and not control.toolTip
        ]
        assert not lacking, (state, lacking)


def test_an_empty_panel_says_how_to_begin(tune: Any) -> None:
    assert tune.ui.casesIntro.text.startswith("Choose the folder")
    assert not tune.ui.startButton.enabled
    assert tune.ui.startStatus.text == "Choose cases first."
    assert tune.ui.runsIntro.text.startswith("No model has been trained here yet.")
    assert not tune.ui.clearButton.enabled


def test_no_handler_holds_the_window_long(tune: Any, cases: Path) -> None:
    """With sixty cases, every piece of filling the table and every refresh stays below 50 ms."""
    ready(tune, cases)
    assert until(lambda: tune.training.settings.config is not None, PATIENCE)
    rows = tune.cases.rows
    many = []
    for number in range(10):
        for row in rows:
            copy = type(row)(**vars(row))
            name = f"{row.name}-{number}"
            copy.entry = {**row.entry, "name": name, "subject": name}
            many.append(copy)
    times = {}
    for what, action in (("table", lambda: tune.cases.table.setRows(many)), ("refresh", tune.refresh)):
        began = time.perf_counter()
        action()
        times[what] = time.perf_counter() - began
    filling = tune.cases.table.filling
    assert until(lambda: tune.cases.table.filling is None, 10)
    assert many[-1].name.endswith(tune.ui.casesTable.item(69, 0).text())
    times.update(filling.times)
    print({what: round(1000 * seconds) for what, seconds in times.items()})
    assert max(times.values()) < 0.05, times
