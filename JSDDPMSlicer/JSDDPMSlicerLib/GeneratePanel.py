"""The Generate panel: from a position and a pathology to a synthetic FLAIR with its lesion."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from . import Estimates, Views, Words
from .Choices import Choices
from .Core import missingLightPackages
from .Export import askAndSave
from .GenerateRun import Asked, GenerateRun
from .Jobs import Job, JobState, removePath
from .Parameters import drawsAtMost, problems, requestOf, sliceCount
from .Reference import Reference
from .Scene import Result
from .Worker import Worker

TILT_WORTH_TELLING = 10.0
"""Degrees between the red view and the model's slices."""


class GeneratePanel:
    """Wires one `Generate.ui`.

    Args:
        widget: the loaded user interface.
        worker: that computes.
    """

    def __init__(self, widget: Any, worker: Worker) -> None:
        self.widget, self.worker = widget, worker
        self.ui = slicer.util.childWidgetVariables(widget)
        self.result: Result | None = None
        self._shown = False
        self._measuring: Job | None = None
        self._unmeasurable: set[str] = set()
        self.run = GenerateRun(worker, self.say, self._showShare, self.refresh, self._onResult)
        self.reference = Reference(self.ui, worker, self.refresh)
        self.choices = Choices(self.ui, self.refresh)
        ui = self.ui
        ui.currentSliceButton.connect("clicked(bool)", self.useCurrentSlice)
        ui.applyButton.connect("clicked(bool)", self.onApply)
        # Unfolding shows all that a section holds; what is hidden for another reason is hidden again.
        ui.referenceSection.connect("contentsCollapsed(bool)", self._onUnfolded)
        ui.jumpButton.connect("clicked(bool)", self.showLesion)
        ui.sideBySideButton.connect("clicked(bool)", self.showSideBySide)
        ui.sidecarButton.connect("clicked(bool)", self.openSidecar)
        ui.saveButton.connect("clicked(bool)", self.saveAs)
        ui.againButton.connect("clicked(bool)", self.again)
        ui.removeButton.connect("clicked(bool)", self.removeResult)
        self.refresh()

    # ------------------------------------------------------------ life

    @property
    def parameters(self) -> Any:
        return self.choices.parameters

    @property
    def busy(self) -> bool:
        return self.run.busy

    def setParameters(self, parameters: Any) -> None:
        """Binds the panel to the scene's parameters; None while the scene closes."""
        self.reference.setParameters(parameters)
        self.choices.setParameters(parameters)

    def enter(self, parameters: Any) -> None:
        """The panel comes to the front: from now on it measures what it does not know."""
        if self.parameters is None:
            self.setParameters(parameters)
        self._shown = True
        self.refresh()

    def exit(self) -> None:
        """The panel goes to the back."""
        self._shown = False

    def sceneClosed(self) -> None:
        """Forgets nodes that go with their scene, and ends what would add to it."""
        self.run.sceneClosed()
        self.reference.sceneClosed()
        self.result = None
        self.refresh()

    def close(self) -> None:
        """Before the panel goes: nothing of it may call back."""
        self.run.close()
        self.reference.close()
        self.setParameters(None)
        self.choices.removeObservers()

    # ------------------------------------------------------------ the run

    def onApply(self) -> None:
        """Starts a run, or cancels the one that is under way."""
        if self.busy:
            self.run.cancel()
        elif not self.whyNot():
            self.start()

    def start(self) -> None:
        """Hands what is chosen to the worker."""
        used = self.reference.used
        self.run.start(
            Asked(
                request=requestOf(self.parameters, str(self.choices.model.folder)),
                manifest=self.choices.manifest,
                pathology=self.choices.pathology,
                speedKey=self._speedKey(),
                placement=self.reference.placement if used else None,
                reference=self.parameters.reference if used else None,
            )
        )
        self.refresh()

    def again(self) -> None:
        """The same request with a new seed."""
        if not self.busy:
            self.choices.newSeed()
            if not self.whyNot():
                self.start()

    def _onResult(self, result: Result) -> None:
        self.result = result
        self.ui.resultLabel.text = Words.describe(result.samples)

    # ------------------------------------------------------------ position and views

    def useCurrentSlice(self) -> None:
        """Takes the position of the red view's centre."""
        try:
            position, tilt = Views.currentPosition(self.reference.placement, self.parameters.reference)
        except ValueError as error:
            self.say(str(error))
            return
        low, high = self.ui.positionSlider.minimum, self.ui.positionSlider.maximum
        self.parameters.positionMm = min(max(position, low), high)
        if not low <= position <= high:
            told = _("The current slice lies at {z:.1f} mm, outside {low:g} to {high:g} mm: the nearest end was taken.")
            self.say(told.format(z=position, low=low, high=high))
        elif tilt > TILT_WORTH_TELLING:
            told = _("The red view is tilted by {angle:.0f} degrees to the model's slices: its centre was taken.")
            self.say(told.format(angle=tilt))

    def showLesion(self) -> None:
        if self.result is not None:
            Views.jumpTo(self.result)

    def showSideBySide(self) -> None:
        if self.result is not None and self.result.reference is not None:
            Views.showSideBySide(self.result)

    # ------------------------------------------------------------ the result

    def openSidecar(self) -> None:
        if self.result is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.result.shown.sidecarFile)))

    def saveAs(self) -> None:
        if self.result is not None:
            self.say(askAndSave(self.result, self.widget))

    def removeResult(self) -> None:
        """Takes the result out of the scene and its files off the disk, after a question."""
        if self.result is None or self.busy:
            return
        question = _("Remove this result from the scene and delete its files?")
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Remove result")):
            return
        folder = self.result.samples[0].sidecarFile.parent
        self.result.remove()
        self.result = None
        try:
            removePath(folder)
        except OSError as error:
            told = _("The files in {folder} could not be deleted ({reason}): delete them by hand.")
            self.say(told.format(folder=folder, reason=error.strerror))
        self.ui.resultLabel.text = _("Nothing has been made yet.")
        self.refresh()

    # ------------------------------------------------------------ time and memory

    def _speedKey(self) -> str | None:
        model = self.choices.model
        if model is None or self.parameters is None:
            return None
        return Estimates.speedKey(model.bundle.digest, self.parameters.device)

    def _measure(self) -> None:
        """Times the chosen model here, once, while the panel is shown and nothing else runs."""
        key = self._speedKey()
        known = key is None or key in self._unmeasurable or key in Estimates.readSpeeds()
        if known or not self._shown or self._measuring is not None or self.busy:
            return
        params = {"model": str(self.choices.model.folder), "device": self.parameters.device, "threads": None}
        self._measuring = Job("measure", params, onChanged=lambda job: self._onMeasured(job, key))
        self.worker.submit(self._measuring)

    def _onMeasured(self, job: Job, key: str) -> None:
        if not job.ended:
            return
        self._measuring = None
        if job.state is JobState.SUCCEEDED:
            result = job.result
            Estimates.remember(key, Estimates.Speed(result["seconds_per_evaluation"], result["memory_bytes"]))
        else:
            self._unmeasurable.add(key)
        self.refresh()

    def _estimate(self) -> str:
        slices, steps = sliceCount(self.parameters, self.choices.manifest), self.parameters.steps
        speed = Estimates.readSpeeds().get(self._speedKey())
        one, many = _("1 slice of {steps} steps"), _("{slices} slices of {steps} steps")
        work = (one if slices == 1 else many).format(slices=slices, steps=steps)
        if speed is None:
            return _("{work}. How long that takes here has not been measured yet.").format(work=work)
        number = Estimates.evaluations(steps, slices, self.parameters.guidance)
        told = _("About {time} for {work}, at most {most} with redraws; {memory}.")
        return told.format(
            time=Estimates.duration(number * speed.seconds), work=work,
            most=Estimates.duration(drawsAtMost() * number * speed.seconds),
            memory=Estimates.size(speed.memoryBytes),
        )  # fmt: skip

    # ------------------------------------------------------------ what is enabled, and why not

    def whyNot(self) -> str:
        """Why Apply cannot start; empty where it can."""
        lacking = missingLightPackages()
        if lacking:
            return _("Packages are missing ({names}): install them in Setup.").format(names=", ".join(lacking))
        if self.parameters is None:
            return _("The scene is closing.")
        found = problems(self.parameters, self.choices.manifest)
        return found[0] if found else self.reference.problem

    def refresh(self) -> None:
        """Brings every control in line with what can be done now."""
        ui, why, running = self.ui, self.whyNot(), self.busy
        ui.applyButton.text = _("Cancel") if running else _("Apply")
        ui.applyButton.enabled = not self.run.cancelling if running else not why
        ui.applyButton.toolTip = _("Stop; nothing is kept.") if running else why or _("Make the image.")
        ui.progressBar.setVisible(running)
        if not running:
            self._showShare(0.0)
        for section in (ui.requestSection, ui.advancedSection, ui.referenceSection):
            section.enabled = not running and not missingLightPackages()
        ready = self.parameters is not None and self.choices.manifest is not None
        ui.estimateLabel.text = why if why and not running else self._estimate() if ready else ""
        self.choices.refresh()
        self.reference.refresh(running)
        blocked = self.reference.problem
        ui.currentSliceButton.enabled = not blocked
        ui.currentSliceButton.toolTip = blocked or _("Take the height of the red view's centre.")
        self._refreshResult(running)
        self._measure()

    def _refreshResult(self, running: bool) -> None:
        ui, there = self.ui, self.result is not None
        for button in (ui.jumpButton, ui.sidecarButton, ui.saveButton):
            button.enabled = there
        for button in (ui.againButton, ui.removeButton):
            button.enabled = there and not running
        beside = there and self.result.reference is not None
        ui.sideBySideButton.enabled = beside
        ui.sideBySideButton.toolTip = (
            _("Result and patient in two views, in the same plane.")
            if beside
            else _("There is no patient's volume with this result.")
        )

    def _onUnfolded(self, _collapsed: bool) -> None:
        self.refresh()

    def _showShare(self, share: float) -> None:
        self.ui.progressBar.setValue(round(1000 * share))

    def say(self, text: str) -> None:
        """One line under the Apply button."""
        self.ui.statusLabel.text = text
