"""The Fine-tune panel: from a group's own cases to a model that Generate can draw from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from . import Interpreter, Runs
from .CasesStep import CasesStep
from .Controls import show
from .Core import makeImportable, missingLightPackages
from .FineTuneRun import FAREWELL_MS, FineTuneRun
from .Jobs import removePath
from .NewModel import NewModel
from .RunEstimate import RunEstimate, sentence
from .RunsStep import RunsStep
from .TrainingStep import TrainingStep
from .TrainingView import TrainingView
from .Worker import Worker


class FineTunePanel:
    """Wires one `FineTune.ui`.

    It has two processes of its own: one that trains, so that no other panel waits for it, and one that looks at cases
    while that one is busy.

    Args:
        widget: the loaded user interface.
        onModels: called when a new model is among the user's.
    """

    def __init__(self, widget: Any, onModels: Any) -> None:
        self.widget, self._onModels = widget, onModels
        self.ui = slicer.util.childWidgetVariables(widget)
        self.worker = Worker(Interpreter.currentInterpreter, farewellMs=FAREWELL_MS)
        self.helper = Worker(Interpreter.currentInterpreter)
        self._shown = False
        self._refreshing = False
        self._closed = False
        self._said = ""
        self._stage = ""
        self.view = TrainingView()
        self.run = FineTuneRun(
            self.worker, self.refresh, self._onProgress, self.view.curves.add, self.view.addSamples, self._onEnded
        )
        self.estimate = RunEstimate(self.worker, self.refresh)
        self.cases = CasesStep(self.ui, self.helper, self.refresh, self._model)
        self.training = TrainingStep(self.ui, self.helper, self.refresh, self._onStartModel)
        self.newModel = NewModel(self.helper, self._onAdded)
        self.runs = RunsStep(self.ui, self.run, self.view, self.resume, self.addModel)
        ui = self.ui
        ui.startButton.connect("clicked(bool)", self.onStart)
        ui.probeButton.connect("clicked(bool)", self.onProbe)
        ui.smallerButton.connect("clicked(bool)", self.onSmaller)
        ui.pauseButton.connect("clicked(bool)", self.onPause)
        ui.stopButton.connect("clicked(bool)", self.onStop)
        for section in (ui.casesSection, ui.trainingSection, ui.runsSection):
            section.connect("contentsCollapsed(bool)", self._onUnfolded)
        self.training.refreshModels()
        self.refresh()

    # ------------------------------------------------------------ life

    def enter(self) -> None:
        """The panel has come to the front."""
        self._shown = True
        self.training.refreshModels()
        self.runs.removeForgotten()
        if not self.run.busy:
            self.runs.reload()
        self.refresh()

    def exit(self) -> None:
        """The panel has gone to the back; a run goes on."""
        self._shown = False
        self.estimate.wantSoon(None)

    def modelsChanged(self) -> None:
        """Packages, Python or models are others now: the next job starts with them."""
        self.helper.release()
        self.worker.release()
        self.training.refreshModels()
        self.refresh()

    def sceneClosed(self) -> None:
        """The scene's nodes are gone; a run goes on."""
        self.view.sceneClosed()
        self.cases.sceneClosed()
        self.refresh()

    def close(self) -> None:
        """Before the panel goes: a run writes its checkpoint and stops; nothing of it may call back."""
        self._closed = True
        for part in (self.estimate, self.training, self.newModel):
            part.close()
        with slicer.util.WaitCursor():
            self.run.close()
        self.helper.stop()
        self.runs.close()
        self.cases.close()
        self.view.close()

    # ------------------------------------------------------------ the request

    def request(self) -> dict[str, Any]:
        """What would be started now, as `jsddpm fine-tune` takes it."""
        return {"version": 1, "task": "fine-tune", **self.cases.request(), **self.training.request()}

    def whyNot(self) -> str:
        """Why Start cannot start; empty where it can."""
        lacking = missingLightPackages()
        if lacking:
            return _("Packages are missing ({names}): install them in Setup.").format(names=", ".join(lacking))
        if self.run.busy:
            return _("A run is under way: pause or stop it first, under 3.")
        why = self.cases.whyNot() or self.training.whyNot()
        if why:
            return why
        makeImportable()
        from jsddpm_core.errors import RequestError
        from jsddpm_core.training.request import parse_fine_tune_request

        try:
            parse_fine_tune_request(self.request())
        except RequestError as error:
            return str(error)
        return ""

    # ------------------------------------------------------------ start, pause, stop, resume

    def onStart(self) -> None:
        """Hands what is chosen to the worker, in a run folder of its own."""
        if self.whyNot():
            return
        self.estimate.cancel()
        try:
            folder = Runs.newTrainingRun(self.training.request()["name"])
        except OSError as error:
            self._say(_("The folder {folder} cannot be written ({reason}): choose another under 3.").format(
                folder=Runs.trainingFolder(), reason=error.strerror or error
            ))  # fmt: skip
            return
        try:
            self.cases.takeDraft(folder)
        except OSError as error:
            removePath(folder)
            self._say(_("The copies of the scene could not be moved: {reason}").format(reason=error))
            return
        self._begin(self.request(), folder, resume=False)

    def resume(self, folder: Path) -> None:
        """Goes on with a run from its last checkpoint."""
        from jsddpm_core.errors import JsddpmError
        from jsddpm_core.training.runs import read_run_request

        try:
            request = read_run_request(folder).model_dump(mode="json")
        except JsddpmError as error:
            self.runs.say(str(error))
            return
        self.estimate.cancel()
        self._begin(request, folder, resume=True)

    def onPause(self) -> None:
        """Stops without a question: nothing is lost, and it can be resumed."""
        self.run.stop()

    def onStop(self) -> None:
        """Stops after a question."""
        question = _(
            "Stop training {title}? Its last and its best state are kept, and it can be resumed later."
        ).format(title=self.run.title)
        if self.run.busy and slicer.util.confirmYesNoDisplay(question, windowTitle=_("Stop training")):
            self.run.stop()

    def _begin(self, request: dict[str, Any], folder: Path, resume: bool) -> None:
        self._stage = ""
        self._say("")
        self.runs.say("")
        self.view.setRun(folder, request["title"])
        self.ui.casesSection.collapsed = True
        self.ui.trainingSection.collapsed = True
        self.ui.runsSection.collapsed = False
        self.run.start(request, folder, resume)

    def _onProgress(self, said: str, share: float) -> None:
        if self.run.stage != self._stage:  # by now its folder says so too
            self._stage = self.run.stage
            self.runs.reload()
            self.runs.choose(self.run.folder)
        self.runs.showProgress(said, share)

    def _onEnded(self, folder: Path, answer: dict[str, Any] | None) -> None:
        """A run has ended, however; its model goes to the others, if it made one."""
        said = self.run.said
        self.runs.reload()
        self.runs.choose(folder)
        if answer is not None and answer.get("finished"):
            self.addModel(folder)
        elif answer is None:
            self.runs.say(said)

    # ------------------------------------------------------------ the new model

    def addModel(self, folder: Path) -> None:
        """Copies a finished run's model to the user's."""
        self.runs.say(_("Adding the model to yours..."))
        self.newModel.add(folder)

    def _onAdded(self, said: str, added: bool) -> None:
        if added:
            self.training.refreshModels()
            self._onModels()
        self.runs.reload()
        self.runs.say(said)
        self.refresh()

    # ------------------------------------------------------------ time and memory

    def onProbe(self) -> None:
        """Measures, or stops measuring."""
        if self.estimate.busy:
            self.estimate.cancel()
        elif not self.whyNot():
            self.estimate.measure(self.request())

    def onSmaller(self) -> None:
        """Takes over what the measurement suggests."""
        found = self._found()
        if found is not None and found.get("suggestion"):
            self.training.use(found["suggestion"])
            self.refresh()

    def _found(self) -> dict[str, Any] | None:
        return None if self.cases.whyNot() else self.estimate.of(self.request())

    # ------------------------------------------------------------ what is enabled, and why not

    def refresh(self) -> None:
        """Brings every control in line with what can be done now."""
        if self._refreshing or self._closed:
            return
        self._refreshing = True
        try:
            self._refreshAll()
        finally:
            self._refreshing = False

    def _refreshAll(self) -> None:
        ui, why = self.ui, self.whyNot()
        self.training.suggestTitle(self._suggestedTitle())
        some = not missingLightPackages() and bool(self.cases.taken)
        self.training.refresh(self.request() if some else None)
        self.cases.refresh(self._splits())
        self.runs.refresh()
        ui.startButton.enabled = not why
        ui.startButton.toolTip = why or _("Makes a run of its own; Slicer stays free meanwhile.")
        ui.startStatus.text = self._said or why
        show(ui.startStatus, bool(ui.startStatus.text))
        self._refreshEstimate(why)

    def _refreshEstimate(self, why: str) -> None:
        ui, measuring = self.ui, self.estimate.busy
        request = None if why else self.request()
        found = None if request is None else self.estimate.of(request)
        failed = "" if request is None else self.estimate.failure(request)
        if measuring:
            said = _("Measuring a few steps...")
        elif found is not None:
            said = sentence(found)
        else:
            said = failed or ("" if why else _("How long it takes here has not been measured yet."))
        ui.estimateLabel.text = said
        show(ui.estimateLabel, bool(said))
        warning = (found or {}).get("warning") or ""
        ui.warningLabel.text = warning
        show(ui.warningLabel, bool(warning))
        suggestion = (found or {}).get("suggestion")
        show(ui.smallerButton, bool(suggestion))
        ui.smallerButton.toolTip = (
            _("Takes over: {what}.").format(what=_suggested(suggestion)) if suggestion else _("Nothing is suggested.")
        )
        ui.probeButton.text = _("Stop measuring") if measuring else _("Measure time and memory")
        ui.probeButton.enabled = measuring or not why
        ui.probeButton.toolTip = (
            _("Nothing is kept.") if measuring else why or _("Trains a few steps on noise, and throws them away.")
        )
        open_ = self._shown and not ui.trainingSection.collapsed
        self.estimate.wantSoon(request if open_ and not measuring else None)

    def _splits(self) -> dict[str, int] | None:
        config = self.training.settings.config
        if config is None or not self.cases.taken:
            return None
        from jsddpm_core.errors import JsddpmError

        from .Cases import splitCounts

        try:
            return splitCounts(self.cases.taken, self.cases.vocabulary, config.data, int(self.ui.trainSeedSpin.value))
        except (JsddpmError, ValueError):
            return None

    def _suggestedTitle(self) -> str:
        if not self.cases.taken:
            return ""
        names = list(dict.fromkeys(row.entry["dataset"] for row in self.cases.taken))
        return _("Fine-tuned on {cases}").format(cases=", ".join(names))[:200]

    def _model(self) -> dict[str, Any]:
        said = self.training.request()
        return {"start": said["start"], "config": said["config"]}

    def _onStartModel(self) -> None:
        self.cases.setVocabulary(self.training.vocabulary())

    def _onUnfolded(self, _collapsed: bool) -> None:
        self.refresh()

    def _say(self, text: str) -> None:
        self._said = text
        self.refresh()


def _suggested(suggestion: dict[str, Any]) -> str:
    """A suggestion's keys and values."""
    flat = {**{key: value for key, value in suggestion.items() if key != "settings"}, **suggestion.get("settings", {})}
    return ", ".join(f"{key} = {value}" for key, value in flat.items())
