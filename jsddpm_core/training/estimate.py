"""From measured times to what a whole run takes, and what is advised where that is too much."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel

from jsddpm_core.config import GridConfig
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError, ImageError, JsddpmError
from jsddpm_core.training.plan import Plan
from jsddpm_core.training.request import PRESET_DRAWS, FineTuneRequest, parse_fine_tune_request
from jsddpm_core.training.runs import CACHE

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
