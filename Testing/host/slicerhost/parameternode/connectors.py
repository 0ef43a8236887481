"""What widget shows what type of parameter, and how it is read and written."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from .serializers import PATHS, Parameter
from .validators import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange

LEAST, GREATEST = -(2**31), 2**31 - 1


class Connector:
    """A widget bound to a parameter."""

    def __init__(self, widget: Any, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.widget = widget
        self.read = read
        self.write = write
        self._signal = signal
        self._changed: Callable[[], None] | None = None

    def connect(self, changed: Callable[[], None]) -> None:
        """Call a function whenever the user changes the widget."""
        self._changed = changed
        getattr(self.widget, self._signal).connect(changed)

    def disconnect(self) -> None:
        if self._changed is not None:
            getattr(self.widget, self._signal).disconnect(self._changed)
            self._changed = None


def found(parameter: Parameter, kind: type) -> Any:
    """The first annotation of a kind."""
    return next((entry for entry in parameter.annotations if isinstance(entry, kind)), None)


def bounds(parameter: Parameter) -> tuple[float | None, float | None]:
    """Least and greatest value that the annotations name."""
    within = found(parameter, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    least, greatest = found(parameter, Minimum), found(parameter, Maximum)
    return least and least.minimum, greatest and greatest.maximum


def property_(widget: Any, name: str, signal: str) -> Connector:
    """A connector to one property of a widget."""
    return Connector(widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def number(widget: Any, parameter: Parameter, needsBounds: bool, least: float, greatest: float) -> Connector:
    """A connector to a widget with a range, which the parameter's annotations set."""
    low, high = bounds(parameter)
    if needsBounds and (low is None or high is None):
        raise RuntimeError(f"Cannot have a connection to {type(widget).__name__} where the type is unbounded.")
    for annotation, name in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        given = found(parameter, annotation)
        if given is not None:
            setattr(widget, name, given.value)
    widget.minimum = parameter.kind(least if low is None else low)
    widget.maximum = parameter.kind(greatest if high is None else high)
    return property_(widget, "value", "valueChanged")


def choice(widget: Any, labels: list[str], values: list[Any]) -> Connector:
    """A connector to a combo box, which is filled."""
    widget.clear()
    for label in labels:
        widget.addItem(label)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged", lambda: values[widget.currentIndex], write)


def path(widget: Any, parameter: Parameter, name: str, signal: str) -> Connector:
    """A connector to a widget for paths."""
    return Connector(
        widget,
        signal,
        lambda: parameter.kind(getattr(widget, name)),
        lambda value: setattr(widget, name, str(value)),
    )


def createConnector(widget: Any, parameter: Parameter) -> Connector:
    """
    Bind a widget to a parameter. As in Slicer the widget's class itself counts, not the classes it derives from.

    :raises RuntimeError: this widget does not show this type.
    """
    kind, cls = parameter.kind, type(widget)
    if kind is bool and cls in (qt.QCheckBox, ctk.ctkCheckBox):
        return property_(widget, "checked", "stateChanged")
    if kind is bool and cls is qt.QPushButton:
        widget.checkable = True
        return property_(widget, "checked", "toggled")
    if kind is int and cls in (qt.QSlider, qt.QSpinBox):
        return number(widget, parameter, cls is qt.QSlider, LEAST, GREATEST)
    if kind is float and cls in (qt.QDoubleSpinBox, ctk.ctkDoubleSpinBox, ctk.ctkSliderWidget):
        return number(widget, parameter, cls is ctk.ctkSliderWidget, float("-inf"), float("inf"))
    if cls in (qt.QComboBox, ctk.ctkComboBox) and kind in (int, float, str, bool):
        choices = found(parameter, Choice)
        if choices is None:
            raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
        return choice(widget, [str(value) for value in choices.choices], list(choices.choices))
    if cls in (qt.QComboBox, ctk.ctkComboBox) and not parameter.isNode and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda value: value.name)
        return choice(widget, [label(value) for value in kind], list(kind))
    if kind is str and cls is qt.QLineEdit:
        return property_(widget, "text", "textChanged")
    if kind is str and cls is qt.QTextEdit:
        return Connector(widget, "textChanged", widget.toPlainText, widget.setPlainText)
    if kind in PATHS and cls is ctk.ctkPathLineEdit:
        return path(widget, parameter, "currentPath", "currentPathChanged")
    if kind in PATHS and cls is ctk.ctkDirectoryButton:
        return path(widget, parameter, "directory", "directoryChanged")
    if parameter.isNode and cls is slicer.qMRMLNodeComboBox:
        widget.nodeTypes = [kind().GetClassName()]
        return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{parameter.hint}' to widget type '{cls}'")
