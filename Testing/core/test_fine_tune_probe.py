"""What a run is said to take before it starts, and what is advised where that is too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fine_tune_fixtures import a_request

from jsddpm_core.config import GridConfig
from jsddpm_core.data.volumes import read_volume
from jsddpm_core.errors import DeviceMemoryError
from jsddpm_core.training.estimate import Estimate, Extent, Pace, advised, extent_of, in_words, project, slices_of_scan
from jsddpm_core.training.module import JointDiffusion
from jsddpm_core.training.plan import plan_of
from jsddpm_core.training.probe import probe
from jsddpm_core.training.request import FineTuneRequest, parse_fine_tune_request

GIB = 2**30
DAY_S = 24 * 3600.0


@pytest.fixture(scope="module")
def request_(phantom_cases: Path) -> FineTuneRequest:
    return a_request(phantom_cases)


def an_estimate(**more: Any) -> Estimate:
    said: dict[str, Any] = {
        "device": "cpu", "batch_size": 16, "parts": 1, "steps": 1000, "seconds_per_step": 1.0, "memory_bytes": GIB,
        "seconds": {"training": 1000.0, "validation": 0.0, "replay": 0.0, "finishing": 0.0}, "seconds_total": 1000.0,
        "memory_available_bytes": 8 * GIB,
    }  # fmt: skip
    return Estimate(**{**said, **more})


def asked(**more: Any) -> FineTuneRequest:
    case = {"name": "d/s", "subject": "d/s", "dataset": "d", "image": "/s.nii.gz"}
    return parse_fine_tune_request({"name": "mine", "title": "Mine", "cases": [case], **more})


def test_a_run_that_fits_is_not_warned_of() -> None:
    found = advised(asked(), an_estimate())
    assert (found.warning, found.suggestion) == (None, None)
    assert found.sentences() == ["On cpu, 1000 steps of 16 slices take about 17 min and 1.0 GiB: training 17 min."]


def test_too_little_memory_advises_smaller_batches() -> None:
    found = advised(asked(start="demo", train="last-levels"), an_estimate(memory_bytes=7.5 * GIB))
    assert found.warning == (
        "A step of 16 slices needs 7.5 GiB and more, of 8.0 GiB. Less would do: training.batch_size 8."
    )
    assert found.suggestion == {"settings": {"training.batch_size": 8}}
    found = advised(asked(start="demo"), an_estimate(parts=4))
    assert found.suggestion == {"train": "last-levels", "settings": {"training.batch_size": 4}}


def test_more_than_a_day_advises_the_small_network_or_fewer_steps() -> None:
    long = {
        "seconds": {"training": 3 * DAY_S, "validation": 0.0, "replay": 0.0, "finishing": 0.0},
        "seconds_total": 3 * DAY_S,
    }
    found = advised(asked(config="paper"), an_estimate(**long))
    assert found.warning == "The run will take 3.0 days. Less would do: config 'fast'."
    found = advised(asked(start="demo", train="low-rank"), an_estimate(**long))
    assert found.suggestion == {"settings": {"training.max_steps": 333, "training.epochs": None}}
    assert parse_fine_tune_request({**asked(start="demo").model_dump(mode="json"), **(found.suggestion or {})})


def test_the_projection_counts_every_stage() -> None:
    plan = plan_of(asked(start="demo", replay_slices=10, settings={"training.max_steps": 100}))
    training = plan.config.training
    steps, seconds = project(plan, Pace(step=2.0, evaluate=0.8, one=0.5, part=8), Extent(train=160, validation=24))
    rounds = -(-100 // (-(-160 // training.batch_size) * training.validation_every))
    draws = training.validation_steps * min(training.validation_samples, 24)
    assert steps == 100
    assert seconds["training"] == 200.0
    assert seconds["validation"] == pytest.approx(rounds * (24 + draws) * 0.1)
    assert seconds["replay"] == pytest.approx(10 * plan.config.sampling.steps * 0.5)
    assert seconds["finishing"] == pytest.approx(48 * plan.config.sampling.steps * 0.5)


def test_a_scan_gives_as_many_slices_as_it_is_high(phantom_cases: Path, tmp_path: Path) -> None:
    (image,) = phantom_cases.glob("sub-01/anat/*_FLAIR.nii.gz")
    height = read_volume(image).data.shape[2] * 2.5
    grid = GridConfig()
    assert slices_of_scan(image, grid) == min(round(height / grid.spacing_mm), 82)
    assert slices_of_scan(tmp_path / "nowhere.nii.gz", grid) == 0


def test_prepared_slices_are_counted(request_: FineTuneRequest, tmp_path: Path) -> None:
    guessed = extent_of(plan_of(request_), tmp_path)
    assert guessed.train > guessed.validation > 0


def test_a_probe_goes_on_in_parts_where_the_memory_ends(
    request_: FineTuneRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = JointDiffusion.loss

    def too_much(module: JointDiffusion, batch: dict[str, torch.Tensor]) -> object:
        if len(batch["x0"]) > 2:
            raise MemoryError
        return compute(module, batch)

    monkeypatch.setattr(JointDiffusion, "loss", too_much)
    found = probe(request_)
    assert found.parts == 2
    assert found.warning is not None and "training.batch_size 2" in found.warning

    def far_too_much(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(JointDiffusion, "loss", far_too_much)
    with pytest.raises(DeviceMemoryError, match="single slice"):
        probe(request_)


def test_a_probe_can_be_cancelled(request_: FineTuneRequest) -> None:
    class EnoughError(Exception):
        pass

    def check() -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        probe(request_, check=check)


def test_lengths_of_time_read_as_people_say_them() -> None:
    assert [in_words(seconds) for seconds in (5, 600, 7200, 5 * DAY_S)] == ["5 s", "10 min", "2.0 h", "5.0 days"]
