"""Signals as PythonQt connects them: by name and exact C++ signature, to any callable."""

from __future__ import annotations

import inspect
import logging
import sys
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore
from shiboken6 import getCppPointer

from .calls import toPython

# Connections by the address of the sender: Python's view of an object may be made anew, the object stays.
_connections: dict[int, list[Connection]] = {}


class Connection:
    """A callable connected to one signal of one object."""

    def __init__(self, signature: str, slot: Callable[..., Any], handle: QtCore.QMetaObject.Connection) -> None:
        self.signature = signature
        self.slot = slot
        self.handle = handle


class CppSignal:
    """
    A signal of a widget that the host defines, with its signatures in C++.

    The first signature is the one that `widget.signal.connect` means. Written in a class body, it becomes a signal of
    Qt for Python that carries Python objects.
    """

    def __init__(self, *signatures: str) -> None:
        self.signatures = [normalized(signature) for signature in signatures]


def normalized(signature: str) -> str:
    """A signature without superfluous blanks, `const` and references."""
    return bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()


def argumentsOf(signature: str) -> list[str]:
    """C++ types of the arguments in a normalised signature."""
    inside = signature[signature.index("(") + 1 : -1]
    return inside.split(",") if inside else []


def declare(namespace: dict[str, Any]) -> dict[str, str]:
    """
    Replace the `CppSignal`s of a class body by signals of Qt for Python.

    :return: for every C++ signature the signature under which Qt for Python knows it.
    """
    known: dict[str, str] = {}
    for name, declared in list(namespace.items()):
        if not isinstance(declared, CppSignal):
            continue
        for number, signature in enumerate(declared.signatures):
            attribute = name if number == 0 else f"_{name}_{number}"
            kinds = [
                {"bool": bool, "int": int, "double": float, "QString": str}.get(kind, object)
                for kind in argumentsOf(signature)
            ]
            namespace[attribute] = QtCore.Signal(*kinds)
            native = [
                {bool: "bool", int: "int", float: "double", str: "QString"}.get(kind, "PyObject") for kind in kinds
            ]
            known[f"{name}{signature[signature.index('(') :]}"] = f"{attribute}({','.join(native)})"
    return known


def nativeSignature(sender: QtCore.QObject, signal: str) -> str | None:
    """Signature under which Qt for Python knows a C++ signal of the sender; None where there is no such signal."""
    signature = normalized(signal)
    if signature.split("(")[0] in getattr(type(sender), "absent", ()):
        return None
    for base in type(sender).__mro__:
        declared = vars(base).get("cppSignals", {})
        if signature in declared:
            return declared[signature]
        if any(native.split("(")[0] == signature.split("(")[0] for native in declared.values()):
            return None
    # Not the sender's own `metaObject()`: it dies with the sender, and the one of its class with it.
    return signature if type(sender).staticMetaObject.indexOfSignal(signature) >= 0 else None


def acceptedArguments(slot: Callable[..., Any], sent: int) -> int:
    """How many of the sent arguments PythonQt passes on: it counts for functions and bound methods only."""
    function = slot.__func__ if isinstance(slot, types.MethodType) else slot
    if not isinstance(function, types.FunctionType) or function.__code__.co_flags & inspect.CO_VARARGS:
        return sent
    return min(sent, function.__code__.co_argcount - isinstance(slot, types.MethodType))


def reportMissing(sender: QtCore.QObject, signal: str, call: str) -> None:
    """PythonQt only warns of a signal that does not exist: so that tests see it, it counts as an error of a slot."""
    message = f"PythonQt: QObject::{call}() signal '{signal}' does not exist on {type(sender).__name__}"
    logging.getLogger("slicerhost").warning(message)
    recordSlotError(AttributeError(message))


def recordSlotError(error: BaseException) -> None:
    """Note an error that Qt swallows, in `slicer.app.slotErrors`."""
    slicer = sys.modules.get("slicer")
    app = getattr(slicer, "app", None)
    if app is not None:
        app.slotErrors.append((type(error), error, error.__traceback__))


def connect(sender: QtCore.QObject, signal: str, slot: Callable[..., Any]) -> bool:
    """Connect a signal, given by its C++ signature, to a callable. False where the signal does not exist."""
    if not callable(slot):
        raise ValueError(f"Could not find matching overload for given arguments: {signal!r}, {slot!r} is not callable")
    native = nativeSignature(sender, signal)
    if native is None:
        reportMissing(sender, signal, "connect")
        return False

    def receive(*arguments: Any) -> None:
        passed = arguments[: acceptedArguments(slot, len(arguments))]
        slot(*(toPython(argument) for argument in passed))

    # Of the sender's class itself, so that a class of the host cannot stand in the way.
    handle = QtCore.QObject.connect(sender, QtCore.SIGNAL(native), receive)
    address = getCppPointer(sender)[0]
    if address not in _connections:
        _connections[address] = []
        QtCore.QObject.connect(sender, QtCore.SIGNAL("destroyed()"), lambda: _connections.pop(address, None))
    _connections[address].append(Connection(native, slot, handle))
    return True


def disconnect(sender: QtCore.QObject, signal: str, slot: Callable[..., Any] | None = None) -> bool:
    """Undo one connection of the signal to the callable, or all of the signal's. False where there was none."""
    native = nativeSignature(sender, signal)
    if native is None:
        reportMissing(sender, signal, "disconnect")
        return False
    made = _connections.get(getCppPointer(sender)[0], [])
    fitting = [entry for entry in made if entry.signature == native and (slot is None or entry.slot == slot)]
    for entry in fitting if slot is None else fitting[:1]:
        QtCore.QObject.disconnect(entry.handle)
        made.remove(entry)
    return bool(fitting)


class Signal:
    """A signal bound to its object: `button.clicked`."""

    __slots__ = ("__self__", "instance", "name")

    def __init__(self, owner: QtCore.QObject, name: str, instance: QtCore.SignalInstance) -> None:
        self.__self__ = owner
        self.name = name
        self.instance = instance

    @property
    def signature(self) -> str:
        """The first C++ signature, which PythonQt connects to."""
        for base in type(self.__self__).__mro__:
            for cpp in vars(base).get("cppSignals", {}):
                if cpp.split("(")[0] == self.name:
                    return cpp
        meta = type(self.__self__).staticMetaObject
        for index in range(meta.methodCount()):
            method = meta.method(index)
            if (
                method.methodType() == QtCore.QMetaMethod.MethodType.Signal
                and bytes(method.name()).decode() == self.name
            ):
                return bytes(method.methodSignature()).decode()
        raise AttributeError(self.name)

    def connect(self, *slots: Callable[..., Any]) -> bool:
        if len(slots) != 1:
            raise ValueError("Called connect with wrong number of arguments")
        return connect(self.__self__, self.signature, slots[0])

    def disconnect(self, *slots: Callable[..., Any]) -> bool:
        if len(slots) > 1:
            raise ValueError("Called disconnect with wrong number of arguments")
        return disconnect(self.__self__, self.signature, *slots)

    def emit(self, *arguments: Any) -> None:
        self.instance.emit(*arguments)

    __call__ = emit

    def __repr__(self) -> str:
        return f"<qt signal {self.name} of {type(self.__self__).__name__} instance>"
