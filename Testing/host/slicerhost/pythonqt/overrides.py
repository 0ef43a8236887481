"""Members of Qt that PythonQt offers with other arguments or results, and those that Qt 5.15 lacks."""

from __future__ import annotations

import sys
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

# Members of Qt 6 that one might use without noticing.
QT6_ONLY: dict[str, tuple[str, ...]] = {
    "QCheckBox": ("checkStateChanged",),
    "QComboBox": ("setLabelDrawingMode", "labelDrawingMode"),
    "QLabel": ("setResourceProvider", "resourceProvider"),
    "QProcess": ("startCommand",),
    "QShortcut": ("setKeys", "keys"),
    "QTimer": ("callOnTimeout",),
    "QWidget": ("setScreen",),
}


def _settingsValue(self: Any, key: str, default: Any = None) -> Any:
    """QSettings.value: without the third argument, `type`, that only Qt for Python has."""
    return QtCore.QSettings.value(self, key, default)


def _addAction(native: type) -> Any:
    def addAction(self: Any, *arguments: Any) -> Any:
        """Without the overloads of Qt for Python that take a Python callable, or the order of Qt 6."""
        if len(arguments) > 2 or any(callable(argument) for argument in arguments):
            raise ValueError("Could not find matching overload for given arguments: addAction takes no Python callable")
        return native.addAction(self, *arguments)

    return addAction


def _openFileName(*arguments: Any) -> str:
    return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]


def _openFileNames(*arguments: Any) -> tuple[str, ...]:
    return tuple(QtWidgets.QFileDialog.getOpenFileNames(*arguments)[0])


def _saveFileName(*arguments: Any) -> str:
    return QtWidgets.QFileDialog.getSaveFileName(*arguments)[0]


def _unsupported(name: str) -> Any:
    def refuse(*arguments: Any) -> None:
        raise NotImplementedError(f"the host has no {name}")

    return staticmethod(refuse)


def _shortcut(self: Any, *arguments: Any) -> None:
    """QShortcut(parent) or QShortcut(QKeySequence, parent): PythonQt makes no key sequence from a text."""
    if arguments and isinstance(arguments[0], str):
        raise ValueError(f"Called QShortcut with wrong arguments: {arguments[0]!r} is not a QKeySequence")
    if len(arguments) > 2:
        raise ValueError("the host connects the signals of a shortcut, it takes no slots in its constructor")
    QtGui.QShortcut.__init__(self, *arguments)


def _singleShot(milliseconds: int, slot: Any) -> None:
    """QTimer.singleShot(int, callable).

    Qt for Python leaves what the callable raises for whoever asks next, while the event loop goes on: it may never end.
    """

    def call() -> None:
        try:
            slot()
        except Exception:
            sys.excepthook(*sys.exc_info())

    QtCore.QTimer.singleShot(milliseconds, call)


REPLACED: dict[str, dict[str, Any]] = {
    "QSettings": {"value": _settingsValue},
    "QMenu": {"addAction": _addAction(QtWidgets.QMenu)},
    "QToolBar": {"addAction": _addAction(QtWidgets.QToolBar)},
    "QShortcut": {"__init__": _shortcut},
    "QTimer": {"singleShot": staticmethod(_singleShot)},
    "QFileDialog": {
        "getOpenFileName": staticmethod(_openFileName),
        "getOpenFileNames": staticmethod(_openFileNames),
        "getSaveFileName": staticmethod(_saveFileName),
    },
    "QInputDialog": {
        name: _unsupported(f"QInputDialog.{name}") for name in ("getText", "getInt", "getDouble", "getItem")
    },
}
