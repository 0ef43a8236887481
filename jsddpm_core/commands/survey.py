"""`jsddpm survey`: what a folder of cases holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jsddpm_core.commands import options
from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.errors import CaseError, OutputError, RequestError

MOST_LISTED = 60


def survey(
    cases: Annotated[Path, typer.Argument(help="Folder of cases, BIDS-like or flat.")],
    gallery: Annotated[
        Path | None, typer.Option("--gallery", help="PNG file: the slices as the network will see them.")
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option("--request", help="YAML file to write: a request for jsddpm fine-tune."),
    ] = None,
    pathology: Annotated[
        str | None, typer.Option("--pathology", help="In the request: what the lesions of the masks are.")
    ] = None,
    start: Annotated[
        str, typer.Option("--start", help="In the request: name or folder of the model to begin with.")
    ] = "demo",
    config: Annotated[
        str, typer.Option("--config", help="Whose grid the gallery shows: configuration file, or a shipped one's name.")
    ] = "fast",
    override: options.Set = None,
    as_json: options.AsJson = False,
) -> None:
    """Lists the cases of a folder with lesion volume, grid and every problem in words; changes nothing in it."""
    report = Reporter(as_json)
    if not cases.is_dir():
        raise CaseError(f"{cases} is not a folder", "give a folder of cases")
    if gallery is not None and gallery.suffix.lower() != ".png":
        raise OutputError(f"{gallery} is no PNG file", "give a name that ends with .png")

    if request is not None and request.exists():
        raise RequestError(f"{request} is there already", "choose another name or remove it")

    from jsddpm_core.bundle import find_bundle
    from jsddpm_core.config_file import load_config
    from jsddpm_core.data.survey import survey as look_at

    # What is wrong with the options is said before the cases are read, which may take long.
    settings = load_config(config, tuple(override or ()))
    if request is not None:
        find_bundle(start)
    with report.progress():
        rows = look_at(cases, report.on_progress)
    for row in rows:
        report.event("case", **row.to_tree())
    # Of many, those are listed that want to be looked at.
    shown = [row for row in rows if len(rows) <= MOST_LISTED or row.problems]
    report.table(
        "Cases",
        ["case", "mask", "lesions, ml", "spacing, mm", "axes", "pathology"],
        [
            [
                row.entry.name,
                row.entry.mask is not None,
                None if row.lesion_ml is None else round(row.lesion_ml, 2),
                "-" if row.spacing is None else " x ".join(f"{length:.3g}" for length in row.spacing),
                row.orientation,
                "none" if row.entry.lesion_free else row.entry.pathology,
            ]
            for row in shown
        ],
    )
    for row in rows:
        if row.problems:
            report.line(f"{row.entry.name}{'' if row.usable else ' (not usable)'}: {'; '.join(row.problems)}.")
    usable = [row.entry for row in rows if row.usable]
    told = sum(bool(row.problems) for row in rows)
    report.line(f"{len(rows)} cases, {len(usable)} of them usable; {told} have something to look at.")
    pictures: list[str] = []
    if gallery is not None:
        from jsddpm_core.data.gallery import write_gallery

        with report.progress():
            made = write_gallery(
                usable, settings, gallery.parent, None, report.on_progress, picture=gallery.name, volumes=False
            )
        pictures = [str(gallery.parent / name) for name in made["pictures"]]
        report.line(f"The slices as the network will see them: {', '.join(pictures)}")
    if request is not None:
        from jsddpm_core.training.request_file import draft_request, write_request

        write_request(request, draft_request(usable, start, pathology))
        report.line(f"A request to go on from: {request}")
    written = None if request is None else str(request)
    report.event("done", cases=len(rows), usable=len(usable), pictures=pictures, request=written)
