"""Widgets that hold a MRML scene, and observing MRML objects from them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import qt
from shiboken6 import isValid

from ..pythonqt import CppSignal


class Observations:
    """The observers that a widget has put on MRML objects; see `observe`."""

    def __init__(self) -> None:
        self._made: list[weakref.finalize] = []

    def add(self, observed: Any, event: int, method: Callable[[], None]) -> None:
        """Call a method of the widget whenever the object invokes the event."""
        if observed is not None:
            self._made.append(observe(observed, event, method))

    def clear(self) -> None:
        """Remove all of them."""
        for remove in self._made:
            remove()
        self._made.clear()


def observe(observed: Any, event: int, method: Callable[[], None]) -> weakref.finalize:
    """
    Call a bound method whenever a VTK object invokes an event, for as long as the method's owner lives.

    The garbage collector takes an observer that is reachable from garbage only for garbage, although the C++ object may
    live on and call it: a segmentation fault. So the owner is held weakly, and the observed object until the observer
    is removed.

    :return: a function that removes the observer; without a call, it is removed when the owner goes.
    """
    weakly = weakref.WeakMethod(method)

    def notify(caller: Any, event: str) -> None:
        known = weakly()
        if known is not None and isValid(known.__self__):
            known()

    remove = weakref.finalize(method.__self__, observed.RemoveObserver, observed.AddObserver(event, notify))
    remove.atexit = False
    return remove


class qMRMLWidget(qt.QWidget):
    """A widget with a scene, which forms pass on to the widgets inside by `mrmlSceneChanged`."""

    mrmlSceneChanged = CppSignal("mrmlSceneChanged(vtkMRMLScene*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qSlicerWidget(qt.QWidget):
    """As `qMRMLWidget`; the other of the two roots that a form of Slicer may have."""

    mrmlSceneChanged = CppSignal("mrmlSceneChanged(vtkMRMLScene*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)
