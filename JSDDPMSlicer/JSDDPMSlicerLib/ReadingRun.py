"""The course of a reading: instructions, training with feedback, cases, breaks, the end; and every way out of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from . import StudyWords
from .AnswerSheet import AnswerSheet
from .Prefetch import Prefetch
from .ReadingWindow import ReadingWindow

TICK_MS = 50
PATIENCE_S = 0.03
"""How long the window waits at a stretch for a case that is not read yet."""

LAST_SECONDS = 5.0


class State(Enum):
    """What the reader sees."""

    TEXT = "text"
    LOADING = "loading"
    CASE = "case"
    FEEDBACK = "feedback"
    LEAVING = "leaving"
    PROBLEM = "problem"
    OVER = "over"


class ReadingRun:
    """Leads one reader through a session.

    Args:
        session: that is open; closed at the end.
        onEnded: called once the window has gone.
    """

    def __init__(self, session: Any, onEnded: Callable[[], None]) -> None:
        from jsddpm_core.reading_study.reader_log import training_key

        self.session, self._onEnded = session, onEnded
        self._manifest = session.manifest
        self._key = training_key(session.folder, session.manifest)
        self._prefetch = Prefetch(session.folder)
        self.state = State.TEXT
        self.sheet: AnswerSheet | None = None
        self.latencies: list[float] = []
        """Seconds from the wish for a case to its first full render, of each case."""
        self._go: Callable[[], None] = self._advance
        self._before = State.TEXT
        self._pictures: Any = None
        self._waiting: set[int] = set()
        self._wished = self._shownAt = 0.0
        self._answeredAt: float | None = None
        self._timedOut = False
        self._breakBegan = 0.0
        self.window = ReadingWindow(
            self._manifest, self.onKey, self.onAnswer, self.onGo, self.onLeave, self._onRendered, self.onClick
        )
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._onTick)

    def start(self) -> None:
        """Opens the window with the instructions."""
        session = self.session
        self.window.open()
        self._timer.start(TICK_MS)
        remaining = len(session.places) - session.done
        if session.next is None:
            self._finish()
            return
        self._prefetch.want(session.next.case)
        text = StudyWords.instructions(self._manifest, remaining)
        if session.notes:
            text = "\n\n".join([*session.notes, text])
        title = _("Welcome back, {name}") if session.resumed else _("Welcome, {name}")
        self._page(title.format(name=session.reader), text, _("Begin  (Space)"), self._advance)

    # ------------------------------------------------------------ the cases

    def _advance(self) -> None:
        """To whatever comes next."""
        session = self.session
        if session.next is None:
            self._finish()
        elif session.break_due:
            self._breakBegan = time.monotonic()
            done = session.next.index
            text = _("{n} of {all} cases are read. All answers are saved.\n\nReceipt: {code}").format(
                n=done, all=session.next.of, code=session.receipt.code
            )
            self._page(_("Time for a break"), text, _("Go on  (Space)"), self._afterBreak)
        else:
            self._wish()

    def _afterBreak(self) -> None:
        if self._saved(lambda: self.session.take_break(round(time.monotonic() - self._breakBegan, 1))):
            self._wish()

    def _wish(self) -> None:
        """Wants the case whose turn it is."""
        self._wished = time.perf_counter()
        self.sheet = AnswerSheet(self._manifest.items)
        self._answeredAt, self._timedOut = None, False
        self.state = State.LOADING
        self._prefetch.want(self.session.next.case)
        self._load()

    def _load(self) -> None:
        """Shows the case as soon as it has been read."""
        from jsddpm_core.errors import StudyError

        place = self.session.next
        if not self._prefetch.ready(place.case, PATIENCE_S):
            self.window.clearCase()
            self.window.setQuestion(self.sheet, waiting=True)
            return
        try:
            self._pictures = self._prefetch.take(place.case)
        except StudyError as error:
            self._problem(str(error))
            return
        part = _("Training {n} of {all}") if place.part == "training" else _("Case {n} of {all}")
        window = self.window
        window.setProgress(part.format(n=place.index + 1, all=place.of))
        window.setTime("", False)
        window.setProblem("")
        window.setQuestion(self.sheet, waiting=False)
        self._waiting = set(range(len(window.views)))
        window.showCase(self._pictures, self._manifest.display.mask_overlay)

    def _onRendered(self, number: int) -> None:
        """A view was drawn; when all have been, the clock starts."""
        if self.state != State.LOADING or number not in self._waiting:
            return
        self._waiting.discard(number)
        if self._waiting:
            return
        self._shownAt = time.perf_counter()
        self.latencies.append(self._shownAt - self._wished)
        self.state = State.CASE
        self.session.keep_receipt()
        following = self.session.following
        self._prefetch.want(following.case if following is not None else None)

    @property
    def elapsed(self) -> float:
        """Seconds since the case was first seen whole."""
        return time.perf_counter() - self._shownAt

    def _confirm(self) -> None:
        if self._answeredAt is None:
            self._answeredAt = self.elapsed
        self._record()

    def _record(self) -> None:
        """Saves the answers; only then comes anything else."""
        from jsddpm_core.reading_study.responses import ViewState

        place, answers = self.session.next, self.sheet.answers()
        view = ViewState(**self.window.views[0].state)
        elapsed = max(float(self._answeredAt), 0.0)

        def record() -> None:
            self.session.record(answers, elapsed, view, timed_out=self._timedOut, undone=self.sheet.undone)

        if not self._saved(record):
            return
        self.window.setTime("", False)
        if place.part == "training":
            self._feedback(place, answers)
        elif self._timedOut:
            self._page(_("Time is up"), _("What you had answered is saved."), _("Next  (Space)"), self._advance)
        else:
            self._advance()

    def _timeUp(self) -> None:
        self._timedOut = True
        if self.state == State.LEAVING:
            self.state = State.CASE
            self.window.backToCase()
        self._answeredAt = float(self._manifest.display.time_limit_s)
        self._record()

    def _saved(self, write: Callable[[], Any]) -> bool:
        """Whether something could be written; if not, it is said, and stays to be tried again."""
        from jsddpm_core.errors import StudyError

        try:
            write()
        except StudyError as error:
            self.window.setProblem(str(error))
            return False
        self.window.setProblem("")
        return True

    def _feedback(self, place: Any, answers: tuple[Any, ...]) -> None:
        """What was right, over the picture that is still there."""
        from jsddpm_core.reading_study.answers import feedback, lesion_mask

        truth, picture = self._key.cases[place.case.name], self._pictures[0]
        shape = picture.voxels.T.shape
        told = feedback(self._manifest.items, answers, truth, shape, picture.affine)
        text = StudyWords.feedbackText(self._manifest.items, answers, told)
        if truth.lesion_voxels and any(item.kind == "lesion" for item in self._manifest.items):
            self.window.views[0].outline(lesion_mask(truth, shape).T)
        self.window.setFeedback(_("Time is up.") + " " + text if self._timedOut else text, _("Space goes on"))
        self.state = State.FEEDBACK

    # ------------------------------------------------------------ pages of text

    def _page(self, title: str, text: str, go: str, action: Callable[[], None], leave: str = "") -> None:
        self.state, self._go = State.TEXT, action
        self.window.clearCase()
        self.window.setTime("", False)
        self.window.showText(title, text, go, leave or _("Leave  (L)"))

    def _problem(self, text: str) -> None:
        self._page(_("This case cannot be shown"), text, _("Try again  (Space)"), self._wish)

    def _finish(self) -> None:
        if not self._saved(self.session.end):
            self._page(_("The end could not be saved"), self.window.ui.problemLabel.text, _("Try again  (Space)"),
                       self._finish)  # fmt: skip
            return
        text = _("All {n} cases are read and saved. Thank you.\n\nReceipt: {code}\n\nWrite the receipt down, or send "
                 "it to the organiser: it shows that no answer was removed later.")  # fmt: skip
        self.window.setProgress("")
        said = text.format(n=len(self.session.places), code=self.session.receipt.code)
        self._page(_("Finished"), said, _("Close  (Space)"), self.close)
        self.window.ui.leaveButton.setVisible(False)

    def onLeave(self) -> None:
        """Asks before the reader leaves; from a page of text there is nothing to ask."""
        if self.state in (State.LEAVING, State.TEXT):
            self.close()
        elif self.state != State.OVER:
            self._before, self.state = self.state, State.LEAVING
            text = _("All answers that you confirmed are saved. This case comes again when you go on later.\n\n"
                     "If you stay, its time has been running on meanwhile.")  # fmt: skip
            self.window.showText(_("Leave the study?"), text, _("Stay  (Space)"), _("Leave  (L)"))

    def close(self) -> None:
        """Ends, at whatever point."""
        if self.state == State.OVER:
            return
        self.state = State.OVER
        self._timer.stop()
        self.window.close()
        self.session.close()
        self._onEnded()

    # ------------------------------------------------------------ the reader

    def onGo(self) -> None:
        """The way on: from a page of text, from feedback, back to the case."""
        if self.state == State.TEXT:
            self._go()
        elif self.state == State.FEEDBACK:
            self._advance()
        elif self.state == State.LEAVING:
            self.state = self._before
            self.window.backToCase()

    def onKey(self, key: int, text: str, shift: bool) -> None:
        """Any key."""
        Qt = qt.Qt
        if self.state == State.OVER:
            return
        if key == int(Qt.Key_Escape):
            self.onGo() if self.state == State.LEAVING else self.onLeave()
        elif self.state in (State.TEXT, State.LEAVING, State.FEEDBACK):
            if key in (int(Qt.Key_Space), int(Qt.Key_Return), int(Qt.Key_Enter)):
                self.onGo()
            elif text.lower() == "l" and self.state != State.FEEDBACK:
                self.onLeave()
            elif key in (int(Qt.Key_Down), int(Qt.Key_Up)):
                self.window.scrollText(2 if key == int(Qt.Key_Down) else -2)
        elif self.state == State.CASE:
            self._onCaseKey(key, text, shift)

    def _onCaseKey(self, key: int, text: str, shift: bool) -> None:
        Qt, sheet = qt.Qt, self.sheet
        arrows = {
            int(Qt.Key_Left): (-1, 0), int(Qt.Key_Right): (1, 0), int(Qt.Key_Up): (0, 1), int(Qt.Key_Down): (0, -1)
        }  # fmt: skip
        if text.isdecimal() and len(text) == 1:
            self.onAnswer(int(text))
        elif key in (int(Qt.Key_Space), int(Qt.Key_Return), int(Qt.Key_Enter)):
            if self._timedOut or sheet.complete:
                self._confirm()
            elif sheet.goOn():
                self._refresh()
        elif key == int(Qt.Key_Backspace) or text.lower() == "u":
            if not self._timedOut and sheet.undo():
                self._changed()
        elif key in arrows and sheet.takesMark and not self._timedOut:
            mark = sheet.marks[sheet.open]
            step = 5 if shift else 1
            right, up = arrows[key]
            view = self.window.views[0]
            self.onClick(view.nudged(None if mark is None else np.asarray(mark), right * step, up * step))

    def onAnswer(self, number: int) -> None:
        """An answer, by its digit or its button."""
        if self.state == State.CASE and not self._timedOut and self.sheet.answer(number):
            self._changed()
        else:
            self._refresh()

    def onClick(self, place: np.ndarray) -> None:
        """The place of a lesion."""
        placed = tuple(float(value) for value in place)
        if self.state == State.CASE and not self._timedOut and self.sheet.place(placed):
            self._changed()

    def _changed(self) -> None:
        self._answeredAt = None
        self.window.setProblem("")
        self._refresh()

    def _refresh(self) -> None:
        if self.sheet is not None and self.state in (State.CASE, State.LOADING):
            self.window.setQuestion(self.sheet, waiting=False)

    # ------------------------------------------------------------ time

    def _onTick(self) -> None:
        self._prefetch.poke()
        self.session.beat()
        if self.state == State.LOADING and not self._waiting:
            self._load()
        limit = self._manifest.display.time_limit_s
        running = self.state == State.CASE or (self.state == State.LEAVING and self._before == State.CASE)
        if limit is None or not running or self._timedOut:
            return
        left = limit - self.elapsed
        self.window.setTime(f"{int(left // 60)}:{int(left % 60):02d}" if left > 0 else "0:00", left <= LAST_SECONDS)
        if left <= 0:
            self._timeUp()
