"""The model card of a bundle: what it was trained on and under which terms, from recorded facts only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jsddpm_core.manifest import BundleFacts

_SPLITS = ("train", "validation", "test")
_MEASURED = (
    "Measured by `make quality` on first draws from these weights against the test subjects; the table is in "
    "the project's README."
)
_LAYERS = {
    "last-levels": "the shallow half of the way up, the output, and the embedding of position and pathology",
    "low-rank": "low-rank changes (Hu et al. 2021) of the attention blocks and of the deep convolutions, and the "
    "embedding of the pathology",
}

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Values by name, each with its step."""


def model_card(
    facts: BundleFacts,
    network_parameters: int,
    network: dict,
    limits: Sequence[str] = (),
    *,
    measured: str = _MEASURED,
    curves: Curves | None = None,
) -> str:
    """The text of `MODEL_CARD.md`.

    Args:
        facts: of the bundle.
        network_parameters: number of weights.
        network: the network's settings, as plain values.
        limits: what the model cannot do, one sentence each.
        measured: how good it is, as Markdown under a heading of second level.
        curves: of the training; a few points of each are shown.
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
        _not_of_patients(facts),
        _people(facts),
        "## Licence",
        f"Weights: {facts.licence.weights}.",
        _sources(facts),
        "## How",
        f"{record.steps:,} steps of {record.training.batch_size} slices{_start(facts)}; "
        f"{facts.diffusion.schedule.name.value} schedule, prediction of the {facts.diffusion.prediction.value}; "
        f"EMA {record.training.ema_decay:g}. "
        f"{_layers(facts, network_parameters)}By default it samples with {facts.sampling.sampler.value} "
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
        _curves(curves or {}),
        "## How good it is",
        measured,
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
    heads = ["split", "people", *(["examinations"] if record.cases else []), *names]
    rows = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for split in _SPLITS:
        counts = record.slices.get(split, {})
        cells = [record.subjects.get(split, 0), *([record.cases.get(split, 0)] if record.cases else [])]
        rows.append("| " + " | ".join(str(cell) for cell in [split, *cells, *(counts.get(n, 0) for n in names)]) + " |")
    return (
        "Slices by split and pathology (`unknown`: without a full mask, or between lesional and not). "
        "Only the training split was learned from.\n\n" + "\n".join(rows)
    )


def _not_of_patients(facts: BundleFacts) -> str:
    """What was learned from and no patient had: painted lesions, and what a model drew."""
    record, parts = facts.training, []
    if record.simulated:
        said = ", ".join(f"{record.simulated[split]} for {split}" for split in _SPLITS if split in record.simulated)
        total = sum(sum(counts.values()) for counts in record.slices.values())
        share = sum(record.simulated.values()) / total
        parts.append(
            f"Simulated: {said} ({share:.0%} of the slices above). A program painted these lesions into slices of real "
            "people; no patient had them."
        )
    if record.replay is not None:
        said = ", ".join(f"{count} of `{name}`" for name, count in record.replay.slices.items())
        parts.append(
            f"Synthetic, not in the table: {said}, drawn by the start model `{record.replay.model}` so that its own "
            f"pathologies are not forgotten ({record.training.replay_share:.0%} of each batch; {record.replay.dropped} "
            "further draws were not as asked and were left out)."
        )
        unseen = sorted(record.replay.slices.keys() - {n for c in record.slices.values() for n in c if c[n]})
        if unseen:
            parts.append(
                "Known from such draws only, with the start model's range of positions: "
                + ", ".join(f"`{name}`" for name in unseen)
                + "."
            )
    return "\n\n".join(parts)


def _people(facts: BundleFacts) -> str:
    record = facts.training
    if record.subject_digests is None:
        return ""
    said = (
        "Who was in which split stands in `bundle.json` as salted digests, which name nobody: an evaluation refuses "
        "people that the model was trained on."
    )
    if record.earlier_subjects:
        said += " So do the people behind the models that it goes back to."
    elif record.start is not None:
        said += f" By whom `{record.start.name}` was trained, it does not say."
    return said


def _layers(facts: BundleFacts, network_parameters: int) -> str:
    record = facts.training
    if record.trained_parameters is None or record.training.trainable == "all":
        return ""
    return (
        f"Of the {network_parameters:,} weights the start model's were kept; what learned were "
        f"{record.trained_parameters:,} numbers ({record.training.trainable}: {_LAYERS[record.training.trainable]}). "
    )


def _curves(curves: Curves, points: int = 12) -> str:
    """A table of a few steps; between them, each curve stands with its last value up to there."""
    known = {name: sorted(values) for name, values in curves.items() if values}
    if not known:
        return ""
    steps = sorted({step for values in known.values() for step, _ in values})
    if len(steps) > points:
        steps = [steps[round(place * (len(steps) - 1) / (points - 1))] for place in range(points)]
    rows = ["| step | " + " | ".join(known) + " |", "|---|" + "---|" * len(known)]
    for step in steps:
        cells = []
        for values in known.values():
            before = [value for at, value in values if at <= step]
            cells.append(f"{before[-1]:.4g}" if before else "")
        rows.append(f"| {step} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _sources(facts: BundleFacts) -> str:
    rows = [f"- {source.name}. {source.licence}. {source.attribution}" for source in facts.licence.sources]
    return "\n".join(rows)
