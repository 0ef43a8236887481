"""Speed and memory, ours beside the published peer's, in one run (`make bench`): of drawing, and of training.

Each candidate runs in a process of its own, in turn, several rounds over, so that a slow minute of the machine touches
all alike; the figures are medians over rounds. Nothing is invented: what could not be measured is said to be missing.
`--only network` leaves training out (`bench_training.py`), `--only training` all else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench_training
import torch
import training_table
from bench_table import as_markdown
from machine import convolution_peak, has_fast_bf16, processor_name
from peer_config import PACKAGES
from training_slices import find_or_make

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PATIENCE_S = 1800


def probe(threads: int, script: str, *arguments: object) -> dict[str, Any]:
    """One line of JSON from a measuring process; `{"missing": why}` where it failed."""
    command = [sys.executable, str(HERE / script), *(str(argument) for argument in arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=PROJECT, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"missing": f"no result after {PATIENCE_S} s"}
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        return {"missing": said[-1] if said else f"exit code {done.returncode}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def install_peer(folder: Path) -> str | None:
    """Puts the peer's wheel into a folder of its own, without its dependencies; says why it could not."""
    if (folder / "src" / "diffusion").is_dir():
        return None
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return errors[-1] if errors else "pip could not install it"


def median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Rounds of one candidate as one result: medians of the times, the largest memory."""
    good = [result for result in rounds if "missing" not in result]
    if not good:
        return rounds[0]
    merged = dict(good[0])
    for part in ("evaluation", "slice"):
        merged[part] = {
            key: statistics.median(result[part][key] for result in good) for key in ("seconds", "cpu_seconds")
        }
    merged["memory_gb"] = max(result["memory_gb"] for result in good)
    merged["rounds"] = len(good)
    return merged


def candidates(bf16: bool, short: bool) -> dict[str, tuple[object, ...]]:
    """Name of each of our candidates and the arguments of its probe."""
    repeats = 3 if short else 7
    precisions = ("fp32", "bf16") if bf16 else ("fp32",)
    return {
        f"{config}, {precision}": ("probe_ours.py", config, precision, steps, run, repeats)
        for config, steps, run in (("fast", 20, 20), ("paper", 400, 5))
        for precision in precisions
    }


def network(threads: int, peer: Path, missing: str | None, model: Path, bf16: bool, short: bool) -> dict[str, Any]:
    """A network's evaluation and a slice, several rounds over, and what a user waits for at first.

    Args:
        threads: of every measuring process.
        peer: folder of the peer's wheel.
        missing: why there is none.
        model: bundle whose first slice is timed.
        bf16: whether the processor multiplies in bf16.
        short: one round with few repeats.
    """
    peer_arguments = ("probe_peer.py", peer.resolve(), 2 if short else 5)
    everyone = {"peer slim-diff": peer_arguments, **candidates(bf16, short)}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in everyone}
    for number in range(1 if short else 3):
        for name, arguments in everyone.items():
            if arguments is peer_arguments and missing is not None:
                rounds[name].append({"missing": missing})
                continue
            print(f"round {number + 1}: {name}", file=sys.stderr)
            rounds[name].append(probe(threads, str(arguments[0]), *arguments[1:]))
    print("first slice", file=sys.stderr)
    first = {"missing": "there is no bundle to load"}
    if (model / "bundle.json").is_file():
        first = probe(threads, "probe_first_slice.py", model.resolve())
    return {"candidates": {name: median_of(results) for name, results in rounds.items()}, "first_slice": first}


def training(chosen: argparse.Namespace, peer: Path | None, bf16: bool) -> dict[str, Any]:
    """A training step, the error after equal wall time, and memory."""
    cache, slices = find_or_make(chosen.cache, chosen.data, PROJECT / "build" / "bench")
    plan = bench_training.Plan(
        threads=chosen.threads,
        cache=cache,
        peer=peer,
        precisions=("fp32", "bf16") if bf16 else ("fp32",),
        repeats=chosen.repeats,
        wall_s=chosen.wall_time,
        seeds=chosen.seeds,
    )
    if chosen.short:
        plan = replace(plan, batch=2, repeats=1, wall_s=10.0, seeds=1, slices=2, batches=(1, 2))
    return {"slices": slices, **bench_training.measure(plan)}


def write(out: Path, name: str, results: dict[str, Any], table: str) -> None:
    """`NAME.json` and `NAME.md`; the table is printed too."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(table, encoding="utf-8")
    print(table)


def main() -> int:
    """Measures, and writes `bench` and `training` into `results`, each as `.json` and `.md`."""
    parser = argparse.ArgumentParser(description="Speed and memory beside the published peer.")
    parser.add_argument("--only", choices=("network", "training"), help="one part of it")
    parser.add_argument("--short", action="store_true", help="one round with few repeats")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of every measuring process")
    parser.add_argument("--model", type=Path, default=PROJECT / "Resources/Models/demo", help="for the first slice")
    parser.add_argument("--peer", type=Path, default=PROJECT / "build/peer", help="folder for the peer's wheel")
    parser.add_argument("--cache", type=Path, default=PROJECT / "cache/demo", help="slices to train on")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared/data", help="cases where there is none")
    parser.add_argument("--repeats", type=int, default=4, help="of two training steps of each network and precision")
    parser.add_argument("--wall-time", type=float, default=60.0, help="seconds that each network trains for")
    parser.add_argument("--seeds", type=int, default=3, help="runs of that")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()

    torch.set_num_threads(chosen.threads)
    bf16 = has_fast_bf16()
    missing = install_peer(chosen.peer)
    print("convolution peak", file=sys.stderr)
    common = {
        "machine": {
            "processor": processor_name(),
            "threads": chosen.threads,
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "convolution_peak_gflops": {
            name: convolution_peak(dtype)
            for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
            if name == "fp32" or bf16
        },
        "short": chosen.short,
    }
    if chosen.only != "training":
        drawn = common | network(chosen.threads, chosen.peer, missing, chosen.model, bf16, chosen.short)
        write(chosen.out, "bench", drawn, as_markdown(drawn))
    if chosen.only != "network":
        trained = common | training(chosen, None if missing else chosen.peer, bf16)
        write(chosen.out, "training", trained, training_table.as_markdown(trained))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
