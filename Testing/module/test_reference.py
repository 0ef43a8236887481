"""A patient's volume as reference: registered or said to be aligned, and results in the frame of the patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from fixtures import until
from generation_fixtures import small_config
from JSDDPMSlicerLib import Reference, Views
from JSDDPMSlicerLib.Core import coreFolder
from JSDDPMSlicerLib.NodeFrames import localToWorld, volumeMatrix
from test_generate import PATIENCE, run, synthetic_nodes

from jsddpm_core.data.volumes import read_volume
from jsddpm_core.generation.nifti import affine_of, image_bytes
from jsddpm_core.manifest import ImageGrid

TEMPLATE = coreFolder() / Reference.TEMPLATE
REGISTRATION_S = 240


def turned(degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    """A rigid movement, 4 x 4."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        one, two = [other for other in range(3) if other != axis]
        turn = np.eye(4)
        turn[one, one] = turn[two, two] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    matrix[:3, 3] = shift
    return matrix


def noise_volume(matrix: np.ndarray, name: str = "patient") -> Any:
    voxels = np.random.default_rng(0).normal(size=(12, 20, 16)).astype(np.float32)
    return slicer.util.addVolumeFromArray(voxels, ijkToRAS=matrix, name=name)


def oblique(flip: int = 1) -> np.ndarray:
    """IJKToRAS of an oblique, anisotropic grid, its first axis turned round where flip is -1."""
    matrix = turned((20, -10, 35), (30, -20, 5))
    matrix[:3, :3] = matrix[:3, :3] @ np.diag([flip * 0.9, 1.1, 4.0])
    return matrix


def with_placement(panel: Any, volume: Any, matrix: np.ndarray) -> None:
    """A registration that the user has approved."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetNodeReferenceID(Reference.REGISTERED, volume.GetID())
    Reference.approveRegistration(node)
    panel.parameters.reference = volume
    panel.refresh()


@pytest.mark.parametrize("flip", [1, -1])
def test_a_result_lies_in_the_patients_frame_and_left_stays_left(panel: Any, flip: int) -> None:
    patientToModel = turned((5, 10, -15), (4, -7, 12))
    volume = noise_volume(oblique(flip))
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    moved = turned((0, 0, 90), (100, 0, 0))
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(moved))
    volume.SetAndObserveTransformNodeID(parent.GetID())
    with_placement(panel, volume, patientToModel)
    result = run(panel)

    for node in (result.volume, result.segmentation):
        toWorld = localToWorld(node)
        np.testing.assert_allclose(toWorld, moved @ np.linalg.inv(patientToModel), atol=1e-6)
        assert np.linalg.det(toWorld[:3, :3]) > 0
    # A voxel on the model's left lies where the patient's left is.
    left = volumeMatrix(result.volume) @ [0, 0, 0, 1]
    right = volumeMatrix(result.volume) @ [31, 0, 0, 1]
    assert left[0] < right[0]
    inPatient = [np.linalg.inv(patientToModel) @ point for point in (left, right)]
    assert (patientToModel @ inPatient[0])[0] < (patientToModel @ inPatient[1])[0]
    assert volume.GetTransformNodeID() == parent.GetID()
    np.testing.assert_allclose(volumeMatrix(volume), oblique(flip), atol=1e-6)


def test_the_current_slice_gives_its_height_in_the_models_space(panel: Any) -> None:
    patientToModel = turned((0, 0, 25), (0, 0, 30))
    with_placement(panel, noise_volume(oblique()), patientToModel)
    combo = panel.ui.pathologyCombo
    combo.setCurrentIndex(combo.findData("ms"))
    red = Views.sliceNode()
    red.SetOrientationToAxial()
    red.SetSliceOffset(-20.0)
    panel.ui.currentSliceButton.click()
    assert panel.parameters.positionMm == pytest.approx(10.0)
    assert panel.ui.positionSlider.value == pytest.approx(10.0)
    red.SetSliceOffset(200.0)
    panel.ui.currentSliceButton.click()
    assert panel.parameters.positionMm == pytest.approx(30.0)
    assert "not in -30.00 to 30.00 mm" in panel.ui.statusLabel.text
    red.SetOrientationToSagittal()
    red.JumpSliceByCentering(0.0, 0.0, -20.0)
    panel.ui.currentSliceButton.click()
    assert "tilted by 90 degrees" in panel.ui.statusLabel.text


def test_an_oblique_result_is_shown_in_its_own_plane(panel: Any) -> None:
    patientToModel = turned((15, 5, -10), (4, -7, 2))
    with_placement(panel, noise_volume(oblique()), patientToModel)
    result = run(panel)
    sliceToRAS = slicer.util.arrayFromVTKMatrix(Views.sliceNode().GetSliceToRAS())
    normal = (np.linalg.inv(patientToModel)[:3, :3] @ [0, 0, 1]) / 1.0
    assert abs(sliceToRAS[:3, 2] @ normal) == pytest.approx(1, abs=1e-4)
    onPlane = patientToModel @ sliceToRAS[:, 3]
    assert onPlane[2] == pytest.approx(result.samples[0].sidecar["geometry"]["positions_mm"][0], abs=0.1)


def test_side_by_side_shows_both_in_one_plane(panel: Any) -> None:
    volume = noise_volume(oblique())
    with_placement(panel, volume, turned((15, 5, -10), (4, -7, 2)))
    result = run(panel)
    assert panel.ui.sideBySideButton.enabled
    panel.ui.sideBySideButton.click()
    assert Views.compositeNode("Red").GetBackgroundVolumeID() == result.volume.GetID()
    assert Views.compositeNode("Yellow").GetBackgroundVolumeID() == volume.GetID()
    red, yellow = (slicer.util.arrayFromVTKMatrix(Views.sliceNode(v).GetSliceToRAS()) for v in ("Red", "Yellow"))
    np.testing.assert_allclose(red, yellow, atol=1e-6)


def test_a_sheared_volume_is_refused_with_its_angle(panel: Any) -> None:
    matrix = np.diag([1.0, 1.0, 3.0, 1.0])
    matrix[1, 2] = 0.8
    panel.parameters.reference = noise_volume(matrix, "tilted")
    assert not panel.ui.applyButton.enabled
    assert "tilted: its voxel axes are 14.9 degrees away" in panel.ui.applyButton.toolTip
    assert not panel.ui.registerButton.enabled
    assert "resample it first" in panel.ui.registerButton.toolTip


def test_a_synthetic_volume_is_no_patient(panel: Any) -> None:
    panel.parameters.reference = run(panel).volume
    assert "is synthetic: choose a patient's volume" in panel.ui.applyButton.toolTip


def test_a_volume_said_to_be_aligned_needs_no_registration(panel: Any) -> None:
    panel.parameters.reference = noise_volume(np.eye(4))
    assert not panel.ui.applyButton.enabled
    panel.ui.alignedCheck.checked = True
    assert panel.ui.applyButton.enabled
    np.testing.assert_allclose(localToWorld(run(panel).volume), np.eye(4), atol=1e-9)


@pytest.mark.parametrize("flip", [1, -1])
def test_the_core_reads_a_volume_as_it_is_handed_over(scene: Any, tmp_path: Path, flip: int) -> None:
    volume = noise_volume(oblique(flip))
    path = tmp_path / "volume.nrrd"
    Reference.writeVolume(volume, path)
    assert volume.GetStorageNode() is None
    read = read_volume(path)
    np.testing.assert_array_equal(read.data, slicer.util.arrayFromVolume(volume).T)
    np.testing.assert_allclose(read.affine, oblique(flip), atol=1e-5)


@pytest.mark.parametrize("position", [-12.5, 31.25])
def test_what_the_core_writes_comes_back_exactly(scene: Any, tmp_path: Path, position: float) -> None:
    grid = small_config().data.grid
    image_grid = ImageGrid.of(grid, (0.5, 99.5))
    values = np.random.default_rng(1).uniform(-1, 1, (*grid.shape[:2], 6)).astype(np.float32)
    path = tmp_path / "volume.nii.gz"
    path.write_bytes(image_bytes(values, image_grid, position))
    loaded = slicer.util.loadVolume(str(path), {"show": False})
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded).T, values)
    np.testing.assert_allclose(volumeMatrix(loaded), affine_of(image_grid, position), atol=1e-5)


@pytest.mark.slow
def test_a_moved_brain_is_registered_judged_and_approved(panel: Any) -> None:
    """The average brain, turned and shifted: the registration that the worker finds brings it back."""
    patient = slicer.util.loadVolume(str(TEMPLATE), {"name": "patient", "show": False})
    movement = turned((6, -4, 8), (9, -6, 5))
    ijkToRAS = movement @ volumeMatrix(patient)
    patient.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRAS))
    panel.parameters.reference = patient
    panel.ui.registerButton.click()
    assert panel.ui.registerButton.text == "Cancel"
    assert until(lambda: panel.reference.job is None, REGISTRATION_S)
    assert panel.ui.approvalRow.visible or not panel.widget.visible
    assert not panel.ui.applyButton.enabled, "nothing is used before the user has looked"
    panel.ui.approveButton.click()
    assert panel.ui.applyButton.enabled
    assert slicer.mrmlScene.GetFirstNodeByName("Template") is None
    head = np.array([[x, y, z, 1.0] for x in (-50, 50) for y in (-80, 40) for z in (-20, 50)]).T
    there = panel.reference.placement.patientToModel @ movement @ head
    assert np.abs(there - head).max() < 2.0
    np.testing.assert_allclose(volumeMatrix(patient), ijkToRAS, atol=1e-6)


def test_a_registration_is_cancelled_and_leaves_nothing(panel: Any, app: Any) -> None:
    patient = slicer.util.loadVolume(str(TEMPLATE), {"name": "patient", "show": False})
    panel.parameters.reference = patient
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.registerButton.click()
    assert until(lambda: "%" in panel.ui.referenceStatus.text, PATIENCE)
    panel.ui.registerButton.click()
    assert until(lambda: panel.reference.job is None, 20)
    assert panel.ui.referenceStatus.text == "The registration was cancelled."
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert not list((Path(app.temporaryPath) / "JSDDPMSlicer").glob("register-*"))
    assert not synthetic_nodes()
