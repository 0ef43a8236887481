"""The Generate panel, from click to overlay, with a real worker process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import qt
import slicer
import vtk
from fixtures import until
from JSDDPMSlicerLib import Views
from JSDDPMSlicerLib.Export import save
from JSDDPMSlicerLib.NodeFrames import volumeMatrix

from jsddpm_core.cli import run as jsddpm

PATIENCE = 60


def run(panel: Any) -> Any:
    """Applies and waits for the result."""
    assert panel.whyNot() == ""
    panel.ui.applyButton.click()
    assert until(lambda: not panel.busy, PATIENCE)
    assert panel.result is not None, panel.ui.statusLabel.text
    return panel.result


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")} if folder.exists() else set()


def synthetic_nodes() -> list[Any]:
    nodes = [slicer.mrmlScene.GetNthNode(i) for i in range(slicer.mrmlScene.GetNumberOfNodes())]
    return [node for node in nodes if node.GetAttribute("JSDDPM.Synthetic") == "1"]


def mask_of(result: Any) -> np.ndarray:
    return slicer.util.arrayFromSegmentBinaryLabelmap(result.segmentation, "lesion", result.volume)


def test_a_click_gives_the_image_and_lesion_that_the_command_line_gives(panel: Any, tmp_path: Path) -> None:
    panel.parameters.seed = 5
    result = run(panel)
    out = tmp_path / "cli"
    arguments = ["--model", str(panel.choices.model.folder), "--pathology", panel.parameters.pathology]
    position = ["--position", str(panel.parameters.positionMm), "--steps", "3", "--seed", "5"]
    threads = str(result.samples[0].sidecar["request"]["threads"])
    assert jsddpm(["sample", *arguments, *position, "--threads", threads, "--out", str(out)]) == 0
    for name in files(out) - {"overview.png"}:
        if name.endswith(".nii.gz"):
            assert (out / name).read_bytes() == result.samples[0].image.with_name(name).read_bytes()

    image = slicer.util.arrayFromVolume(result.volume)
    written = nibabel.load(result.samples[0].image)
    np.testing.assert_array_equal(image, np.asarray(written.dataobj).T)
    np.testing.assert_allclose(volumeMatrix(result.volume), written.affine, atol=1e-5)
    np.testing.assert_array_equal(mask_of(result) > 0, np.asarray(nibabel.load(result.samples[0].mask).dataobj).T > 0)


def test_a_result_says_everywhere_that_it_is_synthetic(panel: Any) -> None:
    result = run(panel)
    for node in (result.volume, result.segmentation):
        assert node.GetName().startswith("Synthetic")
        assert node.GetAttribute("JSDDPM.Synthetic") == "1"
        assert "not the image of a patient" in node.GetDescription()
        assert '"synthetic": true' in node.GetAttribute("JSDDPM.Sidecar")
    assert "not for clinical use" in panel.ui.resultLabel.text
    assert all("synthetic" in path.name for path in result.samples[0].image.parent.glob("*.nii.gz"))


def test_the_lesion_lies_over_the_image_as_asked(panel: Any) -> None:
    result = run(panel)
    display = result.segmentation.GetDisplayNode()
    assert display.GetSegmentVisibility2DFill("lesion")
    assert display.GetSegmentVisibility2DOutline("lesion")
    assert display.GetSegmentOpacity2DFill("lesion") == pytest.approx(0.3)
    assert display.GetSegmentOpacity2DOutline("lesion") == 1
    assert display.GetSliceIntersectionThickness() == 2
    segment = result.segmentation.GetSegmentation().GetSegment("lesion")
    entry = vtk.reference("")
    assert segment.GetTag(segment.GetTerminologyEntryTagName(), entry)
    assert "SCT^432504007^Acute infarct" in str(entry)
    assert segment.GetColor() == pytest.approx([230 / 255, 75 / 255, 53 / 255], abs=1e-3)
    shown = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed").GetBackgroundVolumeID()
    assert shown == result.volume.GetID()
    volumeDisplay = result.volume.GetDisplayNode()
    assert not volumeDisplay.GetAutoWindowLevel()
    assert (volumeDisplay.GetWindowLevelMin(), volumeDisplay.GetWindowLevelMax()) == (-1, 1)


def test_a_run_lies_in_a_folder_of_its_own_outside_any_study(panel: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    subject = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(subject, "Study")
    result = run(panel)
    assert hierarchy.GetItemParent(result.folderItem) == hierarchy.GetSceneItemID()
    for node in (result.volume, result.segmentation):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == result.folderItem
    assert hierarchy.GetNumberOfItemChildren(study) == 0


def test_several_samples_come_as_a_sequence_to_browse(panel: Any) -> None:
    panel.parameters.samples = 3
    result = run(panel)
    assert result.browser.GetNumberOfItems() == 3
    images = []
    for number in range(3):
        result.browser.SetSelectedItemNumber(number)
        slicer.app.processEvents()
        images.append(slicer.util.arrayFromVolume(result.volume).copy())
        written = np.asarray(nibabel.load(result.samples[number].image).dataobj).T
        np.testing.assert_array_equal(images[-1], written)
        written = np.asarray(nibabel.load(result.samples[number].mask).dataobj).T
        np.testing.assert_array_equal(mask_of(result) > 0, written > 0)
        assert result.shown.sidecar["request"]["first"] == number
    assert not np.array_equal(images[0], images[1])
    proxies = [node for node in synthetic_nodes() if node.IsA("vtkMRMLScalarVolumeNode")]
    assert proxies == [result.volume]


def test_a_volume_of_slices_comes_as_one_volume(panel: Any) -> None:
    combo = panel.ui.pathologyCombo
    combo.setCurrentIndex(combo.findData("ms"))
    panel.ui.extentCombo.setCurrentIndex(panel.ui.extentCombo.findData("range"))
    panel.ui.rangeWidget.setValues(-5.0, 5.0)
    result = run(panel)
    slices = len(result.samples[0].sidecar["geometry"]["positions_mm"])
    assert slicer.util.arrayFromVolume(result.volume).shape[0] == slices > 5
    assert mask_of(result).shape[0] == slices
    assert "z -5" in result.name or "z -4" in result.name


def test_the_emerging_image_is_shown_and_its_last_state_is_the_result(
    panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    show = Views.Preview.show
    monkeypatch.setattr(
        Views.Preview, "show", lambda self, image, z: (seen.append(image.copy()), show(self, image, z))[1]
    )
    panel.parameters.steps = 40
    names = set()
    panel.ui.applyButton.click()
    shown = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")

    def ended() -> bool:
        node = slicer.mrmlScene.GetNodeByID(shown.GetBackgroundVolumeID() or "")
        if node is not None:
            names.add(node.GetName())
            assert node.GetName() == panel.run.preview.NAME if panel.run.preview else True
        return not panel.busy

    assert until(ended, PATIENCE)
    assert seen
    assert "Emerging image (synthetic)" in names
    last = np.array(slicer.util.arrayFromVolume(panel.result.volume)[0].T)
    np.testing.assert_array_equal(seen[-1], last)
    assert slicer.mrmlScene.GetFirstNodeByName("Emerging image (synthetic)") is None


def test_the_users_view_is_restored_when_a_run_is_cancelled(panel: Any) -> None:
    rng = np.random.default_rng(0)
    own = slicer.util.addVolumeFromArray(rng.normal(size=(8, 16, 16)).astype(np.float32), name="own")
    slicer.util.setSliceViewerLayers(background=own, fit=True)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    red.SetOrientationToSagittal()
    red.SetSliceOffset(3.0)
    before = Views.SliceState.of("Red")
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    assert until(lambda: panel.run.preview.updates > 0, PATIENCE)
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed").GetBackgroundVolumeID() != own.GetID()
    assert until(lambda: not panel.justStarted, 5)
    panel.ui.applyButton.click()
    assert until(lambda: not panel.busy, PATIENCE)
    after = Views.SliceState.of("Red")
    assert after.layers == before.layers
    np.testing.assert_allclose(after.sliceToRAS, before.sliceToRAS)
    np.testing.assert_allclose(after.fieldOfView, before.fieldOfView)


def test_apply_is_cancel_while_it_runs_and_nothing_stays(panel: Any, tmp_path: Path) -> None:
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    assert panel.ui.applyButton.text == "Cancel"
    assert not panel.ui.requestSection.enabled
    assert until(lambda: "tep " in panel.ui.statusLabel.text and not panel.justStarted, PATIENCE)
    panel.ui.applyButton.click()
    assert not panel.ui.applyButton.enabled
    assert until(lambda: not panel.busy, 10)
    assert panel.ui.statusLabel.text == "Cancelled. Nothing was kept."
    assert files(tmp_path / "results") == set()
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    panel.parameters.steps = 2
    run(panel)


def test_a_dead_worker_is_said_and_the_next_run_has_a_new_one(panel: Any, tmp_path: Path) -> None:
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    assert until(lambda: "tep " in panel.ui.statusLabel.text, PATIENCE)
    first = panel.worker.pid
    os.kill(first, signal.SIGKILL)
    assert until(lambda: not panel.busy, 10)
    assert "ended from outside or ran out of memory" in panel.ui.statusLabel.text
    assert files(tmp_path / "results") == set()
    assert not synthetic_nodes()
    panel.parameters.steps = 2
    run(panel)
    assert panel.worker.pid not in (None, first)


def test_a_model_that_was_deleted_meanwhile_is_said(panel: Any, small_models: Path, tmp_path: Path) -> None:
    moved = small_models.with_name("moved")
    (small_models / "small").rename(moved)
    try:
        panel.ui.applyButton.click()
        assert until(lambda: not panel.busy, PATIENCE)
    finally:
        moved.rename(small_models / "small")
    assert "small" in panel.ui.statusLabel.text
    assert panel.result is None
    assert files(tmp_path / "results") == set()
    assert panel.ui.applyButton.enabled


def test_a_results_folder_that_cannot_be_made_is_said(panel: Any, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.setValue("JSDDPMSlicer/ResultsFolder", str(tmp_path / "file" / "results"))
    panel.ui.applyButton.click()
    assert not panel.busy
    assert "cannot be written" in panel.ui.statusLabel.text
    assert "choose another in Setup" in panel.ui.statusLabel.text


def test_a_scene_closed_in_the_middle_leaves_nothing(panel: Any, tmp_path: Path) -> None:
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    assert until(lambda: "tep " in panel.ui.statusLabel.text, PATIENCE)
    slicer.mrmlScene.Clear(False)
    assert until(lambda: not panel.busy, 10)
    assert not synthetic_nodes()
    assert files(tmp_path / "results") == set()
    combo = panel.ui.modelCombo
    combo.setCurrentIndex(combo.findText("Random weights"))
    panel.parameters.steps = 2
    run(panel)


def test_a_result_is_removed_with_its_files_after_a_yes(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    run(panel)
    panel.ui.removeButton.click()
    assert panel.result is not None, "in testing mode every question is answered with no"
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    panel.ui.removeButton.click()
    assert panel.result is None
    assert not synthetic_nodes()
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert files(tmp_path / "results") == set()


def test_again_draws_another_image_and_hides_the_lesion_of_the_one_before(panel: Any) -> None:
    before = run(panel)
    first = slicer.util.arrayFromVolume(before.volume).copy()
    seed = panel.parameters.seed
    panel.ui.againButton.click()
    assert until(lambda: not panel.busy, PATIENCE)
    assert panel.parameters.seed != seed
    assert not np.array_equal(slicer.util.arrayFromVolume(panel.result.volume), first)
    assert not before.segmentation.GetDisplayNode().GetVisibility()
    assert panel.result.segmentation.GetDisplayNode().GetVisibility()


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_a_saved_result_has_equal_voxels_and_a_name_that_says_synthetic(
    panel: Any, ending: str, tmp_path: Path
) -> None:
    result = run(panel)
    image, mask, sidecar = save(result, tmp_path / f"mine{ending}")
    assert all("synthetic" in path.name for path in (image, mask, sidecar))
    loaded = slicer.util.loadVolume(str(image), {"show": False})
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(result.volume))
    assert sidecar.read_bytes() == result.samples[0].sidecarFile.read_bytes()


def test_dicom_is_refused_with_the_reason(panel: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not exported as DICOM"):
        save(run(panel), tmp_path / "mine.dcm")
    assert files(tmp_path) & {"mine.dcm"} == set()


def test_the_time_is_known_before_the_start(panel: Any) -> None:
    assert panel.ui.estimateLabel.text.startswith("About ")
    assert "for 1 slice of 3 steps" in panel.ui.estimateLabel.text
    assert "at most" in panel.ui.estimateLabel.text
    assert "with redraws" in panel.ui.estimateLabel.text
    panel.parameters.guidance = 2.0
    panel.parameters.samples = 4
    assert "4 slices of 3 steps" in panel.ui.estimateLabel.text


def test_every_control_says_what_it_does_and_apply_why_it_cannot(module: Any, panel: Any) -> None:
    kinds = (qt.QPushButton, qt.QComboBox, qt.QSpinBox, qt.QDoubleSpinBox, qt.QCheckBox)
    for ui in (panel.ui, module.settings.ui):
        for name, control in vars(ui).items():
            if isinstance(control, kinds) and control.objectName == name:
                assert control.toolTip, f"{name} has no tooltip"
    volume = slicer.util.addVolumeFromArray(np.zeros((4, 8, 8), np.float32), name="patient")
    panel.parameters.reference = volume
    assert not panel.ui.applyButton.enabled
    assert "Register patient to the model's space first" in panel.ui.applyButton.toolTip
    assert not panel.ui.currentSliceButton.enabled
    assert "Register patient" in panel.ui.currentSliceButton.toolTip


def test_shortcuts_live_only_while_the_module_is_shown(module: Any) -> None:
    assert len(module.shortcuts) == 2
    module.exit()
    slicer.app.processEvents()
    assert module.shortcuts == []
    assert not module.tabs.findChildren(qt.QShortcut)
    module.enter()
    assert len(module.shortcuts) == 2


def test_the_modules_own_test_passes_in_the_host(module: Any) -> None:
    import JSDDPMSlicer

    JSDDPMSlicer.JSDDPMSlicerTest().runTest()
