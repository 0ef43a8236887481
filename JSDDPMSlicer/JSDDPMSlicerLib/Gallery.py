"""The slices as the network will see them, case by case in the red view, with the outline of the mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from . import Runs
from .Controls import explain
from .Jobs import Job, JobState, removePath
from .Views import RED, SliceState, compositeNode, sliceNode
from .Worker import Worker

SEGMENT = "lesion"


class Gallery:
    """Wires the gallery of the Cases step.

    Args:
        ui: of the panel.
        worker: that prepares the slices.
        asked: gives the params of the worker's `gallery` without its folder; None where there is nothing to show.
    """

    def __init__(self, ui: Any, worker: Worker, asked: Callable[[], dict[str, Any] | None]) -> None:
        self.ui, self.worker, self._asked = ui, worker, asked
        self.job: Job | None = None
        self.shown: list[dict[str, Any]] = []
        self.nodes: list[Any] = []
        self._number = 0
        self._folder: Path | None = None
        self._of: dict[str, Any] | None = None
        self._before: SliceState | None = None
        self._said = ""
        ui.galleryButton.connect("clicked(bool)", self.onShow)
        ui.galleryPreviousButton.connect("clicked(bool)", self.onPrevious)
        ui.galleryNextButton.connect("clicked(bool)", self.onNext)

    def onShow(self) -> None:
        """Asks for the slices, cancels that, or takes them out of the view again."""
        asked = self._asked()
        if self.job is not None:
            self.worker.cancel(self.job)
        elif self.shown and self._of == asked:
            self._forget()
            self.refresh()
        elif asked is not None:
            self._start(asked)

    def onPrevious(self) -> None:
        self._go(self._number - 1)

    def onNext(self) -> None:
        self._go(self._number + 1)

    def refresh(self) -> None:
        """Brings buttons and words in line."""
        ui, asked, looking = self.ui, self._asked(), self.job is not None
        current = bool(self.shown) and self._of == asked
        ui.galleryButton.text = _("Cancel") if looking else _("Hide slices") if current else _("Show slices")
        why = "" if looking or current or asked is not None else _("Choose and tick cases first.")
        explain(
            ui.galleryButton,
            why,
            _("Stop; nothing is kept.") if looking
            else _("Back to what the view showed before.") if current
            else _("Prepares each ticked case as a run would, and shows it in the red view."),
        )  # fmt: skip
        for button, there in (
            (ui.galleryPreviousButton, self._number > 0),
            (ui.galleryNextButton, self._number + 1 < len(self.shown)),
        ):
            explain(button, "" if there else _("There is no further case in this direction."), _("Another case."))
        ui.galleryCaption.text = self._caption(asked)

    def sceneClosed(self) -> None:
        """The nodes are gone."""
        self.nodes, self._before = [], None
        self._forget()

    def close(self) -> None:
        """Removes nodes and files."""
        self._forget()

    # ------------------------------------------------------------ from files to the view

    def _start(self, asked: dict[str, Any]) -> None:
        self._forget()
        try:
            scratch = Runs.newScratchFolder("gallery")
        except OSError as error:
            self._said = _("The slices cannot be written ({reason}): free disk space.").format(reason=error)
            self.refresh()
            return
        self._folder, self._of, self._said = scratch, asked, _("Preparing the slices...")
        params = {**asked, "out": str(scratch / "slices")}
        self.job = Job("gallery", params, leftovers=(scratch,), onChanged=self._onJob, onProgress=self._onProgress)
        self.worker.submit(self.job)
        self.refresh()

    def _onProgress(self, progress: dict[str, Any]) -> None:
        self._said = _("Preparing case {n} of {all}...").format(
            n=min(int(progress["done"]) + 1, progress["total"]), all=progress["total"]
        )
        self.ui.galleryCaption.text = self._said

    def _onJob(self, job: Job) -> None:
        if not job.ended:
            return
        if job is not self.job:  # given up meanwhile; it may have been done all the same
            removePath(Path(job.params["out"]).parent)
            return
        self.job = None
        if job.state is JobState.SUCCEEDED:
            self.shown, self._number, self._said = list(job.result["cases"]), 0, ""
            self._before = SliceState.of(RED)
            self._draw()
        else:
            self._said = job.error.message if job.error is not None else _("Cancelled.")
        self.refresh()

    def _go(self, number: int) -> None:
        self._number = min(max(number, 0), max(len(self.shown) - 1, 0))
        self._draw()
        self.refresh()

    def _draw(self) -> None:
        """Puts the current case into the red view, in place of the one before."""
        self._removeNodes()
        case = self.shown[self._number]
        if case.get("image") is None or self._folder is None:
            return
        folder = self._folder / "slices"
        image = np.load(folder / case["image"], allow_pickle=False)
        volume = self._volume(case["name"], image, np.array(case["affine"], float))
        middle = image.shape[2] // 2
        if case.get("mask") is not None:
            mask = np.load(folder / case["mask"], allow_pickle=False)
            self._outline(case["name"], volume, mask)
            if mask.any():
                middle = int(mask.sum(axis=(0, 1)).argmax())
        layers = compositeNode(RED)
        layers.SetBackgroundVolumeID(volume.GetID())
        layers.SetForegroundVolumeID(None)
        layers.SetLabelVolumeID(None)
        sliceNode(RED).SetOrientationToAxial()
        logic = slicer.app.applicationLogic().GetSliceLogic(sliceNode(RED))
        if logic is not None:
            logic.FitSliceToBackground()
        sliceNode(RED).SetSliceOffset(float(case["positions_mm"][middle]))

    def _volume(self, name: str, image: np.ndarray, affine: np.ndarray) -> Any:
        node = self._newNode("vtkMRMLScalarVolumeNode", _("As the network sees it: {name}").format(name=name))
        slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(image.transpose(2, 1, 0)))
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAutoWindowLevel(0)
        node.GetDisplayNode().SetWindowLevelMinMax(-1, 1)
        return node

    def _outline(self, name: str, volume: Any, mask: np.ndarray) -> None:
        node = self._newNode("vtkMRMLSegmentationNode", _("Mask as the network sees it: {name}").format(name=name))
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        node.GetSegmentation().AddEmptySegment(SEGMENT, _("lesion"), [0.9, 0.3, 0.2])
        voxels = np.ascontiguousarray(mask.transpose(2, 1, 0)).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, SEGMENT, volume)
        display = node.GetDisplayNode()
        display.SetAllSegmentsVisibility2DFill(False)
        display.SetAllSegmentsVisibility2DOutline(True)
        display.SetSliceIntersectionThickness(2)

    def _newNode(self, kind: str, name: str) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        self.nodes.append(node)
        return node

    def _removeNodes(self) -> None:
        for node in reversed(self.nodes):
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        self.nodes = []

    def _caption(self, asked: dict[str, Any] | None) -> str:
        if not self.shown:
            return self._said or _("Each ticked case after all corrections, on the grid of the model.")
        case = self.shown[self._number]
        said = [_("Case {n} of {all}: {name}.").format(n=self._number + 1, all=len(self.shown), name=case["name"])]
        if case.get("reason"):
            said.append(_("There is nothing to show: {reason}.").format(reason=case["reason"].rstrip(".")))
        elif case.get("steps"):
            said.append(_("Brought to the model's grid: {steps}.").format(steps=_stepsInWords(case["steps"])))
        if asked != self._of:
            said.append(_("Something was changed since: show the slices again."))
        return " ".join(said)

    def _forget(self) -> None:
        """Takes all away, what is being prepared too, and brings the user's view back."""
        job, self.job = self.job, None
        if job is not None:
            self.worker.cancel(job)
            self._folder = None  # its end removes it: until then, the worker writes into it
        there = bool(self.nodes)
        self._removeNodes()
        if there and self._before is not None:
            self._before.restore()
        self.shown, self._number, self._of, self._before, self._said = [], 0, None, None, ""
        folder, self._folder = self._folder, None
        if folder is not None:
            removePath(folder)


def _stepsInWords(steps: list[str]) -> str:
    how, *others = steps
    ways = {
        "header": _("placed as its header says"), "rigid": _("turned and shifted onto the template"),
        "rigid+affine": _("turned, shifted, stretched and sheared onto the template"),
    }  # fmt: skip
    return ", ".join([ways.get(how, how), *others])
