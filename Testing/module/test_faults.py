"""The worker killed in the middle of a run: three times here, and evenly over all moments by `make faults`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fixtures import until
from kills import MOMENTS, kill_at, kill_evenly, workers

pytestmark = pytest.mark.usefixtures("cold_start")


@pytest.mark.parametrize("moment", ["import", "compute", "hand-over"])
def test_a_killed_worker_leaves_a_usable_panel_and_nothing_else(panel: Any, moment: str, tmp_path: Path) -> None:
    kill_at(panel, moment, tmp_path / "results")


@pytest.mark.slow
def test_kills_spread_evenly_over_a_run(panel: Any, tmp_path: Path) -> None:
    each = int(os.environ.get("JSDDPM_KILLS_EACH", "8"))
    counts = kill_evenly(panel, tmp_path / "results", each)
    for moment in MOMENTS:
        failed, succeeded = counts[moment, "failed"], counts[moment, "succeeded"]
        print(f"{moment:12} {failed + succeeded} kills: {failed} runs ended with a message, {succeeded} with a result")
    assert sum(counts.values()) == each * len(MOMENTS)


def test_a_reload_in_the_middle_of_a_run_leaves_no_process_and_no_file(panel: Any, module: Any, tmp_path: Path) -> None:
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    assert until(lambda: "tep " in panel.ui.statusLabel.text, 60)
    pid = module.worker.pid
    module.cleanup()  # what a reload and the end of the application call
    assert until(lambda: pid not in workers(), 5)
    assert not list((tmp_path / "results").iterdir())
    module.worker.stop()  # again: nothing to stop


def test_the_end_of_the_application_ends_the_worker(panel: Any, module: Any, tmp_path: Path) -> None:
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    assert until(lambda: "tep " in panel.ui.statusLabel.text, 60)
    pid = module.worker.pid
    module.onQuit()
    assert until(lambda: pid not in workers(), 5)
    assert not list((tmp_path / "results").iterdir())
