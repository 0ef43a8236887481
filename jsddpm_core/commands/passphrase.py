"""The passphrase of an answer key, as a user hands it over."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from jsddpm_core.errors import StudyError

PASSPHRASE_VARIABLE = "JSDDPM_STUDY_PASSPHRASE"

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help=f"File whose first line is the passphrase; {PASSPHRASE_VARIABLE} serves too, and a terminal is asked.",
    ),
]


def passphrase_of(file: Path | None, *, twice: bool = False) -> str:
    """From a file, the environment or the terminal; never from the command line, which other users of a machine see."""
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"{file} could not be read as text ({error})", "name the passphrase's file") from None
        return lines[0] if lines else ""
    said = os.environ.get(PASSPHRASE_VARIABLE)
    if said is not None:
        return said
    if not sys.stdin.isatty():
        raise StudyError(
            "the key's passphrase was not given", f"use --passphrase-file, {PASSPHRASE_VARIABLE}, or --key-file"
        )
    return str(typer.prompt("Passphrase of the key", hide_input=True, confirmation_prompt=twice))
