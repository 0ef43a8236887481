"""Run folders: what lies where, how far a run is, and its curves; light enough for an interface to import."""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field, ValidationError

from jsddpm_core.errors import OutputError, RequestError, TrainingError
from jsddpm_core.files import is_disk_full, output_error, write_file
from jsddpm_core.strict import Strict
from jsddpm_core.training.request import FineTuneRequest, parse_fine_tune_request

REQUEST, STATE, REPORT = "request.json", "state.json", "report.json"
PREPARED, TRAINED = "prepared.json", "trained.json"
CACHE, CHECKPOINTS, LOGS, PREVIEWS, LOCAL, BUNDLE = "cache", "checkpoints", "logs", "previews", "local", "bundle"

StateName: TypeAlias = Literal["preparing", "training", "finishing", "stopped", "finished", "failed"]
AT_WORK: Final = ("preparing", "training", "finishing")

STATE_BYTES = 4000
"""That a state is filled up to, so that a failure can be noted in its place when the disk is full."""

SILENT_S = 900.0
"""After which a run on another machine counts as gone."""


class RunState(Strict):
    """How far a run is, as its folder says.

    Attributes:
        state: what it does or how it ended.
        pid: the process that works on it, or did.
        host: the machine that it runs on.
        step: optimiser steps done.
        steps: planned; 0 before that is known.
        reason: why it failed, in a sentence.
        updated: when this was written.
        title: of the bundle that it makes.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    state: StateName
    pid: int = Field(ge=0)
    host: str = ""
    step: int = Field(0, ge=0)
    steps: int = Field(0, ge=0)
    reason: str = ""
    updated: str
    title: str = ""


@dataclass(frozen=True)
class RunSummary:
    """A run as a list shows it.

    Attributes:
        folder: of the run.
        title: of the bundle that it makes.
        state: as its folder says, or `interrupted` where the process that worked on it has gone.
        step: optimiser steps done.
        steps: planned; 0 before that is known.
        reason: why it failed, in a sentence.
        updated: when that was written, ISO 8601 in UTC.
        resumable: whether it can go on.
        bundle: the finished bundle's folder, where there is one.
    """

    folder: Path
    title: str
    state: StateName | Literal["interrupted"]
    step: int
    steps: int
    reason: str
    updated: str
    resumable: bool
    bundle: Path | None


def write_state(
    run: Path, state: StateName, *, step: int = 0, steps: int = 0, reason: str = "", title: str = ""
) -> None:
    """Says how far a run is; whole or as it was before.

    Raises:
        OutputError: if it could not be written.
    """
    said = RunState(
        schema=1,
        state=state,
        pid=os.getpid(),
        host=platform.node(),
        step=step,
        steps=steps,
        reason=reason,
        updated=datetime.now(UTC).isoformat(timespec="seconds"),
        title=title,
    )
    content = said.model_dump_json(by_alias=True, indent=1).encode().ljust(STATE_BYTES) + b"\n"
    try:
        write_file(run / STATE, content)
    except OutputError as error:
        if state != "failed" or not is_disk_full(error):
            raise
        _write_over(run / STATE, content)


def _write_over(path: Path, content: bytes) -> None:
    """Writes into the place that a file has already, which needs no more of a full disk."""
    try:
        with path.open("r+b") as stream:
            stream.write(content)
            stream.truncate()
    except OSError as error:
        raise output_error(path, error) from error


def read_state(run: Path) -> RunState | None:
    """What a run folder says of itself; None where it says nothing that can be read."""
    try:
        return RunState.model_validate_json((run / STATE).read_bytes())
    except (OSError, ValidationError):
        return None


def read_run(run: Path) -> RunSummary | None:
    """The summary of a run's folder; None where it is none."""
    said = read_state(run)
    if said is None:
        return None
    gone = said.state in AT_WORK and not at_work(said)
    bundle = run / BUNDLE
    return RunSummary(
        folder=run,
        title=said.title,
        state="interrupted" if gone else said.state,
        step=said.step,
        steps=said.steps,
        reason=said.reason,
        updated=said.updated,
        resumable=(gone or said.state in ("stopped", "failed")) and (run / REQUEST).is_file(),
        bundle=bundle if bundle.is_dir() else None,
    )


def list_runs(folder: Path) -> list[RunSummary]:
    """The runs directly in a folder, the newest first."""
    if not folder.is_dir():
        return []
    found = [summary for path in folder.iterdir() if path.is_dir() and (summary := read_run(path)) is not None]
    return sorted(found, key=lambda summary: (summary.updated, summary.folder.name), reverse=True)


def read_run_request(run: Path) -> FineTuneRequest:
    """The request that a run was started with.

    Raises:
        TrainingError: if the folder holds none that can be used.
    """
    try:
        return parse_fine_tune_request((run / REQUEST).read_bytes())
    except OSError as error:
        raise TrainingError(f"{run} holds no run that could be resumed", "choose a run's folder") from error
    except RequestError as error:
        raise TrainingError(f"{run / REQUEST} cannot be used, {error.message}", "start a new run") from error


def read_curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What a run has logged, by name: (optimiser steps done, value), over all its starts.

    A later start goes on from a checkpoint: it replaces what an earlier one logged after that step.
    """
    curves: dict[str, dict[int, float]] = {}
    tables = sorted((run / LOGS).glob("from-step-*/metrics.csv"))
    for table in tables:
        try:
            first = int(table.parent.name.removeprefix("from-step-"))
            with table.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
        except (OSError, ValueError, UnicodeDecodeError):
            continue
        for name, points in curves.items():
            curves[name] = {step: value for step, value in points.items() if step <= first}
        for row in rows:
            for name, text in row.items():
                if name in ("step", "epoch", None) or not text:
                    continue
                with suppress(ValueError, TypeError):  # the last line of a killed process may be cut off
                    value = float(text)
                    if math.isfinite(value):
                        curves.setdefault(name, {})[int(row["step"]) + 1] = value
    return {name: sorted(points.items()) for name, points in sorted(curves.items())}


def note(run: Path, name: str, **values: Any) -> None:
    """Notes that a stage of a run is complete.

    Args:
        run: its folder.
        name: of the note.
        **values: what tells whether the stage would come out the same today.

    Raises:
        OutputError: if it could not be written.
    """
    write_file(run / name, json.dumps(values).encode())


def noted(run: Path, name: str) -> dict[str, Any] | None:
    """What was noted of a stage; None where it is not complete."""
    try:
        said = json.loads((run / name).read_bytes())
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def at_work(said: RunState) -> bool:
    """Whether a process works on a run of this state."""
    if said.state not in AT_WORK:
        return False
    if said.host in ("", platform.node()):
        return process_lives(said.pid)
    with suppress(ValueError):
        return (datetime.now(UTC) - datetime.fromisoformat(said.updated)).total_seconds() < SILENT_S
    return False


def process_lives(pid: int) -> bool:
    """Whether a process of that number is there."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _lives_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError, IndexError):  # one that has ended and that nobody has asked after still has its number
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True


def _lives_on_windows(pid: int) -> bool:
    import ctypes

    query, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(query, False, pid)
    if not handle:
        return False
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return bool(known) and code.value == still_active
