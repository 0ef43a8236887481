"""The full-screen window in which cases are read: a bar, a page of text or of pictures, and the question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from . import StudyWords
from .ReadingKeys import ReadingKeys
from .ReadingView import ReadingView

FORM = Path(__file__).resolve().parents[1] / "Resources" / "UI" / "ReadingWindow.ui"
MOST_ANSWERS = 9
TEXT_WIDTH = 735
"""Pixels of a line of text, at least."""


class ReadingWindow:
    """Shows what it is told to, and says what the reader does.

    The window stands in front of Slicer's own, which stays as it is behind it.

    Args:
        manifest: of the study.
        onKey: called with the code, the text and Shift of every key.
        onAnswer: called with the number of an answer that was clicked.
        onGo: called where the button of a page of text was pressed.
        onLeave: called where the reader wants to leave.
        onRendered: called after each drawing, with the number of the view.
        onClick: called with RAS millimetres.
    """

    def __init__(
        self,
        manifest: Any,
        onKey: Callable[[int, str, bool], None],
        onAnswer: Callable[[int], None],
        onGo: Callable[[], None],
        onLeave: Callable[[], None],
        onRendered: Callable[[int], None],
        onClick: Callable[[np.ndarray], None],
    ) -> None:
        self._onAnswer, self._onRendered = onAnswer, onRendered
        self.widget = slicer.util.loadUI(str(FORM))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.pairs = any(item.kind == "pair" for item in manifest.items)
        self.views: list[ReadingView] = []
        ui = self.ui
        ui.noticeLabel.text = manifest.notice[:1].upper() + manifest.notice[1:]
        for number, holder in enumerate((ui.leftLayout, ui.rightLayout)[: 1 + self.pairs]):
            self.views.append(
                ReadingView(number, holder, manifest.display, self._renderedBy(number), onClick, self._follow)
            )
        ui.leftLabel.text, ui.rightLabel.text = _("1  Left"), _("2  Right")
        for label in (ui.leftLabel, ui.rightLabel):
            label.setVisible(self.pairs)
        self._buttons = [getattr(ui, f"answer{number}") for number in range(1, MOST_ANSWERS + 1)]
        self._slots = [self._answered(number) for number in range(1, MOST_ANSWERS + 1)]
        for button, slot in zip(self._buttons, self._slots, strict=True):
            button.connect("clicked(bool)", slot)
        ui.goButton.connect("clicked(bool)", onGo)
        ui.leaveButton.connect("clicked(bool)", onLeave)
        self.keys = ReadingKeys(self.widget, onKey, onLeave)

    def open(self) -> None:
        """Fills the screen."""
        self.widget.setWindowModality(qt.Qt.ApplicationModal)
        self.widget.showFullScreen()
        self.widget.activateWindow()
        self.widget.setFocus()

    def close(self) -> None:
        """Goes, and leaves Slicer as it was."""
        self.keys.close()
        for view in self.views:
            view.close()
        self.views = []
        self.widget.hide()
        self.widget.deleteLater()

    # ------------------------------------------------------------ pages

    def showText(self, title: str, text: str, go: str, leave: str = "") -> None:
        """A page of text with one button, or two."""
        ui = self.ui
        ui.titleLabel.text, ui.textLabel.text = title, text
        ui.textScroll.setMaximumHeight(ui.textLabel.heightForWidth(TEXT_WIDTH))
        ui.textScroll.verticalScrollBar().setValue(0)
        ui.goButton.text = go
        ui.leaveButton.text = leave
        ui.goButton.setVisible(bool(go))
        ui.leaveButton.setVisible(bool(leave))
        ui.questionPanel.setVisible(False)
        ui.pages.setCurrentWidget(ui.textPage)

    def scrollText(self, lines: int) -> None:
        """Moves a long text by some lines."""
        bar = self.ui.textScroll.verticalScrollBar()
        bar.setValue(bar.value + lines * self.ui.textLabel.fontMetrics().lineSpacing())

    def showCase(self, pictures: Any, masks: bool) -> None:
        """The pictures of a case; their masks outlined where the study shows them."""
        ui = self.ui
        for view, picture in zip(self.views, pictures, strict=True):
            view.show(picture, picture.mask if masks else None)
        ui.questionPanel.setVisible(True)
        ui.pages.setCurrentWidget(ui.casePage)

    def backToCase(self) -> None:
        """The case again, after a page of text."""
        self.ui.questionPanel.setVisible(True)
        self.ui.pages.setCurrentWidget(self.ui.casePage)

    def clearCase(self) -> None:
        """No picture stays behind a page of text."""
        for view in self.views:
            view.clear()

    # ------------------------------------------------------------ bar and question

    def setProgress(self, text: str) -> None:
        self.ui.progressLabel.text = text

    def setTime(self, text: str, late: bool) -> None:
        label = self.ui.timeLabel
        if label.text != text:
            label.text = text
        colour = "color: #ff8866; font-weight: bold;" if late else ""
        if label.styleSheet != colour:
            label.styleSheet = colour

    def setQuestion(self, sheet: Any, waiting: bool) -> None:
        """The open question with its answers, and what was answered so far."""
        ui, item = self.ui, sheet.item
        labels = StudyWords.answerLabels(item)
        given = [
            f"{StudyWords.shortName(each)}: {StudyWords.said(each, value)}"
            for number, (each, value) in enumerate(zip(sheet.items, sheet.values, strict=True))
            if value is not None and number != sheet.open
        ]
        number = _("Question {n} of {all}").format(n=sheet.open + 1, all=len(sheet.items))
        ui.givenLabel.text = "   ·   ".join([*([number] if len(sheet.items) > 1 else []), *given])
        ui.questionLabel.text = StudyWords.question(item)
        for index, button in enumerate(self._buttons):
            there = index < len(labels)
            button.setVisible(there)
            if there:
                # A single & would be taken for the mark of a shortcut's letter.
                button.text = f"{index + 1}  {labels[index]}".strip().replace("&", "&&")
                button.setChecked(sheet.values[sheet.open] == index + 1)
                button.enabled = not waiting
        ui.answersRow.setVisible(True)
        ui.hintLabel.text = StudyWords.hint(sheet, waiting)
        self.views[0].overlay.setMark(sheet.mark)

    def setFeedback(self, text: str, hint: str) -> None:
        """What was right, in the question's place."""
        self.ui.givenLabel.text = _("Training: this case does not count.")
        self.ui.questionLabel.text = text
        self.ui.answersRow.setVisible(False)
        self.ui.hintLabel.text = hint

    def setProblem(self, text: str) -> None:
        self.ui.problemLabel.text = text
        self.ui.problemLabel.setVisible(bool(text))

    # ------------------------------------------------------------ listening

    def _answered(self, number: int) -> Callable[[], None]:
        def answer() -> None:
            self._onAnswer(number)

        return answer

    def _renderedBy(self, number: int) -> Callable[[], None]:
        def rendered() -> None:
            self._onRendered(number)

        return rendered

    def _follow(self, moved: ReadingView) -> None:
        """Two pictures beside each other are looked at alike."""
        for view in self.views:
            if view is not moved:
                view.follow(moved)
