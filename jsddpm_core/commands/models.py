"""`jsddpm models`, `check-bundle` and `import-bundle`: which models there are, whether one is sound, and new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jsddpm_core.bundle import SHIPPED, Bundle, check_bundle, list_bundles
from jsddpm_core.bundle_import import import_bundle
from jsddpm_core.commands.options import AsJson
from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.errors import BundleError
from jsddpm_core.progress import Progress


def models(
    folder: Annotated[Path, typer.Argument(help="Folder of bundles.")] = SHIPPED,
    as_json: AsJson = False,
) -> None:
    """Lists the models in a folder, with what can be asked of each."""
    report = Reporter(as_json)
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder", "give a folder that holds bundles")
    rows = []
    for found in list_bundles(folder):
        if isinstance(found, Bundle):
            manifest = found.manifest
            asked = {entry.name: list(entry.position_range_mm) for entry in manifest.pathologies}
            size = sum((found.folder / part.file).stat().st_size for part in manifest.components.values())
            report.event(
                "model", name=manifest.name, title=manifest.title, folder=str(found.folder), digest=found.digest,
                system=manifest.system, pathologies=asked, bytes=size,
            )  # fmt: skip
            said = "\n".join(f"{name}  {low:g} to {high:g} mm" for name, (low, high) in asked.items())
            rows.append([manifest.name, said, round(size / 1e6, 1), found.digest[:12], str(found.folder)])
        else:
            report.event("broken", message=found.message, remedy=found.remedy)
            rows.append(["(broken)", found.message, "-", "-", "-"])
    report.table("Models", ["name", "pathologies and positions", "MB", "digest", "folder"], rows)
    if not rows:
        report.line(f"There is no model in {folder}.")


def check(
    folder: Annotated[Path, typer.Argument(help="The bundle.")],
    as_json: AsJson = False,
) -> None:
    """Checks a bundle: its manifest, every tensor, its weights' digests, and that they fit the network."""
    report = Reporter(as_json)
    problems = check_bundle(folder)
    if not problems:
        problems = _does_not_fit(folder)
    for problem in problems:
        report.event("problem", message=problem)
    if problems:
        more = "" if len(problems) == 1 else f" (and {len(problems) - 1} more)"
        for problem in problems[1:]:
            report.line(f"also: {problem}")
        raise BundleError(f"{problems[0]}{more}", "get the bundle again")
    report.event("sound", folder=str(folder))
    report.line(f"{folder} is sound.")


def import_model(
    source: Annotated[Path, typer.Argument(help="Folder or zip file of a bundle.")],
    out: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    as_json: AsJson = False,
) -> None:
    """Copies a bundle from elsewhere, if it is sound."""
    report = Reporter(as_json)
    if not source.exists():
        raise BundleError(f"{source} is not there", "give the folder or the zip file of a bundle")
    with report.progress():
        bundle = import_bundle(source, out, lambda done, total: report.on_progress(Progress("copying", done, total)))
    report.event("done", folder=str(out), name=bundle.manifest.name, digest=bundle.digest)
    report.line(f"The bundle '{bundle.manifest.name}' is in {out}.")


def _does_not_fit(folder: Path) -> list[str]:
    from jsddpm_core.bundle import read_bundle
    from jsddpm_core.networks.from_bundle import load_denoiser_network

    try:
        load_denoiser_network(read_bundle(folder))
    except BundleError as error:
        return [error.message]
    return []
