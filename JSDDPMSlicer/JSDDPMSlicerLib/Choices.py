"""The choices of the Generate panel: model, pathology, position, quality; kept in step with the scene's parameters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .Bundles import Model, listModels, titles
from .Parameters import DDIM, LARGEST_SEED, ONE_SLICE, OWN, PRESETS, RANGE, SLACK_MM, levels, mendNumbers
from .Pathology import Pathology

DIGITS = 16
"""Of a model's digest, in the scene's parameters."""


class Choices(VTKObservationMixin):
    """Fills the controls and listens to them.

    What is asked for stands in the scene's parameters alone: a control that is moved changes them, and every change of
    them, whoever made it, moves the controls. What a scene asks for and is not here stays unchosen.

    Args:
        ui: of the panel.
        onChanged: called after every change of what is asked for.
    """

    def __init__(self, ui: Any, onChanged: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self._onChanged = ui, onChanged
        self.parameters: Any = None
        self._guiTag: Any = None
        self._models: list[Model] = []
        self._preferred: Path | None = None  # of models that are alike, the one that was chosen
        self._listed: Model | None = None  # whose pathologies the combination box holds
        self._limits: tuple[float, float] | None = None  # of the position and range controls
        self._filling = False
        self._fillFixed()
        for combo, key in self._fixed():
            combo.connect("currentIndexChanged(int)", self._storing(combo, key))
        ui.modelCombo.connect("currentIndexChanged(int)", self._onModel)
        ui.pathologyCombo.connect("currentIndexChanged(int)", self._onPathology)
        # By hand: a connected slider must have a fixed range, and this one's is the pathology's.
        ui.positionSlider.connect("valueChanged(double)", self._onPosition)
        ui.rangeWidget.connect("valuesChanged(double,double)", self._onRange)
        ui.diceButton.connect("clicked(bool)", self.newSeed)

    def setParameters(self, parameters: Any) -> None:
        """Binds the controls to the scene's parameters; None while the scene closes."""
        if self.parameters is not None:
            self.parameters.disconnectGui(self._guiTag)
            for handler in (self._beforeReading, self._onParameters):
                self.removeObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, handler)
        self.parameters, self._limits = parameters, None
        if parameters is not None:
            self.addObserver(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._beforeReading, priority=10)
            self._guiTag = parameters.connectGui(self.ui)
            self.addObserver(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameters)
            self.refreshModels()

    # ------------------------------------------------------------ what is chosen

    @property
    def model(self) -> Model | None:
        """The one that the parameters name; None where it is not here, or where the name fits several."""
        found = self._named
        if len({model.bundle.digest for model in found}) != 1:
            return None
        return next((model for model in found if model.folder == self._preferred), found[0])

    @property
    def _named(self) -> list[Model]:
        """The models that the parameters may mean."""
        name, _at, digest = ("" if self.parameters is None else self.parameters.model).partition("@")
        return [model for model in self._models if model.name == name and model.bundle.digest.startswith(digest)]

    @property
    def manifest(self) -> Any:
        return None if self.model is None else self.model.bundle.manifest

    @property
    def problem(self) -> str:
        """Why no model is chosen; empty where one is."""
        if self.parameters is None or self.model is not None:
            return ""
        name = self.parameters.model.partition("@")[0]
        if not self._models:
            return _("There is no model here: import one in Setup.")
        if self._named:
            return _("Several models are called '{name}': choose one.").format(name=name)
        if any(model.name == name for model in self._models):
            told = _("This scene asks for another version of the model '{name}': choose a model or import it in Setup.")
        else:
            told = _("This scene asks for the model '{name}', which is not here: choose another or import it in Setup.")
        return told.format(name=name)

    def pathologyNamed(self, name: str) -> Pathology:
        """What the chosen model knows under a name."""
        return next(pathology for pathology in self.model.pathologies() if pathology.name == name)

    def has(self, folder: str, manifest: Any) -> bool:
        """Whether a model is still where it was when it was chosen."""
        return any(
            str(model.folder) == folder and model.bundle.manifest == manifest and model.folder.is_dir()
            for model in self._models
        )

    def newSeed(self) -> None:
        """Draws a seed; whoever wants an image again finds it in the sidecar."""
        if self.parameters is not None:
            self.parameters.seed = random.randint(0, LARGEST_SEED)

    # ------------------------------------------------------------ filling

    def _fixed(self) -> tuple[tuple[Any, str], ...]:
        """The combination boxes with fixed choices, and the parameter of each."""
        ui = self.ui
        return (
            (ui.extentCombo, "extent"), (ui.presetCombo, "preset"), (ui.samplerCombo, "sampler"),
            (ui.deviceCombo, "device"),
        )  # fmt: skip

    def _fillFixed(self) -> None:
        steps = _("{name}, {n} steps")
        presets = {"draft": _("Draft"), "standard": _("Standard"), "best": _("Best")}
        choices = {
            "extent": {
                "slice": _("One slice"), "range": _("A range of slices, as a volume"),
                "volume": _("All slices of the pathology, as a volume"),
            },
            "preset": {
                **{name: steps.format(name=text, n=PRESETS[name]) for name, text in presets.items()},
                OWN: _("As under Advanced"),
            },
            "sampler": {
                "": _("The model's own"), "dpm-solver++2m": "DPM-Solver++ (2M)", "ddim": "DDIM", "ddpm": "DDPM",
                "ddim-early-stopping": _("DDIM, early stopping"),
            },
            "device": {
                "auto": _("Automatic"), "cpu": _("Processor"), "cuda": _("NVIDIA GPU"), "mps": _("Apple GPU"),
            },
        }  # fmt: skip
        for combo, key in self._fixed():
            for value, text in choices[key].items():
                combo.addItem(text, value)

    def refreshModels(self) -> None:
        """Looks for models anew, and keeps the choice where it is still there."""
        self._models = [model for model in listModels() if model.problem is None]
        self._listed = None
        with self._quietly():
            self.ui.modelCombo.clear()
            for model, title in zip(self._models, titles(self._models), strict=True):
                self.ui.modelCombo.addItem(title, str(model.folder))
        if self.parameters is None:
            self._onChanged()
        else:
            self._onParameters()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Controls and parameters that change meanwhile are not listened to."""
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before

    def _choose(self, model: Model, name: str) -> None:
        """Puts a model's pathology into the parameters, with an extent and positions that the model has for it."""
        parameters = self.parameters
        low, high = _limits(model, name)
        lowest, highest = (min(max(value, low), high) for value in (parameters.lowestMm, parameters.highestMm))
        self._preferred = model.folder
        with self._quietly(), slicer.util.NodeModify(parameters.parameterNode):
            parameters.model = f"{model.name}@{model.bundle.digest[:DIGITS]}"
            if not low <= parameters.positionMm <= high:
                parameters.positionMm = (low + high) / 2
            if self._rangeIsUntouched() or not lowest < highest:
                lowest, highest = low, high
            parameters.lowestMm, parameters.highestMm = lowest, highest
            if levels(name, model.bundle.manifest) < 2:
                parameters.extent = ONE_SLICE
            parameters.pathology = name

    def _rangeIsUntouched(self) -> bool:
        """Whether the range is all that the pathology of before had."""
        ends = (self.parameters.lowestMm, self.parameters.highestMm)
        return self._limits is None or all(
            abs(end - limit) <= SLACK_MM for end, limit in zip(ends, self._limits, strict=True)
        )

    def _chooseWhatIsLeftOpen(self) -> None:
        """A new scene has the first model, and its first pathology with a lesion."""
        if not self._models or (self.parameters.model and (self.model is None or self.parameters.pathology)):
            return
        model = self.model or self._models[0]
        self._choose(model, _pathologyOf(model, self.parameters.pathology))

    def _show(self) -> None:
        """Brings the controls in line with the parameters."""
        ui, parameters, model = self.ui, self.parameters, self.model
        for combo, key in self._fixed():
            combo.setCurrentIndex(combo.findData(getattr(parameters, key)))
        ui.modelCombo.setCurrentIndex(-1 if model is None else self._models.index(model))
        if self._listed is not model or model is None:
            self._listed = model
            ui.pathologyCombo.clear()
            for pathology in [] if model is None else model.pathologies():
                ui.pathologyCombo.addItem(pathology.label, pathology.name)
        ui.pathologyCombo.setCurrentIndex(ui.pathologyCombo.findData(parameters.pathology))
        if ui.pathologyCombo.currentIndex >= 0:
            self._showPositions(model, *_limits(model, parameters.pathology))
        else:
            ui.spaceLabel.text = ""

    def _showPositions(self, model: Model, low: float, high: float) -> None:
        slider, span, parameters = self.ui.positionSlider, self.ui.rangeWidget, self.parameters
        grid = model.bundle.manifest.grid
        if self._limits != (low, high):
            self._limits = (low, high)
            slider.minimum, slider.maximum = low, high
            slider.singleStep = span.singleStep = min(grid.spacing_mm, max(high - low, 0.01))
            span.minimum, span.maximum = low, high
        if math.isfinite(parameters.positionMm):
            slider.value = parameters.positionMm
        if math.isfinite(parameters.lowestMm) and math.isfinite(parameters.highestMm):
            span.setValues(parameters.lowestMm, parameters.highestMm)
        told = _("{space}, {low:.2f} to {high:.2f} mm")
        if self._hasOneLevel():
            told = _("{space}, {low:.2f} to {high:.2f} mm: one level only")
        self.ui.spaceLabel.text = told.format(space=grid.space, low=low, high=high)

    def _hasOneLevel(self) -> bool:
        """Whether the chosen pathology leaves nothing to make a volume of."""
        known = [] if self.manifest is None else [entry.name for entry in self.manifest.pathologies]
        return self.parameters.pathology in known and levels(self.parameters.pathology, self.manifest) < 2

    # ------------------------------------------------------------ listening

    def _storing(self, combo: Any, key: str) -> Callable[[int], None]:
        def store(index: int) -> None:
            if self.parameters is None or self._filling:
                return
            value = combo.itemData(index)
            with slicer.util.NodeModify(self.parameters.parameterNode):
                setattr(self.parameters, key, value)
                if key == "preset" and value in PRESETS:
                    self.parameters.steps = PRESETS[value]

        return store

    def _onModel(self, index: int) -> None:
        if self.parameters is not None and not self._filling and index >= 0:
            model = self._models[index]
            self._choose(model, _pathologyOf(model, self.parameters.pathology))
            self._onParameters()

    def _onPathology(self, index: int) -> None:
        if self.parameters is not None and not self._filling and index >= 0:
            self._choose(self.model, self.ui.pathologyCombo.itemData(index))
            self._onParameters()

    def _onPosition(self, position: float) -> None:
        if self.parameters is not None and not self._filling:
            self.parameters.positionMm = position

    def _onRange(self, low: float, high: float) -> None:
        if self.parameters is not None and not self._filling:
            with slicer.util.NodeModify(self.parameters.parameterNode):
                self.parameters.lowestMm, self.parameters.highestMm = low, high

    def _beforeReading(self, node: Any, _event: Any = None) -> None:
        """Before anybody else learns of a change."""
        mendNumbers(node)

    def _onParameters(self, _caller: Any = None, _event: Any = None) -> None:
        parameters = self.parameters
        if parameters is None or self._filling:
            return
        with self._quietly():
            if PRESETS.get(parameters.preset) != parameters.steps:
                parameters.preset = next((name for name, steps in PRESETS.items() if steps == parameters.steps), OWN)
            self._chooseWhatIsLeftOpen()
            self._show()
        self._onChanged()

    # ------------------------------------------------------------ what is shown and what is greyed

    def refresh(self) -> None:
        """Shows the controls of the chosen extent, and greys what would change nothing."""
        ui, parameters = self.ui, self.parameters
        if parameters is None:
            return
        single = parameters.extent == ONE_SLICE
        for control in (ui.positionLabel, ui.positionSlider, ui.currentSliceButton, ui.samplesLabel, ui.samplesSpin):
            control.setVisible(single)
        for control in (ui.rangeLabel, ui.rangeWidget):
            control.setVisible(parameters.extent == RANGE)
        oneLevel = self._hasOneLevel()
        ui.extentCombo.enabled = not (single and oneLevel)
        ui.extentCombo.toolTip = (
            _("The model learned this pathology at one level only, which is too little for a volume.")
            if oneLevel
            else _("One slice in several samples, or neighbouring slices as one volume.")
        )
        ui.etaSpin.enabled = parameters.sampler in DDIM
        ui.etaSpin.toolTip = (
            _("Share of fresh noise in each DDIM step: 0 is deterministic, 1 is like DDPM.")
            if parameters.sampler in DDIM
            else _("Only the DDIM samplers have an eta: choose one of them.")
        )
        ui.correlationSpin.enabled = not single
        ui.correlationSpin.toolTip = (
            _("Only for volumes: choose a range or all slices under Extent.")
            if single
            else _("How much of their noise neighbouring slices of a volume share.")
        )


def _limits(model: Model, name: str) -> tuple[float, float]:
    """From where to where a model knows a pathology, in millimetres."""
    low, high = next(entry for entry in model.bundle.manifest.pathologies if entry.name == name).position_range_mm
    return low, high


def _pathologyOf(model: Model, wanted: str) -> str:
    """The wanted pathology if a model knows it, otherwise its first one with a lesion."""
    known = model.bundle.manifest.pathologies
    if any(entry.name == wanted for entry in known):
        return wanted
    return next((entry.name for entry in known if entry.lesional), known[0].name)
