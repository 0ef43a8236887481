"""What a draw tells while it is under way: how far it is, and how its images look by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jsddpm_core.diffusion.samplers import OnStep, StepReport
from jsddpm_core.generation.synthesizer import Drawing
from jsddpm_core.progress import OnProgress, Progress

SAMPLING = "sampling"


class Observer(Protocol):
    """Watches images emerge; called in the thread that draws, so that what it raises ends the run."""

    def step(self, report: StepReport, numbers: Sequence[int], positions_mm: Sequence[float]) -> None:
        """After each evaluation of the denoiser.

        Args:
            report: row i of its x0_hat `(B, C, X, Y)` becomes `numbers[i]`; further rows are padding.
            numbers: indices of the samples, or of the slices of a volume.
            positions_mm: z of each.
        """

    def drawn(self, drawing: Drawing, number: int, position_mm: float) -> None:
        """After a sample was written, or a slice was drawn; if its volume is drawn again, so is the slice."""


@dataclass(frozen=True)
class Share:
    """What one draw contributes to a run.

    Attributes:
        numbers: indices of the samples or slices that it makes.
        positions_mm: z of each.
        finished: samples or slices done before.
        total: of the run.
        stage: how the progress is headed.
    """

    numbers: Sequence[int]
    positions_mm: Sequence[float]
    finished: int
    total: int
    stage: str = SAMPLING


def on_each_step(share: Share, on_progress: OnProgress, observer: Observer | None) -> OnStep:
    """Reports the steps of a draw as parts of what it makes; a sample or slice counts as done only when it is kept."""

    def tell(report: StepReport) -> None:
        if observer is not None:
            observer.step(report, share.numbers, share.positions_mm)
        if on_progress is not None:
            step = report.index + 1
            done = share.finished + len(share.numbers) * 0.999 * step / report.total
            on_progress(Progress(share.stage, done, share.total, step, report.total, share.numbers[0]))

    return tell
