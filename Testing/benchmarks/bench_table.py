"""The benchmark's results as a Markdown table, with what was to be reached below."""

from __future__ import annotations

from typing import Any

EVALUATION_SPEED = 1.7
SLICE_PROCESSOR_TIME = 200.0
FIRST_SLICE_S = 10.0
MEMORY_GB = 1.5


def as_markdown(results: dict[str, Any]) -> str:
    """Machine, table and targets."""
    peaks = results["convolution_peak_gflops"]
    lines = [
        machine_line(results),
        "",
        "| | s / evaluation | CPU s / evaluation | GFLOP | of peak | steps | s / slice | CPU s / slice | memory |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(name, result, peaks) for name, result in results["candidates"].items()),
        "",
        *(f"- {line}" for line in _limits(results["candidates"])),
        *(f"- {line}" for line in _targets(results)),
    ]
    return "\n".join(lines) + "\n"


def machine_line(results: dict[str, Any]) -> str:
    """What it was measured on."""
    machine, peaks = results["machine"], results["convolution_peak_gflops"]
    peak = ", ".join(f"{value:.0f} GFLOP/s in {name}" for name, value in peaks.items())
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    return (
        f"{machine['processor']}, {threads}, torch {machine['torch']}, "
        f"Python {machine['python']}. Convolution peak as measured: {peak}."
        + (" One short round." if results["short"] else "")
    )


def _row(name: str, result: dict[str, Any], peaks: dict[str, float]) -> str:
    if "missing" in result:
        return f"| {name} | not measured: {result['missing']} | | | | | | | |"
    evaluation, whole = result["evaluation"], result["slice"]
    gflop, share = "", ""
    if "gflop" in result:
        gflop = f"{result['gflop']:.1f}"
        share = f"{result['gflop'] / evaluation['seconds'] / peaks[name.rsplit(', ', 1)[1]]:.0%}"
    steps = f"{result['steps']}"
    if result["steps_run"] != result["steps"]:
        steps += f" (from {result['steps_run']})"
    return (
        f"| {name} | {evaluation['seconds']:.3f} | {evaluation['cpu_seconds']:.3f} | {gflop} | {share} | {steps} "
        f"| {whole['seconds']:.1f} | {whole['cpu_seconds']:.1f} | {result['memory_gb']:.2f} GB |"
    )


def _limits(candidates: dict[str, Any]) -> list[str]:
    """Which operations an evaluation's time goes to."""
    return [
        f"Time of {name}: " + ", ".join(f"{family} {share:.0%}" for family, share in result["shares"].items()) + "."
        for name, result in candidates.items()
        if "shares" in result
    ]


def _targets(results: dict[str, Any]) -> list[str]:
    found = {name: result for name, result in results["candidates"].items() if "missing" not in result}
    peer = found.get("peer slim-diff")
    lines = []
    paper = _best(found, "paper", "evaluation", "seconds")
    fast = _best(found, "fast", "slice", "cpu_seconds")
    if peer is not None and paper is not None:
        ratio = peer["evaluation"]["seconds"] / paper[1]
        lines.append(
            verdict(f"paper network ({paper[0]}) against the peer, an evaluation", ratio, EVALUATION_SPEED, "x")
        )
        processor = peer["evaluation"]["cpu_seconds"] / found[paper[0]]["evaluation"]["cpu_seconds"]
        lines.append(f"The same in processor time, which other work on the machine disturbs less: {processor:.3g}x.")
    if peer is not None and fast is not None:
        ratio = peer["slice"]["cpu_seconds"] / fast[1]
        said = f"fast network ({fast[0]}) against the peer, processor time a slice"
        lines.append(verdict(said, ratio, SLICE_PROCESSOR_TIME, "x"))
    if peer is None:
        lines.append("The peer could not be measured, so there is no comparison with it in this run.")
    first = results["first_slice"]
    if "missing" in first:
        lines.append(f"Model load and first slice were not measured: {first['missing']}.")
    else:
        lines.append(verdict("imports, model load and first slice", first["total"], FIRST_SLICE_S, " s", most=True))
        lines.append(verdict("memory of that process", first["memory_gb"], MEMORY_GB, " GB", most=True))
    return lines


def _best(found: dict[str, Any], config: str, part: str, key: str) -> tuple[str, float] | None:
    ours = {name: result[part][key] for name, result in found.items() if name.startswith(f"{config}, ")}
    name = min(ours, key=ours.__getitem__, default=None)
    return None if name is None else (name, ours[name])


def verdict(what: str, value: float, target: float, unit: str, most: bool = False) -> str:
    """A measured value beside its target, and by how much it falls short."""
    reached = value <= target if most else value >= target
    sign = "at most" if most else "at least"
    outcome = "reached" if reached else f"falls short by {abs(value - target):.2g}{unit}"
    return f"{what[0].upper()}{what[1:]}: {value:.3g}{unit} (asked: {sign} {target:g}{unit}; {outcome})."
