"""Run folders: what lies where, how far a run is, and its curves; light enough for an interface to import."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import Field, ValidationError

from jsddpm_core.errors import RequestError, TrainingError
from jsddpm_core.files import write_file
from jsddpm_core.strict import Strict
from jsddpm_core.training.request import FineTuneRequest, parse_fine_tune_request

REQUEST, STATE, PREPARED, REPORT = "request.json", "state.json", "prepared.json", "report.json"
CACHE, CHECKPOINTS, LOGS, PREVIEWS, LOCAL, BUNDLE = "cache", "checkpoints", "logs", "previews", "local", "bundle"

StateName: TypeAlias = Literal["preparing", "training", "finishing", "stopped", "finished", "failed"]
AT_WORK: Final = ("preparing", "training", "finishing")


class RunState(Strict):
    """How far a run is, as its folder says.

    Attributes:
        state: what it does or how it ended.
        pid: the process that works on it, or did.
        step: optimiser steps done.
        steps: planned; 0 before that is known.
        reason: why it failed, in a sentence.
        updated: when this was written.
        title: of the bundle that it makes.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    state: StateName
    pid: int = Field(ge=0)
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
        step=step,
        steps=steps,
        reason=reason,
        updated=datetime.now(UTC).isoformat(timespec="seconds"),
        title=title,
    )
    write_file(run / STATE, said.model_dump_json(by_alias=True, indent=1).encode() + b"\n")


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
    gone = said.state in AT_WORK and not process_lives(said.pid)
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


def write_prepared(run: Path, digest: str, job: str) -> None:
    """Notes that the cache of a run is complete.

    Args:
        run: its folder.
        digest: of the cache.
        job: what the processes that work on it together know each other by.

    Raises:
        OutputError: if it could not be written.
    """
    write_file(run / PREPARED, json.dumps({"digest": digest, "job": job}).encode())


def read_prepared(run: Path) -> tuple[str, str] | None:
    """Digest of the complete cache, and the job that completed it; None before."""
    try:
        said = json.loads((run / PREPARED).read_bytes())
        return str(said["digest"]), str(said["job"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
