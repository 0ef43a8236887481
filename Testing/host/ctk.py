"""`ctk` as in Slicer: the widgets that the host has. Any other fails when it is made."""

from __future__ import annotations

from typing import Any

import qt
from slicerhost.ctkwidgets import WIDGETS
from slicerhost.pythonqt.uiloader import customWidgets

for _widget in WIDGETS:
    globals()[_widget.__name__] = customWidgets[_widget.__name__] = _widget


def __getattr__(name: str) -> Any:
    if not name.startswith("ctk"):
        raise AttributeError(f"module 'ctk' has no attribute '{name}'")
    globals()[name] = absent(name)
    return globals()[name]


def absent(name: str) -> type:
    """A widget of CTK that the host lacks: it can be compared with, not made."""

    def refuse(self: Any, *arguments: Any) -> None:
        raise NotImplementedError(f"the host has no {name}")

    return type(qt.QWidget)(name, (qt.QWidget,), {"__module__": "ctk", "__init__": refuse})
