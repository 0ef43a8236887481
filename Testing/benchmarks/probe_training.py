"""One network in training, in a process of its own, that answers one JSON line for each JSON line it is sent.

    probe_training.py {peer,fast,paper} --precision bf16 --batch 4 --cache FOLDER [--seed 0] [--peer FOLDER]

It answers once when it is ready, and then to: `{"do": "steps", "count": 2}` with the time of whole training steps,
`{"do": "train", "seconds": 10}` with how far it came, `{"do": "evaluate", "slices": 16}` with the error on held-out
slices, `{"do": "cost"}` with the operations that a step needs, `{"do": "memory"}` with the most memory that a step
took. Between questions it waits, so that several networks can take turns on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from candidate_ours import Ours, config_for
from candidate_peer import Peer
from held_out import HeldOut, Noisy
from torch import Tensor
from training_slices import usable_by_both

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.machine import peak_memory_bytes

SELF_CONDITIONED = 0.5
"""Share of the samples that need a second forward pass, in the peer's published run as in our configurations."""


class Candidate(Protocol):
    """A network with all that a training step needs."""

    parameters: int

    def batch(self, turn: int | None = None) -> Any: ...

    def loss(self, batch: Any) -> Tensor: ...

    def update(self) -> None: ...

    def x0_hat(self, noisy: Noisy) -> Tensor: ...

    def gflop(self) -> tuple[float, float]: ...


class Clock:
    """Wall seconds of the parts of training, and processor seconds of all of it."""

    def __init__(self, device: torch.device) -> None:
        self._wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self.seconds = {"loading": 0.0, "forward": 0.0, "backward": 0.0, "update": 0.0}
        self.cpu_seconds = 0.0

    def timed(self, part: str, work: Callable[[], Any]) -> Any:
        """What `work` returns; its time is added to a part."""
        began, processor = time.perf_counter(), time.process_time()
        result = work()
        self._wait()
        self.seconds[part] += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - processor
        return result


def train_step(candidate: Candidate, clock: Clock, turn: int | None = None) -> float:
    """Loads a batch and learns from it: forward, loss, backward, clip, optimiser, average. Returns the loss."""
    batch = clock.timed("loading", lambda: candidate.batch(turn))
    loss = clock.timed("forward", lambda: candidate.loss(batch))
    clock.timed("backward", loss.backward)
    clock.timed("update", candidate.update)
    return float(loss.detach())


def steps(candidate: Candidate, device: torch.device, count: int) -> dict[str, Any]:
    """An even number of steps, in which exactly half of the samples see an earlier estimate of themselves."""
    clock = Clock(device)
    for turn in range(count):
        train_step(candidate, clock, turn)
    return {**clock.seconds, "cpu_seconds": clock.cpu_seconds, "steps": count}


def train(candidate: Candidate, device: torch.device, seconds: float) -> dict[str, Any]:
    """Steps until `seconds` of wall time are over; the last one may end a little later."""
    clock, count, loss = Clock(device), 0, float("nan")
    while sum(clock.seconds.values()) < seconds:
        loss = train_step(candidate, clock)
        count += 1
    return {"seconds": sum(clock.seconds.values()), "cpu_seconds": clock.cpu_seconds, "steps": count, "loss": loss}


def memory(candidate: Candidate, device: torch.device) -> dict[str, Any]:
    """The most memory of two steps: the optimiser has its state from the first one on.

    On the CPU, it is everything that the process has held, libraries included; on a GPU, what torch has allocated.
    """
    steps(candidate, device, 2)
    if device.type == "cuda":
        return {"bytes": torch.cuda.max_memory_allocated(device), "of": "GPU"}
    return {"bytes": peak_memory_bytes(), "of": "process"}


def cost(candidate: Candidate) -> dict[str, float]:
    """10^9 operations for a slice of a step; those of loss, optimiser and average are too few to count."""
    forward, backward = candidate.gflop()
    return {"gflop": forward * (1 + SELF_CONDITIONED) + backward, "parameters": candidate.parameters}


def arithmetic_of(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """What surrounds a forward pass in a precision: nothing in fp32, autocast in bf16 (Lightning's `bf16-mixed`)."""
    return nullcontext if precision == "fp32" else lambda: torch.autocast(device.type, torch.bfloat16)


def main() -> int:
    parser = argparse.ArgumentParser(description="One network in training, asked over stdin.")
    parser.add_argument("name", choices=("peer", "fast", "paper"))
    parser.add_argument("--precision", choices=("fp32", "bf16"), required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", type=Path, help="folder of the peer's wheel")
    chosen = parser.parse_args()

    # Answers alone go to stdout; what libraries say there joins the errors.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cache = usable_by_both(SliceCache.open(chosen.cache))
    config = config_for("fast" if chosen.name == "peer" else chosen.name, cache, chosen.batch, chosen.seed)
    arithmetic = arithmetic_of(chosen.precision, device)
    torch.manual_seed(chosen.seed)
    candidate: Candidate
    if chosen.name == "peer":
        candidate = Peer(chosen.peer, config, cache, device, arithmetic)
    else:
        candidate = Ours(config, cache, device, arithmetic)
    asked: dict[str, Callable[..., dict[str, Any]]] = {
        "steps": lambda count: steps(candidate, device, count),
        "train": lambda seconds: train(candidate, device, seconds),
        "evaluate": lambda slices: HeldOut(cache, config, slices, chosen.batch).errors(candidate.x0_hat),
        "cost": lambda: cost(candidate),
        "memory": lambda: memory(candidate, device),
    }
    print(json.dumps({"ready": True, "threads": torch.get_num_threads(), "device": device.type}), file=answers)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(asked[question.pop("do")](**question)), file=answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
