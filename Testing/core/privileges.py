"""What root may do and others may not: tests of refused folders mean something for whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def without_privileges(folder: Path) -> Iterator[None]:
    """Root may write anywhere: where root runs the tests, the block runs as nobody, to whom the folder is given.

    Args:
        folder: not one of pytest's own, which only the user who runs it may enter.
    """
    root = os.geteuid() == 0
    if root:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
