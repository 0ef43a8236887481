"""Every key that is pressed in a window goes to one place, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class ReadingKeys(qt.QObject):
    """Takes the keys of a window and of all that lies in it, before views, buttons or shortcuts of Slicer see them.

    Args:
        window: whose keys are taken.
        onKey: called with the key's code, its text and whether Shift is held.
        onClose: called where the window system asks the window to close; it does not close by that.
    """

    def __init__(self, window: Any, onKey: Callable[[int, str, bool], None], onClose: Callable[[], None]) -> None:
        qt.QObject.__init__(self)
        self._window, self._onKey, self._onClose = window, onKey, onClose
        self._arrows = [int(key) for key in (qt.Qt.Key_Left, qt.Qt.Key_Right, qt.Qt.Key_Up, qt.Qt.Key_Down)]
        self._watched = [window, *(child for child in window.findChildren("QWidget"))]
        for widget in self._watched:
            widget.installEventFilter(self)
            if widget is not window:
                widget.setFocusPolicy(qt.Qt.NoFocus)
        window.setFocusPolicy(qt.Qt.StrongFocus)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """What Qt calls; True keeps an event from everybody else."""
        kind = event.type()
        if kind == qt.QEvent.ShortcutOverride:  # or a shortcut of Slicer would take the key
            event.accept()
            return True
        if kind == qt.QEvent.KeyPress:
            key = int(event.key())
            # A key that is held down moves the mark, and neither answers one question after another nor turns pages.
            if not event.isAutoRepeat() or key in self._arrows:
                self._onKey(key, event.text(), bool(event.modifiers() & qt.Qt.ShiftModifier))
            return True
        if kind == qt.QEvent.KeyRelease or kind == qt.QEvent.ContextMenu:
            return True
        if kind == qt.QEvent.Close and event.spontaneous():
            event.ignore()
            self._onClose()
            return True
        return False

    def close(self) -> None:
        """Lets the keys go."""
        for widget in self._watched:
            widget.removeEventFilter(self)
        self._watched = []
