"""Work that must stay in the window's thread, done one piece per turn of the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import qt

StepTimes = dict[str, float]
"""Longest duration of each named piece, in seconds."""


class Steps:
    """Runs a generator to its end; each `yield NAME` ends the piece of that name.

    Args:
        pieces: the work.
        onDone: called after the last piece.
        onError: called with what a piece raised; no further piece runs.
    """

    def __init__(self, pieces: Iterator[str], onDone: Callable[[], None], onError: Callable[[Exception], None]) -> None:
        self._pieces: Iterator[str] | None = pieces
        self._onDone, self._onError = onDone, onError
        self.times: StepTimes = {}
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._next)
        self._timer.start(0)

    @property
    def active(self) -> bool:
        return self._pieces is not None

    def cancel(self) -> None:
        """Runs no further piece; the generator's `finally` blocks run now."""
        pieces, self._pieces = self._pieces, None
        self._timer.stop()
        if pieces is not None:
            pieces.close()  # type: ignore[attr-defined]

    def _next(self) -> None:
        if self._pieces is None:
            return
        started = time.perf_counter()
        try:
            name = next(self._pieces)
        except StopIteration:
            self._pieces = None
            self._onDone()
            return
        except Exception as error:  # a slot's exception would be swallowed by Qt
            self._pieces = None
            self._onError(error)
            return
        self.times[name] = max(self.times.get(name, 0.0), time.perf_counter() - started)
        self._timer.start(0)
