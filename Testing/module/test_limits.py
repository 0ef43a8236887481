"""A full disk and a full memory, both real ones: the panel says so, keeps nothing, and works again afterwards."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from fixtures import until
from test_generate import run

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits are set by Linux's tmpfs and prlimit"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 kB, of which nothing is used."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if made.returncode:
        pytest.skip(f"this user may not mount a small file system ({made.stderr.strip()})")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def failed_run(panel: Any) -> str:
    """What the panel says of a run that must fail, and that nothing stays of it."""
    nodes, held = slicer.mrmlScene.GetNumberOfNodes(), panel.result
    panel.ui.applyButton.click()
    assert until(lambda: not panel.busy, 60)
    assert panel.result is held
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    scratch = Path(slicer.app.temporaryPath) / "JSDDPMSlicer"
    assert not list(scratch.glob("preview-*"))
    assert panel.ui.applyButton.enabled
    return panel.ui.statusLabel.text


@linux_only
def test_a_full_disk_is_said_and_leaves_nothing(panel: Any, settings: Any, small_disk: Path, tmp_path: Path) -> None:
    settings.setValue("JSDDPMSlicer/ResultsFolder", str(small_disk))
    panel.parameters.samples = 8
    said = failed_run(panel)
    assert "No space left on device" in said, said
    assert "free disk space" in said, said
    assert not list(small_disk.iterdir())
    settings.setValue("JSDDPMSlicer/ResultsFolder", str(tmp_path / "results"))
    panel.parameters.samples = 1
    assert run(panel).volume is not None


@linux_only
def test_a_full_memory_is_said_and_the_next_run_works(panel: Any, tmp_path: Path) -> None:
    run(panel).remove()
    panel.result = None
    pid = panel.worker.pid
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    used = 1024 * int(next(
        line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSize")
    ))  # fmt: skip
    combo = panel.ui.modelCombo
    resource.prlimit(pid, resource.RLIMIT_AS, (used + 2**20, before[1]))
    combo.setCurrentIndex(0)
    assert until(lambda: panel._measuring is None, 60)
    panel.parameters.steps = 2
    said = failed_run(panel)
    assert "memory" in said, said
    assert panel.worker.pid == pid, "the worker lives on"
    resource.prlimit(pid, resource.RLIMIT_AS, before)
    assert run(panel).volume is not None
