"""`jsddpm simulate-fcd`: copies of lesion-free scans with a painted cortical dysplasia."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from jsddpm_core.commands import options
from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.errors import CaseError


def simulate_fcd(
    cases: Annotated[Path, typer.Argument(help="Folder of cases, BIDS-like or flat.")],
    out: Annotated[Path, typer.Option("--out", help="The new folder of simulated copies.")],
    count: Annotated[int, typer.Option("--count", min=1, max=999, help="Copies of each case.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of sites, and of what is not given here.")] = 0,
    conspicuity: Annotated[
        float | None, typer.Option("--conspicuity", min=0.01, max=1, help="How plain the lesions are, to 1.")
    ] = None,
    radius: Annotated[
        float | None, typer.Option("--radius-mm", min=3, max=30, help="Along the cortex, to half of the effect.")
    ] = None,
    thickening: Annotated[
        float | None, typer.Option("--thickening-mm", min=0, max=5, help="By which the cortex grows.")
    ] = None,
    contrast: Annotated[
        float | None,
        typer.Option("--contrast", min=0, max=1, help="Of the subcortical zone, as a share of white matter's level."),
    ] = None,
    tail: Annotated[
        bool | None, typer.Option("--tail/--no-tail", help="Narrowing toward the ventricle; drawn by default.")
    ] = None,
    side: Annotated[Literal["left", "right"] | None, typer.Option("--side", help="Of the patient.")] = None,
    site: Annotated[
        tuple[float, float, float] | None,
        typer.Option("--site", help="X Y Z in RAS millimetres of each image; the nearest cortex is taken."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also cases that are not known to be free of lesions.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Paints a SIMULATED cortical dysplasia into copies of scans, with its exact mask; for tests and training only."""
    report = Reporter(as_json)
    if not cases.is_dir():
        raise CaseError(f"{cases} is not a folder", "give a folder of cases")

    if site is not None and not all(map(math.isfinite, site)):
        raise CaseError(f"--site {' '.join(map(str, site))} is no place", "give RAS millimetres of the image")

    from jsddpm_core.data.fcd_simulation import NOTICE
    from jsddpm_core.data.simulate_cases import SimulationRequest, simulate_cases

    request = SimulationRequest(
        count=count, seed=seed, conspicuity=conspicuity, radius_mm=radius, thickening_mm=thickening,
        contrast=contrast, tail=tail, side=side, site=site, every=every,
    )  # fmt: skip
    with report.progress():
        outcomes = simulate_cases(cases, out, request, report.on_progress)
    rows: list[list[Any]] = []
    for outcome in outcomes:
        if outcome.reason is not None:
            report.event("left_out", case=outcome.case, reason=outcome.reason)
            rows.append([outcome.case, None, None, None, outcome.reason])
        for copy in outcome.copies:
            report.event(
                "copy", case=outcome.case, number=copy.number, image=copy.image, site_mm=copy.site_mm,
                lesion_mm=copy.lesion_mm, contrast=copy.contrast, tail=copy.tail, simulated=True,
            )  # fmt: skip
            place = " ".join(f"{value:.0f}" for value in copy.site_mm)
            seen = None if copy.contrast is None else f"{copy.contrast:.0%}"
            rows.append([outcome.case, copy.number, place, seen, "tail" if copy.tail else ""])
    report.table("Simulated copies", ["case", "copy", "site (RAS mm)", "contrast", "tail, or why not"], rows)
    copies = sum(len(outcome.copies) for outcome in outcomes)
    left_out = sum(outcome.reason is not None for outcome in outcomes)
    report.line(f"{copies} simulated copies in {out}, {left_out} cases left out. {NOTICE}.")
    report.event("done", folder=str(out), copies=copies, left_out=left_out, simulated=True, notice=NOTICE)
