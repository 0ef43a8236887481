"""The benchmark's table: what it says when something is missing, and by how much a figure falls short."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from jsddpm_core.config_file import load_config
from jsddpm_core.networks.joint_unet import JointUNet

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def from_benchmarks(module: str):
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def as_markdown():
    return from_benchmarks("bench_table").as_markdown


def result(seconds: float, slice_seconds: float, **more: object) -> dict:
    times = {"seconds": seconds, "cpu_seconds": 2 * seconds}
    whole = {"seconds": slice_seconds, "cpu_seconds": 2 * slice_seconds}
    return {"evaluation": times, "slice": whole, "steps": 300, "steps_run": 5, "memory_gb": 0.9} | more


def results(**more: object) -> dict:
    machine = {"processor": "Some CPU", "threads": 2, "torch": "2.13", "python": "3.11"}
    candidates = {
        "peer slim-diff": result(2.0, 600.0),
        "fast, fp32": result(0.06, 1.2, gflop=6.0),
        "paper, fp32": result(1.5, 600.0, gflop=120.0),
    }
    first = {"total": 6.0, "memory_gb": 1.8}
    whole = {"machine": machine, "convolution_peak_gflops": {"fp32": 200.0}, "candidates": candidates}
    return whole | {"first_slice": first, "short": False} | more


def test_the_table_says_what_was_reached_and_by_how_much_the_rest_falls_short(as_markdown):
    text = as_markdown(results())
    assert "| fast, fp32 | 0.060 | 0.120 | 6.0 | 50% | 300 (from 5) | 1.2 | 2.4 | 0.90 GB |" in text
    assert "1.33x (asked: at least 1.7x; falls short by 0.37x)" in text
    assert "disturbs less: 1.33x" in text
    assert "500x (asked: at least 200x; reached)" in text
    assert "6 s (asked: at most 10 s; reached)" in text
    assert "1.8 GB (asked: at most 1.5 GB; falls short by 0.3 GB)" in text


def test_a_peer_that_could_not_be_had_is_said_to_be_missing_and_not_compared(as_markdown):
    candidates = results()["candidates"] | {"peer slim-diff": {"missing": "no network"}}
    text = as_markdown(results(candidates=candidates, first_slice={"missing": "there is no bundle to load"}))
    assert "not measured: no network" in text
    assert "could not be measured" in text
    assert "there is no bundle to load" in text
    assert "against the peer" not in text


def test_the_table_says_what_an_evaluation_spends_its_time_on(as_markdown):
    candidates = {"fast, fp32": result(0.06, 1.2, gflop=6.0, shares={"convolution": 0.62, "normalisation": 0.38})}
    assert "- Time of fast, fp32: convolution 62%, normalisation 38%." in as_markdown(results(candidates=candidates))


def test_every_operation_belongs_to_one_family():
    shares = from_benchmarks("operator_shares").operator_shares
    layer = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.GroupNorm(2, 4), torch.nn.SiLU())
    found = shares(lambda: layer(torch.ones(1, 4, 32, 32)), 1)
    assert sum(found.values()) == pytest.approx(1)
    assert {"convolution", "normalisation", "activation, addition and the rest"} <= found.keys()
    assert found["convolution"] > 0 and found["normalisation"] > 0


@pytest.mark.parametrize(
    ("name", "gflop", "weights", "activations"),
    [("fast", "11.2 GFLOP", "41", "176 MB"), ("paper", "151.6", "160 MB", "2.1 GB")],
)
def test_the_networks_cost_is_what_its_docstring_says(name: str, gflop: str, weights: str, activations: str) -> None:
    cost = from_benchmarks("network_cost").network_cost(load_config(name))
    assert f"{cost['gflop']:.1f}" == gflop.split()[0]
    assert f"{cost['weights_mb']:.0f}" == weights.split()[0]
    scale = 1000 if "GB" in activations else 1
    assert cost["activations_mb"] / scale == pytest.approx(float(activations.split()[0]), rel=0.02)
    for said in (gflop, weights, activations):
        assert said in JointUNet.__doc__
