"""Training beside the published peer's: speed of a step, error after equal wall time, memory (`make bench`).

Networks that are compared live in processes of their own at the same time and take turns, so that a slow minute of the
machine touches all alike.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conversation import Conversation
from ratios import ratio_with_interval

NAMES = ("peer", "fast", "paper")
PARTS = ("forward", "backward", "update")
TURN_S = 10.0
"""How long a network trains before the other one has its turn."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        threads: of every measuring process.
        cache: folder of the slices.
        peer: folder of the peer's wheel; None where it could not be installed.
        precisions: that steps are timed in; the last one is what errors and memory are measured in.
        batch: slices a step of every network, in speed and error.
        repeats: of two steps each.
        wall_s: training time of each network before its error is measured.
        seeds: runs of that, each from other weights and batches.
        slices: held-out ones, at the most.
        batches: that memory is measured at.
    """

    threads: int
    cache: Path
    peer: Path | None
    precisions: tuple[str, ...]
    batch: int = 4
    repeats: int = 4
    wall_s: float = 60.0
    seeds: int = 3
    slices: int = 12
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)

    def start(self, name: str, precision: str, batch: int, seed: int = 0) -> Conversation:
        """A probe of one network."""
        peer = () if self.peer is None else ("--peer", self.peer.resolve())
        fixed = ("--precision", precision, "--cache", self.cache.resolve(), *peer)
        return Conversation(self.threads, "probe_training.py", name, *fixed, "--batch", batch, "--seed", seed)

    @property
    def names(self) -> tuple[str, ...]:
        """The networks that there are."""
        return NAMES if self.peer is not None else NAMES[1:]


def measure(plan: Plan) -> dict[str, Any]:
    """Everything, as plain values."""
    speed: dict[str, Any] = {}
    for precision in plan.precisions:
        speed |= throughput(plan, precision)
    return {
        "plan": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(plan).items()}
        | {"cache": plan.cache.name, "peer": plan.peer is not None},
        "speed": speed,
        "ratios": against_the_peer(speed),
        "error": after_equal_time(plan, plan.precisions[-1]) if plan.peer is not None else [],
        "memory": {name: memory(plan, name, plan.precisions[-1]) for name in ("fast", "paper")},
    }


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def throughput(plan: Plan, precision: str) -> dict[str, Any]:
    """Steps of every network in one precision, in turn, by `name, precision`: seconds of each repetition, and the cost.

    The first repetition warms up and is not kept.
    """
    with ExitStack() as stack:
        probes = {name: stack.enter_context(plan.start(name, precision, plan.batch)) for name in plan.names}
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in probes}
        for number in range(plan.repeats + 1):
            for name, probe in probes.items():
                tell(f"training steps, repetition {number}: {name}, {precision}")
                answer = probe.ask("steps", count=2)
                if number or "missing" in answer:
                    rounds[name].append(answer)
        costs = {name: probe.ask("cost") for name, probe in probes.items()}
    return {f"{name}, {precision}": summary(rounds[name], costs[name], plan.batch) for name in probes}


def summary(rounds: list[dict[str, Any]], cost: dict[str, Any], batch: int) -> dict[str, Any]:
    """Repetitions of one network as one result; a network that failed once has failed.

    Returns:
        Of a slice: `seconds` and `cpu_seconds` of each repetition without loading, medians of the parts, `gflop`.
        `loading` is the share of a step's whole time that passes before its batch is there.
    """
    for answer in (*rounds, cost):
        if "missing" in answer:
            return {"missing": answer["missing"]}
    slices = [batch * answer["steps"] for answer in rounds]
    whole = [sum(answer[part] for part in PARTS) for answer in rounds]
    return {
        "seconds": [time / count for time, count in zip(whole, slices, strict=True)],
        "cpu_seconds": [answer["cpu_seconds"] / count for answer, count in zip(rounds, slices, strict=True)],
        "parts": {
            part: statistics.median(answer[part] / count for answer, count in zip(rounds, slices, strict=True))
            for part in PARTS
        },
        "loading": statistics.median(
            answer["loading"] / (answer["loading"] + time) for answer, time in zip(rounds, whole, strict=True)
        ),
        "gflop": cost["gflop"],
        "parameters": cost["parameters"],
    }


def against_the_peer(speed: dict[str, Any]) -> dict[str, Any]:
    """The peer's time over ours for each of our candidates, at its precision: wall and processor time."""
    ratios = {}
    for name, ours in speed.items():
        kind, precision = name.split(", ")
        theirs = speed.get(f"peer, {precision}", {"missing": ""})
        if kind != "peer" and "missing" not in ours and "missing" not in theirs:
            ratios[name] = {key: ratio_with_interval(theirs[key], ours[key]) for key in ("seconds", "cpu_seconds")}
    return ratios


def after_equal_time(plan: Plan, precision: str) -> list[dict[str, Any]]:
    """For each seed, what the peer and the fast network reach when each has trained for the same wall time."""
    runs = []
    for seed in range(plan.seeds):
        with ExitStack() as stack:
            probes = {
                name: stack.enter_context(plan.start(name, precision, plan.batch, seed)) for name in ("peer", "fast")
            }
            spent = dict.fromkeys(probes, 0.0)
            run: dict[str, Any] = {name: {"seconds": 0.0, "cpu_seconds": 0.0, "steps": 0} for name in probes}
            while any(spent[name] < plan.wall_s for name in probes):
                for name, probe in probes.items():
                    left = plan.wall_s - spent[name]
                    if left <= 0:
                        continue
                    tell(f"equal wall time, seed {seed}: {name}, {left:.0f} s left")
                    answer = probe.ask("train", limit_s=left + 300, seconds=min(TURN_S, left))
                    if "missing" in answer:
                        run[name], spent[name] = answer, plan.wall_s
                        continue
                    spent[name] += answer["seconds"]
                    for key in ("seconds", "cpu_seconds", "steps"):
                        run[name][key] += answer[key]
            for name, probe in probes.items():
                if "missing" not in run[name]:
                    tell(f"error on held-out slices, seed {seed}: {name}")
                    run[name] |= probe.ask("evaluate", limit_s=600, slices=plan.slices)
        runs.append({"seed": seed, **run})
    return runs


def memory(plan: Plan, name: str, precision: str) -> list[dict[str, Any]]:
    """The most memory of a training step at each batch, every time in a fresh process."""
    rows = []
    for batch in plan.batches:
        tell(f"memory: {name}, {precision}, batch {batch}")
        with plan.start(name, precision, batch) as probe:
            rows.append({"batch": batch, **probe.ask("memory", limit_s=600)})
    return rows
