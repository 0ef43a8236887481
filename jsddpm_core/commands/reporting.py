"""What a command says while it works and when it is done: for people, or as one JSON object a line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from jsddpm_core.errors import JsddpmError
from jsddpm_core.progress import Pace, Progress
from jsddpm_core.training.events import Event, Message, Metrics, SampleGrid

_JSON_EVERY_S = 0.5


class Reporter:
    """Speaks for a command: results go to standard output, progress and errors to standard error.

    With `as_json`, every line of standard output is one object whose `event` says what it is.

    Args:
        as_json: whether for a program.
        silent: whether another process of the same job speaks for it.
    """

    def __init__(self, as_json: bool = False, silent: bool = False) -> None:
        self.as_json, self.silent = as_json, silent
        self._bars: Bars | None = None
        self._tasks: dict[str, Any] = {}
        self._pace = Pace()
        self._said: dict[str, tuple[float, int]] = {}

    def event(self, name: str, /, **values: Any) -> None:
        """One JSON line; nothing for people."""
        if self.as_json and not self.silent:
            sys.stdout.write(json.dumps({"event": name, **values}, ensure_ascii=False) + "\n")
            sys.stdout.flush()

    def line(self, text: str) -> None:
        """A sentence for people."""
        if not (self.as_json or self.silent):
            Console().print(text, markup=False, highlight=False, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table for people."""
        if self.as_json or self.silent:
            return
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            numeric = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
            table.add_column(column, justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*[_cell(value) for value in row])
        Console().print(table, markup=False, highlight=False)

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Shows bars with the time left while the block runs, on a terminal; a log file would fill up with them."""
        if self.as_json or self.silent or not sys.stderr.isatty():
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=Console(stderr=True)) as bars:
            self._bars = bars
            try:
                yield
            finally:
                self._bars = None

    def on_progress(self, progress: Progress) -> None:
        """Takes the messages of a job."""
        now = time.monotonic()
        eta = self._pace.eta_s(progress, now)
        if self._bars is not None:
            if progress.stage not in self._tasks:
                self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=progress.total)
            self._bars.update(self._tasks[progress.stage], completed=progress.done, total=progress.total)
        if self.as_json:
            said_at, said = self._said.get(progress.stage, (-_JSON_EVERY_S, -1))
            if int(progress.done) == said and now - said_at < _JSON_EVERY_S:
                return
            self._said[progress.stage] = (now, int(progress.done))
            self.event(
                "progress",
                stage=progress.stage,
                done=round(progress.done, 3),
                total=progress.total,
                eta_s=None if eta is None else round(eta, 1),
            )

    def on_training(self, event: Event) -> None:
        """Takes what a training run tells."""
        match event:
            case Progress():
                self.on_progress(event)
            case Metrics():
                self.event("metrics", step=event.step, **event.values)
            case SampleGrid():
                self.event("preview", step=event.step, file=str(event.picture), array=str(event.array))
            case Message():
                self.event("log", level=event.level, text=event.text)
                self.line(event.text)

    def error(self, error: JsddpmError) -> None:
        """One sentence on standard error, and with JSON its parts as an event."""
        self.event("error", kind=error.kind, message=error.message, remedy=error.remedy)
        say_error(str(error))


def say_error(sentence: str) -> None:
    """Writes one line to standard error."""
    sys.stderr.write(f"Error: {' '.join(sentence.split())}\n")
    sys.stderr.flush()


def summary(values: Mapping[str, Any]) -> str:
    """`a 1, b 2` from names and values."""
    return ", ".join(f"{name} {_cell(value)}" for name, value in values.items())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
