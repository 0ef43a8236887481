"""CTK's versions of Qt's check box, combo box, colour button, message box and text browser."""

from __future__ import annotations

from typing import Any

import qt
from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared, stored


class ctkCheckBox(qt.QCheckBox):
    """A check box."""


class ctkComboBox(qt.QComboBox):
    """A combo box with a text for no choice at all."""

    NeverScroll, AlwaysScroll, ScrollWithFocus, ScrollWithNoVScrollBar = 0, 1, 2, 3

    currentUserDataAsStringChanged = CppSignal("currentUserDataAsStringChanged(QString)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._defaultText = ""
        self._forceDefault = False
        self._scrollEffect = self.AlwaysScroll
        self.currentIndexChanged.instance.connect(self._indexChanged)

    def _indexChanged(self, index: int) -> None:
        self.currentUserDataAsStringChanged.emit(self._userData())

    def _userData(self) -> str:
        data = self.currentData
        return "" if data is None else str(data)

    def setCurrentUserDataAsString(self, text: str) -> None:
        for index in range(self.count):
            if str(self.itemData(index)) == text:
                self.setCurrentIndex(index)
                return
        self.setCurrentIndex(-1)

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        scrolls = self._scrollEffect == self.AlwaysScroll or (self._scrollEffect == self.ScrollWithFocus and self.focus)
        if scrolls:
            QtWidgets.QComboBox.wheelEvent(self, event)
        else:
            event.ignore()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        if self._defaultText and (self._forceDefault or self.currentIndex < 0):
            option.currentText = self._defaultText
        painter.drawComplexControl(QtWidgets.QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    defaultText = stored(str, "_defaultText", "update")
    forceDefault = stored(bool, "_forceDefault", "update")
    scrollWheelEffect = stored(int, "_scrollEffect")
    currentUserDataAsString = declared(str, _userData, setCurrentUserDataAsString)


class ctkColorPickerButton(qt.QPushButton):
    """A button that shows a colour and asks for another when it is clicked."""

    colorChanged = CppSignal("colorChanged(QColor)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._color = QtGui.QColor(QtCore.Qt.GlobalColor.black)
        self._nameVisible = True
        self.clicked.instance.connect(self._clicked)
        self._show()

    def _show(self) -> None:
        swatch = QtGui.QPixmap(16, 16)
        swatch.fill(self._color)
        self.setIcon(QtGui.QIcon(swatch))
        self.setText(self._color.name() if self._nameVisible else "")

    def _clicked(self) -> None:
        self.changeColor()

    def changeColor(self) -> None:
        chosen = QtWidgets.QColorDialog.getColor(self._color, self)
        if chosen.isValid():
            self.setColor(chosen)

    def setColor(self, color: QtGui.QColor) -> None:
        if not isinstance(color, QtGui.QColor):
            raise ValueError(f"Called setColor with wrong arguments: {color!r} is not a QColor")
        if color != self._color:
            self._color = color
            self._show()
            self.colorChanged.emit(color)

    color = declared("QColor", lambda self: self._color, setColor, user=True)
    displayColorName = stored(bool, "_nameVisible", "_show")


class ctkMessageBox(qt.QMessageBox):
    """A message box that need not come again."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._again = QtWidgets.QCheckBox("Don't show this message again")
        self._key = ""
        self._visible = False
        self._skipped = False

    def _setKey(self, key: str) -> None:
        self._key = key
        self._setVisible(bool(key))
        stored_ = qt.QSettings().value(key) if key else None
        self._skipped = stored_ is not None and int(stored_) != QtWidgets.QMessageBox.ButtonRole.InvalidRole.value

    def _setVisible(self, visible: bool) -> None:
        self._visible = visible
        if visible:
            self.setCheckBox(self._again)

    def setDontShowAgain(self, skipped: bool) -> None:
        self._skipped = skipped
        self._again.setChecked(skipped)

    def exec(self) -> int:
        if self._skipped:
            return int(qt.QSettings().value(self._key)) if self._key else int(self.standardButtons)
        result = QtWidgets.QMessageBox.exec(self)
        if self._visible and self._key and self._again.isChecked():
            qt.QSettings().setValue(self._key, int(result))
        return result

    dontShowAgain = declared(bool, lambda self: self._skipped, setDontShowAgain)
    dontShowAgainSettingsKey = declared(str, lambda self: self._key, _setKey)
    dontShowAgainVisible = declared(bool, lambda self: self._visible, _setVisible)


class ctkFittedTextBrowser(qt.QTextBrowser):
    """A text browser as high as its text."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.textChanged.instance.connect(self._fit)
        policy = QtWidgets.QSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def _fit(self) -> None:
        self.updateGeometry()

    def heightForWidth(self, width: int) -> int:
        document = QtWidgets.QTextBrowser.document(self).clone()
        document.setTextWidth(width - 2 * self.frameWidth)
        return int(document.size().height()) + 2 * self.frameWidth

    def sizeHint(self) -> QtCore.QSize:
        width = max(self.width, 100)
        return QtCore.QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(50, self.sizeHint().height())
