"""What a training run tells while it works; light enough for an interface to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from jsddpm_core.progress import Progress


@dataclass(frozen=True)
class Metrics:
    """Numbers at a step.

    Attributes:
        step: optimiser steps done.
        values: `train/loss` and the unweighted terms `train/NAME`, `learning_rate`, or those of a validation.
    """

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class SampleGrid:
    """What the averaged network draws at this stage.

    Attributes:
        step: optimiser steps done.
        picture: PNG file, a column a sample, a row a channel.
        array: `.npy` file of the same, float32 `(N, C, X, Y)`; only the newest ones stay.
    """

    step: int
    picture: Path
    array: Path


@dataclass(frozen=True)
class Message:
    """A sentence for the log."""

    level: Literal["info", "warning", "error"]
    text: str


Event: TypeAlias = Progress | Metrics | SampleGrid | Message
OnEvent: TypeAlias = Callable[[Event], None]
ShouldStop: TypeAlias = Callable[[], bool]


def unheard(_event: Event) -> None:
    """For whoever does not listen."""


def never() -> bool:
    """For whoever does not stop a run."""
    return False
