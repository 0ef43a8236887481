"""What the core's tests share: one thread, the real scans where they are at hand, and phantoms everywhere.

Policy for markers: a test is quick, deterministic and unmarked; `slow` is for minutes of work that `make test`
leaves out; a test that lacks something of the machine skips and says what.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from phantom import Phantom, make_phantom, write_phantom_cases


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums have one order, and tests that run side by side do not fight over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """One phantom in memory, its lesion on the patient's right; do not write into its arrays."""
    case = make_phantom()
    case.flair.setflags(write=False)
    case.lesion.setflags(write=False)
    return case


@pytest.fixture(scope="session")
def phantom_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS-like folder: three lesional phantoms, two healthy ones, one without a mask; read only."""
    return write_phantom_cases(tmp_path_factory.mktemp("phantoms") / "cases")
