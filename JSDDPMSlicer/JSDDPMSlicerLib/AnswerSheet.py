"""The answers to one case until they are confirmed: which question is open, and the way back, one step at a time."""

from __future__ import annotations

from typing import Any

Mark = tuple[float, float, float]


class AnswerSheet:
    """Answers are given in the order of the questions; each, and each placed mark, is a step that can be taken back.

    Args:
        items: of the study's manifest.
    """

    def __init__(self, items: tuple[Any, ...]) -> None:
        self.items = items
        self.values: list[int | None] = [None] * len(items)
        self.marks: list[Mark | None] = [None] * len(items)
        self.undone = 0
        self._open = 0
        self._steps: list[tuple[str, int]] = []

    @property
    def open(self) -> int:
        """Index of the question that is asked now; the last one where all are answered."""
        return min(self._open, len(self.items) - 1)

    @property
    def item(self) -> Any:
        return self.items[self.open]

    @property
    def mark(self) -> Mark | None:
        """The mark that is shown: the case has one picture, and at most one question marks it at a time."""
        return next((mark for mark in reversed(self.marks) if mark is not None), None)

    @property
    def takesMark(self) -> bool:
        """Whether a click places the lesion of the open question now."""
        from jsddpm_core.reading_study.answers import takes_mark

        return takes_mark(self.item, self.values[self.open])

    @property
    def lacksMark(self) -> bool:
        """Whether the open question's answer is not complete without a click."""
        from jsddpm_core.reading_study.answers import needs_mark

        return needs_mark(self.item, self.values[self.open]) and self.marks[self.open] is None

    @property
    def complete(self) -> bool:
        """Whether all is said and can be confirmed."""
        return self._open >= len(self.items) - 1 and None not in self.values and not self.lacksMark

    def answer(self, value: int) -> bool:
        """Answers the open question, or answers it anew; whether there is such an answer."""
        from jsddpm_core.reading_study.answers import points, takes_mark

        index = self.open
        if not 1 <= value <= points(self.item):
            return False
        if self.values[index] == value:
            return True
        if self.values[index] is not None:
            self._takeBack(index)
        self.values[index] = value
        self._steps.append(("answer", index))
        if not takes_mark(self.item, value):
            self.marks[index] = None
            self._goOn()
        return True

    def place(self, mark: Mark) -> bool:
        """Puts the lesion of the open question somewhere, or somewhere else; whether it is asked where."""
        if not self.takesMark:
            return False
        if self.marks[self.open] is None:
            self._steps.append(("mark", self.open))
        self.marks[self.open] = mark
        return True

    def goOn(self) -> bool:
        """From an answered question whose mark could still be placed to the next; whether there was one to go to."""
        if self.values[self.open] is None or self.lacksMark or self._open >= len(self.items) - 1:
            return False
        self._goOn()
        return True

    def undo(self) -> bool:
        """Takes back the last step; whether there was one."""
        if not self._steps:
            return False
        kind, index = self._steps.pop()
        self._open = index
        if kind == "mark":
            self.marks[index] = None
        else:
            self.values[index] = self.marks[index] = None
        self.undone += 1
        return True

    def answers(self) -> tuple[Any, ...]:
        """What is said so far, as the session records it."""
        from jsddpm_core.reading_study.responses import Answer

        given = zip(self.items, self.values, self.marks, strict=True)
        return tuple(Answer(item=item.name, value=value, mark_mm=mark) for item, value, mark in given)

    def _goOn(self) -> None:
        self._open = min(self._open + 1, len(self.items) - 1)

    def _takeBack(self, index: int) -> None:
        """Forgets a question's answer for another one; a mark stays where the new answer takes one, too."""
        self._steps = [step for step in self._steps if step != ("answer", index)]
        self.undone += 1
