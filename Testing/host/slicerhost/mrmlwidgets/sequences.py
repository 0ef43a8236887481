"""Widgets that go through the items of a sequence."""

from __future__ import annotations

from typing import Any

import qt

from ..pythonqt.properties import declared
from .base import Observations, qMRMLWidget
from .nodecombobox import MODIFIED


class qMRMLSequenceBrowserSeekWidget(qMRMLWidget):
    """A slider over the items of a sequence browser node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._observations = Observations()
        self._slider = qt.QSlider(qt.Qt.Horizontal, self)
        self._label = qt.QLabel(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._label)
        self._slider.valueChanged.instance.connect(self._slid)
        self._refresh()

    def setMRMLSequenceBrowserNode(self, node: Any) -> None:
        self._observations.clear()
        self._node = node
        self._observations.add(node, MODIFIED, self._refresh)
        self._refresh()

    def slider(self) -> Any:
        return self._slider

    def setSelectedItemNumber(self, number: int) -> None:
        if self._node is not None:
            self._node.SetSelectedItemNumber(number)

    def _slid(self, number: int) -> None:
        self.setSelectedItemNumber(number)

    def _refresh(self) -> None:
        count = self._node.GetNumberOfItems() if self._node is not None else 0
        self._slider.blockSignals(True)
        self._slider.setEnabled(count > 0)
        self._slider.setRange(0, max(0, count - 1))
        self._slider.setValue(max(0, self._node.GetSelectedItemNumber()) if count else 0)
        self._slider.blockSignals(False)
        self._label.setText(self._node.GetFormattedIndexValue(self._node.GetSelectedItemNumber()) if count else "")


class qMRMLSequenceBrowserPlayWidget(qMRMLWidget):
    """Buttons that go to the first, previous, next and last item, and play."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._recording = False
        self._observations = Observations()
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._buttons = {}
        icons = {
            "onVcrFirst": qt.QStyle.SP_MediaSkipBackward,
            "onVcrPrevious": qt.QStyle.SP_MediaSeekBackward,
            "onVcrPlayPause": qt.QStyle.SP_MediaPlay,
            "onVcrNext": qt.QStyle.SP_MediaSeekForward,
            "onVcrLast": qt.QStyle.SP_MediaSkipForward,
        }
        for slot, icon in icons.items():
            button = qt.QToolButton(self)
            button.setIcon(self.style().standardIcon(icon))
            button.clicked.connect(getattr(self, slot))
            layout.addWidget(button)
            self._buttons[slot] = button
        layout.addStretch(1)
        self._timer = qt.QTimer(self)
        self._timer.timeout.instance.connect(self._play)
        self._refresh()

    def setMRMLSequenceBrowserNode(self, node: Any) -> None:
        self._observations.clear()
        self._node = node
        self._observations.add(node, MODIFIED, self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        enabled = self._node is not None and self._node.GetNumberOfItems() > 0
        for button in self._buttons.values():
            button.setEnabled(enabled)
        playing = enabled and bool(self._node.GetPlaybackActive())
        if playing and not self._timer.active:
            self._timer.start(max(1, round(1000 / max(0.001, self._node.GetPlaybackRateFps()))))
        elif not playing:
            self._timer.stop()

    def _play(self) -> None:
        if self._node is not None:
            self._node.SelectNextItem(1)

    def onVcrFirst(self) -> None:
        if self._node is not None:
            self._node.SelectFirstItem()

    def onVcrPrevious(self) -> None:
        if self._node is not None:
            self._node.SelectNextItem(-1)

    def onVcrNext(self) -> None:
        if self._node is not None:
            self._node.SelectNextItem(1)

    def onVcrLast(self) -> None:
        if self._node is not None:
            self._node.SelectLastItem()

    def onVcrPlayPause(self) -> None:
        if self._node is not None:
            self._node.SetPlaybackActive(not self._node.GetPlaybackActive())

    def setPlaybackEnabled(self, enabled: bool) -> None:
        if self._node is not None:
            self._node.SetPlaybackActive(enabled)

    def setPlaybackRateFps(self, rate: float) -> None:
        if self._node is not None:
            self._node.SetPlaybackRateFps(rate)

    def setPlaybackLoopEnabled(self, enabled: bool) -> None:
        if self._node is not None:
            self._node.SetPlaybackLooped(enabled)

    def setRecordingControlsVisible(self, visible: bool) -> None:
        self._recording = visible

    RecordingControlsVisible = declared(bool, lambda self: self._recording, setRecordingControlsVisible)
