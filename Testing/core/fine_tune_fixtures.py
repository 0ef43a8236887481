"""A request whose run, from phantoms to bundle, takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fixtures import weights

from jsddpm_core.progress import Progress
from jsddpm_core.training.events import Event
from jsddpm_core.training.fine_tune import fine_tune
from jsddpm_core.training.request import FineTuneRequest, parse_fine_tune_request

STEPS = 12
SETTINGS: dict[str, Any] = {
    "data.grid.shape": [32, 32, 24],
    "data.grid.spacing_mm": 6.0,
    "data.grid.first_slice": 11,
    "data.grid.last_slice": 13,
    "data.grid.centre_mm": [0.0, -18.0, 8.0],
    "network.channels": [8, 8, 16, 16],
    "network.groups": 4,
    "network.head_channels": 8,
    "network.residual_blocks": 1,
    "training.precision": "fp32",
    "training.batch_size": 4,
    "training.max_steps": STEPS,
    "training.warmup_steps": 2,
    "training.validation_every": 1,
    "training.validation_samples": 4,
    "training.validation_steps": 2,
    "sampling.steps": 1,
}
"""A round is some three steps long."""


def entries(folder: Path, pathology: str = "infarct") -> list[dict[str, Any]]:
    """The cases of a folder of phantoms as a request names them."""
    found = []
    for image in sorted(folder.glob("sub-*/anat/*_FLAIR.nii.gz")):
        subject = f"{folder.name}/{image.parts[-3]}"
        mask = image.with_name(image.name.replace("_FLAIR", "_FLAIR_roi"))
        known = mask.is_file()
        found.append({
            "name": subject, "subject": subject, "dataset": folder.name, "image": str(image), "space": "MNI152",
            "mask": str(mask) if known else None, "pathology": pathology if known else None,
            "split": {"sub-03": "validation", "sub-05": "test"}.get(image.parts[-3], "train"),
        })  # fmt: skip
    return found


def a_request(folder: Path, settings: dict[str, Any] | None = None, **more: Any) -> FineTuneRequest:
    """A tiny network from scratch on a folder of phantoms."""
    return parse_fine_tune_request(
        {
            "name": "tiny",
            "title": "A tiny model of phantoms",
            "licence": "CC0-1.0",
            "preset": "quick-check",
            "cases": entries(folder),
            "device": "cpu",
            "settings": {**SETTINGS, **(settings or {})},
            **more,
        }
    )


def assert_same_weights(one: Path, other: Path, name: str = "last.ckpt") -> None:
    """Learning and averaged weights of two runs, to the bit."""
    expected, found = weights(one, name), weights(other, name)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []


def until_trained(request: FineTuneRequest, out: Path, *, resume: bool = False, stop_at: int | None = None) -> None:
    """Runs here, up to a step or to the end of training."""
    stopping: list[bool] = []

    def tell(event: Event) -> None:
        if isinstance(event, Progress) and (
            event.stage == "finishing" or (event.stage == "training" and event.done == stop_at)
        ):
            stopping.append(True)

    fine_tune(request, out, resume=resume, on_event=tell, should_stop=lambda: bool(stopping))


@pytest.fixture(scope="module")
def own_core() -> Iterator[None]:
    """One core for this process and its children: what takes every thread it may have does not fight for them."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
    os.sched_setaffinity(0, {sorted(before)[number % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
