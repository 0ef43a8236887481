"""PythonQt's manners for Qt for Python: what module code finds under `qt`."""

from __future__ import annotations

import enum
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .calls import ByteArray, Method
from .classes import PythonQtObject, QtMeta, adapt
from .foreign import adopt
from .signals import CppSignal
from .values import valueClass

__all__ = ["ByteArray", "CppSignal", "Method", "PythonQtObject", "QtMeta", "adapt", "adopt", "lookUp"]

MODULES = (QtCore, QtGui, QtWidgets)
SPECIAL: dict[str, Any] = {"QByteArray": ByteArray}


def lookUp(name: str) -> Any:
    """
    The class of Qt with this name, as PythonQt gives it.

    :raises AttributeError: there is none. Signal, Slot and Property of Qt for Python are none of Qt's.
    """
    if name in SPECIAL:
        return SPECIAL[name]
    if name == "QUiLoader":
        from .uiloader import UiLoader

        return UiLoader
    native = next((getattr(module, name) for module in MODULES if name.startswith("Q") and hasattr(module, name)), None)
    if native is None or isinstance(native, enum.EnumMeta) or not isinstance(native, type):
        raise AttributeError(f"module 'qt' has no attribute '{name}'")
    return adapt(native) if issubclass(native, QtCore.QObject) else valueClass(native)
