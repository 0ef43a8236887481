"""What a run will take in time and memory on this machine, from a few real steps on made-up slices."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from jsddpm_core.config import Config
from jsddpm_core.errors import DeviceMemoryError, TrainingError, is_out_of_memory
from jsddpm_core.generation.synthesizer import resolve_device
from jsddpm_core.machine import forget_peak_memory, memory_limit_bytes, peak_memory_bytes
from jsddpm_core.training.adapt import set_trainable
from jsddpm_core.training.batches import Batch, finer
from jsddpm_core.training.estimate import Estimate, Pace, advised, extent_of, project
from jsddpm_core.training.fit import release_memory
from jsddpm_core.training.module import JointDiffusion, condition_of
from jsddpm_core.training.plan import plan_of
from jsddpm_core.training.request import FineTuneRequest

MEASURED_STEPS = 3
MEASURED_S = 20.0
"""After which nothing is measured once more."""


def probe(
    request: FineTuneRequest,
    out: Path | None = None,
    *,
    accelerator: str = "auto",
    check: Callable[[], None] = lambda: None,
) -> Estimate:
    """Measures a few steps of a run on made-up slices, after one that is discarded, and projects the whole of it.

    Args:
        request: what is asked for.
        out: the run's folder; where it holds the prepared slices already, they are counted.
        accelerator: Lightning's name of the device kind; `auto` for what the request says.
        check: called between steps; an exception that it raises ends the work.

    Raises:
        DeviceMemoryError: if the memory does not suffice for a single slice.
        RequestError: if the device is not there, or the request cannot be used.
    """
    plan = plan_of(request)
    device = resolve_device({"gpu": "cuda"}.get(accelerator, accelerator) if accelerator != "auto" else request.device)
    parts = 1
    while True:
        try:
            pace, memory = _measure(plan.config, device, parts, check)
            break
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release_memory()
        more = finer(plan.config.training.batch_size, parts)
        if more is None:
            raise DeviceMemoryError(
                "the memory of the device does not suffice for a single slice",
                "choose the configuration 'fast' or another device",
            )
        parts = more
    steps, seconds = project(plan, pace, extent_of(plan, out))
    estimate = Estimate(
        device=device.type,
        batch_size=plan.config.training.batch_size,
        parts=parts,
        steps=steps,
        seconds_per_step=pace.step,
        seconds=seconds,
        seconds_total=sum(seconds.values()),
        memory_bytes=memory,
        memory_available_bytes=available_bytes(device),
    )
    return advised(request, estimate)


def _measure(config: Config, device: torch.device, parts: int, check: Callable[[], None]) -> tuple[Pace, int | None]:
    """Times and the most memory, with everything in place that a run holds."""
    release_memory()
    forget_peak_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    module = JointDiffusion(config, 1000).to(device)
    set_trainable(module.network, config.training.trainable, seed=config.training.seed)
    averaged = copy.deepcopy(module)
    optimizer = module.configure_optimizers()["optimizer"]
    size = config.training.batch_size // parts
    batch = made_up(config, size, device)
    context = _arithmetic(config, device)

    def step() -> None:
        for _ in range(parts):
            check()
            with context():
                loss = module.loss(batch).total / parts
            loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), config.training.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()

    def evaluate(count: int) -> None:
        check()
        rows = {name: value[:count] for name, value in batch.items()}
        with torch.no_grad(), context():
            averaged.denoiser.estimate(rows["x0"], rows["t"], condition_of(rows))

    pace = Pace(
        _timed(step, device),
        _timed(lambda: evaluate(size), device),
        _timed(lambda: evaluate(1), device),
        size,
    )
    memory = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else peak_memory_bytes()
    return pace, memory


def _timed(work: Callable[[], None], device: torch.device) -> float:
    """Median seconds of a piece of work, after one time that is discarded, unless that alone took long."""
    taken: list[float] = []
    while len(taken) <= MEASURED_STEPS and sum(taken) < MEASURED_S:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:] or taken)


def _arithmetic(config: Config, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """The precision that a run computes in."""
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
    dtype = kinds.get(config.training.precision)
    if dtype is None:
        return nullcontext
    if dtype is torch.float16 and device.type != "cuda":
        raise TrainingError("training.precision = fp16 needs a GPU", "set training.precision=bf16 or fp32")
    return lambda: torch.autocast(device.type, dtype)


def made_up(config: Config, size: int, device: torch.device) -> Batch:
    """A batch of noise in the shape of a real one."""
    spatial = config.data.grid.shape[: config.network.spatial_dims]
    shape, channels = (size, len(config.channels), *spatial), len(config.channels)
    generator = torch.Generator().manual_seed(config.training.seed)
    own = config.diffusion.self_conditioning
    share = own.probability if own.enabled else 0.0
    t = torch.linspace(1, config.diffusion.schedule.steps, size, dtype=torch.float64).unsqueeze(1).expand(-1, channels)
    batch = {
        "x0": torch.randn(shape, generator=generator).clamp(-1, 1),
        "known": torch.ones(size, channels, dtype=torch.bool),
        "lesion": torch.zeros(size, 1, *spatial, dtype=torch.bool),
        "position_mm": torch.linspace(*config.data.grid.position_range_mm, size),
        "pathology": torch.arange(size) % len(config.pathologies),
        "t": t,
        "later_t": t,
        "self_condition": torch.arange(size) < math.ceil(share * size),
        "epsilon": torch.randn(shape, generator=generator),
    }
    if config.conditioning.prior.kind != "none":
        batch["prior"] = torch.randn(size, 1, *spatial, generator=generator).clamp(-1, 1)
    if device.type == "mps":  # which has no float64
        batch = {name: value.float() if value.dtype == torch.float64 else value for name, value in batch.items()}
    return {name: value.to(device) for name, value in batch.items()}


def available_bytes(device: torch.device) -> int | None:
    """The memory that a run may use on a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return memory_limit_bytes()
