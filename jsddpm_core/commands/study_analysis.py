"""`jsddpm study analyse`: what the readers of a study achieved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jsddpm_core.commands import options
from jsddpm_core.commands.passphrase import PassphraseFile, passphrase_of
from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.errors import StudyError


def analyse(
    folder: Annotated[Path, typer.Argument(help="The study's folder.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="Its answer key; default: the encrypted one in the folder.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the results; default: FOLDER-analysis, beside the study.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Analyses a study as its frozen plan says: tables, figures, and one report."""
    report = Reporter(as_json)

    from jsddpm_core.reading_study.manifest import read_manifest

    manifest = read_manifest(folder)
    target = out.resolve() if out is not None else folder.resolve().with_name(f"{folder.resolve().name}-analysis")
    # A reader who has not finished must not come upon the truth.
    if target.resolve().is_relative_to(folder.resolve()):
        raise StudyError(f"{target} lies in the study's folder, which readers see", "choose a folder outside of it")

    from jsddpm_core.reading_study.key import ENCRYPTED_KEY, is_encrypted, read_key
    from jsddpm_core.reading_study.reader_log import read_log, stray_logs

    file = folder / ENCRYPTED_KEY if key is None else key
    answers = read_key(file, passphrase_of(passphrase_file) if is_encrypted(file) else None)

    from jsddpm_core.reading_study.analysis import analyse_study
    from jsddpm_core.reading_study.picture_grids import picture_grids
    from jsddpm_core.reading_study.readings import reader_log
    from jsddpm_core.reading_study.report import write_report

    logs = [reader_log(read_log(folder, slot.number, manifest)) for slot in manifest.slots]
    for log in logs:
        for problem in log.problems:
            report.line(f"Slot {log.slot}: {problem}.")
            report.event("problem", slot=log.slot, text=problem)
        if log.readings and not log.complete:
            text = f"slot {log.slot} is not finished; what was read so far is analysed"
            report.line(f"{text[0].upper()}{text[1:]}.")
            report.event("note", text=text)
    if any(log.readings and not log.complete for log in logs):
        text = "The results say what every case is: keep them from readers who have not finished."
        report.line(text)
        report.event("note", text=text)
    for stray in stray_logs(folder, manifest):
        text = f"{stray} is of no slot of this study and was left aside: look whether it holds more than the slot's own"
        report.line(f"{text}.")
        report.event("note", text=f"{text}.")
    analysis = analyse_study(manifest, answers, logs, picture_grids(folder, manifest))
    for note in analysis.notes:
        report.line(note)
        report.event("note", text=note)
    written = write_report(analysis, answers, target, overwrite=overwrite)
    conclusion = analysis.conclusion
    if conclusion is not None:
        report.table(
            "Tests of the plan's family",
            ["test", "estimate", "low", "high", "p, corrected", "rejects"],
            [[t.name, (e := t.estimate).value, e.low, e.high, t.adjusted, t.rejects] for t in conclusion.tests],
        )
    report.line(written.sentence)
    report.line(f"The report is {written.report}.")
    report.event(
        "done",
        folder=str(written.folder),
        report=str(written.report),
        verdict=written.sentence,
        tables=[str(path) for path in written.tables],
        figures=[str(path) for path in written.figures],
    )
