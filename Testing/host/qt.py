"""`qt` as in Slicer: the classes of Qt, with PythonQt's manners, made when they are first asked for."""

from __future__ import annotations

from typing import Any

from slicerhost import pythonqt


def __getattr__(name: str) -> Any:
    value = pythonqt.lookUp(name)
    globals()[name] = value
    return value
