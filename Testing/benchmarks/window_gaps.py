"""
How long the window is held during a run: by our own handlers, and by the MRML steps that run one per turn.

`make gaps` runs it in the stand-in host, with the demo model: one slice, several samples, and a volume.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "Testing" / "host"))

import slicerhost  # noqa: E402

LIMIT_S = 0.05
RUNS = {
    "1 slice": {"extent": "slice", "samples": 1},
    "4 samples": {"extent": "slice", "samples": 4},
    "volume, 17 slices": {"extent": "range", "lowestMm": 0.0, "highestMm": 20.0},
}
Times = dict[str, float]


def timed(owner: type, longest: Times) -> None:
    """Times every method of a class that Qt or the worker calls."""
    for name, method in inspect.getmembers(owner, inspect.isfunction):
        if not name.startswith("_on") and name not in ("onApply", "refresh", "_showNewest"):
            continue

        setattr(owner, name, _timed(method, f"{owner.__name__}.{name}", longest))


def _timed(method: Any, name: str, longest: Times) -> Any:
    """The method with its longest time noted; like Qt's own, it leaves out arguments that the method does not take."""
    taken = len(inspect.signature(method).parameters)

    @functools.wraps(method)
    def wrapper(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*arguments[:taken])
        finally:
            longest[name] = max(longest[name], time.perf_counter() - started)

    return wrapper


class Gaps:
    """A timer in the window's thread that notes how late it is."""

    def __init__(self) -> None:
        import qt

        self.longest = 0.0
        self._last = time.perf_counter()
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._tick)
        self._timer.start(5)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def reset(self) -> None:
        self._last, self.longest = time.perf_counter(), 0.0


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"


def table(title: str, times: Times, gap: float) -> str:
    rows = [f"### {title}", "", "| what holds the window | longest, ms |", "|---|---|"]
    rows += [f"| {name} | {milliseconds(value)} |" for name, value in sorted(times.items(), key=lambda item: -item[1])]
    return "\n".join([*rows, f"| longest gap between two turns of the event loop | {milliseconds(gap)} |", ""])


def main() -> int:
    app = slicerhost.start()
    from slicerhost import application, mainwindow

    longest: Times = defaultdict(float)
    loaded = application.load_module(str(PROJECT / "JSDDPMSlicer" / "JSDDPMSlicer.py"))
    from fixtures import until
    from JSDDPMSlicerLib.GeneratePanel import GeneratePanel
    from JSDDPMSlicerLib.GenerateRun import GenerateRun
    from JSDDPMSlicerLib.Worker import Worker

    for owner in (Worker, GenerateRun, GeneratePanel):
        timed(owner, longest)
    with tempfile.TemporaryDirectory() as results:
        app.userSettings().setValue("JSDDPMSlicer/ResultsFolder", results)
        window = mainwindow.openMainWindow([loaded])
        window.show()
        panel = loaded.widgetRepresentation().self().generate
        until(lambda: panel._measuring is None, 120)
        combo = panel.ui.pathologyCombo
        combo.setCurrentIndex(combo.findData("ms"))
        gaps = Gaps()
        over = 0
        for title, wishes in RUNS.items():
            for name, value in wishes.items():
                setattr(panel.parameters, name, value)
            longest.clear()
            gaps.reset()
            panel.ui.applyButton.click()
            until(lambda: not panel.busy, 600)
            over += sum(value > LIMIT_S for value in longest.values())
            steps = {f"MRML: {name}": value for name, value in panel.run.times.items()}
            print(table(title, {**longest, **steps}, gaps.longest))
        print(f"handlers of our own above {milliseconds(LIMIT_S)} ms: {over}")
        application.unload_module("JSDDPMSlicer")
        window.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
