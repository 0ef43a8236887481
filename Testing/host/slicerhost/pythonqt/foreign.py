"""
Objects that Qt itself made: the header of a table, the button of a dialog, the action of a menu.

An object made from Python is of a class with PythonQt's manners. One that Qt made is of a plain class of Qt for
Python; its class cannot be changed safely. `ForeignObject` stands for it.
"""

from __future__ import annotations

import types
from typing import Any
from weakref import WeakValueDictionary

from PySide6 import QtCore
from shiboken6 import getCppPointer, isValid

from . import calls, signals
from .classes import PythonQtObject, adapt, dynamicProperties
from .properties import NativeProperty

_known: WeakValueDictionary[int, ForeignObject] = WeakValueDictionary()


class ForeignObject:
    """Reads, writes and calls an object of Qt for Python as PythonQt would."""

    __slots__ = ("__weakref__", "adaptedClass", "nativeObject")

    def __init__(self, native: QtCore.QObject) -> None:
        object.__setattr__(self, "nativeObject", native)
        object.__setattr__(self, "adaptedClass", adapt(type(native)))

    def __getattr__(self, name: str) -> Any:
        native, cls = self.nativeObject, self.adaptedClass
        name = "objectName" if name == "name" else name
        if name in cls.absent:
            raise AttributeError(f"{cls.__name__}.{name} does not exist in Qt 5.15")
        member = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
        if isinstance(member, NativeProperty):
            return member.__get__(native)
        if isinstance(member, types.FunctionType):
            return calls.Method(self, name, types.MethodType(member, native))
        value = getattr(native, name, None)
        if isinstance(value, types.BuiltinFunctionType):
            return calls.Method(self, name, value)
        if isinstance(value, QtCore.SignalInstance):
            return signals.Signal(native, name, value)
        if value is None and isValid(native):
            value = QtCore.QObject.property(native, name)
        if value is None and member is None:
            raise AttributeError(f"{cls.__name__} has no attribute named '{name}'")
        return calls.toPython(member if value is None else value)

    def __setattr__(self, name: str, value: Any) -> None:
        name = "objectName" if name == "name" else name
        member = next((vars(base)[name] for base in self.adaptedClass.__mro__ if name in vars(base)), None)
        if isinstance(member, NativeProperty):
            member.__set__(self.nativeObject, value)
        elif name in dynamicProperties(self.nativeObject):
            QtCore.QObject.setProperty(self.nativeObject, name, value)
        else:
            raise AttributeError(
                f"'{name}' does not exist on {self.adaptedClass.__name__} and creating new attributes on C++ objects "
                "is not allowed"
            )

    def className(self) -> str:
        return self.adaptedClass.__name__

    def findChildren(self, *arguments: Any) -> tuple[Any, ...]:
        return PythonQtObject.findChildren(self.nativeObject, *arguments)

    def findChild(self, *arguments: Any) -> Any:
        return PythonQtObject.findChild(self.nativeObject, *arguments)

    def __bool__(self) -> bool:
        return isValid(self.nativeObject)

    def __eq__(self, other: object) -> bool:
        return getattr(other, "nativeObject", other) is self.nativeObject

    def __hash__(self) -> int:
        return hash(self.nativeObject)

    def __repr__(self) -> str:
        return f"{self.adaptedClass.__name__} ({self.nativeObject!r})"


def adopt(native: QtCore.QObject) -> ForeignObject:
    """What stands for an object that Qt made; the same for as long as somebody holds it."""
    address = getCppPointer(native)[0]
    known = _known.get(address)
    if known is None or known.nativeObject is not native:
        known = _known[address] = ForeignObject(native)
    return known


calls.setAdopter(adopt)
