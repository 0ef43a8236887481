"""Widgets for files and folders."""

from __future__ import annotations

from typing import Any

import qt
from PySide6 import QtCore

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared, stored

HISTORY_LENGTH = 10


class ctkPathLineEdit(qt.QWidget):
    """A line for a path, with a history and a button that browses."""

    currentPathChanged = CppSignal("currentPathChanged(QString)")
    validInputChanged = CppSignal("validInputChanged(bool)")

    # ctkPathLineEdit::Filter, which has the values of QDir::Filter.
    Dirs, Files, Drives, NoSymLinks, AllEntries = 0x001, 0x002, 0x004, 0x008, 0x007
    Readable, Writable, Executable = 0x010, 0x020, 0x040
    Hidden, NoDot, NoDotDot, NoDotAndDotDot = 0x100, 0x2000, 0x4000, 0x1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._filters = self.AllEntries
        self._nameFilters: list[str] = []
        self._label = ""
        self._settingKey = ""
        self._path = ""
        self._valid = False
        self._box = qt.QComboBox(self)
        self._box.setEditable(True)
        self._box.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._box.setMinimumContentsLength(12)
        self._box.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._browse = qt.QToolButton(self)
        self._browse.setText("...")
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box, 1)
        layout.addWidget(self._browse)
        self._box.editTextChanged.instance.connect(self._edited)
        self._browse.clicked.instance.connect(self._browseClicked)

    def _edited(self, text: str) -> None:
        if text == self._path:
            return
        self._path = text
        self.currentPathChanged.emit(text)
        information = QtCore.QFileInfo(text)
        valid = bool(text) and information.exists()
        if valid and not self._filters & self.Files:
            valid = information.isDir()
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)

    def _browseClicked(self) -> None:
        self.browse()

    def setCurrentPath(self, path: str) -> None:
        self._box.setEditText(path)

    def browse(self) -> None:
        """Ask for a folder, a file to open, or a file to write, as `filters` says."""
        if not self._filters & self.Files:
            chosen = qt.QFileDialog.getExistingDirectory(self, self._label, self._path)
        elif self._filters & self.Writable:
            chosen = qt.QFileDialog.getSaveFileName(self, self._label, self._path, ";;".join(self._nameFilters))
        else:
            chosen = qt.QFileDialog.getOpenFileName(self, self._label, self._path, ";;".join(self._nameFilters))
        if chosen:
            self.setCurrentPath(chosen)

    def _historyKey(self) -> str:
        return "ctkPathLineEdit/" + (self._settingKey or self.objectName)

    def retrieveHistory(self) -> None:
        known = qt.QSettings().value(self._historyKey())
        known = [known] if isinstance(known, str) else list(known or [])
        current = self._path
        self._box.blockSignals(True)
        self._box.clear()
        self._box.addItems(known)
        self._box.setEditText(current)
        self._box.blockSignals(False)
        if not current and known:
            self.setCurrentPath(known[0])

    def addCurrentPathToHistory(self) -> None:
        if not self._path:
            return
        known = [self._box.itemText(index) for index in range(self._box.count)]
        known = [self._path, *(path for path in known if path != self._path)][:HISTORY_LENGTH]
        qt.QSettings().setValue(self._historyKey(), known)
        self.retrieveHistory()

    def _setSettingKey(self, key: str) -> None:
        self._settingKey = key
        self.retrieveHistory()

    def _setShowBrowseButton(self, visible: bool) -> None:
        self._browse.setVisible(visible)

    currentPath = declared(str, lambda self: self._path, setCurrentPath, user=True)
    filters = stored(int, "_filters")
    nameFilters = declared(
        "QStringList",
        lambda self: tuple(self._nameFilters),
        lambda self, names: setattr(self, "_nameFilters", list(names)),
    )
    label = stored(str, "_label")
    settingKey = declared(str, lambda self: self._settingKey, _setSettingKey)
    showBrowseButton = declared(bool, lambda self: not self._browse.isHidden(), _setShowBrowseButton)


class ctkDirectoryButton(qt.QWidget):
    """A button that shows a folder and asks for another when it is clicked."""

    directoryChanged = CppSignal("directoryChanged(QString)")
    directorySelected = CppSignal("directorySelected(QString)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._directory = QtCore.QDir.current().absolutePath()
        self._caption = ""
        self._text = ""
        self._button = qt.QPushButton(self)
        self._button.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._button.clicked.instance.connect(self._clicked)
        self._show()

    def _show(self) -> None:
        self._button.setText(self._text or self._directory)

    def _clicked(self) -> None:
        self.browse()

    def browse(self) -> str:
        chosen = qt.QFileDialog.getExistingDirectory(self, self._caption or self.toolTip, self._directory)
        if chosen:
            self._setDirectory(chosen)
        return chosen

    def _setDirectory(self, path: str) -> None:
        path = QtCore.QDir(path or ".").absolutePath()
        changed = path != self._directory
        self._directory = path
        self._show()
        self.directorySelected.emit(path)
        if changed:
            self.directoryChanged.emit(path)

    directory = declared(str, lambda self: self._directory, _setDirectory, user=True)
    caption = stored(str, "_caption")
    text = stored(str, "_text", "_show")
