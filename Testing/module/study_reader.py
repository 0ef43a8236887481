"""A reader made of key presses: drives the real window of a reading study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from fixtures import until
from JSDDPMSlicerLib.ReadingRun import State
from JSDDPMSlicerLib.ReadingStudyPanel import ReadingStudyPanel
from PySide6 import QtCore, QtGui

PATIENCE_S = 60
FORM = Path(__file__).resolve().parents[2] / "JSDDPMSlicer" / "Resources" / "UI" / "ReadingStudy.ui"
KEYS = {
    " ": QtCore.Qt.Key.Key_Space, "\b": QtCore.Qt.Key.Key_Backspace, "\x1b": QtCore.Qt.Key.Key_Escape,
    "\r": QtCore.Qt.Key.Key_Return, "<": QtCore.Qt.Key.Key_Left, ">": QtCore.Qt.Key.Key_Right,
    "^": QtCore.Qt.Key.Key_Up, "v": QtCore.Qt.Key.Key_Down,
}  # fmt: skip


def press(widget: Any, text: str, held: bool = False) -> None:
    """Presses keys as a keyboard would, one for each character; letters in `KEYS` stand for keys without text.

    Args:
        widget: that gets them.
        text: a character a key.
        held: whether they only repeat, as keys do that are held down.
    """
    for letter in text:
        key = KEYS.get(letter) or QtCore.Qt.Key(ord(letter.upper()))
        said = "" if letter in "<>^v" else letter
        target = getattr(widget, "nativeObject", widget)
        for kind in (QtCore.QEvent.Type.ShortcutOverride, QtCore.QEvent.Type.KeyPress, QtCore.QEvent.Type.KeyRelease):
            event = QtGui.QKeyEvent(kind, key, QtCore.Qt.KeyboardModifier.NoModifier, said, held)
            QtCore.QCoreApplication.sendEvent(target, event)


def click(view: Any, x: int, y: int, to: tuple[int, int] | None = None, button: str = "Left") -> None:
    """Clicks into a slice view, or drags from one pixel to another, counted from the lower left."""
    interactor = view.interactor()
    interactor.SetEventInformation(x, y, 0, 0)
    getattr(interactor, f"{button}ButtonPressEvent")()
    for step in range(1, 6) if to is not None else ():
        interactor.SetEventInformation(x + (to[0] - x) * step // 5, y + (to[1] - y) * step // 5, 0, 0)
        interactor.MouseMoveEvent()
    getattr(interactor, f"{button}ButtonReleaseEvent")()


def ready(run: Any, *states: State) -> None:
    """Waits until the reader sees something."""
    wanted = states or (State.CASE,)
    assert until(lambda: run.state in wanted, PATIENCE_S), f"{run.state}: {run.window.ui.problemLabel.text}"


def open_panel() -> Any:
    """The Reading study panel by itself: no other panel, and so no computing process."""
    widget = slicer.util.loadUI(str(FORM))
    widget.setMRMLScene(slicer.mrmlScene)
    widget.resize(500, 900)
    widget.show()
    panel = ReadingStudyPanel(widget)
    panel.enter()
    return panel


def begin(panel: Any, folder: Path, reader: str = "A. Reader", slot: int = 1) -> Any:
    """Chooses a study in the panel, types a name, and starts; the run, at its first page."""
    panel.read.choose(folder)
    assert until(lambda: panel.read._steps is None, PATIENCE_S)
    panel.ui.slotCombo.setCurrentIndex(slot - 1)
    panel.ui.readerEdit.text = reader
    assert panel.read.whyNot() == "", panel.read.whyNot()
    panel.ui.readButton.click()
    assert panel.read.run is not None, panel.ui.readStatus.text
    return panel.read.run


def shown(run: Any) -> str:
    """The page of text that is shown."""
    ui = run.window.ui
    assert ui.pages.currentWidget() == ui.textPage
    return f"{ui.titleLabel.text}\n{ui.textLabel.text}"


def settle() -> None:
    for _ in range(3):
        slicer.app.processEvents()
