"""The demo model fine-tuned on real cases for a few steps: the same from the shell and from the window's worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fine_tune_fixtures import assert_same_weights, own_core  # noqa: F401 - a fixture
from worker_fixtures import a_worker

from jsddpm_core.bundle import check_bundle, read_bundle
from jsddpm_core.cli import run
from jsddpm_core.data.slices import SliceCache

CASES = {"sub-ljub07": "train", "sub-ljub19": "validation"}
STEPS = 6

pytestmark = pytest.mark.usefixtures("own_core")


def a_request(cases: Path) -> dict[str, Any]:
    """A quick check on two people, with a few replayed slices and a corner of the weights."""
    rows = []
    for subject, split in CASES.items():
        (image,) = cases.glob(f"{subject}/**/*_FLAIR.nii.gz")
        mask = image.with_name(image.name.replace("_FLAIR", "_FLAIR_roi"))
        rows.append({
            "name": f"{cases.name}/{subject}", "subject": f"{cases.name}/{subject}", "dataset": cases.name,
            "image": str(image), "mask": str(mask), "pathology": "ms", "space": "MNI152", "split": split,
        })  # fmt: skip
    return {
        "name": "demo-fine-tuned",
        "title": "The demo model after a quick check",
        "cases": rows,
        "start": "demo",
        "preset": "quick-check",
        "train": "last-levels",
        "replay_slices": 4,
        "device": "cpu",
        "settings": {
            "training.max_steps": STEPS,
            "training.batch_size": 4,
            "training.warmup_steps": 2,
            "training.validation_samples": 2,
            "training.validation_steps": 2,
            "sampling.steps": 2,
        },
    }


def test_shell_and_worker_fine_tune_the_demo_model_alike(shared_data: Path, tmp_path: Path) -> None:
    tree = a_request(shared_data / "ms-volumes")
    (tmp_path / "request.json").write_text(json.dumps(tree))
    shell = tmp_path / "shell"
    assert run(["fine-tune", str(tmp_path / "request.json"), "--out", str(shell)]) == 0
    assert check_bundle(shell / "bundle") == []
    manifest = read_bundle(shell / "bundle").manifest
    assert manifest.training.start is not None and manifest.training.start.name == "demo"
    assert manifest.training.steps == STEPS
    assert "ms" in {pathology.name for pathology in manifest.pathologies}
    cache = SliceCache.open(shell / "cache", verify=True)
    assert {record.split for record in cache.records if not record.synthetic} == {"train", "validation"}
    assert any(record.synthetic for record in cache.records)
    for path in (shell / "bundle").iterdir():
        assert b"ljub07" not in path.read_bytes() and b"ljub19" not in path.read_bytes(), f"{path.name} names a patient"

    window = tmp_path / "window"
    with a_worker(tmp_path / "log") as client:
        number = client.ask("fine_tune", request=tree, out=str(window))
        client.wait(
            lambda message: (
                message.get("error") is not None
                or (message.get("method") == "progress" and message["params"]["stage"] == "finishing")
            )
        )
        client.call("cancel", id=number)
        assert client.answer(number)["result"]["steps"] == STEPS
    assert_same_weights(shell, window)
