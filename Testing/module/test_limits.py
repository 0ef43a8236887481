"""A full disk and a full memory, both real ones: the panel says so, keeps nothing, and works again afterwards."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from fixtures import until
from kills import workers
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
        pytest.skip("this user may not mount a small file system: run the tests under `unshare -rm`")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_scratch(small_disk: Path) -> Iterator[Path]:
    """The same, where the application keeps what is on its way."""
    before = slicer.app.temporaryPath
    slicer.app.temporaryPath = str(small_disk)
    yield small_disk
    slicer.app.temporaryPath = before


def fill(folder: Path) -> None:
    """Leaves not a byte."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as stream:
        while stream.write(b"0" * 4096):
            continue


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
    assert until(lambda: pid not in workers(), 10), "a process with half a model serves nobody any more"
    assert run(panel).volume is not None
    assert panel.worker.pid != pid


@linux_only
def test_a_process_that_cannot_even_load_its_packages_is_replaced(panel: Any, settings: Any, tmp_path: Path) -> None:
    limit, python = tmp_path / "limit", tmp_path / "python"
    limit.write_text("200000")  # kB: room for Python, not for torch
    python.write_text(f'#!/bin/sh\nulimit -v "$(cat {limit})"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    panel.worker.stop()
    settings.setValue("JSDDPMSlicer/Interpreter", str(python))
    said = failed_run(panel)
    assert "memory" in said or "the computing process" in said, said
    assert not list((tmp_path / "results").iterdir())
    limit.write_text("unlimited")
    assert run(panel).volume is not None


@linux_only
def test_a_full_disk_for_previews_costs_only_the_previews(panel: Any, small_scratch: Path) -> None:
    fill(small_scratch)
    assert run(panel).volume is not None
    assert any("previews end here" in line for line in panel.worker.log)
    assert not list((small_scratch / "JSDDPMSlicer").iterdir())


@linux_only
def test_a_full_disk_stops_a_registration_before_it_begins(module: Any, small_scratch: Path) -> None:
    panel = module.generate
    volume = slicer.util.addVolumeFromArray(np.random.default_rng(0).normal(size=(80, 80, 80)), name="patient")
    panel.parameters.reference = volume
    panel.ui.registerButton.click()
    assert panel.reference.job is None
    assert "free disk space" in panel.ui.referenceStatus.text
    assert not list((small_scratch / "JSDDPMSlicer").iterdir())


@linux_only
def test_a_result_saved_to_a_full_disk_spoils_no_older_file(
    panel: Any, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(panel)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    for ending in (".nii.gz", ".nrrd"):
        older = small_disk / f"mine_desc-synthetic_FLAIR{ending}"
        older.write_text("older")
        fill(small_disk)
        there = sorted(small_disk.iterdir())
        monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_, path=small_disk / f"mine{ending}": str(path))
        panel.ui.saveButton.click()
        assert "could not be saved" in panel.ui.statusLabel.text
        assert sorted(small_disk.iterdir()) == there
        assert older.read_text() == "older"
        (small_disk / "filler").unlink()
        panel.ui.saveButton.click()
        assert panel.ui.statusLabel.text.startswith("Saved ")
