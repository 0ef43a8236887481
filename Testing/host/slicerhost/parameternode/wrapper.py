"""`@parameterNodeWrapper`: typed access to a parameter node and its connection to widgets."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import qt
import slicer.util
import vtk

from ..mrmlwidgets.base import observe
from .connectors import Connector, createConnector
from .serializers import Parameter
from .validators import Default

WIDGET_PROPERTY = "SlicerParameterName"
RESERVED = (
    "allParameters",
    "default",
    "isCached",
    "dataType",
    "getValue",
    "setValue",
    "connectGui",
    "connectParametersToGui",
    "disconnectGui",
    "StartModify",
    "EndModify",
    "AddObserver",
    "RemoveObserver",
    "Modified",
)


class ParameterNodeWrapper:
    """What every wrapper class can do."""

    allParameters: dict[str, Parameter]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, dict[str, Connector]] = {}
        self._nextTag = 0
        self._updating = False
        self._observer: Any = None
        for parameter in self.allParameters.values():
            if not parameter.isIn(parameterNode):
                parameter.write(parameterNode, parameter.default.value)

    def _parameter(self, name: str) -> Parameter:
        if name not in self.allParameters:
            known = ", ".join(self.allParameters)
            raise ValueError(f"Cannot find a param with the given name: {name}\n  Found parameters [{known}]")
        return self.allParameters[name]

    def default(self, name: str) -> Default:
        return self._parameter(name).default

    def dataType(self, name: str) -> Any:
        return self._parameter(name).hint

    def isCached(self, name: str) -> bool:
        self._parameter(name)
        return True

    def getValue(self, name: str) -> Any:
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._parameter(name).write(self.parameterNode, value)

    # -- widgets

    def connectGui(self, gui: Any) -> int:
        """
        Bind the widgets with the property SlicerParameterName in a form, or in the object of `childWidgetVariables`.

        :return: a tag for `disconnectGui`. Slicer gave None before its pull request 8667 of 2025, so that nothing was
            disconnected: `connectParametersToGui` gives the tag in every version.
        """
        isWidget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(qt.QWidget) if isWidget else gui.__dict__.values()
        named = ((widget.property(WIDGET_PROPERTY), widget) for widget in widgets)
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Bind widgets to parameters by name; a tag for `disconnectGui`."""
        for name in mapping:
            self._parameter(name)
        connectors = {name: createConnector(widget, self._parameter(name)) for name, widget in mapping.items()}
        tag = self._nextTag
        self._nextTag += 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(self._reader(name, connector))
        if self._observer is None:
            self._observer = observe(self.parameterNode, vtk.vtkCommand.ModifiedEvent, self._updateGui)
        return tag

    def _reader(self, name: str, connector: Connector) -> Callable[[], None]:
        def changed() -> None:
            with slicer.util.NodeModify(self):
                if not self._updating:
                    self.setValue(name, connector.read())

        return changed

    def _updateGui(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for connectors in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updating = False

    def disconnectGui(self, tag: int | None) -> None:
        for connector in self._guis.pop(tag, {}).values():
            connector.disconnect()

    # -- node

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying: int) -> int:
        return self.parameterNode.EndModify(wasModifying)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _property(parameter: Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode),
        lambda self, value: parameter.write(self.parameterNode, value),
    )


def parameterNodeWrapper(cls: type | None = None) -> Any:
    """Class decorator: the annotated members become typed parameters of a node."""
    if cls is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(cls, include_extras=True)
    for name in RESERVED:
        if name in hints or name in vars(cls):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    defaults = {name: Default(vars(cls)[name]) for name in hints if name in vars(cls)}
    parameters = {name: Parameter(name, hint, defaults.get(name)) for name, hint in hints.items()}
    members: dict[str, Any] = {name: _property(parameter) for name, parameter in parameters.items()}
    members |= {"allParameters": parameters, "__module__": cls.__module__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, ParameterNodeWrapper), {**members, "__init__": ParameterNodeWrapper.__init__})
