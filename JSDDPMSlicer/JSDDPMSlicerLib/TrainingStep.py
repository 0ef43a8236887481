"""Step 2 of the Fine-tune panel: where to start from, how long, and what the new model is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from . import Bundles
from .Core import makeImportable, missingLightPackages
from .Jobs import Job, JobState
from .SettingsTable import SettingsTable
from .Vocabulary import Vocabulary, nameOf
from .Worker import Worker

SCRATCH = ""
"""In place of a start model's folder."""

SETTLE_MS = 250
PATHOLOGY_KEYS = ("name", "label", "lesional", "code", "colour")


class TrainingStep:
    """Wires the second step.

    Args:
        ui: of the panel.
        worker: that tells the settings of a run; not the one that trains.
        onChanged: called after every change.
        onStartModel: called when another start model was chosen.
    """

    def __init__(
        self, ui: Any, worker: Worker, onChanged: Callable[[], None], onStartModel: Callable[[], None]
    ) -> None:
        self.ui, self.worker, self._onChanged, self._onStartModel = ui, worker, onChanged, onStartModel
        self.models: list[Bundles.Model] = []
        self._filling = False
        self._named = False
        self._job: Job | None = None
        self._asked = ""
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._askSettings)
        self._request: dict[str, Any] | None = None
        self.settings = SettingsTable(ui, self._onSettings)
        self._fillFixed()
        ui.startCombo.connect("currentIndexChanged(int)", self._onStart)
        for combo in (ui.configCombo, ui.presetCombo):
            combo.connect("currentIndexChanged(int)", self._onBase)
        for combo in (ui.layersCombo, ui.trainDeviceCombo):
            combo.connect("currentIndexChanged(int)", self._onAny)
        ui.replaySlider.connect("valueChanged(double)", self._onAny)
        for spin in (ui.replaySpin, ui.trainSeedSpin):
            spin.connect("valueChanged(int)", self._onAny)
        ui.titleEdit.connect("textChanged(QString)", self._onTitle)
        ui.nameEdit.connect("textEdited(QString)", self._onName)
        ui.nameEdit.connect("textChanged(QString)", self._onAny)
        ui.licenceEdit.connect("textChanged(QString)", self._onAny)
        ui.settingsBox.connect("toggled(bool)", self._onAny)

    # ------------------------------------------------------------ what is chosen

    @property
    def start(self) -> Bundles.Model | None:
        """The start model; None from scratch."""
        index = self.ui.startCombo.currentIndex - 1
        return self.models[index] if 0 <= index < len(self.models) else None

    def vocabulary(self) -> Vocabulary:
        """The pathologies that the start model knows, or all models, from scratch."""
        sources = self.models if self.start is None else [self.start]
        known: dict[str, dict[str, Any]] = {}
        for model in sources:
            for entry in model.bundle.manifest.pathologies:
                if entry.lesional and not entry.name.endswith("simulated"):
                    plain = entry.model_dump(mode="json")
                    known.setdefault(entry.name, {key: plain[key] for key in PATHOLOGY_KEYS})
        return Vocabulary(list(known.values()))

    def request(self) -> dict[str, Any]:
        """The part of a request that this step says."""
        ui, start = self.ui, self.start
        return {
            "name": ui.nameEdit.text.strip(),
            "title": ui.titleEdit.text.strip(),
            "licence": ui.licenceEdit.text.strip(),
            "start": None if start is None else str(start.folder),
            "config": ui.configCombo.itemData(ui.configCombo.currentIndex),
            "preset": ui.presetCombo.itemData(ui.presetCombo.currentIndex),
            "settings": dict(self.settings.chosen),
            "train": "all" if start is None else ui.layersCombo.itemData(ui.layersCombo.currentIndex),
            "replay_share": round(ui.replaySlider.value / 100, 4),
            "replay_slices": int(ui.replaySpin.value),
            "seed": int(ui.trainSeedSpin.value),
            "device": ui.trainDeviceCombo.itemData(ui.trainDeviceCombo.currentIndex),
        }

    def whyNot(self) -> str:
        """Why no run can be started with these words; empty where one can."""
        title, name = self.ui.titleEdit.text.strip(), self.ui.nameEdit.text.strip()
        if not title:
            return _("Give the new model a title.")
        if not name or name != nameOf(name):
            return _("The short name takes small letters, digits and hyphens only.")
        if any(model.folder.name == name for model in self.models) or (Bundles.modelsFolder() / name).exists():
            return _("There is a model named {name} already: choose another short name.").format(name=name)
        return self.settings.problem

    def use(self, suggestion: dict[str, Any]) -> None:
        """Takes over a smaller suggestion: keys of the request."""
        ui = self.ui
        choices = {
            "train": ui.layersCombo, "config": ui.configCombo, "preset": ui.presetCombo, "device": ui.trainDeviceCombo,
        }  # fmt: skip
        for key, value in suggestion.items():
            if key == "settings":
                self.settings.set(value)
            elif key == "replay_share":
                ui.replaySlider.value = 100 * value
            elif key == "replay_slices":
                ui.replaySpin.value = value
            elif key in choices:
                choices[key].setCurrentIndex(choices[key].findData(value))
            elif key == "start" and value is None:
                ui.startCombo.setCurrentIndex(0)
        self._onChanged()

    def suggestTitle(self, words: str) -> None:
        """A title and a name, as long as the user has typed none."""
        if not self.ui.titleEdit.text and not self._named:
            self.ui.titleEdit.text = words

    # ------------------------------------------------------------ filling

    def _fillFixed(self) -> None:
        ui = self.ui
        for combo, choices in (
            (ui.configCombo, {"fast": _("Fast"), "paper": _("As in the paper, large")}),
            (
                ui.presetCombo,
                {
                    "quick-check": _("Quick check: whether all fits together"),
                    "standard": _("Standard"),
                    "paper": _("Paper: as published, very long"),
                },
            ),
            (
                ui.layersCombo,
                {
                    "all": _("All"),
                    "last-levels": _("The last levels only"),
                    "low-rank": _("Low-rank changes only, for few cases"),
                },
            ),
            (
                ui.trainDeviceCombo,
                {"auto": _("Automatic"), "cpu": _("Processor"), "cuda": _("NVIDIA GPU"), "mps": _("Apple GPU")},
            ),
        ):
            for value, text in choices.items():
                combo.addItem(text, value)
        ui.presetCombo.setCurrentIndex(ui.presetCombo.findData("standard"))

    def refreshModels(self) -> None:
        """Looks for models anew, and keeps the choice where it is still there."""
        chosen = self.start
        before = None if chosen is None else chosen.folder
        first = not self.models
        self.models = [model for model in Bundles.listModels() if model.problem is None]
        combo = self.ui.startCombo
        self._filling = True
        combo.clear()
        combo.addItem(_("Nothing: fresh weights (long)"), SCRATCH)
        for model in self.models:
            combo.addItem(model.bundle.manifest.title, str(model.folder))
        folders = [model.folder for model in self.models]
        index = folders.index(before) + 1 if before in folders else 1 if first and self.models else 0
        combo.setCurrentIndex(index)
        self._filling = False
        now = self.start
        if (None if now is None else now.folder) != before or first:
            self._onStartModel()

    def refresh(self, request: dict[str, Any] | None) -> None:
        """Brings every control of the step in line.

        Args:
            request: of a run of this kind, with a case or more; None where there is none yet.
        """
        ui, fresh = self.ui, self.start is None
        ui.configCombo.enabled = fresh
        ui.configCombo.toolTip = (
            _("Size and kind of the network.") if fresh else _("The start model brings its own network.")
        )
        for control, what in (
            (ui.layersCombo, _("All of the network, or less of it where cases are few.")),
            (ui.replaySlider, _("Share of what is learned from that shows the start model's own pathologies.")),
            (ui.replaySpin, _("How many slices the start model draws for that, before training begins.")),
        ):
            control.enabled = not fresh
            control.toolTip = what if not fresh else _("Only with a start model: fresh weights have nothing to keep.")
        self.settings.refresh()
        if missingLightPackages():
            self.settings.forget(_("Packages are missing: install them in Setup."))
            return
        if request is None:
            self.settings.forget(_("The settings are shown once there are cases."))
            self._asked = ""
            return
        if not ui.settingsBox.collapsed or self.settings.config is None:
            self._wantSettings(request)

    def close(self) -> None:
        """Before the panel goes: nothing more is asked for."""
        self._timer.stop()
        self._request = None

    # ------------------------------------------------------------ settings

    def _wantSettings(self, request: dict[str, Any]) -> None:
        """Asks for the settings of such a run, unless they are shown or asked for already."""
        one = {**request["cases"][0], "pathology": None}
        plain = {"cases": [one], "pathologies": [], "name": "settings", "title": "settings", "licence": ""}
        request = {**request, **plain}
        if _kind(request) == self._asked and not self.settings.stale:
            return
        self._request = request
        if not self._timer.isActive():
            self._timer.start(SETTLE_MS)

    def _askSettings(self) -> None:
        if self._job is not None or self._request is None:
            return
        self._asked, self.settings.stale = _kind(self._request), False
        self._job = Job("settings", {"request": self._request}, onChanged=self._onSettingsJob)
        self.worker.submit(self._job)

    def _onSettingsJob(self, job: Job) -> None:
        if not job.ended:
            return
        self._job = None
        if job.state is JobState.SUCCEEDED:
            makeImportable()
            self.settings.setSettings(job.result["config"], job.result["settings"])
        elif job.error is not None:
            self.settings.forget(job.error.message)
        self._onChanged()

    # ------------------------------------------------------------ listening

    def _onStart(self, _index: int) -> None:
        if not self._filling:
            self.settings.clear()
            self._onStartModel()
            self._onChanged()

    def _onBase(self, _index: int) -> None:
        self._onChanged()

    def _onAny(self, _value: Any) -> None:
        self._onChanged()

    def _onSettings(self) -> None:
        self._onChanged()

    def _onTitle(self, title: str) -> None:
        if not self._named:
            self.ui.nameEdit.text = nameOf(title)
        self._onChanged()

    def _onName(self, _text: str) -> None:
        self._named = True


def _kind(request: dict[str, Any]) -> str:
    """What the settings of a run follow from, but for those that were chosen one by one."""
    told = {key: value for key, value in request.items() if key not in ("cases", "settings")}
    return json.dumps(told, sort_keys=True, default=str)
