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
    """

    stage: str
    done: float
    total: int


OnProgress: TypeAlias = Callable[[Progress], None] | None
