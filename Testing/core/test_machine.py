"""What a process may use of its machine."""

from __future__ import annotations

import os

import pytest

from jsddpm_core.machine import available_threads


@pytest.mark.parametrize(("asked", "least"), [("1", 1), ("1,4", 1), ("", None), ("many", None), ("0", None)])
def test_fewer_threads_are_used_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, asked: str, least: int | None
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    allowed = available_threads()
    assert 1 <= allowed <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert available_threads() == (least or allowed)
    monkeypatch.setenv("OMP_NUM_THREADS", str(10 * allowed))
    assert available_threads() == allowed, "no more than there are"
