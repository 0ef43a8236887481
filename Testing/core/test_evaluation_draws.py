"""Drawing for a measurement, in processes of its own or in this one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from generation_fixtures import write_small_bundle

from jsddpm_core.evaluation.draws import draw_all, load_draws
from jsddpm_core.evaluation.plan import Plan, Request
from jsddpm_core.generation import synthesizer


def test_this_process_draws_what_others_would_and_goes_on_where_it_stopped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("jsddpm_core.evaluation.draws.available_threads", lambda: 1)
    bundle = write_small_bundle(tmp_path / "bundle")
    plan = Plan(tuple(Request(f"ms-{n:04d}", n, "ms", float(n), 0) for n in range(3)), {"ms": ("test",)})
    told: list[tuple[int, int]] = []
    threads = torch.get_num_threads()
    for folder, workers in ((tmp_path / "here", 0), (tmp_path / "there", 1)):
        draw_all(bundle.folder, plan, folder, {}, seed=2, workers=workers, on_progress=lambda *done: told.append(done))
    assert told[:4] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert torch.get_num_threads() == threads
    here, there = (load_draws(tmp_path / name, plan.requests) for name in ("here", "there"))
    np.testing.assert_array_equal(here, there)

    (tmp_path / "here" / "ms-0001.npy").unlink()
    draws = []
    draw = synthesizer.Synthesizer.draw
    monkeypatch.setattr(synthesizer.Synthesizer, "draw", lambda *a, **k: draws.append(1) or draw(*a, **k))
    draw_all(bundle.folder, plan, tmp_path / "here", {}, seed=2, workers=0)
    assert len(draws) == 1
    np.testing.assert_array_equal(load_draws(tmp_path / "here", plan.requests), here)
