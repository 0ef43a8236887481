"""`jsddpm study`: studies planned, made, checked and analysed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jsddpm_core.commands import options, study_analysis, study_size
from jsddpm_core.commands.passphrase import PassphraseFile, passphrase_of
from jsddpm_core.commands.reporting import Reporter

FOUND = 2
"""Exit code of a check that found something wrong."""

app = typer.Typer(help="Blinded reading studies: planned, made, checked and analysed.", no_args_is_help=True)


@app.command("new")
def new(
    request: Annotated[Path, typer.Argument(help="Request as a YAML or JSON file.")],
    out: Annotated[Path, typer.Option("--out", help="The study's folder, which must not be there.")],
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="Where the key is kept plain, outside of the study, in place of a passphrase."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Makes a study: its pictures, its frozen manifest, the orders of its readers, and the locked answer key."""
    report = Reporter(as_json)

    from jsddpm_core.reading_study.design_file import read_design

    design = read_design(request)
    passphrase = None if key_file is not None else passphrase_of(passphrase_file, twice=True)

    from jsddpm_core.reading_study.make import make_study

    with report.progress():
        made = make_study(design, out, passphrase=passphrase, key_file=key_file, on_progress=report.on_progress)
    rows: list[list[Any]] = [
        [row.arm, row.pathology, row.cases, row.lesional, row.lowest_mm, row.mean_mm, row.highest_mm]
        for row in made.balance
    ]
    columns = ["arm", "pathology", "cases", "share with a lesion", "lowest z, mm", "mean z, mm", "highest z, mm"]
    report.table(f"The study in {made.folder}", columns, rows)
    report.line(f"Farthest synthetic case from the position of its real one: {made.farthest_mm:.4g} mm.")
    for note in made.notes:
        report.line(note)
        report.event("note", text=note)
    report.line(f"The key, which unblinds the study, is {made.key}.")
    report.event("done", **made.to_tree())


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="The study's folder.")],
    key: Annotated[Path | None, typer.Option("--key", help="Its answer key, for the limits of the orders.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: options.AsJson = False,
) -> int:
    """Says whether a study's folder is whole and as it was frozen, one line a finding."""
    report = Reporter(as_json)

    from jsddpm_core.reading_study.check import check_study
    from jsddpm_core.reading_study.key import is_encrypted

    passphrase = passphrase_of(passphrase_file) if key is not None and is_encrypted(key) else None
    findings = check_study(folder, key, passphrase)
    for finding in findings:
        report.line(f"{finding.level}: {finding.text}")
        report.event("finding", level=finding.level, text=finding.text)
    problems = sum(finding.level == "problem" for finding in findings)
    report.line(f"{problems} problems." if problems else "Nothing is wrong.")
    report.event("done", folder=str(folder), problems=problems)
    return FOUND if problems else 0


app.command("size")(study_size.size)
app.command("analyse")(study_analysis.analyse)
