"""Results of a scene: chosen, shown, saved and removed, whatever was done to their nodes and files meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import qt
import slicer
from fixtures import until
from JSDDPMSlicerLib import GenerateRun
from JSDDPMSlicerLib.Export import save, withEnding
from JSDDPMSlicerLib.NodeFrames import localToWorld, volumeMatrix
from JSDDPMSlicerLib.Pathology import Pathology
from JSDDPMSlicerLib.Scene import findResults
from test_generate import PATIENCE, files, mask_of, run, synthetic_nodes
from test_reference import noise_volume, oblique, turned, with_placement

from jsddpm_core.generation.sidecar import read_sidecar


def draw(result: Any, mask: np.ndarray) -> None:
    """What the user does in the Segment Editor."""
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        mask.astype(np.uint8), result.segmentation, "lesion", result.volume
    )


def block(result: Any) -> np.ndarray:
    mask = np.zeros_like(mask_of(result))
    mask[:, 12:15, 8:20] = 1
    return mask


def asking(monkeypatch: pytest.MonkeyPatch, path: Path, chosen_filter: str = "") -> None:
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: (str(path), chosen_filter))


def said(panel: Any) -> str:
    return panel.ui.statusLabel.text


def in_patient(panel: Any, shear: float = 0.0) -> Any:
    patientToModel = turned((5, 10, -15), (4, -7, 12))
    patientToModel[0, 1] += shear
    with_placement(panel, noise_volume(oblique(-1), "Doe^John"), patientToModel)
    return run(panel)


def centres(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Middle of a mask in RAS; the mask is (K, J, I)."""
    k, j, i = np.argwhere(mask > 0).mean(axis=0)
    return (affine @ [i, j, k, 1.0])[:3]


# ------------------------------------------------------------ in the patient's frame


@pytest.mark.parametrize(("ending", "shear"), [(".nii.gz", 0.0), (".nrrd", 0.0), (".nrrd", 0.1)])
def test_a_saved_result_lies_where_it_lay_in_the_patient(panel: Any, tmp_path: Path, ending: str, shear: float) -> None:
    result = in_patient(panel, shear)
    draw(result, block(result))
    world = localToWorld(result.volume) @ volumeMatrix(result.volume)
    image, mask, sidecar = save(result, tmp_path / f"mine{ending}")
    for file in (image, mask):
        loaded = slicer.util.loadVolume(str(file), {"show": False, "singleFile": True})
        np.testing.assert_allclose(volumeMatrix(loaded), world, atol=1e-4)
        if file is image:
            shown = slicer.util.arrayFromVolume(result.volume)
            np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), shown)
        else:
            lesion = slicer.util.arrayFromVolume(loaded)
            np.testing.assert_allclose(
                centres(lesion, volumeMatrix(loaded)), centres(mask_of(result), world), atol=1e-3
            )
    saved = read_sidecar(sidecar).saved
    np.testing.assert_allclose(saved.model_to_patient, localToWorld(result.volume))
    assert saved.reference == hashlib.sha256(b"Doe^John").hexdigest()
    assert "Doe" not in sidecar.read_text()


def test_the_two_ways_of_nifti_to_say_where_an_image_lies_agree(panel: Any, tmp_path: Path) -> None:
    result = in_patient(panel)
    image, mask, _ = save(result, tmp_path / "mine.nii.gz")
    for saved, made in ((image, result.samples[0].image), (mask, result.samples[0].mask)):
        written = nibabel.load(saved)
        np.testing.assert_allclose(written.header.get_qform(), written.header.get_sform(), atol=1e-4)
        np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(nibabel.load(made).dataobj))
        assert written.header["descrip"] == nibabel.load(made).header["descrip"]
        assert gzip.decompress(saved.read_bytes())[352:] == gzip.decompress(made.read_bytes())[352:]


def test_a_sheared_nifti_is_exact_and_the_panel_says_that_slicer_cannot_read_it(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = in_patient(panel, shear=0.1)
    asking(monkeypatch, tmp_path / "mine.nii.gz")
    panel.ui.saveButton.click()
    assert "Slicer reads no sheared NIfTI: use NRRD" in said(panel)
    written = nibabel.load(tmp_path / "mine_desc-synthetic_FLAIR.nii.gz")
    world = localToWorld(result.volume) @ volumeMatrix(result.volume)
    np.testing.assert_allclose(written.affine, world, atol=1e-4)
    assert written.header["qform_code"] == 0


# ------------------------------------------------------------ what is saved, and under which name


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_an_edited_lesion_is_saved_as_it_was_edited(
    panel: Any, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(panel)
    draw(result, block(result))
    asking(monkeypatch, tmp_path / f"mine{ending}")
    panel.ui.saveButton.click()
    assert "saved as it was edited" in said(panel)
    mask = tmp_path / f"mine_desc-synthetic_mask-edited{ending}"
    loaded = slicer.util.loadVolume(str(mask), {"show": False, "singleFile": True})
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded) > 0, block(result) > 0)
    assert read_sidecar(tmp_path / "mine_desc-synthetic.json").saved.mask_edited


def test_names_shown_are_the_names_written(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(panel)
    for typed, stem in (
        ("x_desc-synthetic_FLAIR.nii.gz", "x"),
        ("sub-01_FLAIR.NII.GZ", "sub-01"),
        (".nii.gz", "result"),
    ):
        image, *_ = save(result, tmp_path / typed)
        assert image.name == f"{stem}_desc-synthetic_FLAIR.nii.gz"
    offered: list[str] = []
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: offered.append(arguments[2]) or "")
    panel.ui.saveButton.click()
    assert save(result, tmp_path / Path(offered[0]).name)[0].name == Path(offered[0]).name


def test_a_bare_name_gets_the_ending_of_the_chosen_filter() -> None:
    assert withEnding(Path("mine"), "NRRD (*.nrrd)") == Path("mine.nrrd")
    assert withEnding(Path("mine"), "MRB scene (*.mrb)") == Path("mine.mrb")
    assert withEnding(Path("mine")) == Path("mine.nii.gz")
    assert withEnding(Path("mine.nrrd"), "NIfTI (*.nii.gz)") == Path("mine.nrrd")


def test_dicom_in_any_spelling_is_refused_with_the_reason(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(panel)
    for name in ("a.dcm", "a.DCM", "a.dicom", "A.IMA"):
        asking(monkeypatch, tmp_path / name)
        panel.ui.saveButton.click()
        assert "not exported as DICOM" in said(panel)
        assert not (tmp_path / name).exists()


def test_files_that_are_there_are_replaced_only_after_a_yes(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(panel)
    precious = tmp_path / "mine_desc-synthetic.json"
    precious.write_text("precious")
    asking(monkeypatch, tmp_path / "mine.nii.gz")
    panel.ui.saveButton.click()
    assert said(panel) == "Nothing was saved, for there are files of these names: mine_desc-synthetic.json."
    assert precious.read_text() == "precious"
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    panel.ui.saveButton.click()
    assert said(panel).startswith("Saved ")


def test_a_run_is_not_overwritten_with_itself(panel: Any) -> None:
    result = run(panel)
    with pytest.raises(ValueError, match="choose another folder"):
        save(result, result.folder / "sample-000000.nii.gz")


def test_of_several_samples_the_shown_one_is_described_and_saved(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.parameters.samples = 3
    result = run(panel)
    assert "Sample 1 of 3 is shown" in panel.ui.resultLabel.text
    result.browser.SetSelectedItemNumber(2)
    assert until(lambda: "Sample 3 of 3 is shown" in panel.ui.resultLabel.text, 5)
    asking(monkeypatch, tmp_path / "mine.nii.gz")
    panel.ui.saveButton.click()
    assert said(panel).startswith("Saved sample 3 of 3: mine_desc-synthetic_FLAIR.nii.gz")
    saved = (tmp_path / "mine_desc-synthetic_FLAIR.nii.gz").read_bytes()
    assert saved == result.samples[2].image.read_bytes()


# ------------------------------------------------------------ nodes and files deleted by hand


def delete_segmentation(result: Any) -> None:
    slicer.mrmlScene.RemoveNode(result.segmentation)


def delete_folder(result: Any) -> None:
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene).RemoveItem(result.folderItem)


@pytest.mark.parametrize("delete", [delete_segmentation, delete_folder])
def test_a_result_whose_nodes_were_deleted_is_said_and_forgotten(panel: Any, delete: Any) -> None:
    folder = run(panel).folder
    delete(panel.result)
    panel.ui.jumpButton.click()  # before the panel had time to notice
    assert panel.result is None
    assert "no longer whole" in said(panel) and str(folder) in said(panel)
    assert panel.ui.resultLabel.text == "Nothing has been made yet."
    assert not panel.ui.jumpButton.enabled
    run(panel)
    delete(panel.result)
    assert until(lambda: panel.result is None, 5)
    run(panel)


def test_a_result_under_a_warp_is_said(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(panel)
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    result.volume.SetAndObserveTransformNodeID(warp.GetID())
    panel.showLesion()
    assert "transform that is not linear: take it out" in said(panel)
    asking(monkeypatch, tmp_path / "mine.nii.gz")
    panel.ui.saveButton.click()
    assert "transform that is not linear: take it out" in said(panel)


def test_a_run_whose_files_were_deleted_is_said(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(panel)
    shutil.rmtree(result.folder)
    for ending in (".nii.gz", ".nrrd"):
        asking(monkeypatch, tmp_path / f"mine{ending}")
        panel.ui.saveButton.click()
        assert "are gone; the scene can still be saved as MRB" in said(panel)
    panel.openSidecar()
    assert "The sidecar is gone from the disk" in said(panel)
    assert not panel.ui.sidecarButton.enabled
    asking(monkeypatch, tmp_path / "mine.mrb")
    panel.ui.saveButton.click()
    assert said(panel) == "Saved mine.mrb."


def test_a_node_deleted_while_a_result_is_loaded_leaves_nothing(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importResult = GenerateRun.importResult

    for moment in ("segmentation", "subject hierarchy"):

        def meddled(result: Any, *others: Any, moment: str = moment) -> Any:
            for piece in importResult(result, *others):
                if piece == moment:
                    slicer.mrmlScene.RemoveNode(result.volume)
                yield piece

        monkeypatch.setattr(GenerateRun, "importResult", meddled)
        panel.ui.applyButton.click()
        assert until(lambda: not panel.busy, PATIENCE)
        assert said(panel).startswith("A node of the result was deleted while it was loaded: nothing was kept")
        assert panel.result is None
        assert not synthetic_nodes()
        assert files(tmp_path / "results") == set()


def test_a_fault_while_a_result_is_loaded_names_itself(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        yield "step"
        raise KeyError("no such thing")

    monkeypatch.setattr(GenerateRun, "importResult", broken)
    panel.ui.applyButton.click()
    assert until(lambda: not panel.busy, PATIENCE)
    assert "no such thing" in said(panel)
    assert "nothing of it was kept" in said(panel)
    assert "free memory" not in said(panel)


# ------------------------------------------------------------ several results, and scenes from the disk


def test_every_result_of_the_scene_can_be_chosen_and_removed(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    panel.parameters.seed = 11
    first = run(panel)
    panel.parameters.seed = 12
    second = run(panel)
    combo = panel.ui.resultCombo
    assert combo.count == 2 and "seed 12" in combo.currentText and "seed 12" in panel.ui.resultLabel.text
    combo.setCurrentIndex(0)
    assert panel.result is first and "seed 11" in panel.ui.resultLabel.text
    combo.setCurrentIndex(1)
    panel.ui.removeButton.click()
    assert panel.result is first and not second.folder.exists() and first.folder.exists()
    panel.ui.removeButton.click()
    assert panel.result is None and not first.folder.exists() and not combo.enabled
    assert panel.ui.resultLabel.text == "Nothing has been made yet."


@pytest.mark.parametrize("samples", [1, 3])
def test_a_result_is_there_again_after_its_scene_was_loaded(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    panel.parameters.samples = samples
    before = in_patient(panel)
    folder, name, sidecars = before.folder, before.name, [sample.sidecar for sample in before.samples]
    assert slicer.util.saveScene(str(tmp_path / "mine.mrb"))
    slicer.mrmlScene.Clear(False)
    slicer.app.processEvents()
    assert panel.result is None
    assert panel.ui.resultLabel.text == "Nothing has been made yet."
    slicer.util.loadScene(str(tmp_path / "mine.mrb"))
    assert until(lambda: panel.result is not None, 5)
    after = panel.result
    assert (after.folder, after.name) == (folder, name)
    assert [sample.sidecar for sample in after.samples] == sidecars
    assert after.patient.GetName() == "Doe^John"
    assert not panel.ui.againButton.enabled and "came with a scene" in panel.ui.againButton.toolTip
    panel.showLesion()
    image, *_ = save(after, tmp_path / "again.nii.gz")
    world = localToWorld(after.volume) @ volumeMatrix(after.volume)
    np.testing.assert_allclose(nibabel.load(image).affine, world, atol=1e-4)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    panel.ui.removeButton.click()
    assert panel.result is None and not folder.exists() and not synthetic_nodes()


def test_a_foreign_scene_cannot_have_a_folder_deleted(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(panel)
    precious = tmp_path / "synthetic-precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    for node in result.nodes:
        node.SetAttribute("JSDDPM.Folder", str(precious))
    (foreign,) = findResults()
    panel.result = foreign
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    panel.ui.removeButton.click()
    assert (precious / "thesis.txt").is_file()
    assert "could not be deleted" in said(panel)


# ------------------------------------------------------------ what it is called


def test_what_is_no_lesion_is_not_coded_as_one(panel: Any) -> None:
    combo = panel.ui.pathologyCombo
    combo.setCurrentIndex(combo.findData("none"))
    result = run(panel)
    segment = result.segmentation.GetSegmentation().GetSegment("lesion")
    assert segment.GetName() == "No lesion asked (synthetic)"
    entry = result.asked.pathology.terminology
    assert "Lesion" not in entry and "SCT^85756007^Tissue" in entry
    if not result.hasLesion:
        assert not panel.ui.jumpButton.enabled
        assert "no lesion in the image" in panel.ui.jumpButton.toolTip


def test_separators_in_a_label_do_not_break_the_terminology() -> None:
    odd = Pathology("odd", "a~b^c|d<e>f", "SCT:1234", (1, 2, 3)).terminology
    assert "~SCT^1234^a b c d e f~" in odd
    assert odd.count("~") == Pathology("plain", "plain", "SCT:1234", (1, 2, 3)).terminology.count("~")


def test_synthetic_volumes_are_not_offered_as_a_patient(panel: Any) -> None:
    patient = noise_volume(np.eye(4), "patient")
    result = run(panel)
    slicer.app.processEvents()
    selector = panel.ui.referenceSelector
    offered = [selector.nodeFromIndex(index) for index in range(selector.nodeCount())]
    assert patient in offered and result.volume not in offered
