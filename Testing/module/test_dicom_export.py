"""Slicer's own export to DICOM: refused for what a model made, and results stay out of patients' studies."""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import slicer
from DICOMLib import DICOMPlugin
from fixtures import until
from JSDDPMSlicerLib.Geometry import Placement
from JSDDPMSlicerLib.Pathology import Pathology
from JSDDPMSlicerLib.SampleFiles import Sample
from JSDDPMSlicerLib.Scene import Result, importResult, subjectHierarchy
from JSDDPMSlicerLib.SyntheticItems import NO_DICOM
from slicerhost import application
from slicerhost.dicom import ExportDialog

NAME = "SyntheticDICOMPlugin"
FILE = Path(__file__).resolve().parents[2] / "JSDDPMSlicer" / f"{NAME}.py"
PATHOLOGY = Pathology("infarct", "Acute infarct", "SCT:432504007", (230, 75, 53))


class OtherPlugin(DICOMPlugin):
    """As Slicer's exporter of volumes: any volume or segmentation, one half."""

    confidence = 0.5

    def examineForExport(self, item: int) -> list[Any]:  # noqa: N802
        if subjectHierarchy().GetItemDataNode(item) is None:
            return []
        exportable = slicer.qSlicerDICOMExportable()
        exportable.name = "Other"
        exportable.subjectHierarchyItemID = item
        exportable.pluginClass = self.name
        exportable.confidence = self.confidence
        exportable.setTag("SeriesDescription", "No series description")
        exportable.setTag("Modality", "CT")
        return [exportable]

    def export(self, exportables: list[Any]) -> str:
        """As Slicer's: needs something that it can take for a patient."""
        hierarchy = subjectHierarchy()
        for exportable in exportables:
            study = hierarchy.GetItemParent(exportable.subjectHierarchyItemID)
            if not hierarchy.GetItemParent(study):
                return "Unable to get patient"
            name = f"{exportable.subjectHierarchyItemID}.dcm"
            (Path(exportable.directory) / name).write_text(exportable.tag("SeriesDescription"))
        return ""


def other(name: str, confidence: float) -> None:
    slicer.modules.dicomPlugins[name] = type(name, (OtherPlugin,), {"name": name, "confidence": confidence})


@pytest.fixture
def plugin(scene: Any) -> Iterator[Any]:
    """The hidden module, loaded beside an exporter of Slicer's kind."""
    before = dict(slicer.modules.dicomPlugins)
    other("DICOMScalarVolumePlugin", 0.5)
    loaded = application.load_module(FILE)
    yield loaded
    loaded._instance.guard.close()
    application.unload_module(NAME)
    slicer.modules.dicomPlugins.clear()
    slicer.modules.dicomPlugins.update(before)


@pytest.fixture
def patient(plugin: Any) -> tuple[Any, int]:
    """A patient's volume under a transform of its own, both in a study; and that study's item."""
    hierarchy = subjectHierarchy()
    study = hierarchy.CreateStudyItem(hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient"), "Study")
    volume = slicer.util.addVolumeFromArray(np.zeros((4, 8, 8), np.float32), name="scan")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "acquisition transform")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    for node in (volume, transform):
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), study)
    return volume, study


def sample(folder: Path, number: int) -> Sample:
    """Files as the core writes them, of 8 x 8 x 1 voxels."""
    stem = folder / f"sample-{number:06d}_desc-synthetic"
    image, mask = (stem.with_name(f"{stem.name}_{kind}.nii.gz") for kind in ("FLAIR", "mask"))
    voxels = np.full((8, 8, 1), number / 10, np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), image)
    nibabel.save(nibabel.Nifti1Image((voxels > 0).astype(np.uint8), np.eye(4)), mask)
    sidecar = {"notice": "Synthetic, not the image of a patient", "geometry": {"intensity_range": [-1, 1]}}
    file = stem.with_suffix(".json")
    file.write_text("{}")
    return Sample(image, mask, file, sidecar)


def imported(folder: Path, count: int = 1, reference: Any = None) -> Result:
    result = Result("Synthetic infarct", [sample(folder, number) for number in range(1, count + 1)])
    placement = None if reference is None else Placement(np.eye(4))
    for _step in importResult(result, PATHOLOGY, placement, reference):
        pass
    return result


def item_of(node: Any) -> int:
    hierarchy = subjectHierarchy()
    return hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


def first(node: Any) -> str:
    """The plugin that the dialog chooses for a node by itself."""
    return ExportDialog(item_of(node)).rows[0][0].pluginClass


def test_the_dialog_lists_the_refusal_first_and_says_why(plugin: Any, tmp_path: Path) -> None:
    result = imported(tmp_path)
    for node in (result.volume, result.segmentation):
        dialog = ExportDialog(item_of(node))
        (refused,) = dialog.rows[0]
        assert refused.pluginClass == NAME
        assert "Refused" in refused.name
        assert NO_DICOM in refused.tooltip
        said = dialog.export(0, str(tmp_path))
        assert NO_DICOM in said and node.GetName() in said
    assert list(tmp_path.glob("*.dcm")) == []


def test_what_is_not_synthetic_is_left_to_the_others(patient: tuple[Any, int]) -> None:
    volume, study = patient
    assert first(volume) == "DICOMScalarVolumePlugin"
    assert [group[0].pluginClass for group in ExportDialog(study).rows] == ["DICOMScalarVolumePlugin"]
    assert slicer.modules.dicomPlugins[NAME]().examineForExport(0) == []


@pytest.mark.parametrize("name", ["DICOMSegmentationPlugin", "DicomRtImportExportPlugin", "PETDICOMPlugin"])
def test_another_plugin_as_sure_of_itself_does_not_take_the_refusals_place(
    plugin: Any, name: str, tmp_path: Path
) -> None:
    other(name, 1.0)
    rows = ExportDialog(item_of(imported(tmp_path).segmentation)).rows
    assert [group[0].pluginClass for group in rows] == [NAME, "DICOMScalarVolumePlugin"]


def test_what_is_made_of_a_synthetic_image_is_refused_too(plugin: Any, tmp_path: Path) -> None:
    result = imported(tmp_path, count=2)
    clone = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, result.volume, "clone")
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn by hand")
    drawn.SetReferenceImageGeometryParameterFromVolumeNode(result.volume)
    moved = slicer.util.addVolumeFromArray(np.zeros((4, 8, 8), np.float32), name="put into the run's folder")
    subjectHierarchy().SetItemParent(item_of(moved), result.folderItem)
    for node in (clone, drawn, moved, result.browser):
        assert first(node) == NAME, node.GetName()
    result.volume.RemoveAttribute("JSDDPM.Synthetic")
    subjectHierarchy().SetItemParent(item_of(result.volume), subjectHierarchy().GetSceneItemID())
    assert first(result.volume) == NAME, "it still shows a marked sequence"


def test_a_file_written_by_another_plugin_says_that_it_is_synthetic(plugin: Any, tmp_path: Path) -> None:
    result = imported(tmp_path)
    dialog = ExportDialog(item_of(result.volume))
    assert dialog.export(1, str(tmp_path)) == ""
    (written,) = tmp_path.glob("*.dcm")
    assert "SYNTHETIC" in written.read_text()
    assert "not for clinical use" in written.read_text()
    tags = slicer.modules.dicomPlugins[NAME]().examineForExport(item_of(result.volume))[0].tags()
    assert all(len(value) <= 64 for value in tags.values()), "DICOM's long strings end there"


def test_a_result_that_slicer_moves_into_a_study_is_put_beside_it(
    patient: tuple[Any, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reference, study = patient
    result = imported(tmp_path, reference=reference)
    hierarchy = subjectHierarchy()
    item, scan = item_of(result.volume), item_of(reference)
    with caplog.at_level(logging.INFO):
        hierarchy.SetItemParent(item, study)
        assert until(lambda: hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID())
    assert "never enter a patient's study" in caplog.text
    assert hierarchy.GetItemParent(scan) == study
    dialog = ExportDialog(item)
    assert dialog.rows[0][0].pluginClass == NAME
    assert dialog.select(1) == "No patient found"
    assert dialog.export(1, str(tmp_path)) == "Unable to get patient"


def test_a_runs_folder_comes_out_of_a_study_as_a_whole(patient: tuple[Any, int], tmp_path: Path) -> None:
    result = imported(tmp_path)
    hierarchy = subjectHierarchy()
    hierarchy.SetItemParent(result.folderItem, patient[1])
    assert until(lambda: hierarchy.GetItemParent(result.folderItem) == hierarchy.GetSceneItemID())
    assert hierarchy.GetItemParent(item_of(result.volume)) == result.folderItem


def test_the_guard_follows_the_scene(plugin: Any, tmp_path: Path) -> None:
    slicer.mrmlScene.Clear(False)
    slicer.app.processEvents()
    result = imported(tmp_path)
    hierarchy = subjectHierarchy()
    subject = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    hierarchy.SetItemParent(item_of(result.segmentation), subject)
    assert until(lambda: hierarchy.GetItemParent(item_of(result.segmentation)) == hierarchy.GetSceneItemID())
    plugin._instance.guard.close()
    hierarchy.SetItemParent(item_of(result.segmentation), subject)
    slicer.app.processEvents()
    assert hierarchy.GetItemParent(item_of(result.segmentation)) == subject


def test_a_closed_scene_gets_a_hierarchy_again(plugin: Any) -> None:
    """It gets none while anything keeps the old one alive."""
    for _time in range(2):
        slicer.mrmlScene.Clear(False)
        slicer.app.processEvents()
        slicer.util.addVolumeFromArray(np.zeros((1, 2, 2), np.float32))
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSubjectHierarchyNode") == 1
        assert slicer.mrmlScene.IsNodePresent(subjectHierarchy())


def test_a_result_saved_in_a_study_comes_out_of_it_when_the_scene_is_read(plugin: Any, tmp_path: Path) -> None:
    plugin._instance.guard.close()
    result = imported(tmp_path)
    hierarchy = subjectHierarchy()
    study = hierarchy.CreateStudyItem(hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient"), "Study")
    hierarchy.SetItemParent(item_of(result.volume), study)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path, {})
    slicer.mrmlScene.Clear(False)
    plugin._instance = type(plugin._instance)(plugin)
    slicer.util.loadScene(path, {})
    hierarchy = subjectHierarchy()
    (volume,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert until(lambda: hierarchy.GetItemParent(item_of(volume)) == hierarchy.GetSceneItemID())
    assert first(volume) == NAME


def test_loading_is_left_alone(plugin: Any) -> None:
    assert plugin.hidden
    found = slicer.modules.dicomPlugins[NAME]()
    assert list(found.examineForImport([["a.dcm"]])) == list(found.examine([["a.dcm"]])) == []
    assert found.tags == DICOMPlugin().tags


def test_a_slicer_without_dicom_loads_the_module_all_the_same(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "DICOMLib":
            raise ModuleNotFoundError(name)
        return genuine(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "DICOMLib")
    monkeypatch.setattr(slicer.modules, "dicomPlugins", {})
    loaded = application.load_module(FILE)
    loaded._instance.guard.close()
    application.unload_module(NAME)
    assert slicer.modules.dicomPlugins == {}
