"""A slot's response log: JSON lines, each chained to the one before by its hash, and only ever appended to.

A line is `{"body": {...}, "hash": "..."}`; its hash is SHA-256 over the former line's hash and the body's canonical
JSON, and the former hash of the first line is the manifest's digest. So no line can be changed, moved or taken out of
the middle unseen; that the tail is gone shows only against a receipt (`receipt.py`), and somebody who can write both
the log and the receipt can forge them.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from jsddpm_core.errors import StudyError
from jsddpm_core.files import output_error
from jsddpm_core.reading_study.manifest import RESPONSES, CaseName, Digest, Name, canonical
from jsddpm_core.strict import Strict

LARGEST: Final = 100_000_000
"""Bytes of a log."""

Millimetres = tuple[float, float, float]


class Start(Strict):
    """Who reads a slot. `at` is ISO 8601 with its offset, here and below."""

    kind: Literal["start"] = "start"
    schema_version: Literal[1] = Field(1, alias="schema")
    study: str
    digest: Digest
    slot: int
    reader: str = Field(min_length=1, max_length=200)
    experience: str = Field("", max_length=200)
    years: float | None = Field(None, ge=0, le=100)
    at: datetime


class Resume(Strict):
    """The slot was opened again; `clock_behind_s` says by how much the clock had gone back since the line before."""

    kind: Literal["resume"] = "resume"
    at: datetime
    clock_behind_s: float | None = None


class Answer(Strict):
    """What was said to an item; None where no answer came in time. `mark_mm` is RAS in the picture's own affine."""

    item: Name
    value: int | None
    mark_mm: Millimetres | None = None


class ViewState(Strict):
    """What the reader made of the view.

    Attributes:
        window: and `level`, in the images' own units, at the confirmation.
        zoom: 1 shows the whole picture.
        pan: millimetres by which the view's middle lies right of and above the picture's.
        scrolls: how often the slice was changed.
        changes: how often window, level, zoom or pan were, a drag of the mouse being one.
    """

    window: float
    level: float
    zoom: float
    pan: tuple[float, float]
    scrolls: int = Field(ge=0)
    changes: int = Field(ge=0)


class Reading(Strict):
    """A case that was read.

    Attributes:
        index: from 0, in the list of training cases or in the slot's order.
        response_s: seconds from the first full render to the confirmation.
        timed_out: whether time ran out; unanswered items have no value then.
        undone: answers that were taken back before the confirmation.
    """

    kind: Literal["reading"] = "reading"
    part: Literal["training", "cases"]
    index: int = Field(ge=0)
    case: CaseName
    answers: tuple[Answer, ...]
    response_s: float = Field(ge=0)
    timed_out: bool = False
    undone: int = Field(0, ge=0)
    view: ViewState
    at: datetime

    @model_validator(mode="after")
    def _value_or_time_out(self) -> Self:
        if not self.timed_out and any(answer.value is None for answer in self.answers):
            raise ValueError("an item has no answer although there was time")
        return self


class Break(Strict):
    """A break after the case that counts of an index."""

    kind: Literal["break"] = "break"
    after: int = Field(ge=0)
    seconds: float = Field(ge=0)
    at: datetime


class End(Strict):
    """Every case has been read."""

    kind: Literal["end"] = "end"
    at: datetime


Body = Annotated[Start | Resume | Reading | Break | End, Field(discriminator="kind")]
_BODY: Final[TypeAdapter[Any]] = TypeAdapter(Body)


def log_file(folder: Path, slot: int) -> Path:
    """Where a slot's responses lie."""
    return folder / RESPONSES / f"slot-{slot:02d}.jsonl"


def chained(previous: str, body: dict[str, Any]) -> str:
    """The hash of a line, as 64 hex digits."""
    return hashlib.sha256(previous.encode("ascii") + canonical(body)).hexdigest()


@dataclass(frozen=True)
class Chain:
    """What a log holds as far as it is intact.

    Attributes:
        bodies: of the intact lines.
        hashes: of the same.
        size: bytes of the same.
        unended: whether the last of them lacks nothing but the end of the line.
        torn: what follows them and was never written to its end; empty where nothing does.
        broken: what is wrong with the first line that is not intact, naming it; empty where all are.
    """

    bodies: tuple[Any, ...]
    hashes: tuple[str, ...]
    size: int
    unended: bool = False
    torn: bytes = b""
    broken: str = ""


def read_chain(file: Path, digest: str) -> Chain:
    """The intact lines of a log.

    Args:
        file: the log.
        digest: of the manifest, where the chain begins.

    Raises:
        StudyError: if it cannot be read.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise StudyError(f"{file} is larger than any log of responses", "copy the study again")
        content = file.read_bytes()
    except OSError as error:
        raise StudyError(f"{file} could not be read ({error.strerror or error})", "copy the study again") from None
    bodies: list[Any] = []
    hashes: list[str] = []
    size, previous = 0, digest
    *lines, rest = content.split(b"\n")
    for number, line in enumerate([*lines, *([rest] if rest else [])], start=1):
        last = number > len(lines) or (number == len(lines) and not rest)
        try:
            body, own = _parsed(line)
        except ValueError:
            if last and (number > len(lines) or b"\0" in line):
                return Chain(tuple(bodies), tuple(hashes), size, torn=content[size:])
            return Chain(tuple(bodies), tuple(hashes), size, broken=f"line {number} of {file} is no response")
        if own != chained(previous, body):
            said = f"line {number} of {file} was changed, or a line before it was taken out"
            return Chain(tuple(bodies), tuple(hashes), size, broken=said)
        try:
            bodies.append(_BODY.validate_python(body))
        except ValidationError:
            return Chain(tuple(bodies), tuple(hashes), size, broken=f"line {number} of {file} is no response")
        hashes.append(own)
        size += len(line) + (number <= len(lines))
        previous = own
    return Chain(tuple(bodies), tuple(hashes), size, unended=bool(rest))


def _parsed(line: bytes) -> tuple[dict[str, Any], str]:
    """Raises ValueError if a line is no object of a body and a hash."""
    try:
        tree = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(tree, dict) or set(tree) != {"body", "hash"} or not isinstance(tree["body"], dict):
        raise ValueError("no body and hash")
    canonical(tree["body"])  # refuses what JSON cannot say
    return tree["body"], str(tree["hash"])


class LogWriter:
    """Appends to one log; a line is on the disk, or it is not there at all, when `append` returns or raises.

    Args:
        file: the log.
        head: hash of its last line, or the manifest's digest for a log that is not there yet.
        size: bytes of its intact lines.
    """

    def __init__(self, file: Path, head: str, size: int) -> None:
        self.file, self.head, self.size = file, head, size
        self._failed = False

    def append(self, body: Strict) -> str:
        """Writes one line and makes it durable.

        Returns:
            Its hash.

        Raises:
            StudyError: if it cannot be written, or another program has written to the log meanwhile.
        """
        tree = body.model_dump(mode="json", by_alias=True)
        head = chained(self.head, tree)
        line = canonical({"body": tree, "hash": head}) + b"\n"
        new = self.size == 0 and not self.file.exists()
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | (os.O_CREAT | os.O_EXCL if new else 0)
        try:
            handle = os.open(self.file, flags, 0o644)
        except OSError as error:
            raise _not_written(self.file, error) from error
        try:
            self._own(handle)
            _write(handle, line)
            os.fsync(handle)
        except OSError as error:
            self._failed = True
            with suppress(OSError):
                os.ftruncate(handle, self.size)
                self._failed = False
            raise _not_written(self.file, error) from error
        finally:
            with suppress(OSError):
                os.close(handle)
        if new:
            sync_folder(self.file.parent)
        self.head, self.size = head, self.size + len(line)
        return head

    def _own(self, handle: int) -> None:
        """Refuses a log that is no longer as this writer left it; what its own failed write left goes.

        Raises:
            StudyError: if another program has written to it, or taken something away.
            OSError: if it cannot be looked at.
        """
        size = os.fstat(handle).st_size
        if size > self.size and self._failed:
            os.ftruncate(handle, self.size)
        elif size != self.size:
            raise StudyError(
                f"{self.file} was changed by another program", "close what else reads this slot, and open it again"
            )
        self._failed = False


def _write(handle: int, line: bytes) -> None:
    while line:
        line = line[os.write(handle, line) :]


def _not_written(file: Path, error: OSError) -> StudyError:
    said = output_error(file, error)
    return StudyError(f"the answer is not saved: {said.message}", f"{said.remedy}, then confirm again")


def cut_torn(file: Path, chain: Chain) -> Path:
    """Takes off what a killed process left of a line, and keeps it beside the log.

    Returns:
        The file that holds it.

    Raises:
        StudyError: if the folder cannot be written to; the log is then as it was.
    """
    aside = file
    for number in range(1, 1000):
        aside = file.with_name(f"{file.stem}.torn-{number}")
        if not aside.exists():
            break
    try:
        with aside.open("xb") as stream:
            stream.write(chain.torn)
            stream.flush()
            os.fsync(stream.fileno())
        with file.open("r+b") as stream:
            stream.truncate(chain.size)
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(file.parent)
    except OSError as error:
        said = output_error(file, error)
        raise StudyError(said.message, said.remedy) from error
    return aside


def end_line(file: Path, chain: Chain) -> int:
    """Ends a last line of which only the end is missing.

    Returns:
        The bytes of the log.

    Raises:
        StudyError: if the folder cannot be written to.
    """
    try:
        with file.open("ab") as stream:
            stream.write(b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        said = output_error(file, error)
        raise StudyError(said.message, said.remedy) from error
    return chain.size + 1


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
