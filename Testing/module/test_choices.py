"""What the Generate panel asks for: by hand, by a script, by a saved scene, and again."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from fixtures import until
from generation_fixtures import write_small_bundle
from JSDDPMSlicerLib import GeneratePanel as panelModule
from JSDDPMSlicerLib.Bundles import listModels, titles

PATIENCE = 60


def run(panel: Any) -> Any:
    """Applies and waits for the result."""
    assert panel.whyNot() == ""
    panel.ui.applyButton.click()
    return ended(panel)


def ended(panel: Any) -> Any:
    assert until(lambda: not panel.busy, PATIENCE)
    assert panel.result is not None, panel.ui.statusLabel.text
    return panel.result


def choose(combo: Any, value: str) -> None:
    combo.setCurrentIndex(combo.findData(value))


def terminology(result: Any) -> str:
    segment = result.segmentation.GetSegmentation().GetSegment("lesion")
    entry = vtk.reference("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), entry)
    return str(entry)


def says_it_is_ms_of_the_small_model(result: Any) -> None:
    """Everything that tells what the image shows tells the same."""
    assert result.samples[0].sidecar["request"]["pathology"] == "ms"
    assert Path(result.samples[0].sidecar["request"]["model"]).name == "small"
    assert "Multiple sclerosis" in result.name
    assert "Multiple sclerosis" in result.volume.GetName()
    assert "Multiple sclerosis" in terminology(result)
    assert "-ms-" in result.samples[0].image.parent.name


@pytest.fixture
def add_model(module: Any, small_models: Path) -> Iterator[Callable[..., Path]]:
    """Adds models to the user's models folder; they are gone afterwards."""
    added: list[Path] = []

    def add(folder: str, *overrides: str, name: str = "small") -> Path:
        added.append(small_models / folder)
        write_small_bundle(added[-1], *overrides, name=name)
        module.generate.choices.refreshModels()
        return added[-1]

    yield add
    for folder in added:
        shutil.rmtree(folder, ignore_errors=True)


# ------------------------------------------------------------ scenes and scripts


def saved_and_loaded(path: Path) -> None:
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(False)
    slicer.app.processEvents()
    slicer.util.loadScene(str(path))
    slicer.app.processEvents()


def test_a_result_after_a_saved_scene_was_loaded_bears_the_name_of_what_it_shows(panel: Any, tmp_path: Path) -> None:
    choose(panel.ui.pathologyCombo, "ms")
    panel.parameters.positionMm = 18.0
    saved_and_loaded(tmp_path / "ms.mrb")
    assert panel.ui.modelCombo.currentText == "Random weights"
    assert panel.ui.pathologyCombo.currentText == "Multiple sclerosis lesion"
    assert panel.parameters.steps == 3
    says_it_is_ms_of_the_small_model(run(panel))


def test_a_result_after_a_script_has_changed_the_parameters_bears_the_right_name(panel: Any) -> None:
    choose(panel.ui.pathologyCombo, "infarct")
    panel.parameters.parameterNode.SetParameter("pathology", "ms")
    assert panel.ui.pathologyCombo.currentText == "Multiple sclerosis lesion"
    assert panel.ui.positionSlider.maximum == 30
    says_it_is_ms_of_the_small_model(run(panel))


def test_a_script_may_name_a_model_as_older_scenes_do(panel: Any) -> None:
    panel.ui.modelCombo.setCurrentIndex(0)
    assert panel.choices.model.name == "demo"
    panel.parameters.model = "small"
    panel.parameters.pathology = "ms"
    assert panel.ui.modelCombo.currentText == "Random weights"
    says_it_is_ms_of_the_small_model(run(panel))


def test_two_panels_of_one_scene_show_and_make_the_same(panel: Any) -> None:
    path = str(panelModule.ICONS.parent / "UI" / "Generate.ui")
    widget = slicer.util.loadUI(path)
    widget.setMRMLScene(slicer.mrmlScene)
    other = panelModule.GeneratePanel(widget, panel.worker)
    other.setParameters(type(panel.parameters)(panel.parameters.parameterNode))
    try:
        choose(panel.ui.pathologyCombo, "ms")
        assert other.ui.modelCombo.currentText == panel.ui.modelCombo.currentText == "Random weights"
        assert other.ui.pathologyCombo.currentText == "Multiple sclerosis lesion"
        says_it_is_ms_of_the_small_model(run(other))
    finally:
        other.close()


def test_a_scene_that_asks_for_a_model_that_is_not_here_says_so_and_starts_nothing(panel: Any) -> None:
    panel.parameters.model = "elsewhere"
    assert panel.ui.modelCombo.currentIndex == -1
    assert not panel.ui.applyButton.enabled
    wanted = "This scene asks for the model 'elsewhere', which is not here: choose another or import it in Setup."
    assert panel.ui.applyButton.toolTip == panel.ui.estimateLabel.text == wanted
    panel.onApply()
    assert not panel.busy
    assert panel.ui.statusLabel.text == wanted
    panel.ui.modelCombo.setCurrentIndex(panel.ui.modelCombo.findText("Random weights"))
    assert panel.whyNot() == ""


def test_a_model_that_a_scene_asks_for_is_chosen_once_it_is_imported(
    panel: Any, add_model: Callable[..., Path]
) -> None:
    panel.parameters.model = "elsewhere"
    folder = add_model("elsewhere", name="elsewhere")
    assert panel.choices.model.folder == folder
    assert panel.whyNot() == ""


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("pathology", "glioma", "asks for the pathology 'glioma', which the model does not know"),
        ("sampler", "plms", "asks for the sampler 'plms'"),
        ("device", "tpu", "asks for the device 'tpu'"),
        ("extent", "cube", "asks for the extent 'cube'"),
    ],
)
def test_what_a_scene_asks_for_and_is_not_known_stays_unchosen(panel: Any, key: str, value: str, said: str) -> None:
    panel.parameters.parameterNode.SetParameter(key, value)
    assert getattr(panel.ui, f"{key}Combo").currentIndex == -1
    assert said in panel.whyNot()
    assert not panel.ui.applyButton.enabled


def test_a_file_that_shows_another_pathology_than_was_asked_for_makes_no_nodes(panel: Any) -> None:
    asked = panel._wish()
    wrong = next(entry for entry in panel.choices.model.pathologies() if entry.name == "ms")
    panel._start(dataclasses.replace(asked, pathology=wrong))
    assert until(lambda: not panel.busy, PATIENCE)
    assert panel.result is None
    assert "does not show Multiple sclerosis lesion" in panel.ui.statusLabel.text
    assert not slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")


# ------------------------------------------------------------ models of one name


def test_two_models_of_one_name_are_told_apart(panel: Any, add_model: Callable[..., Path], tmp_path: Path) -> None:
    other = add_model("small-of-a-friend", "sampling.steps=7")
    combo = panel.ui.modelCombo
    texts = [combo.itemText(index) for index in range(combo.count)]
    assert {"Random weights (small)", "Random weights (small-of-a-friend)"} <= set(texts)
    choose(combo, str(other))
    assert panel.choices.model.folder == other
    saved_and_loaded(tmp_path / "friend.mrb")
    assert panel.choices.model.folder == other
    assert combo.currentText == "Random weights (small-of-a-friend)"
    panel.choices.refreshModels()
    assert panel.choices.model.folder == other


def test_an_older_scene_whose_model_may_be_either_of_two_asks_which(panel: Any, add_model: Callable[..., Path]) -> None:
    add_model("small-of-a-friend", "sampling.steps=7")
    panel.parameters.model = "small"
    assert panel.whyNot() == "Several models are called 'small': choose one."


def test_another_version_of_a_scenes_model_is_not_taken_for_it(panel: Any) -> None:
    panel.parameters.model = "small@0123456789abcdef"
    assert "another version of the model 'small'" in panel.whyNot()


def test_copies_in_folders_of_one_name_are_listed_with_their_places(module: Any) -> None:
    models = [model for model in listModels() if model.name == "small"]
    copy = dataclasses.replace(models[0], folder=Path("/elsewhere/small"))
    assert titles([models[0], copy])[1] == "Random weights (small) (/elsewhere)"
    assert titles(models) == ["Random weights"]


# ------------------------------------------------------------ again


def test_again_repeats_the_request_of_the_result_whatever_the_panel_shows_by_now(panel: Any) -> None:
    choose(panel.ui.pathologyCombo, "ms")
    panel.parameters.positionMm = 4.0
    first = run(panel).samples[0].sidecar["request"]
    choose(panel.ui.pathologyCombo, "infarct")
    panel.parameters.guidance = 2.0
    panel.ui.againButton.click()
    second = ended(panel).samples[0].sidecar["request"]
    assert {key for key in first if first[key] != second[key]} == {"seed"}
    assert second["seed"] == panel.parameters.seed == panel.ui.seedSpin.value
    assert "Multiple sclerosis" in panel.result.name


def test_again_is_greyed_where_the_model_has_gone(panel: Any, add_model: Callable[..., Path]) -> None:
    folder = add_model("passing", name="passing")
    choose(panel.ui.modelCombo, str(folder))
    assert until(lambda: panel._measuring is None, PATIENCE)
    run(panel)
    assert panel.ui.againButton.enabled
    shutil.rmtree(folder)
    panel.choices.refreshModels()
    assert not panel.ui.againButton.enabled
    assert "'passing' that made this result is no longer here" in panel.ui.againButton.toolTip


def test_again_is_greyed_where_the_patients_volume_has_gone(panel: Any) -> None:
    volume = slicer.util.addVolumeFromArray(np.zeros((40, 40, 40), np.float32), name="patient")
    panel.parameters.reference = volume
    panel.parameters.referenceIsAligned = True
    run(panel)
    slicer.mrmlScene.RemoveNode(volume)
    assert not panel.ui.againButton.enabled
    assert "no longer in the scene" in panel.ui.againButton.toolTip


# ------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("steps", "100000", "Steps is 100000 in this scene, outside 1 to 1000"),
        ("guidance", "nan", "Guidance is nan in this scene"),
        ("seed", "-5", "Seed is -5 in this scene"),
        ("samples", "0", "Samples is 0 in this scene"),
        ("positionMm", "nan", "from 17.00 to 19.00 mm: move the position there"),
        ("positionMm", "80", "from 17.00 to 19.00 mm: move the position there"),
    ],
)
def test_numbers_of_a_scene_that_cannot_be_used_are_said(panel: Any, key: str, value: str, said: str) -> None:
    panel.parameters.parameterNode.SetParameter(key, value)
    assert said in panel.whyNot()
    assert not panel.ui.applyButton.enabled


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [("steps", "abc", 20), ("seed", "3.5", 1), ("positionMm", "", 0.0), ("referenceIsAligned", "perhaps", False)],
)
def test_what_is_no_number_gives_way_to_the_default(
    panel: Any, capfd: pytest.CaptureFixture[str], key: str, value: str, taken: float
) -> None:
    panel.parameters.parameterNode.SetParameter(key, value)
    assert getattr(panel.parameters, key) == taken
    assert "Traceback" not in capfd.readouterr().err


def test_an_eta_that_cannot_be_used_is_said_where_it_counts(panel: Any) -> None:
    panel.parameters.parameterNode.SetParameter("eta", "7")
    assert panel.whyNot() == ""
    panel.parameters.sampler = "ddim"
    assert "Eta is 7.0 in this scene, outside 0 to 1" in panel.whyNot()


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        ("nan", "10", "move the range there"),
        ("0", "80", "move the range there"),
        ("5", "-5", "runs downwards"),
        ("0.6", "0.7", "No slice of the model lies in this range: widen it, slices are 1.25 mm apart."),
    ],
)
def test_a_range_that_makes_no_volume_is_said(panel: Any, low: str, high: str, said: str) -> None:
    choose(panel.ui.pathologyCombo, "ms")
    choose(panel.ui.extentCombo, "range")
    assert panel.whyNot() == ""
    with slicer.util.NodeModify(panel.parameters.parameterNode):
        panel.parameters.parameterNode.SetParameter("lowestMm", low)
        panel.parameters.parameterNode.SetParameter("highestMm", high)
    assert said in panel.whyNot()
    assert not panel.ui.applyButton.enabled


# ------------------------------------------------------------ ranges of pathologies


def test_a_range_that_nobody_touched_is_the_whole_one_of_every_pathology(panel: Any) -> None:
    span = panel.ui.rangeWidget
    for name, low, high in (("infarct", 17, 19), ("ms", -30, 30), ("infarct", 17, 19), ("none", -40, 40)):
        choose(panel.ui.pathologyCombo, name)
        assert (panel.parameters.lowestMm, panel.parameters.highestMm) == (low, high)
        assert (span.minimumValue, span.maximumValue) == (low, high)


def test_a_range_that_was_chosen_is_kept_as_far_as_the_pathology_goes(panel: Any) -> None:
    choose(panel.ui.pathologyCombo, "none")
    choose(panel.ui.extentCombo, "range")
    panel.ui.rangeWidget.setValues(-35.0, 5.0)
    choose(panel.ui.pathologyCombo, "ms")
    assert (panel.parameters.lowestMm, panel.parameters.highestMm) == (-30, 5)


def test_no_volume_is_offered_of_a_pathology_that_was_learned_at_one_level(panel: Any) -> None:
    choose(panel.ui.pathologyCombo, "ms")
    assert panel.ui.extentCombo.enabled
    assert panel.ui.spaceLabel.text.endswith("-30.00 to 30.00 mm")
    choose(panel.ui.extentCombo, "volume")
    choose(panel.ui.pathologyCombo, "infarct")
    assert panel.parameters.extent == "slice"
    assert not panel.ui.extentCombo.enabled
    assert "at one level only" in panel.ui.extentCombo.toolTip
    assert panel.ui.spaceLabel.text.endswith("17.00 to 19.00 mm: one level only")
    panel.parameters.extent = "volume"
    assert panel.ui.extentCombo.enabled, "the way out of what a script has asked for"
    assert "choose one slice under Extent" in panel.whyNot()


# ------------------------------------------------------------ clicks, keys and hints


def test_a_double_click_on_apply_starts_one_run_and_cancels_none(panel: Any) -> None:
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    panel.ui.applyButton.click()
    assert panel.busy
    assert not panel.run.cancelling
    assert until(lambda: not panel.justStarted, 5)
    panel.ui.applyButton.click()
    assert until(lambda: not panel.busy, PATIENCE)
    assert panel.ui.statusLabel.text == "Cancelled. Nothing was kept."


def test_the_key_starts_a_run_and_never_cancels_one(module: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panelModule, "DOUBLE_CLICK_S", 0.0)
    module.onApplyKey()
    assert panel.busy
    module.onApplyKey()
    assert not panel.run.cancelling
    ended(panel)


def test_the_key_says_why_nothing_starts(module: Any, panel: Any) -> None:
    panel.parameters.model = "elsewhere"
    module.onApplyKey()
    assert "which is not here" in panel.ui.statusLabel.text


def test_the_keys_stand_in_the_hints(panel: Any) -> None:
    assert "Ctrl+Return" in panel.ui.applyButton.toolTip
    assert "Ctrl+D" in panel.ui.diceButton.toolTip
    assert not panel.ui.diceButton.icon.isNull()


def test_buttons_of_the_result_say_why_they_are_greyed(panel: Any) -> None:
    ui = panel.ui
    buttons = (ui.jumpButton, ui.sideBySideButton, ui.sidecarButton, ui.saveButton, ui.againButton, ui.removeButton)
    for button in buttons:
        assert not button.enabled
        assert button.toolTip == "Nothing has been made yet."
    run(panel)
    assert "no patient's volume" in ui.sideBySideButton.toolTip
    panel.parameters.steps = 1000
    ui.applyButton.click()
    for button in (ui.againButton, ui.removeButton):
        assert not button.enabled
        assert button.toolTip == "Wait until the run has ended."
    assert "or cancel it" in ui.requestSection.toolTip
    panel.run.cancel()
    assert until(lambda: not panel.busy, PATIENCE)
    assert "again" not in ui.removeButton.toolTip
    assert ui.removeButton.enabled


def test_sections_and_the_bar_of_progress_say_what_they_are(panel: Any) -> None:
    ui = panel.ui
    for widget in (ui.requestSection, ui.referenceSection, ui.advancedSection, ui.resultSection, ui.progressBar):
        assert widget.toolTip, widget.objectName


def test_a_slice_that_is_taken_as_it_is_leaves_no_old_remark(panel: Any) -> None:
    choose(panel.ui.pathologyCombo, "ms")
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    red.SetOrientationToAxial()
    red.SetSliceOffset(500)
    panel.ui.currentSliceButton.click()
    assert "lies at 500.00 mm, not in -30.00 to 30.00 mm" in panel.ui.statusLabel.text
    red.SetSliceOffset(5)
    panel.ui.currentSliceButton.click()
    assert panel.ui.statusLabel.text == ""
    assert panel.parameters.positionMm == 5
