"""What may happen to a patient's volume, its registration and the views at an awkward moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from JSDDPMSlicerLib import SyntheticNotice, Views
from JSDDPMSlicerLib.Geometry import gridProblem
from JSDDPMSlicerLib.Jobs import Job, JobError, JobState
from test_generate import run
from test_reference import noise_volume, oblique, turned, with_placement

PROJECT = Path(__file__).resolve().parents[2]


def settle(app: Any) -> None:
    for _ in range(5):
        app.processEvents()


def named(begin: str) -> list[Any]:
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if node.GetName().startswith(begin)]


def scratch(app: Any) -> list[str]:
    return [path.name for path in (Path(app.temporaryPath) / "JSDDPMSlicer").glob("register-*")]


def head(name: str = "head", matrix: np.ndarray | None = None) -> Any:
    """A volume large enough to be registered."""
    voxels = np.random.default_rng(1).normal(size=(20, 20, 20)).astype(np.float32)
    return slicer.util.addVolumeFromArray(
        voxels, ijkToRAS=np.diag([5, 5, 5, 1.0]) if matrix is None else matrix, name=name
    )


@pytest.fixture
def idle(module: Any) -> Any:
    """The Generate panel with the small model chosen, for what needs no worker."""
    generate = module.generate
    combo = generate.ui.modelCombo
    combo.setCurrentIndex(combo.findText("Random weights"))
    return generate


@pytest.fixture
def worker(idle: Any, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The registrations that were asked for; the test ends them."""
    asked: list[Job] = []

    def submit(job: Job) -> None:
        asked.append(job)

        job.enter(JobState.STARTING)
        job.enter(JobState.RUNNING)

    monkeypatch.setattr(idle.reference.worker, "submit", submit)
    return asked


FOUND = {"matrix": turned((1, 2, 3), (4, 5, 6)).tolist(), "folder": "", "resampled": ""}


def proposed(panel: Any, worker: list[Job], volume: Any) -> Any:
    """A registration that awaits the user's judgement."""
    panel.parameters.reference = volume
    panel.ui.registerButton.click()
    worker[-1].succeed(FOUND)
    return panel.reference.transform


# ------------------------------------------------------------ the scene goes


def test_a_scene_closed_just_after_beside_the_patient_is_closed_and_no_more(panel: Any, app: Any) -> None:
    with_placement(panel, noise_volume(oblique()), turned((5, 10, -15), (4, -7, 12)))
    assert run(panel) is not None
    panel.ui.sideBySideButton.click()
    slicer.mrmlScene.Clear(0)
    settle(app)
    assert not panel.ui.sideBySideButton.enabled


def test_without_its_patient_a_result_cannot_be_shown_beside_it(panel: Any, app: Any) -> None:
    volume = noise_volume(oblique())
    with_placement(panel, volume, turned((5, 10, -15), (4, -7, 12)))
    run(panel)
    slicer.mrmlScene.RemoveNode(volume)
    settle(app)
    assert not panel.ui.sideBySideButton.enabled
    assert "no patient's volume" in panel.ui.sideBySideButton.toolTip


# ------------------------------------------------------------ registration


@pytest.mark.parametrize("how", ["removed", "unchosen", "other", "moved"])
def test_a_registration_belongs_to_its_volume_alone(idle: Any, app: Any, worker: list[Job], how: str) -> None:
    volume, other = head("one"), head("two")
    idle.parameters.reference = volume
    idle.ui.registerButton.click()
    assert scratch(app)
    if how == "removed":
        slicer.mrmlScene.RemoveNode(volume)
    elif how == "moved":
        volume.SetOrigin(30, 0, 0)
    else:
        idle.parameters.reference = other if how == "other" else None
    worker[-1].succeed(FOUND)
    settle(app)
    assert not scratch(app), "the patient's image must not stay on the disk"
    assert idle.reference.transform is None
    assert "The registration was of one" in idle.ui.referenceStatus.text
    assert not named("Template")


def test_what_cannot_be_registered_is_said_before_it_is_tried(idle: Any, app: Any, worker: list[Job]) -> None:
    def why(volume: Any) -> str:
        idle.parameters.reference = volume
        settle(app)
        assert not idle.ui.registerButton.enabled
        return idle.ui.registerButton.toolTip

    single = slicer.util.addVolumeFromArray(np.ones((1, 90, 90), np.float32), name="single")
    assert why(single) == "single is a single slice: register a whole volume."
    assert "covers only" in why(noise_volume(np.eye(4), "small"))
    vector = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colours")
    slicer.util.updateVolumeFromArray(vector, np.ones((70, 70, 70, 3), np.uint8))
    assert "several numbers a voxel" in why(vector)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.util.updateVolumeFromArray(labels, np.ones((70, 70, 70), np.uint8))
    assert "is a label map" in why(labels)
    for value, told in ((np.nan, "not numbers"), (1.0, "the same everywhere")):
        broken = head("broken")
        slicer.util.updateVolumeFromArray(broken, np.full((20, 20, 20), value, np.float32))
        idle.parameters.reference = broken
        idle.ui.registerButton.click()
        assert told in idle.ui.referenceStatus.text
    assert not worker


def test_a_failure_names_the_volume_and_not_a_hidden_file(idle: Any, worker: list[Job]) -> None:

    idle.parameters.reference = head("Mrs. <b>Smith</b>")
    idle.ui.registerButton.click()
    job = worker[-1]
    job.fail(JobError(f"{job.params['image']} could not be aligned: give it in MNI152 space"))
    assert idle.ui.referenceStatus.text.startswith("Mrs. <b>Smith</b> could not be aligned")
    assert idle.ui.referenceStatus.textFormat == qt.Qt.PlainText


# ------------------------------------------------------------ approval


def test_approval_ends_when_the_volume_is_said_to_be_aligned_and_comes_back(
    idle: Any, app: Any, worker: list[Job]
) -> None:
    proposed(idle, worker, head())
    assert idle.ui.referenceStatus.text == "Do brain and template lie over each other?"
    assert named("Registered volume")
    idle.ui.alignedCheck.checked = True
    settle(app)
    assert not named("Template")
    assert not named("Registered volume")
    assert idle.ui.applyButton.enabled
    idle.ui.alignedCheck.checked = False
    settle(app)
    assert named("Template")
    idle.ui.approveButton.click()
    assert idle.ui.applyButton.enabled
    assert not named("Template")


def test_a_scene_saved_before_the_judgement_asks_again(idle: Any, app: Any, worker: list[Job], tmp_path: Path) -> None:
    proposed(idle, worker, head())
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    settle(app)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    settle(app)
    assert idle.reference.awaitsApproval
    assert named("Template")
    idle.ui.approveButton.click()
    slicer.util.saveScene(str(tmp_path / "again.mrb"))
    slicer.mrmlScene.Clear(0)
    settle(app)
    slicer.util.loadScene(str(tmp_path / "again.mrb"))
    settle(app)
    assert idle.reference.approved, "an approval outlives its session"


def test_a_registration_goes_with_its_patient(idle: Any, app: Any, worker: list[Job]) -> None:
    volume = head()
    registration = proposed(idle, worker, volume)
    slicer.mrmlScene.RemoveNode(volume)
    settle(app)
    assert not slicer.mrmlScene.IsNodePresent(registration)
    assert not named("Template")


# ------------------------------------------------------------ changed under the panel


def test_the_panel_sees_what_happens_to_volume_and_registration(idle: Any, app: Any) -> None:
    def why() -> str:
        settle(app)
        assert not idle.ui.applyButton.enabled
        return idle.ui.applyButton.toolTip

    volume = noise_volume(oblique())
    with_placement(idle, volume, turned((5, 10, -15), (4, -7, 12)))
    settle(app)
    assert idle.ui.applyButton.enabled
    sheared = oblique()
    sheared[1, 2] += 2.0
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sheared))
    assert "away from right angles" in why()
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(oblique()))
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    volume.SetAndObserveTransformNodeID(parent.GetID())
    settle(app)
    assert idle.ui.applyButton.enabled
    for factors, told in (((-1, 1, 1), "exchanges left and right"), ((1, 1, 0), "flattens space")):
        parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([*factors, 1.0])))
        assert told in why()
        idle.useCurrentSlice()
        assert told in idle.ui.statusLabel.text
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "warp")
    volume.SetAndObserveTransformNodeID(warp.GetID())
    assert "not linear" in why()
    volume.SetAndObserveTransformNodeID(None)
    settle(app)
    assert idle.ui.applyButton.enabled
    slicer.mrmlScene.RemoveNode(idle.reference.transform)
    assert "Register patient" in why()


@pytest.mark.parametrize("factors", [(-1, 1, 1), (1, 1, 0), (1, 1, 1.1)])
def test_a_registration_that_is_edited_is_not_approved_any_more(
    idle: Any, app: Any, factors: tuple[float, float, float]
) -> None:
    with_placement(idle, head(), np.eye(4))
    settle(app)
    assert idle.ui.applyButton.enabled
    node = idle.reference.transform
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([*factors, 1.0])))
    settle(app)
    assert not idle.ui.applyButton.enabled
    idle.ui.approveButton.click()
    settle(app)
    assert idle.ui.applyButton.enabled == (factors[0] * factors[2] > 0)
    if not idle.ui.applyButton.enabled:
        assert "register again" in idle.ui.applyButton.toolTip


def test_a_small_shear_of_rounded_numbers_is_no_obstacle() -> None:
    for degrees, refused in ((0.2, False), (0.5, True)):
        matrix = np.eye(4)
        matrix[1, 2] = np.tan(np.radians(degrees))
        assert (gridProblem(matrix) is not None) is refused


# ------------------------------------------------------------ views and notice


def test_removing_a_result_brings_the_users_images_back(panel: Any, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = slicer.util.addVolumeFromArray(np.ones((9, 9, 9), np.float32), name="own")
    slicer.util.setSliceViewerLayers(background=own)
    Views.sliceNode("Green").SetSliceOffset(2.0)
    run(panel)
    run(panel)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *a, **k: True)
    assert Views.compositeNode("Green").GetBackgroundVolumeID() != own.GetID()
    panel.ui.removeButton.click()
    panel.ui.removeButton.click()
    for view in ("Red", "Yellow", "Green"):
        assert Views.compositeNode(view).GetBackgroundVolumeID() == own.GetID()
    assert Views.sliceNode("Green").GetSliceOffset() == pytest.approx(2.0)
    settle(app)


def test_without_a_red_view_the_panel_says_so_and_still_works(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Views, "sliceNode", lambda view="Red": None)
    monkeypatch.setattr(Views, "compositeNode", lambda view="Red": None)
    panel.ui.currentSliceButton.click()
    assert "There is no red slice view" in panel.ui.statusLabel.text
    assert run(panel) is not None


def test_the_notice_is_there_without_the_module(app: Any, panel: Any, tmp_path: Path) -> None:
    """A colleague opens a scene and never the module: the hidden module has started the one notice."""
    from slicerhost import application

    run(panel)
    former = slicer.modules.jsddpmSyntheticNotice
    loaded = application.load_module(str(PROJECT / "JSDDPMSlicer" / "SyntheticDICOMPlugin.py"))
    try:
        notice = slicer.modules.jsddpmSyntheticNotice
        assert notice is not former
        assert not former.Observations, "one notice, not two"
        assert notice.shown("Red") == SyntheticNotice.IMAGE
        assert not former.shown("Red")
        slicer.util.saveScene(str(tmp_path / "shared.mrb"))
        slicer.mrmlScene.Clear(0)
        settle(app)
        assert not notice.shown("Red")
        slicer.util.loadScene(str(tmp_path / "shared.mrb"))
        settle(app)
        assert notice.shown("Red") == SyntheticNotice.IMAGE
    finally:
        loaded._instance.guard.close()
        application.unload_module("SyntheticDICOMPlugin")


def test_the_whole_slice_is_seen_with_a_margin(panel: Any) -> None:
    result = run(panel)
    width, height, _depth = result.volume.GetImageData().GetDimensions()
    spacing = result.volume.GetSpacing()
    field = Views.sliceNode().GetFieldOfView()
    assert field[0] > 1.02 * width * spacing[0]
    assert field[1] > 1.02 * height * spacing[1]
