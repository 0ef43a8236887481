"""Widgets for a range of real numbers."""

from __future__ import annotations

from typing import Any

import qt
from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared, stored

HANDLE = 10
GROOVE = QtGui.QColor("#b0b6bd")
BETWEEN = QtGui.QColor("#3d7ab8")


class ctkDoubleRangeSlider(qt.QWidget):
    """A slider with two handles."""

    minimumValueChanged = CppSignal("minimumValueChanged(double)")
    maximumValueChanged = CppSignal("maximumValueChanged(double)")
    valuesChanged = CppSignal("valuesChanged(double,double)")
    rangeChanged = CppSignal("rangeChanged(double,double)")
    sliderPressed = CppSignal("sliderPressed()")
    sliderReleased = CppSignal("sliderReleased()")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._minimum, self._maximum = 0.0, 99.0
        self._low, self._high = 0.0, 99.0
        self._step = 1.0
        self._tracking = True
        self._dragged = ""
        self.setMinimumSize(60, 2 * HANDLE)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = float(minimum), max(float(minimum), float(maximum))
        self.rangeChanged.emit(self._minimum, self._maximum)
        self.setValues(self._low, self._high)
        self.update()

    def setValues(self, low: float, high: float) -> None:
        low, high = sorted(min(max(float(value), self._minimum), self._maximum) for value in (low, high))
        lowChanged, highChanged = low != self._low, high != self._high
        self._low, self._high = low, high
        if lowChanged:
            self.minimumValueChanged.emit(low)
        if highChanged:
            self.maximumValueChanged.emit(high)
        if lowChanged or highChanged:
            self.valuesChanged.emit(low, high)
            self.update()

    def setMinimumValue(self, value: float) -> None:
        self.setValues(min(value, self._high), self._high)

    def setMaximumValue(self, value: float) -> None:
        self.setValues(self._low, max(value, self._low))

    def _position(self, value: float) -> int:
        span = (self._maximum - self._minimum) or 1.0
        return round(HANDLE / 2 + (value - self._minimum) / span * (self.width - HANDLE))

    def _real(self, position: float) -> float:
        share = (position - HANDLE / 2) / max(1, self.width - HANDLE)
        value = share * (self._maximum - self._minimum)
        return self._minimum + (round(value / self._step) * self._step if self._step > 0 else value)

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        x = event.position().x()
        nearLow = abs(x - self._position(self._low)) <= abs(x - self._position(self._high))
        self._dragged = "low" if nearLow else "high"
        self.sliderPressed.emit()

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        value = self._real(event.position().x())
        if self._dragged == "low":
            self.setMinimumValue(value)
        elif self._dragged == "high":
            self.setMaximumValue(value)

    def mouseReleaseEvent(self, event: QtGui.QMouseEvent) -> None:
        self._dragged = ""
        self.sliderReleased.emit()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        middle = self.height // 2
        low, high = self._position(self._low), self._position(self._high)
        painter.fillRect(HANDLE // 2, middle - 2, self.width - HANDLE, 4, GROOVE)
        painter.fillRect(low, middle - 2, high - low, 4, BETWEEN)
        painter.setPen(GROOVE)
        painter.setBrush(QtWidgets.QWidget.palette(self).color(QtGui.QPalette.ColorRole.Button))
        for x in (low, high):
            painter.drawRect(QtCore.QRect(x - HANDLE // 2, middle - HANDLE, HANDLE - 1, 2 * HANDLE - 1))
        painter.end()

    minimum = declared(
        float, lambda self: self._minimum, lambda self, value: self.setRange(value, max(value, self._maximum))
    )
    maximum = declared(
        float, lambda self: self._maximum, lambda self, value: self.setRange(min(value, self._minimum), value)
    )
    minimumValue = declared(float, lambda self: self._low, setMinimumValue)
    maximumValue = declared(float, lambda self: self._high, setMaximumValue)
    singleStep = stored(float, "_step")
    tracking = stored(bool, "_tracking")


class ctkRangeWidget(qt.QWidget):
    """A slider with two handles between two spin boxes."""

    minimumValueChanged = CppSignal("minimumValueChanged(double)")
    maximumValueChanged = CppSignal("maximumValueChanged(double)")
    valuesChanged = CppSignal("valuesChanged(double,double)")
    rangeChanged = CppSignal("rangeChanged(double,double)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._low = qt.QDoubleSpinBox(self)
        self._slider = ctkDoubleRangeSlider(self)
        self._high = qt.QDoubleSpinBox(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._low)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._high)
        self._eachBox("setRange", 0.0, 99.0)
        self._low.setValue(0.0)
        self._high.setValue(99.0)
        self._slider.valuesChanged.instance.connect(self._slid)
        self._low.valueChanged.instance.connect(self._spunLow)
        self._high.valueChanged.instance.connect(self._spunHigh)

    def _eachBox(self, method: str, *arguments: Any) -> None:
        for box in (self._low, self._high):
            getattr(box, method)(*arguments)

    def _slid(self, low: float, high: float) -> None:
        changed = {"minimumValueChanged": (self._low, low), "maximumValueChanged": (self._high, high)}
        for signal, (box, value) in changed.items():
            if box.value != value:
                box.blockSignals(True)
                box.setValue(value)
                box.blockSignals(False)
                getattr(self, signal).emit(box.value)
        self.valuesChanged.emit(self._low.value, self._high.value)

    def _spunLow(self, value: float) -> None:
        self._spun(min(value, self._high.value), self._high.value)

    def _spunHigh(self, value: float) -> None:
        self._spun(self._low.value, max(value, self._low.value))

    def _spun(self, low: float, high: float) -> None:
        before = self._slider.minimumValue, self._slider.maximumValue
        self._slider.blockSignals(True)
        self._slider.setValues(low, high)
        self._slider.blockSignals(False)
        if low != before[0]:
            self.minimumValueChanged.emit(low)
        if high != before[1]:
            self.maximumValueChanged.emit(high)
        self.valuesChanged.emit(low, high)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._eachBox("setRange", minimum, maximum)
        self._slider.setRange(minimum, maximum)
        self.rangeChanged.emit(minimum, maximum)

    def setValues(self, low: float, high: float) -> None:
        self._slider.setValues(low, high)

    def setMinimumValue(self, value: float) -> None:
        self._slider.setMinimumValue(value)

    def setMaximumValue(self, value: float) -> None:
        self._slider.setMaximumValue(value)

    def reset(self) -> None:
        self.setValues(0.0, 0.0)

    def _setSingleStep(self, step: float) -> None:
        self._eachBox("setSingleStep", step)
        self._slider.singleStep = step

    minimum = declared(
        float, lambda self: self._low.minimum, lambda self, value: self.setRange(value, max(value, self.maximum))
    )
    maximum = declared(
        float, lambda self: self._low.maximum, lambda self, value: self.setRange(min(value, self.minimum), value)
    )
    minimumValue = declared(float, lambda self: self._low.value, setMinimumValue)
    maximumValue = declared(float, lambda self: self._high.value, setMaximumValue)
    singleStep = declared(float, lambda self: self._low.singleStep, _setSingleStep)
    decimals = declared(int, lambda self: self._low.decimals, lambda self, value: self._eachBox("setDecimals", value))
    prefix = declared(str, lambda self: self._low.prefix, lambda self, value: self._eachBox("setPrefix", value))
    suffix = declared(str, lambda self: self._low.suffix, lambda self, value: self._eachBox("setSuffix", value))
