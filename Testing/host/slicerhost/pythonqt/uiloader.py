"""QUiLoader: forms of Qt Designer made of the classes that module code sees."""

from __future__ import annotations

import functools
import operator
import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from .classes import adapt

# Classes that Designer does not know, by name: those of ctk and of Slicer.
customWidgets: dict[str, type] = {}


def widgetClass(name: str) -> type:
    """
    The class of a widget in a form.

    :raises NotImplementedError: the host has no such class; Qt for Python would make a plain QWidget instead.
    """
    if name in customWidgets:
        return customWidgets[name]
    native = getattr(QtWidgets, name, None)
    if native is None:
        raise NotImplementedError(f"the host has no {name}")
    return adapt(native)


class UiLoader(adapt(QtUiTools.QUiLoader)):
    """Loads a form and wires the connections that carry MRML objects, which Qt for Python cannot."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._made: list[Any] = []

    def createWidget(self, className: str, parent: Any = None, name: str = "") -> Any:
        if className == "Line":
            return QtUiTools.QUiLoader.createWidget(self, className, parent, name)
        widget = widgetClass(className)(*(() if parent is None else (parent,)))
        widget.setObjectName(name)
        self._made.append(widget)
        return widget

    def createLayout(self, className: str, parent: Any = None, name: str = "") -> Any:
        layout = adapt(getattr(QtWidgets, className))()
        layout.setObjectName(name)
        if isinstance(parent, QtWidgets.QWidget) and QtWidgets.QWidget.layout(parent) is None:
            parent.setLayout(layout)
        self._made.append(layout)
        return layout

    def load(self, device: Any, parent: Any = None) -> Any:
        """
        Make the widgets of a form.

        :raises AttributeError: the form sets a property that a class does not have.
        """
        root = ElementTree.fromstring(QtCore.QIODevice.readAll(device).data())
        checkProperties(root)
        connections = takeMrmlConnections(root)
        flags = takeCustomFlags(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = QtUiTools.QUiLoader.load(self, buffer, parent)
        if widget is None:
            raise RuntimeError(f"Could not load UI: {QtUiTools.QUiLoader.errorString(self)}")
        for objectName, property_, value in flags:
            setattr(named(widget, objectName), property_, value)
        for connection in connections:
            connectMrml(widget, connection)
        # The root keeps what was made for it, but not itself: it must go as soon as nobody holds it.
        widget.__dict__["_made"] = [made for made in self._made if made is not widget]
        return widget


def named(root: Any, name: str) -> Any:
    """The object of a form with this name."""
    if QtCore.QObject.objectName(root) == name:
        return root
    return QtCore.QObject.findChild(root, QtCore.QObject, name)


def checkProperties(root: ElementTree.Element) -> None:
    """Refuse a misspelt property, which Qt would take for a dynamic one."""
    for element in root.iter("widget"):
        name = element.get("class", "")
        meta = QtWidgets.QFrame.staticMetaObject if name == "Line" else widgetClass(name).staticMetaObject
        for property_ in element.findall("property"):
            written = property_.get("name", "")
            if property_.get("stdset") != "0" and meta.indexOfProperty(written) < 0:
                raise AttributeError(f"{name} '{element.get('name')}' has no property '{written}'")


def takeMrmlConnections(root: ElementTree.Element) -> list[dict[str, str]]:
    """Remove the connections with MRML types from a form and give them back."""
    taken = []
    for connections in root.iter("connections"):
        for connection in list(connections):
            parts = {key: connection.findtext(key, "") for key in ("sender", "signal", "receiver", "slot")}
            if "vtk" in parts["signal"] + parts["slot"]:
                taken.append(parts)
                connections.remove(connection)
    return taken


def connectMrml(root: Any, connection: dict[str, str]) -> None:
    """Wire one connection of a form, with the signature checked."""
    sender, receiver = named(root, connection["sender"]), named(root, connection["receiver"])
    method = getattr(receiver, connection["slot"].split("(")[0])
    if not sender.connect(connection["signal"], method):
        raise AttributeError(f"{connection['sender']} has no signal {connection['signal']}")


def takeCustomFlags(root: ElementTree.Element) -> list[tuple[str, str, Any]]:
    """Remove enumerators of custom classes from a form: (object, property, value) of each, for setting them later."""
    taken = []
    for element in root.iter("widget"):
        className = element.get("class", "")
        if className not in customWidgets:
            continue
        for property_ in list(element.findall("property")):
            written = property_.findtext("set") or property_.findtext("enum") or ""
            if written.startswith(className + "::"):
                values = (getattr(customWidgets[className], flag.split("::")[1]) for flag in written.split("|"))
                value = functools.reduce(operator.or_, values)
                taken.append((element.get("name", ""), property_.get("name", ""), value))
                element.remove(property_)
    return taken
