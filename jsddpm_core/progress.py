"""How long-running work tells how far it is, to a terminal, a log or a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Progress:
    """One message of a job.

    Attributes:
        stage: what is being done, in a word or two.
        done: finished units, from 0; a fraction where a unit is under way.
        total: units in all.
        step: of the draw under way, from 1, where one is.
        steps: of that draw.
        sample: which sample or slice it makes; of several at a time, the first.
    """

    stage: str
    done: float
    total: int
    step: int | None = None
    steps: int | None = None
    sample: int | None = None


OnProgress: TypeAlias = Callable[[Progress], None] | None


class Pace:
    """How long a stage will still take, judged by how it has gone since its first message."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, float]] = {}

    def eta_s(self, progress: Progress, now: float) -> float | None:
        """Seconds until the stage is done; None before it has moved.

        Args:
            progress: its newest message; every message is to be shown, for the first one counts.
            now: seconds of a monotonic clock.
        """
        start, first = self._first.setdefault(progress.stage, (now, progress.done))
        gained = progress.done - first
        return (now - start) / gained * (progress.total - progress.done) if gained > 0 else None
