"""Sliders for real numbers."""

from __future__ import annotations

from typing import Any

import qt

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared

STEPS = 100_000


class ctkDoubleSlider(qt.QWidget):
    """A slider for real numbers. As in CTK it stands upright until it is told otherwise."""

    valueChanged = CppSignal("valueChanged(double)")
    sliderMoved = CppSignal("sliderMoved(double)")
    sliderPressed = CppSignal("sliderPressed()")
    sliderReleased = CppSignal("sliderReleased()")
    rangeChanged = CppSignal("rangeChanged(double,double)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._minimum, self._maximum, self._value = 0.0, 99.0, 0.0
        self._singleStep, self._pageStep = 1.0, 10.0
        self._slider = qt.QSlider(qt.Qt.Vertical, self)
        self._slider.setRange(0, STEPS)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        self._slider.valueChanged.instance.connect(self._slid)
        self._slider.sliderMoved.instance.connect(self._moved)
        self._slider.sliderPressed.instance.connect(self._pressed)
        self._slider.sliderReleased.instance.connect(self._released)
        self._applySteps()

    def _pressed(self) -> None:
        self.sliderPressed.emit()

    def _released(self) -> None:
        self.sliderReleased.emit()

    def _real(self, position: int) -> float:
        span = self._maximum - self._minimum
        step = self._singleStep if self._singleStep > 0 else span / STEPS
        value = self._minimum + round(span * position / STEPS / step) * step if step else self._minimum
        return min(max(value, self._minimum), self._maximum)

    def _slid(self, position: int) -> None:
        self._take(self._real(position))

    def _moved(self, position: int) -> None:
        self.sliderMoved.emit(self._real(position))

    def _take(self, value: float) -> None:
        if value != self._value:
            self._value = value
            self.valueChanged.emit(value)

    def setValue(self, value: float) -> None:
        value = min(max(float(value), self._minimum), self._maximum)
        self._show(value)
        self._take(value)

    def _show(self, value: float) -> None:
        span = self._maximum - self._minimum
        self._slider.blockSignals(True)
        self._slider.setValue(round((value - self._minimum) / span * STEPS) if span > 0 else 0)
        self._slider.blockSignals(False)

    def _setRange(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = float(minimum), max(float(minimum), float(maximum))
        self._applySteps()
        self.rangeChanged.emit(self._minimum, self._maximum)
        self.setValue(self._value)

    def setOrientation(self, orientation: Any) -> None:
        self._slider.setOrientation(orientation)

    def _applySteps(self) -> None:
        span = (self._maximum - self._minimum) or 1.0
        self._slider.setSingleStep(max(1, round(self._singleStep / span * STEPS)))
        self._slider.setPageStep(max(1, round(self._pageStep / span * STEPS)))
        self._show(self._value)

    def _setSingleStep(self, step: float) -> None:
        self._singleStep = float(step)
        self._applySteps()

    def _setPageStep(self, step: float) -> None:
        self._pageStep = float(step)
        self._applySteps()

    def _setTracking(self, enable: bool) -> None:
        self._slider.setTracking(enable)

    value = declared(float, lambda self: self._value, setValue, user=True)
    minimum = declared(
        float, lambda self: self._minimum, lambda self, value: self._setRange(value, max(value, self._maximum))
    )
    maximum = declared(
        float, lambda self: self._maximum, lambda self, value: self._setRange(min(value, self._minimum), value)
    )
    singleStep = declared(float, lambda self: self._singleStep, _setSingleStep)
    pageStep = declared(float, lambda self: self._pageStep, _setPageStep)
    tracking = declared(bool, lambda self: self._slider.tracking, _setTracking)


class ctkSliderWidget(qt.QWidget):
    """A slider and a spin box on one real number. As in CTK, Python sets its range through properties only."""

    valueChanged = CppSignal("valueChanged(double)")
    valueIsChanging = CppSignal("valueIsChanging(double)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._tracking = True
        self._slider = ctkDoubleSlider(self)
        self._slider.setOrientation(qt.Qt.Horizontal)
        self._spinBox = qt.QDoubleSpinBox(self)
        self._spinBox.setRange(0.0, 99.0)
        self._spinBox.setSingleStep(1.0)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spinBox)
        self._slider.valueChanged.instance.connect(self._slid)
        self._slider.sliderReleased.instance.connect(self._released)
        self._spinBox.valueChanged.instance.connect(self._spun)
        self._told = 0.0

    def _slid(self, value: float) -> None:
        self._spinBox.blockSignals(True)
        self._spinBox.setValue(value)
        self._spinBox.blockSignals(False)
        self._tell(dragging=self._slider._slider.sliderDown)

    def _spun(self, value: float) -> None:
        self._slider.blockSignals(True)
        self._slider.setValue(value)
        self._slider.blockSignals(False)
        self._tell(dragging=False)

    def _released(self) -> None:
        self._tell(dragging=False)

    def _tell(self, dragging: bool) -> None:
        value = self._spinBox.value
        if dragging and not self._tracking:
            self.valueIsChanging.emit(value)
        elif value != self._told:
            self._told = value
            self.valueChanged.emit(value)

    def setValue(self, value: float) -> None:
        self._spinBox.setValue(value)

    def reset(self) -> None:
        self.setValue(0.0)

    def setSpinBoxVisible(self, visible: bool) -> None:
        self._spinBox.setVisible(visible)

    def _setRange(self, minimum: float, maximum: float) -> None:
        self._spinBox.setRange(minimum, maximum)
        self._slider._setRange(minimum, maximum)

    def _setMinimum(self, minimum: float) -> None:
        self._setRange(minimum, max(minimum, self._spinBox.maximum))

    def _setMaximum(self, maximum: float) -> None:
        self._setRange(min(maximum, self._spinBox.minimum), maximum)

    def _setSingleStep(self, step: float) -> None:
        self._spinBox.setSingleStep(step)
        self._slider._setSingleStep(step)

    def _setPageStep(self, step: float) -> None:
        self._slider._setPageStep(step)

    def _setDecimals(self, decimals: int) -> None:
        self._spinBox.setDecimals(decimals)

    def _setPrefix(self, prefix: str) -> None:
        self._spinBox.setPrefix(prefix)

    def _setSuffix(self, suffix: str) -> None:
        self._spinBox.setSuffix(suffix)

    def _setTracking(self, enable: bool) -> None:
        self._tracking = enable

    value = declared(float, lambda self: self._spinBox.value, setValue, user=True)
    minimum = declared(float, lambda self: self._spinBox.minimum, _setMinimum)
    maximum = declared(float, lambda self: self._spinBox.maximum, _setMaximum)
    singleStep = declared(float, lambda self: self._spinBox.singleStep, _setSingleStep)
    pageStep = declared(float, lambda self: self._slider.pageStep, _setPageStep)
    decimals = declared(int, lambda self: self._spinBox.decimals, _setDecimals)
    prefix = declared(str, lambda self: self._spinBox.prefix, _setPrefix)
    suffix = declared(str, lambda self: self._spinBox.suffix, _setSuffix)
    tracking = declared(bool, lambda self: self._tracking, _setTracking)
    spinBoxVisible = declared(bool, lambda self: not self._spinBox.isHidden(), setSpinBoxVisible)


class ctkDoubleSpinBox(qt.QDoubleSpinBox):
    """A spin box for real numbers."""
