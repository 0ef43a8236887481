"""Calls of C++ methods as PythonQt makes them: no keywords, nothing converted that PythonQt would not convert."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui
from shiboken6 import isValid

# What Qt for Python would make from text by itself; PythonQt wants the object.
NO_CONVERSION = {
    "setKey": QtGui.QKeySequence,
    "setShortcut": QtGui.QKeySequence,
    "setIcon": QtGui.QIcon,
    "setWindowIcon": QtGui.QIcon,
    "setTabIcon": QtGui.QIcon,
}

_adopt: Callable[[QtCore.QObject], Any] | None = None


def setAdopter(adopt: Callable[[QtCore.QObject], Any]) -> None:
    """Tell what stands for an object that Qt made."""
    global _adopt
    _adopt = adopt


class ByteArray(QtCore.QByteArray):
    """QByteArray without the conversions that only Qt for Python has: its bytes are `data()`."""

    def __bytes__(self) -> bytes:
        raise TypeError("cannot convert 'QByteArray' object to bytes: use data()")

    def __iter__(self) -> Any:
        raise TypeError("'QByteArray' object is not iterable: use data()")


def toPython(value: Any) -> Any:
    """A result of Qt as PythonQt gives it: lists are tuples, objects have properties as attributes."""
    if isinstance(value, QtCore.QObject):
        return _adopt(value) if _adopt is not None and type(value).__module__.startswith("PySide6") else value
    if isinstance(value, list):
        return tuple(toPython(item) for item in value)
    if type(value) is QtCore.QByteArray:
        return ByteArray(value)
    return value


def toQt(name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments of a call of the method `name`, refused where they are not what PythonQt takes."""
    arguments = tuple(getattr(argument, "nativeObject", argument) for argument in arguments)
    for argument in arguments:
        if isinstance(argument, os.PathLike):
            raise ValueError(f"Called {name} with wrong arguments: {argument!r} is a path object, pass str(path)")
    wanted = NO_CONVERSION.get(name)
    if wanted is not None and arguments and not isinstance(arguments[-1], wanted):
        raise ValueError(f"Called {name} with wrong arguments: {arguments[-1]!r} is not a {wanted.__name__}")
    return arguments


def refuseKeywords(name: str, keywords: dict[str, Any]) -> None:
    """PythonQt's error for a call with keywords."""
    if keywords:
        raise ValueError(f"Called {name} with keyword arguments, but called slot does not support kwargs.")


class Method:
    """A C++ method bound to its object: what PythonQt calls a slot function."""

    __slots__ = ("__self__", "function", "name")

    def __init__(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        self.__self__ = owner
        self.name = name
        self.function = function

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        refuseKeywords(self.name, keywords)
        if not isValid(getattr(self.__self__, "nativeObject", self.__self__)):
            raise ValueError(f"Trying to call '{self.name}' on a destroyed {type(self.__self__).__name__} object")
        try:
            return toPython(self.function(*toQt(self.name, arguments)))
        except TypeError as error:
            if self.name in str(error):
                raise ValueError(f"Called {self.name} with wrong arguments: {arguments}. {error}") from error
            raise

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and self.__self__ is other.__self__ and self.name == other.name

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.name))

    def __repr__(self) -> str:
        return f"<qt slot {self.name} of {type(self.__self__).__name__} instance>"
