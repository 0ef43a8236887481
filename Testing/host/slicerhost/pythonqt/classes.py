"""Qt's object classes with the manners of PythonQt. Those of Qt for Python are left as they are."""

from __future__ import annotations

import inspect
import types
from functools import cache
from typing import Any

from PySide6 import QtCore, QtWidgets
from shiboken6 import delete, isValid

from . import calls, signals
from .enums import unscoped
from .overrides import QT6_ONLY, REPLACED
from .properties import Alias, declaredType, nativeProperties, refuseWrongType

HOST_PACKAGES = ("qt", "ctk", "slicerhost")
_adapted: dict[type, type] = {}


class QtMeta(type(QtCore.QObject)):
    """Class of the classes: C++ signals in a class body, attributes born in the constructor, PythonQt's isinstance."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any) -> type:
        if namespace.get("__module__", "").startswith(HOST_PACKAGES):
            namespace["cppSignals"] = signals.declare(namespace)
        else:
            refuseQtMembers(name, namespace)
        return super().__new__(mcs, name, bases, namespace, **keywords)

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        if definedByHost(cls):
            calls.refuseKeywords(cls.__name__, keywords)
        made = super().__call__(*arguments, **keywords)
        made.__dict__["sealed"] = True
        return made

    def __instancecheck__(cls, value: object) -> bool:
        return cls in wrapperClasses(getattr(value, "adaptedClass", type(value)))

    def __subclasscheck__(cls, other: type) -> bool:
        return cls in wrapperClasses(other)


def refuseQtMembers(name: str, namespace: dict[str, Any]) -> None:
    """Signals, slots and properties of Qt for Python in a module's class do not exist in PythonQt."""
    for attribute, value in namespace.items():
        if isinstance(value, QtCore.Signal | QtCore.Property):
            raise TypeError(f"{name}.{attribute}: Qt signals and properties cannot be defined in Python here")


def definedByHost(cls: type) -> bool:
    """Whether a class stands for one of C++; module code can only derive from such classes."""
    return cls.__module__.startswith(HOST_PACKAGES)


def wrapperClasses(cls: type) -> list[type]:
    """
    Classes that an instance of `cls` is an instance of.

    PythonQt's classes do not follow the inheritance of C++: a QPushButton is not an instance of QWidget for Python.
    Only classes written in Python have bases.
    """
    found: list[type] = []
    for base in type.mro(cls) if cls is type else cls.__mro__:
        found.append(base)
        if definedByHost(base):
            break
    return found


class PythonQtObject:
    """What PythonQt gives to every QObject."""

    name = Alias("objectName")
    absent: frozenset[str] = frozenset()

    def className(self) -> str:
        """Name of the class."""
        return type(self).__name__

    def inherits(self, name: str) -> bool:
        """Whether the C++ class is, or derives from, the named one."""
        return any(base.__name__ == name for base in type(self).__mro__)

    def connect(self, signal: str, slot: Any, *receiver: Any) -> bool:
        if receiver:
            raise NotImplementedError("the host connects signals to Python callables only")
        return signals.connect(self, signal, slot)

    def disconnect(self, signal: str, slot: Any = None) -> bool:
        return signals.disconnect(self, signal, slot)

    def findChildren(self, kind: Any = None, name: str = "") -> tuple[Any, ...]:
        """Children at any depth, of a class (or the name of one) and its C++ subclasses."""
        if kind is None:
            raise ValueError("Called findChildren with wrong number of arguments: it needs a class or its name")
        wanted = kind if isinstance(kind, str) else kind.__name__
        children = (calls.toPython(child) for child in QtCore.QObject.findChildren(self, QtCore.QObject))
        return tuple(
            child
            for child in children
            if (not name or QtCore.QObject.objectName(child) == name) and PythonQtObject.inherits(child, wanted)
        )

    def findChild(self, kind: Any = None, name: str = "") -> Any:
        """The first of `findChildren`, or None."""
        return next(iter(PythonQtObject.findChildren(self, kind, name)), None)

    def delete(self) -> None:
        """Destroy the C++ object."""
        delete(self)

    def __bool__(self) -> bool:
        return isValid(self)

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect"):  # Qt for Python finds its own before those of a base class
            return calls.Method(self, name, types.MethodType(vars(PythonQtObject)[name], self))
        value = super().__getattribute__(name)
        if name.startswith("_"):
            return value
        if name in type(self).absent:
            raise AttributeError(f"{type(self).__name__}.{name} does not exist in Qt 5.15")
        if isinstance(value, types.BuiltinFunctionType):
            return calls.Method(self, name, value)
        if isinstance(value, QtCore.SignalInstance):
            return signals.Signal(self, name, value)
        if isinstance(value, types.MethodType) and value.__func__.__module__.startswith(HOST_PACKAGES):
            # Methods that override C++ ones must stay what Qt for Python takes for an override.
            return value if overrides(type(self), name) else calls.Method(self, name, value)
        return value

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and isValid(self):
            value = QtCore.QObject.property(self, name)
            if value is not None:
                return calls.toPython(value)
        raise AttributeError(f"{PythonQtObject.className(self)} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        descriptor = inspect.getattr_static(type(self), name, None)
        if isinstance(descriptor, QtCore.Property):
            typeName, writable = declaredType(self, name)
            if not writable:
                raise AttributeError(f"Property '{name}' of {type(self).__name__} object is not writable")
            refuseWrongType(name, typeName, value)
            super().__setattr__(name, value)
        elif descriptor is not None and hasattr(type(descriptor), "__set__"):
            type(descriptor).__set__(descriptor, self, value)
        elif isinstance(descriptor, QtCore.Signal) and not isinstance(value, QtCore.SignalInstance):
            raise AttributeError(f"Signal '{name}' can not be overwritten on {type(self).__name__} object")
        elif (
            not definedByHost(type(self))
            or "sealed" not in self.__dict__
            or name in self.__dict__
            or isinstance(value, QtCore.SignalInstance)  # kept by Qt for Python itself
        ):
            super().__setattr__(name, value)
        elif descriptor is not None:
            raise AttributeError(f"'{name}' can not be overwritten on {type(self).__name__} object")
        elif name in dynamicProperties(self):
            QtCore.QObject.setProperty(self, name, value)
        else:
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new attributes on C++ objects is "
                "not allowed"
            )


def dynamicProperties(owner: QtCore.QObject) -> set[str]:
    """Names of the properties that were set on the object and are none of its class."""
    return {bytes(name).decode() for name in QtCore.QObject.dynamicPropertyNames(owner)}


@cache
def overrides(cls: type, name: str) -> bool:
    """Whether a method of a host class overrides one that Qt calls."""
    native = next(base for base in cls.__mro__ if base.__module__.startswith("PySide6"))
    return hasattr(native, name) and not any(name in members for members in REPLACED.values())


def adapt(native: type) -> type:
    """The class that stands for a QObject class of Qt for Python."""
    adapted = _adapted.get(native)
    if adapted is None:
        namespace: dict[str, Any] = {"__module__": "qt", "native": native}
        namespace.update(unscoped(native))
        namespace.update(nativeProperties(native))
        for base in reversed(native.__mro__):
            namespace.update(REPLACED.get(base.__name__, {}))
        namespace["__init__"] = constructor(native)
        namespace["absent"] = frozenset().union(*(QT6_ONLY.get(base.__name__, ()) for base in native.__mro__))
        if hasattr(native, "exec"):
            namespace["exec_"] = lambda self, *arguments: self.exec(*arguments)
        adapted = _adapted[native] = QtMeta(native.__name__, (PythonQtObject, native), namespace)
    return adapted


def constructor(native: type) -> Any:
    """The constructor of a Qt class, called as PythonQt calls it."""
    replaced = REPLACED.get(native.__name__, {}).get("__init__", native.__init__)

    def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:
        calls.refuseKeywords(native.__name__, keywords)
        try:
            replaced(self, *calls.toQt(native.__name__, arguments))
        except TypeError as error:
            raise ValueError(f"Called new_{native.__name__} with wrong arguments: {arguments}. {error}") from error

    return __init__


QWidget: Any = adapt(QtWidgets.QWidget)
QObject: Any = adapt(QtCore.QObject)
