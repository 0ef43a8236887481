"""The model card of a bundle: what it was trained on and under which terms, from recorded facts only."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jsddpm_core.manifest import BundleFacts

_SPLITS = ("train", "validation", "test")


def model_card(facts: BundleFacts, network_parameters: int, network: dict, limits: Sequence[str] = ()) -> str:
    """The text of `MODEL_CARD.md`.

    Args:
        facts: of the bundle.
        network_parameters: number of weights.
        network: the network's settings, as plain values.
        limits: what the model cannot do, one sentence each.
    """
    grid, record = facts.grid, facts.training
    low, high = grid.intensity.range
    parts = [
        f"# {facts.title}",
        f"Bundle `{facts.name}`, system `{facts.system}`, schema version {facts.schema_version}. "
        f"{network_parameters:,} weights, stored in half precision.",
        "## What it makes",
        f"Synthetic axial slices of {', '.join(channel.name for channel in facts.channels)} together, "
        f"{grid.shape[0]} x {grid.shape[1]} pixels of {grid.spacing_mm:g} mm in {grid.space}, intensities "
        f"{low:g} to {high:g} (the {grid.intensity.percentiles[0]:g}th and {grid.intensity.percentiles[1]:g}th "
        "percentiles of the foreground in training).",
        _pathologies(facts),
        "## What it is for, and what not",
        "For research and teaching on synthetic images. Not for diagnosis, treatment or any other clinical use. "
        "No image shows a patient.",
        "## What it cannot do",
        "\n".join(f"- {limit}" for limit in [*limits, *_known_limits(facts)]),
        "## What it was trained on",
        _slices(facts),
        _sources(facts),
        f"Weights: {facts.licence.weights}.",
        "## How",
        f"{record.steps:,} steps of {record.training.batch_size} slices{_start(facts)}; "
        f"{facts.diffusion.schedule.name.value} schedule, prediction of the {facts.diffusion.prediction.value}; "
        f"EMA {record.training.ema_decay:g}. By default it samples with {facts.sampling.sampler.value} "
        f"in {facts.sampling.steps} steps.",
        f"Data digest (SHA-256 of salt and slice-cache digest): `{record.data_digest}`, salt `{record.salt}`."
        if record.data_digest
        else "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in record.versions.items()) + "."
        if record.versions
        else "",
        "```json\n"
        + json.dumps(
            {
                "network": network,
                "conditioning": facts.conditioning.model_dump(mode="json"),
                "diffusion": facts.diffusion.model_dump(mode="json"),
                "losses": record.losses.model_dump(mode="json"),
                "training": record.training.model_dump(mode="json"),
            },
            indent=1,
        )
        + "\n```",
        "## How good it is",
        "Measured by `make quality` on first draws from these weights against the test subjects; the table is in "
        "the project's README.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _pathologies(facts: BundleFacts) -> str:
    rows = ["| pathology | lesion | code | positions, mm |", "|---|---|---|---|"]
    for pathology in facts.pathologies:
        low, high = pathology.position_range_mm
        rows.append(
            f"| {pathology.name} ({pathology.label}) | {'yes' if pathology.lesional else 'no'} "
            f"| {pathology.code or ''} | {low:g} to {high:g} |"
        )
    return "\n".join(rows)


def _start(facts: BundleFacts) -> str:
    start = facts.training.start
    return "" if start is None else f", from the weights of `{start.name}` ({start.digest[:12]}, {start.steps:,} steps)"


def _known_limits(facts: BundleFacts) -> list[str]:
    found = []
    names = ", ".join(f"`{pathology.name}`" for pathology in facts.pathologies)
    found.append(f"It knows no other pathologies than {names}, and none outside its range of positions.")
    for pathology in facts.pathologies:
        low, high = pathology.position_range_mm
        if high - low <= 2 * facts.grid.spacing_mm:
            found.append(f"`{pathology.name}` was seen at one level only, z = {(low + high) / 2:g} mm.")
    return found


def _slices(facts: BundleFacts) -> str:
    record = facts.training
    if not record.slices:
        return ""
    names = sorted({name for counts in record.slices.values() for name in counts})
    rows = ["| split | people | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for split in _SPLITS:
        counts = record.slices.get(split, {})
        numbers = " | ".join(str(counts.get(name, 0)) for name in names)
        rows.append(f"| {split} | {record.subjects.get(split, 0)} | {numbers} |")
    return (
        "Slices by split and pathology (`unknown`: without a full mask, or between lesional and not). "
        "Only the training split was learned from.\n\n" + "\n".join(rows)
    )


def _sources(facts: BundleFacts) -> str:
    rows = [f"- {source.name}. {source.licence}. {source.attribution}" for source in facts.licence.sources]
    return "\n".join(rows)
