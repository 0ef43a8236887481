"""Widgets whose contents fold away."""

from __future__ import annotations

from typing import Any

import qt
from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared, stored

MARGIN = 3
BUTTON_COLOUR = QtGui.QColor("#d8dde3")
NO_LIMIT = 16777215  # Qt's largest size of a widget
FOLDED = "hiddenByFolding"  # noted on the C++ object: a child's Python wrapper may be another one later


def foldChild(child: QtWidgets.QWidget) -> None:
    """Hide a child until its parent unfolds."""
    QtWidgets.QWidget.setVisible(child, False)
    QtCore.QObject.setProperty(child, FOLDED, True)


def fold(parent: QtWidgets.QWidget, collapsed: bool) -> None:
    """Hide the visible children of a widget, or show those that folding had hidden."""
    options = QtCore.Qt.FindChildOption.FindDirectChildrenOnly
    for child in QtCore.QObject.findChildren(parent, QtWidgets.QWidget, options=options):
        if collapsed and not child.isHidden():
            foldChild(child)
        elif not collapsed and QtCore.QObject.property(child, FOLDED):
            QtCore.QObject.setProperty(child, FOLDED, False)
            QtWidgets.QWidget.setVisible(child, True)


class ctkCollapsibleButton(qt.QAbstractButton):
    """A button as wide as its contents, which lie below it and vanish when it is clicked."""

    contentsCollapsed = CppSignal("contentsCollapsed(bool)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._height = MARGIN * 2
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._headHeight(), 0, 0)
        QtWidgets.QAbstractButton.toggled.__get__(self).connect(self._toggled)

    def _headHeight(self) -> int:
        return QtWidgets.QWidget.fontMetrics(self).height() + 4 * MARGIN

    def _toggled(self, checked: bool) -> None:
        self._fold(not checked)

    def _fold(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        fold(self, collapsed)
        self.setMaximumHeight(self._headHeight() + self._height if collapsed else NO_LIMIT)
        self.updateGeometry()
        self.update()
        self.contentsCollapsed.emit(collapsed)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        child = event.child()
        if self._collapsed and event.added() and isinstance(child, QtWidgets.QWidget):
            foldChild(child)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._headHeight()

    def sizeHint(self) -> QtCore.QSize:
        return self._sized(QtWidgets.QWidget.sizeHint(self))

    def minimumSizeHint(self) -> QtCore.QSize:
        return self._sized(QtWidgets.QWidget.minimumSizeHint(self))

    def _sized(self, contents: QtCore.QSize) -> QtCore.QSize:
        metrics = QtWidgets.QWidget.fontMetrics(self)
        width = metrics.horizontalAdvance(self.text) + self._headHeight() * 2
        if self._collapsed:
            return QtCore.QSize(max(width, contents.width()), self._headHeight() + self._height)
        return QtCore.QSize(max(width, contents.width()), max(self._headHeight(), contents.height()))

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        head = QtCore.QRect(0, 0, self.width, self._headHeight())
        painter.fillRect(head, BUTTON_COLOUR)
        side = self._headHeight() // 3
        centre = QtCore.QPointF(self._headHeight() / 2, self._headHeight() / 2)
        across = [(-0.5, -0.5), (0.5, 0.0), (-0.5, 0.5)] if self._collapsed else [(-0.5, -0.3), (0.5, -0.3), (0.0, 0.5)]
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(QtWidgets.QWidget.palette(self).color(QtGui.QPalette.ColorRole.ButtonText))
        painter.drawPolygon([centre + QtCore.QPointF(x * side, y * side) for x, y in across])
        painter.setPen(QtWidgets.QWidget.palette(self).color(QtGui.QPalette.ColorRole.ButtonText))
        text = head.adjusted(self._headHeight(), 0, 0, 0)
        flags = QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.TextFlag.TextShowMnemonic
        painter.drawText(text, flags, self.text)
        painter.end()

    def _setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = declared(bool, lambda self: self._collapsed, _setCollapsed)
    collapsedHeight = stored(int, "_height", "updateGeometry")


class ctkCollapsibleGroupBox(qt.QGroupBox):
    """A group box whose title folds its contents away; checked is expanded."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._height = 14
        self.setCheckable(True)
        self.setChecked(True)
        QtWidgets.QGroupBox.toggled.__get__(self).connect(self._toggled)

    def _toggled(self, checked: bool) -> None:
        self._collapsed = not checked
        fold(self, self._collapsed)
        head = QtWidgets.QWidget.fontMetrics(self).height() + self._height
        self.setMaximumHeight(head if self._collapsed else NO_LIMIT)
        self.updateGeometry()

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        child = event.child()
        if self._collapsed and event.added() and isinstance(child, QtWidgets.QWidget):
            foldChild(child)

    def _setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = declared(bool, lambda self: self._collapsed, _setCollapsed)
    collapsedHeight = stored(int, "_height")
