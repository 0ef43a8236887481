"""What a run will take in time and memory on this machine, from a few real steps on made-up slices."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel
import torch

from jsddpm_core.config import Config, GridConfig
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError, DeviceMemoryError, ImageError, JsddpmError, TrainingError, is_out_of_memory
from jsddpm_core.generation.synthesizer import resolve_device
from jsddpm_core.machine import forget_peak_memory, memory_limit_bytes, peak_memory_bytes
from jsddpm_core.training.adapt import set_trainable
from jsddpm_core.training.batches import Batch, finer
from jsddpm_core.training.fit import release_memory
from jsddpm_core.training.module import JointDiffusion, condition_of
from jsddpm_core.training.plan import Plan, plan_of
from jsddpm_core.training.request import PRESET_DRAWS, FineTuneRequest, parse_fine_tune_request
from jsddpm_core.training.runs import CACHE

MEASURED_STEPS = 3
MEASURED_S = 20.0
"""After which nothing is measured once more."""

LONG_S = 24 * 3600.0
"""A run that takes longer is warned of."""

FULL = 0.9
"""Share of the memory from which a run is warned of: other programs need some too."""

_GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        device: kind that was measured.
        batch_size: slices of a step.
        parts: how many times a part of them is computed, because the memory does not suffice for more at a time.
        steps: optimiser steps of the whole run.
        seconds_per_step: measured.
        seconds: of each stage: training, validation, replay and finishing; preparing the cases comes before.
        seconds_total: their sum.
        memory_bytes: the most that a step held, of the GPU where one computes, else of this process.
        memory_available_bytes: what there is of that.
        warning: where the machine is too small for it.
        suggestion: keys of the request, with values that need less; None where nothing has to change.
    """

    device: str
    batch_size: int
    parts: int
    steps: int
    seconds_per_step: float
    seconds: dict[str, float]
    seconds_total: float
    memory_bytes: int | None
    memory_available_bytes: int | None
    warning: str | None = None
    suggestion: dict[str, Any] | None = None

    def to_tree(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """For people."""
        stages = ", ".join(f"{name} {in_words(value)}" for name, value in self.seconds.items() if value)
        memory = "" if self.memory_bytes is None else f" and {self.memory_bytes / _GIB:.1f} GiB"
        found = [
            f"On {self.device}, {self.steps} steps of {self.batch_size} slices take about "
            f"{in_words(self.seconds_total)}{memory}: {stages}."
        ]
        if self.warning:
            found.append(self.warning)
        return found


@dataclass
class Pace:
    """Measured times in seconds.

    Attributes:
        step: of an optimiser step.
        evaluate: of the network on all slices of a part, without gradients.
        one: of the network on one slice, without gradients.
        part: slices of a part.
    """

    step: float
    evaluate: float
    one: float
    part: int


@dataclass(frozen=True)
class Extent:
    """How much a run will see.

    Attributes:
        train: slices that it learns from.
        validation: slices that it is watched with.
    """

    train: int
    validation: int


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


def project(plan: Plan, pace: Pace, extent: Extent) -> tuple[int, dict[str, float]]:
    """Optimiser steps of the whole run, and seconds of its stages."""
    config, request = plan.config, plan.request
    training = config.training
    per_epoch = max(math.ceil(extent.train / training.batch_size), 1)
    steps = training.max_steps or (training.epochs or 1) * per_epoch
    validations = math.ceil(steps / (per_epoch * training.validation_every)) if extent.validation else 0
    per_slice = pace.evaluate / pace.part
    asked = min(training.validation_samples, extent.validation) * training.validation_steps
    draw = config.sampling.steps * (1 if config.sampling.guidance == 1 else 2) * pace.one
    return steps, {
        "training": steps * pace.step,
        "validation": validations * (extent.validation + asked) * per_slice,
        "replay": request.replay_slices * draw if request.replays else 0.0,
        "finishing": PRESET_DRAWS[request.preset] * draw,
    }


def extent_of(plan: Plan, out: Path | None) -> Extent:
    """The slices of a run: counted where they are prepared, else guessed from the headers of the scans."""
    if out is not None:
        try:
            cache = SliceCache.open(out / CACHE)
            return Extent(len(cache.indices("train")), len(cache.indices("validation")))
        except CacheError:
            pass
    data = plan.config.data
    total = sum(slices_of_scan(case.image, data.grid) for case in plan.request.cases)
    total += round(
        plan.request.simulation.share
        * sum(slices_of_scan(case.image, data.grid) for case in plan.request.cases if case.lesion_free)
    )
    validation = round(total * data.validation_share)
    train = total - validation - round(total * data.test_share)
    return Extent(train + (plan.request.replay_slices if plan.request.replays else 0), validation)


def slices_of_scan(image: Path, grid: GridConfig) -> int:
    """About how many slices a scan gives, by its height; 0 for one that cannot be read."""
    try:
        found = nibabel.load(image)
        spacing = nibabel.affines.voxel_sizes(found.affine)
        axis = int(abs(found.affine[2, :3] / spacing).argmax())
        count, thickness = found.shape[axis], float(spacing[axis])
    except (OSError, ValueError, IndexError, nibabel.filebasedimages.ImageFileError, ImageError):
        return 0
    fitting = count if thickness > 2 * grid.spacing_mm else round(count * thickness / grid.spacing_mm)
    return min(fitting, grid.last_slice - grid.first_slice + 1)


def available_bytes(device: torch.device) -> int | None:
    """The memory that a run may use on a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return memory_limit_bytes()


def advised(request: FineTuneRequest, estimate: Estimate) -> Estimate:
    """The estimate with a warning and a smaller suggestion, where the machine is too small for the run."""
    said, wishes = [], {}
    available, batch = estimate.memory_available_bytes, estimate.batch_size
    short = available is not None and estimate.memory_bytes is not None and estimate.memory_bytes > FULL * available
    if estimate.parts > 1 or short:
        held = f"{estimate.memory_bytes / _GIB:.1f} GiB" if estimate.memory_bytes else "all memory"
        there = f"{available / _GIB:.1f} GiB" if available else "what there is"
        said.append(f"A step of {batch} slices needs {held} and more, of {there}.")
        if batch > 1:
            wishes["training.batch_size"] = max(batch // max(estimate.parts, 2), 1)
    if estimate.seconds_total > LONG_S:
        said.append(f"The run will take {in_words(estimate.seconds_total)}.")
    if not said:
        return estimate
    change = _smaller(request, estimate, wishes)
    advice = f" {_in_request(change)}" if change else ""
    return Estimate(**{**asdict(estimate), "warning": " ".join(said) + advice, "suggestion": change})


def _smaller(request: FineTuneRequest, estimate: Estimate, wishes: dict[str, Any]) -> dict[str, Any] | None:
    """Keys of a request that needs less: the small network where one is free to choose it, else fewer weights, slices
    and steps."""
    change: dict[str, Any] = {}
    if request.start is None and request.config != "fast":
        change["config"] = "fast"
    elif request.start is not None and request.train == "all":
        change["train"] = "last-levels"
    rest = estimate.seconds_total - estimate.seconds["training"] - estimate.seconds["validation"]
    pace = (estimate.seconds_total - rest) / max(estimate.steps, 1)
    pace /= batch_ratio(estimate.batch_size, wishes)
    if estimate.seconds_total > LONG_S and "config" not in change:
        wishes["training.max_steps"] = max(int((LONG_S - rest) / pace), 1)
        wishes["training.epochs"] = None
    if wishes:
        change["settings"] = {**request.settings, **wishes}
    try:
        parse_fine_tune_request({**request.model_dump(mode="json"), **change})
    except JsddpmError:
        return None
    return change or None


def batch_ratio(batch: int, wishes: dict[str, Any]) -> float:
    """How many times fewer slices a step has under the wishes."""
    return batch / wishes.get("training.batch_size", batch)


def _in_request(change: dict[str, Any]) -> str:
    parts = [f"{key} '{value}'" for key, value in change.items() if key != "settings"]
    parts += [f"{key} {value}" for key, value in change.get("settings", {}).items() if value is not None]
    return f"Less would do: {', '.join(parts)}."


def in_words(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * LONG_S else f"{seconds / LONG_S:.1f} days"
