"""The figures of an analysis, as PNG and SVG.

Colours are those of Okabe & Ito, which people who see few colours tell apart; whatever a colour says, a marker, a line
style or a label says too. Nothing of matplotlib's global state is used: figures are drawn in whichever process, on no
screen.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jsddpm_core.reading_study.analysis import Analysis, ItemAnalysis
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.family import reader_estimate
from jsddpm_core.reading_study.localisation_results import Localisation
from jsddpm_core.reading_study.pooled_results import Endpoint, endpoint_of
from jsddpm_core.reading_study.readings import ItemReadings
from jsddpm_core.reading_study.response_tables import truths_of
from jsddpm_core.reading_study.roc import roc_points

BLUE, ORANGE, GREEN, GREY, DARK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
AXIS = {"auc": "Area under the ROC curve", "accuracy": "Proportion correct", "d-prime": "d'"}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": DARK,
    "text.color": DARK,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "jsddpm",
}


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        name: of its files, without ending.
        caption: what it shows, for those too who cannot see it.
        png: 160 dots an inch.
        svg: the same.
    """

    name: str
    caption: str
    png: bytes
    svg: bytes


def figures(analysis: Analysis) -> tuple[Drawn, ...]:
    """Every figure that the analysis has something for."""
    made = []
    for item in analysis.items:
        name = item.readings.item.name
        endpoint = endpoint_of(item.readings, analysis.plan.primary)
        made.append(
            _drawn(f"{name}-readers", _readers_caption(analysis, item, endpoint), _forest, analysis, item, endpoint)
        )
        if any(result.area.value is not None for result in item.readers):
            made.append(_drawn(f"{name}-roc", f"Empirical ROC curves of “{name}”. {_ROC}", _roc, item))
        if sum(group.pooled.estimate.value is not None for group in item.groups) > 1:
            caption = (
                f"{AXIS[endpoint]} of “{name}”, all readers, by {_kinds(item)}, with {_percent(analysis)} intervals."
            )
            made.append(_drawn(f"{name}-breakdown", caption, _breakdown, analysis, item, endpoint))
        if item.readings.categories > 2:
            caption = f"Share of each rating of “{name}”, all readers' first answers; time-outs left out."
            made.append(_drawn(f"{name}-answers", caption, _answers, item.readings))
        if item.localisation is not None and any(r.area.value is not None for r in item.localisation.readers):
            caption = (
                f"AFROC curves of the marks of “{name}”; a hit lies within {item.localisation.item.radius_mm:g} mm "
                "of the lesion. Beyond the last mark a curve goes straight to (1, 1); guessing has no line here."
            )
            made.append(_drawn(f"{name}-afroc", caption, _afroc, item.localisation))
    if analysis.main is not None:
        caption = "Response times of first readings: a dot a case, a bar from quartile to quartile with the median."
        made.append(_drawn("response-times", caption, _times, analysis.main.readings))
    return tuple(made)


_ROC = "The diagonal is guessing; the ringed point is where the upper half of the scale begins."


def _percent(analysis: Analysis) -> str:
    return f"{100 * (1 - analysis.plan.alpha):g} %"


def _kinds(item: ItemAnalysis) -> str:
    return " and ".join(dict.fromkeys(group.kind for group in item.groups if group.pooled.estimate.value is not None))


def _readers_caption(analysis: Analysis, item: ItemAnalysis, endpoint: Endpoint) -> str:
    caption = (
        f"{AXIS[endpoint]} of “{item.readings.item.name}” with {_percent(analysis)} intervals; the line is guessing."
    )
    if _margin(analysis, item) is not None:
        caption += " Shaded: the equivalence margin; the thick bar is the interval that lies within it for equivalence."
    return caption


def _drawn(name: str, caption: str, draw: Callable[..., Figure], *arguments: Any) -> Drawn:
    with matplotlib.rc_context(STYLE):
        figure = draw(*arguments)
        FigureCanvasAgg(figure)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=160, bbox_inches="tight", metadata={"Software": None})
        figure.savefig(svg, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return Drawn(name, caption, png.getvalue(), svg.getvalue())


def _margin(analysis: Analysis, item: ItemAnalysis) -> tuple[float, float] | None:
    conclusion = analysis.conclusion
    if conclusion is None or conclusion.equivalence is None or item is not analysis.main:
        return None
    return conclusion.equivalence.low, conclusion.equivalence.high


def _interval_rows(axes: Axes, rows: Sequence[tuple[str, Estimate, bool]], null: float, endpoint: Endpoint) -> None:
    """A forest: one row an estimate, the number beside it; True for the pooled one."""
    for y, (_, estimate, whole) in enumerate(reversed(rows)):
        colour = ORANGE if whole else BLUE
        if estimate.value is None:
            axes.text(1.02, y, "too few answers", transform=axes.get_yaxis_transform(), va="center", color=GREY)
            continue
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [y, y], color=colour, lw=1.8, solid_capstyle="butt", zorder=3)
            for end in (estimate.low, estimate.high):
                axes.plot([end, end], [y - 0.13, y + 0.13], color=colour, lw=1.4, zorder=3)
            told = f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
        else:
            told = f"{estimate.value:.2f} (no interval)"
        axes.plot(estimate.value, y, "D" if whole else "o", color=colour, ms=7 if whole else 6, zorder=4)
        axes.text(1.02, y, told, transform=axes.get_yaxis_transform(), va="center")
    axes.axvline(null, color=DARK, lw=1, ls=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(AXIS[endpoint])
    if endpoint != "d-prime":
        lowest = min([e.low if e.low is not None else e.value for _, e, _ in rows if e.value is not None], default=0.3)
        axes.set_xlim(min(0.3, math.floor(10 * (lowest or 0.0)) / 10) - 0.005, 1.005)


def _forest(analysis: Analysis, item: ItemAnalysis, endpoint: Endpoint) -> Figure:
    pooled = item.pooled[endpoint]
    rows = [(result.reader, reader_estimate(result, endpoint), False) for result in item.readers]
    if len(rows) > 1:
        rows += [("these readers alone", pooled.these_readers, False), ("readers as a sample", pooled.estimate, True)]
    figure = Figure(figsize=(6.4, 1.1 + 0.36 * len(rows)))
    axes = figure.add_subplot()
    margin = _margin(analysis, item)
    if margin is not None:
        axes.axvspan(*margin, color=GREEN, alpha=0.15, lw=0, zorder=0)
        equivalence = analysis.conclusion.equivalence if analysis.conclusion is not None else None
        if equivalence is not None:
            axes.plot(equivalence.interval, [0, 0], color=ORANGE, lw=5, alpha=0.45, solid_capstyle="butt", zorder=2)
    _interval_rows(axes, rows, pooled.null, endpoint)
    if len(rows) > 1:
        axes.axhline(1.5, color="#CCCCCC", lw=0.8)
    return figure


def _breakdown(analysis: Analysis, item: ItemAnalysis, endpoint: Endpoint) -> Figure:
    rows = [("all cases", item.pooled[endpoint].estimate, True)]
    shown = [group for group in item.groups if group.pooled.estimate.value is not None]
    rows += [(f"{group.name} (n = {group.signals + group.others})", group.pooled.estimate, False) for group in shown]
    figure = Figure(figsize=(6.4, 1.1 + 0.34 * len(rows)))
    _interval_rows(figure.add_subplot(), rows, item.pooled[endpoint].null, endpoint)
    return figure


def _square(figure: Figure, across: str, up: str) -> Axes:
    axes = figure.add_subplot()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up, aspect="equal")
    axes.grid(color="#E6E6E6", lw=0.7)
    axes.set_axisbelow(True)
    return axes


def _curve(axes: Axes, row: int, reader: str, ratings: np.ndarray, signal: np.ndarray, middle: float) -> None:
    """One reader's empirical curve; a reader's colour, line and marker stay the same in every figure.

    The point where all above `middle` are called a signal is ringed.
    """
    x, y, thresholds = roc_points(ratings, signal)
    colour, line, marker = COLOURS[row % 6], LINES[row // 6 % 4], MARKERS[row % 6]
    axes.plot(x, y, line, marker=marker, ms=4, lw=1.5, color=colour, label=reader, zorder=3)
    above = np.flatnonzero(thresholds[np.isfinite(thresholds)] > middle)
    if len(above):
        axes.plot(x[above[-1] + 1], y[above[-1] + 1], "o", ms=10, mfc="none", mec=colour, mew=1.4, zorder=4)


def _roc(item: ItemAnalysis) -> Figure:
    readings = item.readings
    positive = "lesions" if readings.item.kind == "lesion" else "synthetic"
    others = "lesion-free" if readings.item.kind == "lesion" else "real"
    said = "a lesion" if readings.item.kind == "lesion" else "synthetic"
    figure = Figure(figsize=(4.6, 4.4))
    axes = _square(figure, f"Share of {others} called {said}", f"Share of {positive} called {said}")
    axes.plot([0, 1], [0, 1], color=DARK, lw=1, ls=(0, (4, 3)), zorder=1)
    middle = (1 + readings.categories) / 2
    for row, result in enumerate(item.readers):
        known = ~np.isnan(readings.counted[row])
        if result.area.value is not None:
            label = f"{result.reader}, {result.area.value:.2f}"
            _curve(axes, row, label, readings.counted[row, known], readings.signal[known], middle)
    _legend(figure, axes, len(item.readers), "Area")
    return figure


def _afroc(found: Localisation) -> Figure:
    figure = Figure(figsize=(4.6, 4.4))
    axes = _square(figure, "Share of lesion-free cases marked", "Share of lesions hit")
    for row, reader in enumerate(found.readers):
        known = ~np.isnan(found.ratings[row])
        if reader.area.value is not None:
            label = f"{reader.reader}, {reader.area.value:.2f}"
            _curve(axes, row, label, found.ratings[row, known], found.signal[known], math.inf)
    _legend(figure, axes, len(found.readers), "Area")
    return figure


def _legend(figure: Figure, axes: Axes, readers: int, title: str) -> None:
    if readers <= 3:
        axes.legend(loc="lower right", title=title, handlelength=2.6)
    else:
        axes.legend(
            loc="center left", bbox_to_anchor=(1.02, 0.5), title=title, handlelength=2.6, ncols=1 + readers // 16
        )


def _answers(readings: ItemReadings) -> Figure:
    figure = Figure(figsize=(6.4, 2.9))
    axes = figure.add_subplot()
    ratings = np.arange(1, readings.categories + 1)
    for side, (name, chosen), colour, hatch in zip(
        (-0.2, 0.2), truths_of(readings), (BLUE, ORANGE), ("", "///"), strict=True
    ):
        given = readings.raw[:, chosen]
        counts = np.array([(given == rating).sum() for rating in ratings])
        share = 100 * counts / max(counts.sum(), 1)
        bars = axes.bar(ratings + side, share, 0.38, color=colour, hatch=hatch, edgecolor="white", lw=0, label=name)
        axes.bar_label(bars, [str(count) for count in counts], fontsize=8, padding=1, color="#444444")
    last = "surely a lesion" if readings.item.kind == "lesion" else "surely synthetic"
    first = "surely none" if readings.item.kind == "lesion" else "surely real"
    names = [str(rating) for rating in ratings]
    names[0], names[-1] = f"1\n{first}", f"{ratings[-1]}\n{last}"
    axes.set_xticks(ratings, names)
    axes.set(ylabel="Share of the class, %", xlabel="Rating (number of answers above the bars)")
    axes.legend(title="Truth", ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _times(readings: ItemReadings) -> Figure:
    rows = len(readings.readers)
    figure = Figure(figsize=(6.4, 1.2 + 0.5 * rows))
    axes = figure.add_subplot()
    parts = (("wrong", 0, ORANGE, "s", -0.17), ("right", 1, BLUE, "o", 0.17))
    for row in range(rows):
        base = rows - 1 - row
        for name, value, colour, marker, shift in parts:
            times = readings.response_s[row, (readings.correct[row] == value) & ~readings.timed_out[row]]
            if not len(times):
                continue
            # Dots of equal times lie beside one another, not on one another: a fixed pattern, no chance.
            spread = 0.09 * np.sin(2.4 * np.arange(len(times)))
            axes.plot(times, base + shift + spread, marker, ms=3, color=colour, alpha=0.35, mew=0, zorder=2)
            low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
            axes.plot([low, high], [base + shift] * 2, color=colour, lw=3, solid_capstyle="butt", zorder=3)
            label = f"answered {name}ly" if row == 0 else None
            axes.plot(middle, base + shift, marker, ms=7, mfc="white", mec=colour, mew=1.8, zorder=4, label=label)
    axes.set_xscale("log")
    ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if _within(t, readings.response_s)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(rows), list(reversed(readings.readers)))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel="Response time, s (logarithmic)", ylim=(-0.6, rows - 0.4))
    axes.grid(axis="x", color="#E6E6E6", lw=0.7)
    axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _within(tick: float, times: np.ndarray) -> bool:
    return bool(np.nanmin(times) / 1.6 <= tick <= np.nanmax(times) * 1.6)
