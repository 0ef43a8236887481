"""What a command shows while it works: bars with the time left on a terminal, nothing of the kind in a log file."""

from __future__ import annotations

import io

import pytest

from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    report = Reporter()
    with report.progress():
        for done in range(4):
            report.on_progress(Progress("sampling", done, 3))
    return stream.getvalue()


def test_a_terminal_shows_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    said = shown(Terminal(), monkeypatch)
    assert "sampling" in said
    assert "3/3" in said
    assert "left" in said and "0:00:00" in said


def test_a_log_file_gets_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO(), monkeypatch) == ""
