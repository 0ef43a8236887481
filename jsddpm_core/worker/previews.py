"""The emerging image, written to files that a window can show: the estimate x0_hat, and at last what was drawn."""

from __future__ import annotations

import io
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from jsddpm_core.config import Channel
from jsddpm_core.diffusion.samplers import StepReport
from jsddpm_core.files import PARTIAL
from jsddpm_core.generation.synthesizer import Drawing, in_range
from jsddpm_core.worker.job import Job

KEPT_FILES = 3


class Previews:
    """Watches a run for the window (see `generation.observer`), and is where a cancelled run ends.

    A preview is an `.npy` file of float32 `(C, X, Y)`, each channel in its range, complete under its name.

    Args:
        job: whose run it is.
        folder: where the files go, None for none.
        interval_s: least time between two of them, but for the last of a sample or slice.
        table: what the channels are.
        numbers: of the files; none comes twice, whoever asks.
    """

    def __init__(
        self, job: Job, folder: Path | None, interval_s: float, table: Sequence[Channel], numbers: Iterator[int]
    ) -> None:
        self.job, self.folder, self.interval_s, self.table, self.numbers = job, folder, interval_s, table, numbers
        self._files: deque[Path] = deque()
        self._written_at = -interval_s
        self._step, self._steps = 0, 0

    def step(self, report: StepReport, numbers: Sequence[int], positions_mm: Sequence[float]) -> None:
        """Shows x0_hat of the first sample of a batch, if the last preview was long enough ago."""
        self.job.check()
        self._step, self._steps = report.index + 1, report.total
        if self.folder is not None and time.monotonic() - self._written_at >= self.interval_s:
            x0_hat = in_range(report.x0_hat[0].float().cpu().numpy(), self.table)
            self._show(x0_hat, numbers[0], positions_mm[0], last=False)

    def drawn(self, drawing: Drawing, number: int, position_mm: float) -> None:
        """Shows what was drawn, as it stands in the result."""
        if self.folder is not None:
            self._show(drawing.channels, number, position_mm, last=True)

    def _show(self, channels: np.ndarray, number: int, position_mm: float, last: bool) -> None:
        assert self.folder is not None
        file = self.folder / f"preview-{next(self.numbers):06d}.npy"
        try:
            _write(file, channels.astype(np.float32))
        except OSError as error:
            self.job.log("warning", f"previews end here, {file} could not be written ({error.strerror})")
            self.folder = None
            return
        self._written_at = time.monotonic()
        self.job.preview(file, sample=number, position_mm=position_mm, step=self._step, steps=self._steps, last=last)
        self._files.append(file)
        while len(self._files) > KEPT_FILES:
            with suppress(OSError):  # on Windows, a file that is being read stays
                self._files.popleft().unlink(missing_ok=True)


def _write(file: Path, array: np.ndarray) -> None:
    """Whole or absent, but not made durable: nobody looks at a preview after a crash."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    partial = file.with_name(f".{file.name}{PARTIAL}")
    try:
        partial.write_bytes(content.getvalue())
        os.replace(partial, file)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
