"""`jsddpm fine-tune`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from jsddpm_core.commands import options
from jsddpm_core.commands.reporting import Reporter
from jsddpm_core.commands.training import chosen_devices, interruptible, require_accelerator
from jsddpm_core.errors import TrainingError
from jsddpm_core.machine import first_of_many

STOPPED = 3
"""Exit code of a run that was asked to stop and can be resumed."""


def fine_tune(
    request: Annotated[Path, typer.Argument(help="Request as a YAML or JSON file.")],
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the folder ended.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say what it will take in time and memory here.")
    ] = False,
    accelerator: Annotated[
        Literal["auto", "cpu", "gpu", "mps"], typer.Option("--accelerator", help="Default: the request's device.")
    ] = "auto",
    devices: Annotated[str, typer.Option("--devices", help="Devices of this node, or auto.")] = "1",
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes of a cluster.")] = 1,
    as_json: options.AsJson = False,
) -> int:
    """Teaches a model one's own cases: from scans to a bundle, stopped with Ctrl-C and resumed at any time."""
    report = Reporter(as_json, silent=not first_of_many())

    from jsddpm_core.training.request_file import read_request

    asked = read_request(request)
    count = chosen_devices(devices)
    require_accelerator(accelerator)
    try:
        if estimate:
            from jsddpm_core.training.probe import probe

            found = probe(asked, out, accelerator=accelerator)
            for sentence in found.sentences():
                report.line(sentence)
            report.event("estimate", **found.to_tree())
            return 0
        from jsddpm_core.training.fine_tune import fine_tune as run_fine_tuning
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"package '{error.name}' is missing", "install jsddpm_core with its extras: train and evaluate"
        ) from error

    with report.progress(), interruptible(), _stopping() as stopping:
        result = run_fine_tuning(
            asked,
            out,
            resume=resume,
            devices=count,
            nodes=nodes,
            accelerator=accelerator,
            on_event=report.on_training,
            should_stop=stopping.is_set,
        )
    if not result.finished:
        report.event("stopped", folder=str(result.folder), steps=result.steps)
        report.line(f"The run in {result.folder} was stopped after {result.steps} steps; go on with --resume.")
        return STOPPED
    report.event(
        "done", folder=str(result.folder), bundle=str(result.bundle), steps=result.steps, report=str(result.report)
    )
    report.line(f"After {result.steps} steps, the new model is in {result.bundle}; its measures: {result.report}")
    return 0


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second does what it did before."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
