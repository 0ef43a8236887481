"""The patient's volume in the Generate panel: brought into the model's space, or known to lie there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from . import Runs, Views
from .Core import coreFolder
from .Geometry import IDENTITY, Placement, gridProblem, parentProblem
from .Jobs import Job, JobState, removePath
from .NodeFrames import localToWorld, volumeMatrix
from .Scene import isSynthetic
from .Worker import Worker

REGISTERED = "JSDDPM.registered"
"""Role of the reference from a registration's transform node to the volume that it belongs to."""

APPROVED = "JSDDPM.Approved"
"""Attribute of a registration's transform node: the matrix that the user approved, or 0. No other is approved."""

TEMPLATE = Path("Resources") / "Templates" / "flair-mni152-2mm.nii.gz"

LEAST_MM = 60.0
"""What a volume must cover in each direction to be registered, as in jsddpm_core.data.registration."""


class Reference(VTKObservationMixin):
    """Registration, its approval, and what follows for the panel.

    Args:
        ui: of the panel.
        worker: that registers.
        onChanged: called when the panel should look again.
    """

    def __init__(self, ui: Any, worker: Worker, onChanged: Any) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self.worker, self._onChanged = ui, worker, onChanged
        self.parameters: Any = None
        self.job: Job | None = None
        self.inFront = False
        """Whether the panel is shown: nobody is asked behind another module's back."""
        self._shown: list[Any] = []
        self._before: Views.SliceState | None = None
        self._said = ""
        self._saidOf = ""
        self._orphans: list[Any] = []
        self._watched: list[Any] = []
        self._waiting = self._closed = False
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._onAboutToBeRemoved)
        for event in (scene.NodeRemovedEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self._later)
        ui.registerButton.connect("clicked(bool)", self.onRegister)
        ui.approveButton.connect("clicked(bool)", self.approve)
        ui.rejectButton.connect("clicked(bool)", self.reject)

    def setParameters(self, parameters: Any) -> None:
        self.parameters = parameters

    def sceneClosed(self) -> None:
        if self.job is not None:
            self.worker.cancel(self.job)
        self._watch([])
        self._shown, self._before, self._said, self._orphans = [], None, "", []

    def close(self) -> None:
        """Before the panel goes."""
        self._closed = True
        self._hide()
        self.removeObservers()
        self._watched = []
        self.parameters = None

    # ------------------------------------------------------------ what happens to the nodes

    def _watch(self, nodes: list[Any]) -> None:
        """Looks again when any of these nodes changes, and no others."""
        if nodes == self._watched:
            return
        events = (vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLTransformableNode.TransformModifiedEvent)
        for node in self._watched:
            for event in events:
                self.removeObserver(node, event, self._later)
        self._watched = nodes
        for node in nodes:
            for event in events:
                self.addObserver(node, event, self._later)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onAboutToBeRemoved(self, _caller: Any, _event: Any, node: Any) -> None:
        """A registration is of no use without its volume: it goes, too."""
        if slicer.mrmlScene.IsClosing() or not isinstance(node, slicer.vtkMRMLScalarVolumeNode):
            return
        self._orphans += [other for other in _registrations() if other.GetNodeReferenceID(REGISTERED) == node.GetID()]

    def _later(self, _caller: Any = None, _event: Any = None) -> None:
        """Once, when whoever changes nodes has changed them."""
        if not self._waiting and not self._closed:
            self._waiting = True
            qt.QTimer.singleShot(0, self._lookAgain)

    def _lookAgain(self) -> None:
        self._waiting = False
        if self._closed:
            return
        orphans, self._orphans = self._orphans, []
        for node in orphans:
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        self._onChanged()

    # ------------------------------------------------------------ what is known

    @property
    def volume(self) -> Any:
        return None if self.parameters is None else self.parameters.reference

    @property
    def _volumeID(self) -> str:
        return "" if self.volume is None else self.volume.GetID()

    @property
    def used(self) -> bool:
        return self.volume is not None

    @property
    def transform(self) -> Any:
        """The transform node that belongs to the volume: approved, or waiting for that."""
        for node in _registrations():
            if self.volume is not None and node.GetNodeReferenceID(REGISTERED) == self.volume.GetID():
                return node
        return None

    @property
    def approved(self) -> bool:
        return self.transform is not None and isApproved(self.transform)

    @property
    def awaitsApproval(self) -> bool:
        """Whether there is a registration that the user has not judged yet, or not as it is now."""
        if self.volume is None or self.volumeProblem or self.job is not None or self.parameters.referenceIsAligned:
            return False
        return self.transform is not None and not self.approved

    @property
    def placement(self) -> Placement | None:
        """Where the volume lies in the model's space; None while that is not known, or where there is no volume.

        Raises:
            ValueError: if the registration was changed to one that cannot be.
        """
        if self.volume is None:
            return None
        if self.parameters.referenceIsAligned:
            return IDENTITY
        if not self.approved:
            return None
        return Placement(np.array(slicer.util.arrayFromTransformMatrix(self.transform)))

    @property
    def volumeProblem(self) -> str:
        """Why the volume itself cannot be used; empty where it can."""
        volume = self.volume
        if volume is None:
            return ""
        if isSynthetic(volume):
            return _("{name} is synthetic: choose a patient's volume.").format(name=volume.GetName())
        if volume.GetImageData() is None:
            return _("{name} holds no image: choose another volume.").format(name=volume.GetName())
        wrong = gridProblem(volumeMatrix(volume))
        if wrong is not None:
            return f"{volume.GetName()}: {wrong}."
        world = localToWorld(volume)
        if world is None:
            return _("{name} lies under a transform that is not linear: harden it first.").format(name=volume.GetName())
        wrong = parentProblem(world)
        return f"{volume.GetName()}: {wrong}." if wrong is not None else ""

    @property
    def registrationProblem(self) -> str:
        """Why the volume cannot be registered, as far as that is known without its voxels; empty where it can."""
        volume = self.volume
        if self.volumeProblem or volume is None:
            return self.volumeProblem
        name = volume.GetName()
        if volume.IsA("vtkMRMLLabelMapVolumeNode"):
            return _("{name} is a label map: register the image that it belongs to.").format(name=name)
        image = volume.GetImageData()
        if image.GetNumberOfScalarComponents() != 1:
            return _("{name} has several numbers a voxel: register an image that has one.").format(name=name)
        size = image.GetDimensions()
        if min(size) < 2:
            return _("{name} is a single slice: register a whole volume.").format(name=name)
        corners = np.array(np.meshgrid(*[(0, count - 1) for count in size])).reshape(3, -1)
        least = np.ptp(volumeMatrix(volume)[:3, :3] @ corners, axis=1).min()
        if least < LEAST_MM:
            told = _("{name} covers only {least:.0f} mm in one direction: register one of at least {needed:.0f} mm.")
            return told.format(name=name, least=least, needed=LEAST_MM)
        return ""

    @property
    def problem(self) -> str:
        """Why a result cannot be placed in the patient's frame; empty where it can, or where there is no patient."""
        if self.volume is None:
            return ""
        if self.volumeProblem:
            return self.volumeProblem
        try:
            placement = self.placement
        except ValueError as error:
            return f"{self.volume.GetName()}: {error}."
        if placement is None:
            return _("Register {name} to the model's space first, or say that it lies there already.").format(
                name=self.volume.GetName()
            )
        return ""

    # ------------------------------------------------------------ registration

    def onRegister(self) -> None:
        """Starts the registration, or cancels the one that is under way."""
        if self.job is not None:
            self.worker.cancel(self.job)
            return
        why = self.registrationProblem or _voxelProblem(self.volume)
        if why:
            self._say(why)
            self._onChanged()
            return
        try:
            scratch = Runs.newScratchFolder("register")
            image = scratch / "volume.nrrd"
            try:
                writeVolume(self.volume, image)
            except OSError:
                removePath(scratch)
                raise
        except OSError as error:
            self._say(_("The volume could not be handed over ({reason}): free disk space.").format(reason=error))
            self._onChanged()
            return
        volume, grid = self.volume, volumeMatrix(self.volume)
        self.job = Job(
            "register",
            {"image": str(image), "out": str(scratch / "result")},
            scratch=(scratch,),
            onChanged=lambda job: self._onJob(job, volume, grid),
            onProgress=self._onProgress,
        )
        self._say(_("Registering..."))
        self.worker.submit(self.job)
        self._onChanged()

    def _say(self, text: str) -> None:
        """One line, as long as the volume is the one that it is about."""
        self._said, self._saidOf = text, self._volumeID

    def _onProgress(self, progress: dict[str, Any]) -> None:
        share = 100 * progress["done"] / max(progress["total"], 1)
        self.ui.referenceStatus.text = _("Registering, {stage}: {share:.0f} %").format(
            stage=progress["stage"], share=share
        )

    def _onJob(self, job: Job, volume: Any, grid: np.ndarray) -> None:
        if not job.ended:
            self._onChanged()
            return
        self.job = None
        if job.state is JobState.SUCCEEDED:
            self._keep(job.result, volume, grid)
        elif job.state is JobState.FAILED:
            image = job.params["image"]
            told = job.error.message.replace(image, volume.GetName()).replace(Path(image).name, volume.GetName())
            self._say(told)
        else:
            self._say(_("The registration was cancelled."))
        self._onChanged()

    def _keep(self, result: dict[str, Any], volume: Any, grid: np.ndarray) -> None:
        """Keeps the transform as a node, for approval, unless the volume is another one by now.

        Args:
            result: of the worker.
            volume: that was registered.
            grid: its IJKToRAS at that time.
        """
        if volume is not self.volume or not np.allclose(volumeMatrix(volume), grid):
            told = _("The registration was of {name}, which is not chosen any more, or was moved: it was discarded.")
            self._say(told.format(name=volume.GetName()))
            return
        old = self.transform
        if old is not None:
            slicer.mrmlScene.RemoveNode(old)
        name = _("{volume} to the model's space").format(volume=volume.GetName())
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.array(result["matrix"], float)))
        node.SetNodeReferenceID(REGISTERED, volume.GetID())
        node.SetAttribute(APPROVED, "0")
        self._say("")

    # ------------------------------------------------------------ approval

    def _show(self) -> None:
        """The registered volume over the template: a copy that shares its voxels, under the registration."""
        before = Views.SliceState.of()
        template = slicer.util.loadVolume(
            str(coreFolder() / TEMPLATE), {"name": _("Template"), "show": False, "singleFile": True}
        )
        registered = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        registered.UnRegister(None)
        registered.SetName(_("Registered volume"))
        registered.SetHideFromEditors(True)
        registered.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volumeMatrix(self.volume)))
        registered.SetAndObserveImageData(self.volume.GetImageData())
        slicer.mrmlScene.AddNode(registered)
        registered.CreateDefaultDisplayNodes()
        registered.SetAndObserveTransformNodeID(self.transform.GetID())
        self._shown, self._before = [template, registered], before
        for shown in self._shown:
            shown.SetSaveWithScene(False)
            shown.SetHideFromEditors(True)
            shown.GetDisplayNode().SetSaveWithScene(False)
        slicer.util.setSliceViewerLayers(background=template, foreground=registered, foregroundOpacity=0.5, fit=True)

    def approve(self) -> None:
        """The user has looked: the registration counts."""
        if self.transform is not None:
            approveRegistration(self.transform)
        self._say("")
        self._hide()
        self._onChanged()

    def reject(self) -> None:
        """The user has looked: the registration goes."""
        self._hide()
        if self.transform is not None:
            slicer.mrmlScene.RemoveNode(self.transform)
        self._say(_("The registration was discarded."))
        self._onChanged()

    def _hide(self) -> None:
        for node in self._shown:
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        if self._before is not None:
            self._before.restore()
        self._shown, self._before = [], None

    # ------------------------------------------------------------ controls

    def refresh(self, running: bool) -> None:
        """Brings the section's controls in line."""
        ui = self.ui
        volumeThere = self.volume is not None
        self._watch([node for node in (self.volume, self.transform) if node is not None])
        waiting = self.awaitsApproval
        self._showOrHide(waiting)
        ui.approvalRow.setVisible(waiting)
        ui.alignedCheck.enabled = volumeThere and self.job is None
        ui.referenceSelector.enabled = self.job is None and not waiting
        usable = volumeThere and not self.registrationProblem and not self.parameters.referenceIsAligned and not running
        ui.registerButton.enabled = self.job is not None or (usable and not waiting)
        ui.registerButton.text = _("Cancel") if self.job is not None else _("Register to the model's space")
        ui.registerButton.toolTip = self._whyNotRegister(volumeThere, waiting)
        if self.job is None:
            ui.referenceStatus.text = self._status(volumeThere, waiting)

    def _showOrHide(self, waiting: bool) -> None:
        """The two images are in the scene as long as the user is asked, and no longer."""
        if slicer.mrmlScene.IsBatchProcessing():
            return
        there = bool(self._shown) and all(slicer.mrmlScene.IsNodePresent(node) for node in self._shown)
        if self._shown and not (waiting and there):
            self._hide()
        if waiting and not there and self.inFront:
            self._show()

    def _whyNotRegister(self, volumeThere: bool, waiting: bool) -> str:
        if self.job is not None:
            return _("Stop the registration; nothing is kept.")
        if not volumeThere:
            return _("Choose a patient's volume first.")
        if self.registrationProblem:
            return self.registrationProblem
        if self.parameters.referenceIsAligned:
            return _("You have said that the volume lies in the model's space already.")
        if waiting:
            return _("Judge the registration that is shown first.")
        return _("Rigid, then affine, to the template of the model's space. The volume itself is not changed.")

    def _status(self, volumeThere: bool, waiting: bool) -> str:
        if self._said and self._saidOf == self._volumeID:
            return self._said
        if waiting:
            return _("Do brain and template lie over each other?")
        if not volumeThere:
            return _("Without a volume, results lie in the model's space.")
        return self.problem or _("Results will lie in the frame of {name}.").format(name=self.volume.GetName())


def _registrations() -> list[Any]:
    nodes = slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")
    return [node for node in nodes if node.GetNodeReferenceID(REGISTERED)]


def approveRegistration(node: Any) -> None:
    """The user has looked at what a registration's matrix does, as it is now."""
    matrix = slicer.util.arrayFromTransformMatrix(node)
    node.SetAttribute(APPROVED, " ".join(repr(float(value)) for value in matrix.ravel()))


def isApproved(node: Any) -> bool:
    """Whether the user approved a registration, with the matrix that it has now; a scene's file rounds matrices."""
    words = (node.GetAttribute(APPROVED) or "").split()
    if len(words) != 16:
        return False
    now = slicer.util.arrayFromTransformMatrix(node)
    return np.allclose(np.array(words, float).reshape(4, 4), now, rtol=0, atol=1e-4)


def _voxelProblem(volume: Any) -> str:
    """What is wrong with a volume's voxels for a registration; empty for nothing."""
    voxels = slicer.util.arrayFromVolume(volume)
    if not np.isfinite(voxels).all():
        told = _("{name} has voxels that are not numbers: replace them by the background's value.")
    elif voxels.min() == voxels.max():
        told = _("{name} is the same everywhere: choose a volume that shows a brain.")
    else:
        return ""
    return told.format(name=volume.GetName())


def writeVolume(volume: Any, path: Path) -> None:
    """Writes a volume as NRRD in its own coordinates; its node and storage stay as they are.

    Raises:
        OSError: if it cannot be written.
    """
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(0)
    if not storage.WriteData(volume) or not path.is_file():
        raise OSError(f"{path.name} could not be written")
