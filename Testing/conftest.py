"""What tests of every part need."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_python import launcher

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans: `JSDDPM_DATA`, or `../shared/data` beside the project."""
    named = os.environ.get("JSDDPM_DATA")
    folder = Path(named) if named else PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real scans are not here: set JSDDPM_DATA to their folder ({folder} does not exist)")
    return folder


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An interpreter that starts `-m jsddpm_core` with everything imported, as `PythonSlicer`."""
    if not hasattr(os, "fork"):
        yield Path(sys.executable)
        return
    with launcher(tmp_path_factory.mktemp("warm")) as folder:
        yield folder / "PythonSlicer"
