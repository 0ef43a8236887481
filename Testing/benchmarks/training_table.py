"""The training benchmark's results as Markdown tables, with what was to be reached below."""

from __future__ import annotations

import statistics
from typing import Any

from bench_table import machine_line, verdict

SPEED = {"fast": 3.0, "paper": 1.5}
LOADING = 0.05
SHOWN = {"peer": "peer slim-diff", "fast": "fast", "paper": "paper"}


def as_markdown(results: dict[str, Any]) -> str:
    """Machine, the tables of speed, error and memory, and the targets."""
    plan = results["plan"]
    precision = plan["precisions"][-1]
    parts = [machine_line(results), "", *_speed(results)]
    if results["error"]:
        parts += ["", *_error(results["error"], plan, precision)]
    parts += ["", *_memory(results["memory"], precision), "", *(f"- {line}" for line in _targets(results))]
    return "\n".join(parts) + "\n"


def _speed(results: dict[str, Any]) -> list[str]:
    plan, peaks = results["plan"], results["convolution_peak_gflops"]
    return [
        f"A whole training step (forward, loss, backward, clip, optimiser, average) at batch {plan['batch']}, medians "
        f"of {plan['repeats']} repetitions that took turns; slices are {results['slices']}.",
        "",
        "| | slices / s | CPU s / slice | forward | backward | update | GFLOP / slice | of peak | loading |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_speed_row(name, result, peaks) for name, result in results["speed"].items()),
    ]


def _speed_row(name: str, result: dict[str, Any], peaks: dict[str, float]) -> str:
    kind, precision = name.split(", ")
    shown = f"{SHOWN[kind]}, {precision}"
    if "missing" in result:
        return f"| {shown} | not measured: {result['missing']} | | | | | | | |"
    seconds = statistics.median(result["seconds"])
    whole = sum(result["parts"].values())
    forward, backward, update = (f"{result['parts'][part] / whole:.0%}" for part in ("forward", "backward", "update"))
    share = f"{result['gflop'] / seconds / peaks[precision]:.0%}" if precision in peaks else ""
    return (
        f"| {shown} | {1 / seconds:.3g} | {statistics.median(result['cpu_seconds']):.3g} | {forward} | {backward} "
        f"| {update} | {result['gflop']:.0f} | {share} | {result['loading']:.2%} |"
    )


def _error(runs: list[dict[str, Any]], plan: dict[str, Any], precision: str) -> list[str]:
    lines = [
        f"After equal wall time ({plan['wall_s']:.0f} s of training each, {precision}, batch {plan['batch']}, fresh "
        f"weights): root mean square error of x0_hat on held-out slices at equal noise, intensities from -1 to 1; the "
        f"mean over {len(runs)} {'seed' if len(runs) == 1 else 'seeds'}, lowest to highest in brackets.",
        "",
        "| | slices learned from | image error | mask error |",
        "|---|---|---|---|",
    ]
    for name in ("peer", "fast"):
        done = [run[name] for run in runs if "missing" not in run[name]]
        if not done:
            lines.append(f"| {SHOWN[name]} | not measured: {runs[0][name]['missing']} | | |")
            continue
        slices = statistics.mean(run["steps"] for run in done) * plan["batch"]
        lines.append(
            f"| {SHOWN[name]} | {slices:.0f} | {_spread([run['image'] for run in done])} "
            f"| {_spread([run['mask'] for run in done])} |"
        )
    return lines


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _memory(memory: dict[str, list[dict[str, Any]]], precision: str) -> list[str]:
    batches = [row["batch"] for row in next(iter(memory.values()))]
    kinds = {row["of"] for rows in memory.values() for row in rows if "missing" not in row}
    of = "allocated on the GPU" if kinds == {"GPU"} else "of the whole process"
    return [
        f"The most memory of a training step, {of}, against the batch ({precision}):",
        "",
        "| batch | " + " | ".join(f"{batch}" for batch in batches) + " |",
        "|---" * (len(batches) + 1) + "|",
        *(
            f"| {SHOWN[name]} | "
            + " | ".join(row.get("missing") or f"{row['bytes'] / 1e9:.2f} GB" for row in rows)
            + " |"
            for name, rows in memory.items()
        ),
    ]


def _targets(results: dict[str, Any]) -> list[str]:
    lines = []
    for name, ratio in results["ratios"].items():
        wall, processor = ratio["seconds"], ratio["cpu_seconds"]
        said = f"training throughput of {name} against the peer{_interval(wall)}"
        lines.append(verdict(said, wall["value"], SPEED[name.split(", ")[0]], "x"))
        lines.append(f"The same in processor time: {processor['value']:.3g}x{_interval(processor)}.")
    if not results["ratios"]:
        lines.append("The peer could not be measured, so there is no comparison with it in this run.")
    lines += _equal_time(results["error"])
    shares = {name: result["loading"] for name, result in results["speed"].items() if "loading" in result}
    ours = {name: share for name, share in shares.items() if not name.startswith("peer")}
    if ours:
        worst = max(ours, key=ours.__getitem__)
        said = f"share of a step that passes before its batch is loaded, at the most ({worst})"
        lines.append(verdict(said, 100 * ours[worst], 100 * LOADING, " %", most=True))
    return lines


def _interval(ratio: dict[str, Any]) -> str:
    if ratio["low"] is None:
        return " (one repetition)"
    return f" (95 % interval {ratio['low']:.3g} to {ratio['high']:.3g}, n = {ratio['n']})"


def _equal_time(runs: list[dict[str, Any]]) -> list[str]:
    pairs = [
        (run["peer"]["image"], run["fast"]["image"])
        for run in runs
        if "missing" not in run["peer"] and "missing" not in run["fast"]
    ]
    if not pairs:
        return []
    theirs, ours = (statistics.mean(column) for column in zip(*pairs, strict=True))
    said = "image error of the fast configuration over the peer's after equal wall time"
    better = sum(fast <= peer for peer, fast in pairs)
    return [
        verdict(said, ours / theirs, 1.0, "", most=True),
        f"It is equal or lower with {better} of {len(pairs)} seeds.",
    ]
