"""The choices of the Generate panel: model, pathology, position, quality; kept in step with the scene's parameters."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .Bundles import Model, listModels
from .Parameters import DDIM, LARGEST_SEED, ONE_SLICE, OWN, PRESETS, RANGE
from .Scene import Pathology


class Choices(VTKObservationMixin):
    """Fills the controls and listens to them.

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
            self.removeObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameters)
        self.parameters = parameters
        if parameters is not None:
            self._guiTag = parameters.connectGui(self.ui)
            self.addObserver(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameters)
            self.refreshModels()
            self._onParameters()

    # ------------------------------------------------------------ what is chosen

    @property
    def model(self) -> Model | None:
        index = self.ui.modelCombo.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    @property
    def manifest(self) -> Any:
        return None if self.model is None else self.model.bundle.manifest

    @property
    def pathology(self) -> Pathology | None:
        index = self.ui.pathologyCombo.currentIndex
        known = self.model.pathologies() if self.model is not None else []
        return known[index] if 0 <= index < len(known) else None

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
                "": _("Of the model"), "dpm-solver++2m": "DPM-Solver++ (2M)", "ddim": "DDIM", "ddpm": "DDPM",
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
        wanted = self.parameters.model if self.parameters is not None else ""
        names = [model.name for model in self._models]
        self._filling = True
        self.ui.modelCombo.clear()
        for model in self._models:
            self.ui.modelCombo.addItem(model.bundle.manifest.title, str(model.folder))
        self.ui.modelCombo.setCurrentIndex(names.index(wanted) if wanted in names else min(0, len(names) - 1))
        self._filling = False
        self._onModel(self.ui.modelCombo.currentIndex)

    def _onModel(self, _index: int) -> None:
        if self._filling:
            return
        pathologies = self.model.pathologies() if self.model is not None else []
        names = [pathology.name for pathology in pathologies]
        wanted = self.parameters.pathology if self.parameters is not None else ""
        if wanted not in names:
            lesional = [entry.name for entry in self.manifest.pathologies if entry.lesional] if self.manifest else []
            wanted = next(iter([*lesional, *names]), "")
        self._filling = True
        self.ui.pathologyCombo.clear()
        for pathology in pathologies:
            self.ui.pathologyCombo.addItem(pathology.label, pathology.name)
        self.ui.pathologyCombo.setCurrentIndex(names.index(wanted) if wanted in names else -1)
        self._filling = False
        if self.parameters is not None and self.model is not None:
            self.parameters.model = self.model.name
        self._onPathology(self.ui.pathologyCombo.currentIndex)

    def _onPathology(self, index: int) -> None:
        if self._filling:
            return
        if self.parameters is not None and self.manifest is not None and index >= 0:
            self._fillPositions(self.manifest.pathologies[index])
        self._onChanged()

    def _fillPositions(self, chosen: Any) -> None:
        """The range of positions of a pathology, and the values of before as far as they lie in it."""
        low, high = chosen.position_range_mm
        slider, span, parameters = self.ui.positionSlider, self.ui.rangeWidget, self.parameters
        position = parameters.positionMm if low <= parameters.positionMm <= high else (low + high) / 2
        lowest, highest = (min(max(value, low), high) for value in (parameters.lowestMm, parameters.highestMm))
        if lowest >= highest:
            lowest, highest = low, high
        self._filling = True
        slider.minimum, slider.maximum = low, high
        slider.singleStep = span.singleStep = min(self.manifest.grid.spacing_mm, max(high - low, 0.01))
        span.minimum, span.maximum = low, high
        span.setValues(lowest, highest)
        slider.value = position
        self._filling = False
        parameters.pathology = chosen.name
        parameters.positionMm, parameters.lowestMm, parameters.highestMm = position, lowest, highest
        self.ui.spaceLabel.text = _("{space}, {low:g} to {high:g} mm").format(
            space=self.manifest.grid.space, low=low, high=high
        )

    # ------------------------------------------------------------ listening

    def _storing(self, combo: Any, key: str) -> Callable[[int], None]:
        def store(index: int) -> None:
            if self.parameters is None or self._filling:
                return
            value = combo.itemData(index)
            setattr(self.parameters, key, value)
            if key == "preset" and value in PRESETS:
                self.parameters.steps = PRESETS[value]

        return store

    def _onPosition(self, position: float) -> None:
        if self.parameters is not None and not self._filling:
            self.parameters.positionMm = position

    def _onRange(self, low: float, high: float) -> None:
        if self.parameters is not None and not self._filling:
            self.parameters.lowestMm, self.parameters.highestMm = low, high

    def _onParameters(self, _caller: Any = None, _event: Any = None) -> None:
        parameters = self.parameters
        if parameters is None or self._filling:
            return
        self._filling = True
        if PRESETS.get(parameters.preset) != parameters.steps:
            parameters.preset = next((name for name, steps in PRESETS.items() if steps == parameters.steps), OWN)
        for combo, key in self._fixed():
            combo.setCurrentIndex(max(combo.findData(getattr(parameters, key)), 0))
        self.ui.positionSlider.value = parameters.positionMm
        self._filling = False
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
