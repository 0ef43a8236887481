"""The training benchmark: ratios with intervals, what is missing, and the measure that both can be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_evaluation_bench import from_benchmarks
from training_fixtures import a_small_config, write_small_cache

PARTS = {"forward": 0.3, "backward": 0.6, "update": 0.1}


def step(seconds: float, gflop: float, loading: float = 0.01) -> dict[str, Any]:
    """Three repetitions of a step that takes about as long each time, in seconds a slice."""
    repeated = [seconds, seconds * 1.1, seconds * 0.9]
    parts = {name: share * seconds for name, share in PARTS.items()}
    return {
        "seconds": repeated,
        "cpu_seconds": [2 * value for value in repeated],
        "parts": parts,
        "loading": loading,
        "gflop": gflop,
        "parameters": 10,
    }


def results(**more: Any) -> dict[str, Any]:
    speed = {"peer, fp32": step(4.0, 400.0), "fast, fp32": step(0.25, 40.0), "paper, fp32": step(3.2, 500.0, 0.06)}
    run = {
        "seed": 0,
        "peer": {"seconds": 61.0, "steps": 4, "image": 0.6, "mask": 0.5},
        "fast": {"seconds": 60.0, "steps": 60, "image": 0.3, "mask": 0.4},
    }
    rows = [{"batch": 1, "bytes": 1.2e9, "of": "process"}, {"batch": 16, "missing": "out of memory"}]
    whole = {
        "machine": {"processor": "Some CPU", "threads": 2, "torch": "2.13", "python": "3.11"},
        "convolution_peak_gflops": {"fp32": 200.0},
        "short": False,
        "slices": "phantoms, for want of real cases",
        "plan": {"batch": 4, "repeats": 3, "wall_s": 60.0, "precisions": ["fp32"]},
        "speed": speed,
        "ratios": from_benchmarks("bench_training").against_the_peer(speed),
        "error": [run, {**run, "seed": 1, "peer": {**run["peer"], "image": 0.5}}],
        "memory": {"fast": rows, "paper": rows},
    }
    return whole | more


def test_the_tables_say_what_was_reached_and_by_how_much_the_rest_falls_short() -> None:
    text = from_benchmarks("training_table").as_markdown(results())
    assert "| fast, fp32 | 4 | 0.5 | 30% | 60% | 10% | 40 | 80% | 1.00% |" in text
    assert "fast, fp32 against the peer (95 % interval 16 to 16, n = 3): 16x (asked: at least 3x; reached)" in text
    assert "1.25x (asked: at least 1.5x; falls short by 0.25x)" in text
    assert "| peer slim-diff | 16 | 0.550 (0.500 to 0.600) | 0.500 (0.500 to 0.500) |" in text
    assert "after equal wall time: 0.545 (asked: at most 1; reached)" in text
    assert "equal or lower with 2 of 2 seeds" in text
    assert "at the most (paper, fp32): 6 % (asked: at most 5 %; falls short by 1 %)" in text
    assert "| fast | 1.20 GB | out of memory |" in text


def test_without_the_peer_the_tables_compare_nothing() -> None:
    speed = {"peer, fp32": {"missing": "no network"}, "fast, fp32": step(0.25, 40.0)}
    ratios = from_benchmarks("bench_training").against_the_peer(speed)
    text = from_benchmarks("training_table").as_markdown(results(speed=speed, ratios=ratios, error=[]))
    assert "| peer slim-diff, fp32 | not measured: no network |" in text
    assert "no comparison" in text
    assert "equal wall time" not in text


def test_a_network_that_failed_in_one_repetition_has_no_speed() -> None:
    summary = from_benchmarks("bench_training").summary
    good = {"loading": 0.1, "forward": 1.0, "backward": 2.0, "update": 1.0, "cpu_seconds": 8.0, "steps": 2}
    cost = {"gflop": 40.0, "parameters": 10}
    assert summary([good, {"missing": "out of memory"}], cost, 4) == {"missing": "out of memory"}
    done = summary([good], cost, 4)
    assert done["seconds"] == [0.5]
    assert done["cpu_seconds"] == [1.0]
    assert done["loading"] == pytest.approx(0.1 / 4.1)


def test_a_ratio_is_one_of_pairs_and_its_interval_widens_with_their_spread() -> None:
    ratio = from_benchmarks("ratios").ratio_with_interval
    together = ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    assert together["value"] == together["low"] == together["high"] == pytest.approx(2.0)
    apart = ratio([2.0, 4.0, 8.0], [1.0, 2.1, 3.9])
    assert apart["low"] < apart["value"] < apart["high"]
    assert apart["n"] == 3
    assert ratio([3.0], [1.0]) == {"value": pytest.approx(3.0), "low": None, "high": None, "n": 1}


def test_why_a_process_ended_is_said_in_a_few_words() -> None:
    reason_of = from_benchmarks("conversation").reason_of
    assert reason_of(-9, "") == "out of memory"
    assert reason_of(1, "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried") == "out of memory"
    assert reason_of(1, "Traceback\nValueError: no such thing\n") == "ValueError: no such thing"
    assert reason_of(3, "") == "exit code 3"


def test_whoever_knows_the_slice_errs_by_nothing_and_who_says_grey_by_its_brightness(tmp_path: Path) -> None:
    config = a_small_config()
    cache = from_benchmarks("training_slices").usable_by_both(write_small_cache(tmp_path / "cache", config))
    held_out = from_benchmarks("held_out").HeldOut(cache, config, 3, 2)
    known = {tuple(record.subject for record in held_out.records[i : i + 2]): i for i in (0, 2)}

    def right(noisy: Any) -> torch.Tensor:
        first = known[tuple(record.subject for record in noisy.records)]
        return held_out.x0[first : first + 2]

    assert held_out.errors(right)["image"] == 0
    grey = held_out.errors(lambda noisy: torch.zeros_like(noisy.x_t))
    assert grey["image"] == pytest.approx(float(held_out.x0[:, 0].square().mean().sqrt()), rel=1e-5)
    assert grey["mask"] == pytest.approx(1.0)
    assert len(grey["image_by_level"]) == 4


def test_slices_whose_mask_is_unknown_are_in_no_split(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "cache", a_small_config())
    before = len(cache.indices("train"))
    assert len(from_benchmarks("training_slices").usable_by_both(cache).indices("train")) == before - 1
