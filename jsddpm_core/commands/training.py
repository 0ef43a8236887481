"""`jsddpm prepare`, `jsddpm train` and `jsddpm export`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from jsddpm_core.commands import options
from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.errors import CaseError, TrainingError
from jsddpm_core.machine import first_of_many
from jsddpm_core.progress import Progress

Cache = Annotated[Path, typer.Option("--cache", help="Slice cache made by jsddpm prepare.")]


def prepare(
    cases: Annotated[list[Path], typer.Argument(help="Folders of cases, BIDS-like or flat.")],
    out: Annotated[Path, typer.Option("--out", help="The slice cache.")],
    pathology: Annotated[
        list[str] | None, typer.Option("--pathology", help="What a folder's lesions are; once for each folder.")
    ] = None,
    config: Annotated[str, typer.Option("--config", help="Configuration file, or a shipped one's name.")] = "fast",
    override: options.Set = None,
    split: Annotated[
        Path | None, typer.Option("--split", help="Table of subject and split: train, validation, test or out.")
    ] = None,
    template: Annotated[Path | None, typer.Option("--template", help="What native scans are aligned to.")] = None,
    simulate_fcd: Annotated[
        float,
        typer.Option(
            "--simulate-fcd",
            min=0,
            max=1,
            help="Chance of a lesion-free slice to be copied with a painted cortical dysplasia, labelled simulated.",
        ),
    ] = 0.0,
    as_json: options.AsJson = False,
) -> None:
    """Brings scans to the model's grid and collects their slices; lists the cases used, left out and why."""
    report = Reporter(as_json)
    for folder in cases:
        if not folder.is_dir():
            raise CaseError(f"{folder} is not a folder", "give a folder of cases")

    from jsddpm_core.config_file import load_config
    from jsddpm_core.data.prepare import prepare as prepare_cases

    with report.progress():
        result = prepare_cases(
            cases,
            load_config(config, tuple(override or ())),
            out,
            pathology or None,
            lambda done, total, _case: report.on_progress(Progress("preparing", done, total)),
            split_file=split,
            template_file=template,
            simulate_fcd=simulate_fcd,
        )
    rows = []
    for outcome in result.outcomes:
        report.event(
            "case", case=outcome.case, used=outcome.used, split=outcome.split, slices=outcome.slices,
            lesional=outcome.lesional, mask_known=outcome.mask_known, aligned=outcome.aligned, reason=outcome.reason,
        )  # fmt: skip
        rows.append([
            outcome.case, outcome.split if outcome.used else "left out", outcome.slices, outcome.lesional,
            outcome.mask_known, outcome.reason or outcome.aligned,
        ])  # fmt: skip
    # What was left out is read; what was used is counted, and listed where there are few.
    few = len(rows) <= 60
    shown = [row for row, outcome in zip(rows, result.outcomes, strict=True) if few or not outcome.used]
    report.table("Cases", ["case", "split", "slices", "lesional", "mask", "how, or why not"], shown)
    report.line(
        f"{len(result.used)} cases used, {len(result.left_out)} left out; {len(result.cache)} slices in {out}"
        + ("" if result.rebuilt else " (made of the same things already)")
    )
    report.event(
        "done", cache=str(out), used=len(result.used), left_out=len(result.left_out), slices=len(result.cache),
        rebuilt=result.rebuilt,
    )  # fmt: skip


def train(
    config: Annotated[str, typer.Argument(help="Configuration file, or a shipped one's name: fast, paper, ...")],
    cache: Cache,
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last complete checkpoint.")] = False,
    start: Annotated[
        str | None,
        typer.Option(
            "--start", help="Bundle, by name or folder, whose weights the run begins with; fresh ones by default."
        ),
    ] = None,
    override: options.Set = None,
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], typer.Option("--accelerator")] = "auto",
    devices: Annotated[str, typer.Option("--devices", help="Devices of this node, or auto.")] = "1",
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes of a cluster.")] = 1,
    as_json: options.AsJson = False,
) -> None:
    """Trains a model; stop it at any time and go on with --resume."""
    # Of many processes (torchrun, SLURM, Lightning's own), the first speaks for all.
    report = Reporter(as_json, silent=not first_of_many())

    from jsddpm_core.bundle import find_bundle, read_bundle
    from jsddpm_core.config_file import load_config

    settings = load_config(config, tuple(override or ()))
    chosen = chosen_devices(devices)
    opened, priors = _cache_and_priors(cache, settings)
    require_accelerator(accelerator)
    bundle = None if start is None else read_bundle(find_bundle(start))
    try:
        from jsddpm_core.training.fit import fit
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"package '{error.name}' is missing", "install jsddpm_core with its extra: train"
        ) from error

    with report.progress(), interruptible():
        result = fit(
            settings,
            opened,
            out,
            resume=resume,
            start=bundle,
            accelerator=accelerator,
            devices=chosen,
            nodes=nodes,
            priors=priors,
            on_event=report.on_training,
        )
    report.table(
        f"Training run in {out}",
        ["steps", "finished", "last checkpoint", "best checkpoint"],
        [[result.steps, result.finished, str(result.last), None if result.best is None else str(result.best)]],
    )
    report.event(
        "done", steps=result.steps, finished=result.finished, last=str(result.last),
        best=None if result.best is None else str(result.best),
    )  # fmt: skip


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of a run, such as RUN/checkpoints/last.ckpt.")],
    cache: Cache,
    out: Annotated[Path, typer.Option("--out", help="The bundle's folder.")],
    data: Annotated[list[Path], typer.Option("--data", help="Data set behind the cache; once for each.")],
    title: Annotated[str, typer.Option("--title", help="Of the model card.")],
    licence: Annotated[str, typer.Option("--licence", help="Of the weights.")],
    name: Annotated[str | None, typer.Option("--name", help="Of the bundle; default: its folder's name.")] = None,
    limit: Annotated[list[str] | None, typer.Option("--limit", help="What the model cannot do; repeatable.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Makes a bundle from a training run's averaged weights."""
    report = Reporter(as_json)

    from jsddpm_core.config_tree import parse_config
    from jsddpm_core.manifest import Licence
    from jsddpm_core.training.checkpoint import read_checkpoint
    from jsddpm_core.training.export import export_run, source_of

    terms = Licence(weights=licence, sources=tuple(source_of(folder) for folder in data))
    record = read_checkpoint(checkpoint).get("jsddpm") or {}
    opened, priors = _cache_and_priors(cache, parse_config(record.get("config", {}), str(checkpoint)))
    bundle = export_run(
        checkpoint,
        opened,
        out,
        name or out.name,
        title=title,
        licence=terms,
        limits=tuple(limit or ()),
        priors=priors,
        overwrite=overwrite,
    )
    report.line(f"The bundle '{bundle.manifest.name}' is in {out}, digest {bundle.digest[:12]}.")
    report.event("done", folder=str(out), name=bundle.manifest.name, digest=bundle.digest)


def chosen_devices(asked: str) -> int | str:
    """The number of devices, or `auto`.

    Raises:
        TrainingError: if it is neither.
    """
    if asked == "auto":
        return asked
    if not asked.isdecimal() or int(asked) < 1:
        raise TrainingError(f"--devices {asked} cannot be used", "give a number from 1, or auto")
    return int(asked)


def require_accelerator(accelerator: str) -> None:
    """Makes sure that this machine has an accelerator, before anything is made.

    Raises:
        TrainingError: if it lacks it.
    """
    import torch

    there = {"gpu": torch.cuda.is_available() or torch.backends.mps.is_available()}
    there["mps"] = torch.backends.mps.is_available()
    if not there.get(accelerator, True):
        raise TrainingError(f"accelerator '{accelerator}' is not there on this machine", "choose auto or cpu")


@contextmanager
def interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C by an orderly end of the run and exit code 1; what it was remains an interruption."""
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from end
        raise


def _cache_and_priors(folder: Path, config):
    """The open cache, and the anatomical priors of its training cases where the configuration shows them."""
    from jsddpm_core.data.slices import SliceCache

    cache = SliceCache.open(folder)
    if config.conditioning.prior.kind == "none":
        return cache, None
    from jsddpm_core.data.priors import build_priors

    return cache, build_priors(cache, config)
