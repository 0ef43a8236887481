"""`jsddpm register`: a patient's image brought to the template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jsddpm_core.commands import options
from jsddpm_core.commands.reporting import Reporter


def register(
    image: Annotated[Path, typer.Argument(help="NIfTI or NRRD file of a whole head.")],
    out: options.Out,
    as_json: options.AsJson = False,
) -> None:
    """Finds the transform from a patient's image to the template, and writes the image on the template's grid."""
    report = Reporter(as_json)

    from jsddpm_core.data.align import RESAMPLED, align_to_template
    from jsddpm_core.files import whole_folder

    with whole_folder(out) as partial:
        # No progress is asked for: SimpleITK would swallow a Ctrl-C that falls into a listener.
        found = align_to_template(image, partial)
    report.line(f"{image} was aligned ({found.how}, similarity {found.similarity:.2f}); see {out / RESAMPLED}.")
    report.event(
        "done", folder=str(out), matrix=found.matrix.tolist(), similarity=found.similarity, resampled=RESAMPLED,
        stage=found.how,
    )  # fmt: skip
