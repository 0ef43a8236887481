"""The patient's volume in the Generate panel: brought into the model's space, or known to lie there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from . import Runs, Views
from .Core import coreFolder
from .Geometry import IDENTITY, Placement, gridProblem
from .Jobs import Job, JobState, removePath
from .Scene import isSynthetic, localToWorld, volumeMatrix
from .Worker import Worker

REGISTERED = "JSDDPM.registered"
"""Role of the reference from a registration's transform node to the volume that it belongs to."""

APPROVED = "JSDDPM.Approved"
TEMPLATE = Path("Resources") / "Templates" / "flair-mni152-2mm.nii.gz"


class Reference:
    """Registration, its approval, and what follows for the panel.

    Args:
        ui: of the panel.
        worker: that registers.
        onChanged: called when the panel should look again.
    """

    def __init__(self, ui: Any, worker: Worker, onChanged: Any) -> None:
        self.ui, self.worker, self._onChanged = ui, worker, onChanged
        self.parameters: Any = None
        self.job: Job | None = None
        self._shown: list[Any] = []
        self._before: Views.SliceState | None = None
        self._said = ""
        ui.registerButton.connect("clicked(bool)", self.onRegister)
        ui.approveButton.connect("clicked(bool)", self.approve)
        ui.rejectButton.connect("clicked(bool)", self.reject)

    def setParameters(self, parameters: Any) -> None:
        self.parameters = parameters

    def sceneClosed(self) -> None:
        if self.job is not None:
            self.worker.cancel(self.job)
        self._shown, self._before, self._said = [], None, ""

    def close(self) -> None:
        """Before the panel goes."""
        self._hide()
        self.parameters = None

    # ------------------------------------------------------------ what is known

    @property
    def volume(self) -> Any:
        return None if self.parameters is None else self.parameters.reference

    @property
    def used(self) -> bool:
        return self.volume is not None

    @property
    def transform(self) -> Any:
        """The transform node that belongs to the volume: approved, or waiting for that."""
        for node in slicer.util.getNodesByClass("vtkMRMLLinearTransformNode"):
            if self.volume is not None and node.GetNodeReferenceID(REGISTERED) == self.volume.GetID():
                return node
        return None

    @property
    def approved(self) -> bool:
        return self.transform is not None and self.transform.GetAttribute(APPROVED) == "1"

    @property
    def placement(self) -> Placement | None:
        """Where the volume lies in the model's space; None while that is not known, or where there is no volume."""
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
        if localToWorld(volume) is None:
            return _("{name} lies under a transform that is not linear: harden it first.").format(name=volume.GetName())
        return ""

    @property
    def problem(self) -> str:
        """Why a result cannot be placed in the patient's frame; empty where it can, or where there is no patient."""
        if self.volume is None:
            return ""
        if self.volumeProblem:
            return self.volumeProblem
        if self.placement is None:
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
        try:
            scratch = Runs.newScratchFolder("register")
            image = scratch / "volume.nrrd"
            writeVolume(self.volume, image)
        except OSError as error:
            self._said = _("The volume could not be handed over ({reason}): free disk space.").format(reason=error)
            self._onChanged()
            return
        self.job = Job(
            "register",
            {"image": str(image), "out": str(scratch / "result")},
            leftovers=(scratch,),
            onChanged=lambda job: self._onJob(job, scratch),
            onProgress=self._onProgress,
        )
        self._said = _("Registering...")
        self.worker.submit(self.job)
        self._onChanged()

    def _onProgress(self, progress: dict[str, Any]) -> None:
        share = 100 * progress["done"] / max(progress["total"], 1)
        self.ui.referenceStatus.text = _("Registering, {stage}: {share:.0f} %").format(
            stage=progress["stage"], share=share
        )

    def _onJob(self, job: Job, scratch: Path) -> None:
        if not job.ended:
            self._onChanged()
            return
        self.job = None
        if job.state is JobState.SUCCEEDED and self.volume is not None:
            self._propose(job.result, scratch)
        elif job.state is JobState.FAILED:
            self._said = job.error.message
        else:
            self._said = _("The registration was cancelled.")
        self._onChanged()

    def _propose(self, result: dict[str, Any], scratch: Path) -> None:
        """Keeps the transform as a node, and shows the registered image over the template for approval."""
        old = self.transform
        if old is not None:
            slicer.mrmlScene.RemoveNode(old)
        name = _("{volume} to the model's space").format(volume=self.volume.GetName())
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.array(result["matrix"], float)))
        node.SetNodeReferenceID(REGISTERED, self.volume.GetID())
        node.SetAttribute(APPROVED, "0")
        self._before = Views.SliceState.of()
        template = slicer.util.loadVolume(
            str(coreFolder() / TEMPLATE), {"name": _("Template"), "show": False, "singleFile": True}
        )
        registered = slicer.util.loadVolume(
            str(Path(result["folder"]) / result["resampled"]),
            {"name": _("Registered volume"), "show": False, "singleFile": True},
        )
        self._shown = [template, registered]
        for shown in self._shown:
            shown.SetSaveWithScene(False)
            shown.SetHideFromEditors(True)
        removePath(scratch)
        slicer.util.setSliceViewerLayers(background=template, foreground=registered, foregroundOpacity=0.5, fit=True)
        self._said = _("Do brain and template lie over each other?")

    def approve(self) -> None:
        """The user has looked: the registration counts."""
        if self.transform is not None:
            self.transform.SetAttribute(APPROVED, "1")
        self._said = ""
        self._hide()
        self._onChanged()

    def reject(self) -> None:
        """The user has looked: the registration goes."""
        if self.transform is not None:
            slicer.mrmlScene.RemoveNode(self.transform)
        self._said = _("The registration was discarded.")
        self._hide()
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
        waiting = volumeThere and self.transform is not None and not self.approved and bool(self._shown)
        ui.approvalRow.setVisible(waiting)
        ui.alignedCheck.enabled = volumeThere and self.job is None
        ui.referenceSelector.enabled = self.job is None and not waiting
        usable = volumeThere and not self.volumeProblem and not self.parameters.referenceIsAligned and not running
        ui.registerButton.enabled = self.job is not None or (usable and not waiting)
        ui.registerButton.text = _("Cancel") if self.job is not None else _("Register to the model's space")
        ui.registerButton.toolTip = self._whyNotRegister(volumeThere, waiting)
        if self.job is None:
            ui.referenceStatus.text = self._status(volumeThere)

    def _whyNotRegister(self, volumeThere: bool, waiting: bool) -> str:
        if self.job is not None:
            return _("Stop the registration; nothing is kept.")
        if not volumeThere:
            return _("Choose a patient's volume first.")
        if self.volumeProblem:
            return self.volumeProblem
        if self.parameters.referenceIsAligned:
            return _("You have said that the volume lies in the model's space already.")
        if waiting:
            return _("Judge the registration that is shown first.")
        return _("Rigid, then affine, to the template of the model's space. The volume itself is not changed.")

    def _status(self, volumeThere: bool) -> str:
        if self._said:
            return self._said
        if not volumeThere:
            return _("Without a volume, results lie in the model's space.")
        return self.problem or _("Results will lie in the frame of {name}.").format(name=self.volume.GetName())


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
