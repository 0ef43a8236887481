"""Speed and memory, ours beside the published peer's, in one run (`make bench`).

Each candidate runs in a process of its own, in turn, several rounds over, so that a slow minute of the machine touches
all alike; the figures are medians over rounds. Nothing is invented: what could not be measured is said to be missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from bench_table import as_markdown
from machine import convolution_peak, has_fast_bf16, processor_name
from peer_config import PACKAGES

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


def main() -> int:
    """Measures and writes `results/bench.json` and `results/bench.md`."""
    parser = argparse.ArgumentParser(description="Speed and memory beside the published peer.")
    parser.add_argument("--short", action="store_true", help="one round with few repeats")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of every measuring process")
    parser.add_argument("--model", type=Path, default=PROJECT / "Resources/Models/demo", help="for the first slice")
    parser.add_argument("--peer", type=Path, default=PROJECT / "build/peer", help="folder for the peer's wheel")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()

    torch.set_num_threads(chosen.threads)
    bf16 = has_fast_bf16()
    missing = install_peer(chosen.peer)
    peer_arguments = ("probe_peer.py", chosen.peer.resolve(), 2 if chosen.short else 5)
    everyone = {"peer slim-diff": peer_arguments, **candidates(bf16, chosen.short)}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in everyone}
    for number in range(1 if chosen.short else 3):
        for name, arguments in everyone.items():
            if arguments is peer_arguments and missing is not None:
                rounds[name].append({"missing": missing})
                continue
            print(f"round {number + 1}: {name}", file=sys.stderr)
            rounds[name].append(probe(chosen.threads, str(arguments[0]), *arguments[1:]))
    print("convolution peak, first slice", file=sys.stderr)
    peaks = {"fp32": convolution_peak(torch.float32)}
    if bf16:
        peaks["bf16"] = convolution_peak(torch.bfloat16)
    first = {"missing": "there is no bundle to load"}
    if (chosen.model / "bundle.json").is_file():
        first = probe(chosen.threads, "probe_first_slice.py", chosen.model.resolve())
    results = {
        "machine": {
            "processor": processor_name(),
            "threads": chosen.threads,
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "convolution_peak_gflops": peaks,
        "candidates": {name: median_of(results) for name, results in rounds.items()},
        "first_slice": first,
        "short": chosen.short,
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    table = as_markdown(results)
    (chosen.out / "bench.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (chosen.out / "bench.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
