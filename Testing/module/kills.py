"""Kills of the worker at a chosen moment of a run, and what must hold afterwards.

`make faults` runs this file: an equal number of kills at every moment, each followed by a run that must succeed.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from fixtures import until

PATIENCE_S = 90
LONG_RUN = 1000
"""Steps of a run that is to be killed while it computes."""


def _spawned(panel: Any) -> bool:
    return panel.worker._process is not None and panel.worker._process.processId() > 0


def _described(panel: Any) -> bool:
    return panel.worker.pid is not None


def _loading(panel: Any) -> bool:
    return panel.run.job is not None and panel.run.job.state.value == "running"


def _computing(panel: Any) -> bool:
    return "tep " in panel.ui.statusLabel.text


def _partial(panel: Any) -> Path:
    return Path(panel.run.job.params["out"] + ".partial") if panel.run.job is not None else Path("nowhere")


def _writing(panel: Any) -> bool:
    return any(_partial(panel).glob("*_FLAIR.nii.gz"))


def _renaming(panel: Any) -> bool:
    """All files of the samples are there; the overview and the rename of the folder are left."""
    return any(_partial(panel).glob("sample-*.json"))


def _handing_over(panel: Any) -> bool:
    return panel.run.job is None and panel.run.busy


MOMENTS: dict[str, Callable[[Any], bool]] = {
    "start": _spawned,
    "import": _described,
    "model load": _loading,
    "compute": _computing,
    "write": _writing,
    "rename": _renaming,
    "hand-over": _handing_over,
}


def workers() -> set[int]:
    """Process ids of all workers of this machine."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if b"jsddpm_core" in command and b"worker" in command and state != "Z":
                found.add(int(entry.name))
    return found


def kill_at(panel: Any, moment: str, results: Path) -> str:
    """Starts a run, kills the worker at a moment, and checks what is left; then a run must succeed.

    Args:
        panel: the Generate panel, idle and without a result.
        moment: one of MOMENTS.
        results: the folder of all runs.

    Returns:
        `failed` or `succeeded`: how the killed run ended. Late kills may come after it.
    """
    if moment in ("start", "import"):
        panel.worker.stop()
    before, nodes = set(results.iterdir()) if results.exists() else set(), slicer.mrmlScene.GetNumberOfNodes()
    assert panel.result is None
    panel.parameters.steps = LONG_RUN if moment == "compute" else 2
    panel.ui.applyButton.click()
    assert until(lambda: MOMENTS[moment](panel) or not panel.busy, PATIENCE_S), f"no {moment}"
    process = panel.worker._process
    victims = {panel.worker.pid, process.processId() if process is not None else None} - {None, 0}
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
    assert until(lambda: not panel.busy, PATIENCE_S), f"killed at {moment}: the panel still waits"
    assert until(lambda: not workers() & victims, 5), f"killed at {moment}: an orphan process"
    ended = "failed" if panel.result is None else "succeeded"
    left = (set(results.iterdir()) if results.exists() else set()) - before
    if ended == "failed":
        assert not left, f"killed at {moment}: left {sorted(path.name for path in left)}"
        assert slicer.mrmlScene.GetNumberOfNodes() == nodes, f"killed at {moment}: half-made nodes"
        assert panel.ui.statusLabel.text, f"killed at {moment}: nothing was said"
    else:
        assert not [path for path in left if path.name.endswith(".partial")]
        _forget_result(panel)
    scratch = Path(slicer.app.temporaryPath) / "JSDDPMSlicer"
    assert not list(scratch.glob("preview-*")), f"killed at {moment}: previews are left"
    assert panel.ui.applyButton.enabled, f"killed at {moment}: {panel.ui.applyButton.toolTip}"
    panel.parameters.steps = 2
    panel.ui.applyButton.click()
    assert until(lambda: not panel.busy, PATIENCE_S)
    assert panel.result is not None, f"after a kill at {moment}: {panel.ui.statusLabel.text}"
    _forget_result(panel)
    return ended


def _forget_result(panel: Any) -> None:
    """Without it the next run starts from an empty panel, so that a result is that run's own."""
    panel.result.remove()
    panel.result = None
    assert panel.result is None


def kill_evenly(panel: Any, results: Path, each: int) -> Counter[tuple[str, str]]:
    """The same number of kills at every moment; how many runs ended how."""
    counts: Counter[tuple[str, str]] = Counter()
    for _ in range(each):
        for moment in MOMENTS:
            counts[moment, kill_at(panel, moment, results)] += 1
    return counts
