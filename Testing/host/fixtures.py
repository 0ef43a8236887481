"""
Fixtures for tests in the host.

A `conftest.py` puts this folder on `sys.path` and says `from fixtures import *`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

__all__ = ["app", "deletions", "no_slot_errors", "scene", "shown_plots", "until"]


@pytest.fixture(scope="session")
def app() -> Any:
    """The application, as `slicer.app`, in testing mode."""
    import slicerhost

    return slicerhost.start()


@pytest.fixture(autouse=True)
def no_slot_errors(app: Any) -> Iterator[None]:
    """Qt and VTK swallow what slots and observers raise: the host notes it, and this makes it fail the test."""
    from slicerhost.application import recordSlotErrors

    recordSlotErrors(app)
    app.slotErrors.clear()
    yield
    errors = [f"{kind.__name__}: {error}" for kind, error, _ in app.slotErrors]
    app.slotErrors.clear()
    assert not errors, errors


@pytest.fixture(autouse=True)
def deletions(app: Any) -> Iterator[None]:
    """What was to be deleted later is deleted after each test, as Slicer's event loop would; none runs here.

    Left alive, the widgets of earlier tests answer every change of the scene, and each test is slower than the last.
    """
    from slicerhost.application import deleteWhatIsDue

    yield
    deleteWhatIsDue()


@pytest.fixture
def scene(app: Any) -> Iterator[Any]:
    """The scene, empty before and after."""
    import slicer

    slicer.mrmlScene.Clear(False)
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(False)
    app.processEvents()


def until(condition: Callable[[], Any], seconds: float = 10.0) -> bool:
    """Handle events until a condition holds; whether it did in time."""
    import slicer

    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        slicer.app.processEvents()
        time.sleep(0.005)
    return True


def shown_plots() -> list[str]:
    """Names of the plot views of the layout; those of other layouts live on, hidden."""
    import slicer

    nodes = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
    return sorted(node.GetSingletonTag() for node in nodes if node.IsMappedInLayout())
