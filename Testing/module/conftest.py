"""The module in the stand-in host, with a small model whose runs take a second."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SPEEDS = "JSDDPMSlicer/Speeds"
for folder in ("JSDDPMSlicer", "Testing", "Testing/host", "Testing/core"):
    sys.path.insert(0, str(PROJECT / folder))

import slicerhost  # noqa: E402
from fixtures import *  # noqa: E402, F403
from fixtures import until  # noqa: E402

slicerhost.start()  # before the tests are collected: they import the module's library, which imports slicer and qt

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the worker: the tests share the cores


@pytest.fixture(scope="session", autouse=True)
def warm_workers(warm_python: Path) -> Iterator[None]:
    """Workers start behind a launcher as in Slicer."""
    before = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join((str(warm_python.parent), before))
    yield
    os.environ["PATH"] = before


@pytest.fixture
def cold_start(warm_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start as fresh interpreters."""
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(os.pathsep)[2])


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one small model of random weights."""
    from generation_fixtures import write_small_bundle

    folder = tmp_path_factory.mktemp("models")
    write_small_bundle(folder / "small")
    return folder


@pytest.fixture(scope="session")
def speeds() -> dict[str, Any]:
    """What the first panel measured of models; later ones remember it, as a user's does from day to day."""
    return {}


@pytest.fixture
def settings(app: Any, small_models: Path, speeds: dict[str, Any], tmp_path: Path) -> Iterator[Any]:
    """The application's settings: the small models folder, results in the test's own folder, speeds once measured."""
    stored = app.userSettings()
    for key, value in speeds.items():
        stored.setValue(key, value)
    stored.setValue("JSDDPMSlicer/ModelsFolder", str(small_models))
    stored.setValue("JSDDPMSlicer/ResultsFolder", str(tmp_path / "results"))
    yield stored
    for key in ("ModelsFolder", "ResultsFolder", "TrainingFolder", "LastCasesFolder", "Interpreter", "Speeds"):
        stored.remove(f"JSDDPMSlicer/{key}")


@pytest.fixture
def module(app: Any, scene: Any, settings: Any) -> Iterator[Any]:
    """The module's widget, entered; unloaded afterwards, and with it its worker."""
    from slicerhost import application

    loaded = application.load_module(str(PROJECT / "JSDDPMSlicer" / "JSDDPMSlicer.py"))
    representation = loaded.widgetRepresentation()
    representation.show()
    representation.enter()
    widget = representation.self()
    yield widget
    pids = [worker.pid for worker in (widget.worker, widget.fineTune.worker, widget.fineTune.helper)]
    application.unload_module("JSDDPMSlicer")
    app.processEvents()
    assert not [pid for pid in pids if pid is not None and alive(pid)], "a worker outlived the module"


@pytest.fixture
def panel(module: Any, settings: Any, speeds: dict[str, Any]) -> Any:
    """The Generate panel with the small model and few steps chosen, and the first measurement done."""
    generate = module.generate
    combo = generate.ui.modelCombo
    combo.setCurrentIndex(combo.findText("Random weights"))
    generate.parameters.steps = 3
    assert until(lambda: generate._measuring is None, 60)
    speeds.setdefault(SPEEDS, settings.value(SPEEDS))
    return generate


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
