"""The Generate panel: from a position and a pathology to a synthetic FLAIR with its lesion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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
from .Results import Results
from .Scene import Result
from .Worker import Worker

ICONS = Path(__file__).resolve().parents[1] / "Resources" / "Icons"

DOUBLE_CLICK_S = 0.5
"""A click on Cancel so soon after Apply is the second half of a double click."""

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
        self._asked: Asked | None = None  # of the newest run
        self._startedAt = 0.0
        self._shown = False
        self._measuring: Job | None = None
        self._unmeasurable: set[str] = set()
        self.run = GenerateRun(worker, self.say, self._showShare, self.refresh, self._onResult)
        self.results = Results(
            self.ui.resultCombo, self.ui.referenceSelector, lambda: self.run.loading, self.say, self.refresh
        )
        self.reference = Reference(self.ui, worker, self.refresh)
        self.choices = Choices(self.ui, self.refresh)
        ui = self.ui
        ui.diceButton.setIcon(qt.QIcon(str(ICONS / "dice.png")))
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
    def result(self) -> Result | None:
        """The one that the result section is about."""
        return self.results.current

    @result.setter
    def result(self, result: Result | None) -> None:
        self.results.current = result

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
        self._shown = self.reference.inFront = True
        self.refresh()

    def exit(self) -> None:
        """The panel goes to the back."""
        self._shown = self.reference.inFront = False

    def sceneClosed(self) -> None:
        """Forgets nodes that go with their scene, and ends what would add to it."""
        self.run.sceneClosed()
        self.reference.sceneClosed()
        self.results.forget()
        Views.forget()
        self.refresh()

    def close(self) -> None:
        """Before the panel goes: nothing of it may call back."""
        self.results.close()
        self.run.close()
        self.reference.close()
        self.setParameters(None)
        self.choices.removeObservers()

    # ------------------------------------------------------------ the run

    @property
    def justStarted(self) -> bool:
        """Whether a click may still be the second half of a double click on Apply."""
        return time.monotonic() - self._startedAt < DOUBLE_CLICK_S

    def onApply(self) -> None:
        """Starts a run, or cancels the one that is under way."""
        if self.busy:
            if not self.justStarted:
                self.run.cancel()
            return
        why = self.whyNot()
        if why:
            self.say(why)
        else:
            self._start(self._wish())

    def _wish(self) -> Asked:
        """What the panel asks for now."""
        request = requestOf(self.parameters, str(self.choices.model.folder))
        used = self.reference.used
        return Asked(
            request=request,
            manifest=self.choices.manifest,
            pathology=self.choices.pathologyNamed(request["pathology"]),
            speedKey=self._speedKey(),
            placement=self.reference.placement if used else None,
            reference=self.parameters.reference if used else None,
        )

    def _start(self, asked: Asked) -> None:
        """Hands it to the worker."""
        self._asked, self._startedAt = asked, time.monotonic()
        self.run.start(asked)
        self.refresh()

    def again(self) -> None:
        """The request that the result is from, with a new seed; whatever the panel shows by now."""
        why = self.whyNotAgain()
        if why:
            self.say(why)
            return
        asked = self.result.asked
        self.choices.newSeed()
        self._start(replace(asked, request={**asked.request, "seed": int(self.parameters.seed)}))

    def _onResult(self, result: Result) -> None:
        result.asked = self._asked
        self.result = result

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
            told = _(
                "The current slice lies at {z:.2f} mm, not in {low:.2f} to {high:.2f} mm: the nearest end was taken."
            )
            self.say(told.format(z=position, low=low, high=high))
        elif tilt > TILT_WORTH_TELLING:
            told = _("The red view is tilted by {angle:.0f} degrees to the model's slices: its centre was taken.")
            self.say(told.format(angle=tilt))
        else:
            self.say("")

    def showLesion(self) -> None:
        self._withResult(self.whyNoLesion, Views.jumpTo)

    def showSideBySide(self) -> None:
        self._withResult(self.whyNotBeside, Views.showSideBySide)

    # ------------------------------------------------------------ the result

    def openSidecar(self) -> None:
        self._withResult(
            self.whyNoSidecar,
            lambda result: qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(result.shown.sidecarFile))),
        )

    def saveAs(self) -> None:
        self._withResult(lambda: "", lambda result: self.say(askAndSave(result, self.widget)))

    def _withResult(self, whyNot: Callable[[], str], action: Callable[[Result], Any]) -> None:
        """Does something with the chosen result, unless it was deleted since, or something speaks against it."""
        if self.results.look() is not None:
            why = whyNot()
            if why:
                self.say(why)
            else:
                action(self.result)
        self.refresh()

    def _whyNotShown(self) -> str:
        if self.result is None:
            return _("Nothing has been made yet.")
        if self.result.toWorld is None:
            return _("The result lies under a transform that is not linear: take it out of that transform first.")
        return ""

    def whyNoLesion(self) -> str:
        """Why the views cannot go to the lesion; empty where they can."""
        why = self._whyNotShown()
        return why or ("" if self.result.hasLesion else _("There is no lesion in the image that is shown."))

    def whyNotBeside(self) -> str:
        """Why result and patient cannot be shown side by side; empty where they can."""
        why = self._whyNotShown()
        return why or ("" if self.result.patient is not None else _("There is no patient's volume with this result."))

    def whyNoSidecar(self) -> str:
        """Why the sidecar cannot be opened; empty where it can."""
        if self.result is None:
            return _("Nothing has been made yet.")
        file = self.result.shown.sidecarFile
        return "" if file.is_file() else _("The sidecar is gone from the disk: {file}.").format(file=file)

    def removeResult(self) -> None:
        """Takes the result out of the scene and its files off the disk, after a question."""
        result = self.results.look()
        if result is None or self.busy:
            return
        question = _("Remove this result from the scene and delete its files?")
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Remove result")):
            return
        folder, own = result.folder, result.ownsFolder()
        result.remove()
        Views.restore()
        self.results.look()
        reason = ""
        if own:
            try:
                removePath(folder)
            except OSError as error:
                reason = error.strerror
        elif folder.is_dir():
            reason = _("they are not as they were made")
        if reason:
            told = _("The files in {folder} could not be deleted ({reason}): delete them by hand.")
            self.say(told.format(folder=folder, reason=reason))
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
        if self.choices.problem:
            return self.choices.problem
        found = problems(self.parameters, self.choices.manifest)
        return found[0] if found else self.reference.problem

    def whyNotAgain(self) -> str:
        """Why the result's request cannot be made again; empty where it can."""
        if self.result is None or self.parameters is None:
            return _("Nothing has been made yet.")
        asked, lacking = self.result.asked, missingLightPackages()
        if asked is None:
            return _("This result came with a scene: choose above what to make, and apply.")
        if self.busy:
            return _("Wait until the run has ended.")
        if lacking:
            return _("Packages are missing ({names}): install them in Setup.").format(names=", ".join(lacking))
        if not self.choices.has(asked.request["model"], asked.manifest):
            told = _("The model '{name}' that made this result is no longer here: import it in Setup.")
            return told.format(name=asked.manifest.name)
        if asked.reference is not None and not slicer.mrmlScene.IsNodePresent(asked.reference):
            return _("The patient's volume of this result is no longer in the scene: load it and make a new image.")
        return ""

    def refresh(self) -> None:
        """Brings every control in line with what can be done now."""
        ui, why, running = self.ui, self.whyNot(), self.busy
        ui.applyButton.text = _("Cancel") if running else _("Apply")
        ui.applyButton.enabled = not self.run.cancelling if running else not why
        ui.applyButton.toolTip = _("Stop; nothing is kept.") if running else why or _("Make the image (Ctrl+Return).")
        ui.progressBar.setVisible(running)
        if not running:
            self._showShare(0.0)
        self._refreshSections(running)
        ready = self.parameters is not None and self.choices.manifest is not None
        ui.estimateLabel.text = why if why and not running else self._estimate() if ready else ""
        self.choices.refresh()
        self.reference.refresh(running)
        blocked = self.reference.problem
        ui.currentSliceButton.enabled = not blocked
        ui.currentSliceButton.toolTip = blocked or _("Take the height of the red view's centre.")
        self._refreshResult(running)
        self._measure()

    def _refreshSections(self, running: bool) -> None:
        """What is to be made cannot be changed while it is made."""
        ui, why = self.ui, ""
        if missingLightPackages():
            why = _("Install the missing packages in Setup first.")
        elif running:
            why = _("Wait until the run has ended, or cancel it.")
        for section, told in (
            (ui.requestSection, _("Model, pathology, position and quality of the image.")),
            (ui.referenceSection, _("A patient's volume in whose frame the result is to lie.")),
            (ui.advancedSection, _("Sampler, seed and device, for those who know what they want.")),
        ):
            section.enabled = not why
            section.toolTip = why or told

    def _refreshResult(self, running: bool) -> None:
        ui = self.ui
        nothing = _("Nothing has been made yet.")
        ui.resultLabel.text = nothing if self.result is None else Words.describe(self.result)
        none = "" if self.result is not None else nothing
        wait = none or (_("Wait until the run has ended.") if running else "")
        for button, why, told in (
            (ui.jumpButton, self.whyNoLesion(), _("Centre the slice views on the lesion.")),
            (ui.sideBySideButton, self.whyNotBeside(), _("Result and patient in two views, in the same plane.")),
            (ui.sidecarButton, self.whyNoSidecar(), _("Show the file from which this image can be made again.")),
            (ui.saveButton, none, _("Write image and lesion as NIfTI, NRRD or as a scene (MRB).")),
            (ui.againButton, self.whyNotAgain(), _("The request of this result with another seed.")),
            (ui.removeButton, wait, _("Take this result out of the scene and delete its files.")),
        ):
            button.enabled = not why
            button.toolTip = why or told

    def _onUnfolded(self, _collapsed: bool) -> None:
        self.refresh()

    def _showShare(self, share: float) -> None:
        self.ui.progressBar.setValue(round(1000 * share))

    def say(self, text: str) -> None:
        """One line under the Apply button."""
        self.ui.statusLabel.text = text
