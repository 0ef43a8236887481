"""A widget that shows what a VTK render window draws off screen, and hands mouse and keys to its interactor."""

from __future__ import annotations

from typing import Any

import qt
import vtk
from PySide6 import QtCore, QtGui
from vtk.util.numpy_support import vtk_to_numpy

BUTTONS = {
    QtCore.Qt.MouseButton.LeftButton: "LeftButton",
    QtCore.Qt.MouseButton.RightButton: "RightButton",
    QtCore.Qt.MouseButton.MiddleButton: "MiddleButton",
}


def offscreenWindow() -> vtk.vtkRenderWindow:
    """A render window without a window of the system."""
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetShowWindow(False)
    window.SetMultiSamples(0)
    return window


def renderedImage(window: vtk.vtkRenderWindow) -> QtGui.QImage:
    """What the render window draws, as a picture."""
    window.Render()
    width, height = window.GetSize()
    pixels = vtk.vtkUnsignedCharArray()
    window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, pixels)
    rows = vtk_to_numpy(pixels).reshape(height, width, 4)[::-1].copy()
    rows[..., 3] = 255
    return QtGui.QImage(rows.data, width, height, 4 * width, QtGui.QImage.Format.Format_RGBA8888).copy()


class RenderedWidget(qt.QWidget):
    """
    The canvas of a view. Looks the same on a screen and off it, and `grab()` sees it.

    Several requests to draw between two turns of the event loop are one drawing.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._window = offscreenWindow()
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._image: QtGui.QImage | None = None
        self._paused = False
        self.setMinimumSize(80, 80)
        self.setMouseTracking(True)
        self.setFocusPolicy(qt.Qt.StrongFocus)
        self.setAttribute(qt.Qt.WA_OpaquePaintEvent)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)

    def renderWindow(self) -> vtk.vtkRenderWindow:
        return self._window

    def interactor(self) -> vtk.vtkRenderWindowInteractor:
        return self._interactor

    def scheduleRender(self) -> None:
        """Draw at the next turn of the event loop."""
        self._image = None
        if not self._paused:
            self.update()

    def forceRender(self) -> None:
        """Draw now."""
        self._image = None
        self.repaint()

    def _resized(self, width: int, height: int) -> None:
        self._window.SetSize(width, height)
        self._interactor.SetSize(width, height)

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        self._resized(max(self.width, 2), max(self.height, 2))
        self.scheduleRender()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        if self._image is None:
            self._image = renderedImage(self._window)
        painter = QtGui.QPainter(self)
        painter.drawImage(self.rect, self._image)
        painter.end()

    def _forward(self, event: Any, name: str) -> None:
        place, keys = event.position(), event.modifiers()
        control = bool(keys & QtCore.Qt.KeyboardModifier.ControlModifier)
        shift = bool(keys & QtCore.Qt.KeyboardModifier.ShiftModifier)
        down = self.height - 1 - int(place.y())
        self._interactor.SetEventInformation(int(place.x()), down, int(control), int(shift))
        getattr(self._interactor, name)()
        self.scheduleRender()

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        if event.button() in BUTTONS:
            self._forward(event, f"{BUTTONS[event.button()]}PressEvent")

    def mouseReleaseEvent(self, event: QtGui.QMouseEvent) -> None:
        if event.button() in BUTTONS:
            self._forward(event, f"{BUTTONS[event.button()]}ReleaseEvent")

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        self._forward(event, "MouseMoveEvent")

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """As QVTKInteractorAdapter hands a key over: its character where it has one, and its name."""
        text = event.text()
        name = text if text.isalnum() else QtCore.Qt.Key(event.key()).name.removeprefix("Key_")
        self._interactor.SetKeyEventInformation(0, 0, text[:1] or "\0", 1, name)
        self._interactor.KeyPressEvent()
        self._interactor.CharEvent()
        self.scheduleRender()

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        self._forward(event, f"MouseWheel{'Forward' if event.angleDelta().y() > 0 else 'Backward'}Event")
