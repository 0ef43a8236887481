"""Qt properties as data attributes: `label.text`, `label.enabled = False`."""

from __future__ import annotations

import numbers
import os
from typing import Any

from PySide6 import QtCore
from shiboken6 import isValid

from .calls import toPython

# Getters that are running: a virtual one (sizeHint) makes Qt for Python look up its own name again.
_reading: set[tuple[int, str]] = set()


class NativeProperty:
    """A property of a Qt class. Reading gives its value, so that calling it fails as it does in PythonQt."""

    def __init__(self, native: type, meta: QtCore.QMetaProperty) -> None:
        self.native = native
        self.name = meta.name()
        self.typeName = meta.typeName()
        self.writable = meta.isWritable()
        self.setter = getattr(native, "set" + self.name[0].upper() + self.name[1:], None)

    def __get__(self, owner: Any, ownerClass: type | None = None) -> Any:
        if owner is None:
            return getattr(self.native, self.name, self)
        key = (id(owner), self.name)
        if key in _reading:
            return getattr(self.native, self.name).__get__(owner)
        if not isValid(owner):
            raise ValueError(f"Trying to read property '{self.name}' from a destroyed {type(owner).__name__} object")
        _reading.add(key)
        try:
            return toPython(QtCore.QObject.property(owner, self.name))
        finally:
            _reading.discard(key)

    def __set__(self, owner: Any, value: Any) -> None:
        if not isValid(owner):
            raise AttributeError(f"Trying to set property '{self.name}' on a destroyed {type(owner).__name__} object")
        if not self.writable:
            raise AttributeError(f"Property '{self.name}' of {type(owner).__name__} object is not writable")
        refuseWrongType(self.name, self.typeName, value)
        value = getattr(value, "nativeObject", value)
        if self.setter is not None:
            try:
                self.setter(owner, value)
            except TypeError as error:
                raise AttributeError(
                    f"Property '{self.name}' of type '{self.typeName}' does not accept an object of type "
                    f"{type(value).__name__} ({value!r})"
                ) from error
        elif not QtCore.QObject.setProperty(owner, self.name, value):
            raise AttributeError(f"Property '{self.name}' of {type(owner).__name__} does not accept {value!r}")


def refuseWrongType(name: str, typeName: str, value: Any) -> None:
    """
    Refuse what PythonQt refuses, and what it would turn into a text that nobody meant: None as "None", a path.

    :raises AttributeError: the property does not take such a value.
    """
    wanted = {
        "QString": isinstance(value, str),
        "int": isinstance(value, numbers.Integral),
        "double": isinstance(value, numbers.Real),
        "QStringList": isinstance(value, list | tuple) and all(isinstance(item, str) for item in value),
    }
    if not wanted.get(typeName, True) or isinstance(value, os.PathLike):
        kind = type(value).__name__
        raise AttributeError(f"Property '{name}' of type '{typeName}' does not accept {value!r} of type {kind}")


class Alias:
    """`name` is PythonQt's other word for `objectName`."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __get__(self, owner: Any, ownerClass: type | None = None) -> Any:
        return self if owner is None else getattr(owner, self.target)

    def __set__(self, owner: Any, value: Any) -> None:
        setattr(owner, self.target, value)


def nativeProperties(native: type) -> dict[str, NativeProperty]:
    """A descriptor for every Qt property of a class and its bases."""
    meta = native.staticMetaObject
    properties = (meta.property(index) for index in range(meta.propertyCount()))
    return {entry.name(): NativeProperty(native, entry) for entry in properties}


def declared(kind: type | str, read: Any, write: Any = None, user: bool = False) -> QtCore.Property:
    """A property of a widget that the host defines, as Q_PROPERTY declares one; without `write` it cannot be set."""
    return QtCore.Property(kind, read, write, user=user)


def stored(kind: type | str, attribute: str, changed: str = "") -> QtCore.Property:
    """
    A property of a widget that the host defines, kept in an attribute.

    :param changed: name of a method to call after a change.
    """

    def read(self: Any) -> Any:
        value = getattr(self, attribute)
        return tuple(value) if isinstance(value, list) else value

    def write(self: Any, value: Any) -> None:
        if getattr(self, attribute) != value:
            setattr(self, attribute, value)
            if changed:
                getattr(self, changed)()

    return QtCore.Property(kind, read, write)


def declaredType(owner: QtCore.QObject, name: str) -> tuple[str, bool]:
    """C++ type of a property of a widget that the host defines, and whether it can be set."""
    meta = type(owner).staticMetaObject  # the object's own would die with it, and the class's with that
    entry = meta.property(meta.indexOfProperty(name))
    return entry.typeName(), entry.isWritable()
