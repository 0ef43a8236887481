"""What a slot's log says: who read, what was answered, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.answers import check_answers
from jsddpm_core.reading_study.manifest import RESPONSES, TRAINING_KEY, AnswerKey, StudyCase, StudyManifest
from jsddpm_core.reading_study.receipt import Receipt, held_against
from jsddpm_core.reading_study.responses import Chain, Reading, Start, log_file, read_chain


@dataclass(frozen=True)
class Place:
    """A case at its place in the slot.

    Attributes:
        part: training, or the cases that count.
        index: from 0, in that part.
        of: how many the part has.
        case: what is shown.
    """

    part: Literal["training", "cases"]
    index: int
    of: int
    case: StudyCase


@dataclass(frozen=True)
class ReaderLog:
    """What one reader said, for the analysis.

    Attributes:
        readings: in the order in which they were made; training first.
        complete: whether every case of the slot was read.
        problems: what is wrong with the log, one sentence each; the readings are those of its intact part.
    """

    slot: int
    reader: str
    experience: str
    years: float | None
    readings: tuple[Reading, ...]
    complete: bool
    problems: tuple[str, ...]


def places_of(manifest: StudyManifest, slot: int) -> tuple[Place, ...]:
    """Everything that the reader of a slot sees, in its order.

    Raises:
        StudyError: if there is no such slot.
    """
    if not 1 <= slot <= len(manifest.slots):
        raise StudyError(f"the study has no slot {slot}", f"choose one from 1 to {len(manifest.slots)}")
    order = manifest.slots[slot - 1].order
    training = [Place("training", i, len(manifest.training), case) for i, case in enumerate(manifest.training)]
    cases = {case.name: case for case in manifest.cases}  # thousands of cases and slots have to be there at once
    return (*training, *(Place("cases", i, len(order), cases[name]) for i, name in enumerate(order)))


def read_log(folder: Path, slot: int, manifest: StudyManifest) -> ReaderLog:
    """What a slot's log holds, as far as it is intact.

    Args:
        folder: of the study.
        slot: its number.
        manifest: of the study.

    Raises:
        StudyError: if there is no such slot, or its log cannot be read.
    """
    places = places_of(manifest, slot)
    file = log_file(folder, slot)
    if not file.exists():
        return ReaderLog(slot, "", "", None, (), False, ())
    chain = read_chain(file, manifest.digest)
    torn = f"the last line of {file} was never written to its end" if chain.torn else ""
    sound, wrong = sound_lines(chain, places, manifest, slot, file)
    bodies = chain.bodies[:sound]
    problems = [said for said in (chain.broken, torn, wrong) if said]
    start = bodies[0] if bodies else None
    problems += _clock(bodies, file)
    readings = tuple(body for body in bodies if isinstance(body, Reading))
    reader, experience, years = (start.reader, start.experience, start.years) if start is not None else ("", "", None)
    return ReaderLog(slot, reader, experience, years, readings, len(readings) == len(places), tuple(problems))


def stray_logs(folder: Path, manifest: StudyManifest) -> list[Path]:
    """Files that look like logs and are of no slot, such as the copies that programs make which keep folders alike."""
    own = {log_file(folder, slot.number).name for slot in manifest.slots}
    return sorted(file for file in (folder / RESPONSES).glob("slot-*.jsonl") if file.name not in own)


def sound_lines(
    chain: Chain, places: tuple[Place, ...], manifest: StudyManifest, slot: int, file: Path
) -> tuple[int, str]:
    """How many lines of a log follow the slot's order, and what is wrong with the next; empty where all do."""
    read = 0
    for number, body in enumerate(chain.bodies, start=1):
        wrong = ""
        if (number == 1) != isinstance(body, Start):
            wrong = "is not where a reader starts"
        elif isinstance(body, Start):
            if (body.study, body.digest, body.slot) != (manifest.study, manifest.digest, slot):
                wrong = "belongs to another study or slot"
        elif isinstance(body, Reading):
            wrong = _misread(body, places[read] if read < len(places) else None, manifest)
            read += 1
        if wrong:
            return number - 1, f"line {number} of {file} {wrong}"
    return len(chain.bodies), ""


def _misread(reading: Reading, place: Place | None, manifest: StudyManifest) -> str:
    if place is None or (reading.part, reading.index, reading.case) != (place.part, place.index, place.case.name):
        return "is not the case whose turn it was"
    try:
        check_answers(manifest.items, reading.answers, reading.timed_out)
    except StudyError as error:
        return f"does not answer what was asked ({error.message})"
    return ""


def _clock(bodies: tuple[object, ...], file: Path) -> list[str]:
    """Where the reader's clock went back."""
    said = []
    for number, (before, after) in enumerate(pairwise(bodies), start=2):
        behind = (before.at - after.at).total_seconds()  # type: ignore[attr-defined]
        if behind > 0:
            said.append(f"the reader's clock went back by {behind:.0f} s before line {number} of {file}")
    return said


def check_receipt(folder: Path, slot: int, receipt: Receipt, manifest: StudyManifest) -> str:
    """What a receipt reveals of a slot's log: a tail that was removed, or another log; empty where they agree.

    Raises:
        StudyError: if the log cannot be read.
    """
    file = log_file(folder, slot)
    if (receipt.study, receipt.slot) != (manifest.study, slot):
        return f"the receipt {receipt.code} is of another study or slot"
    chain = read_chain(file, manifest.digest) if file.exists() else Chain((), (), 0)
    return held_against(chain, receipt, file)


def training_key(folder: Path, manifest: StudyManifest) -> AnswerKey | None:
    """The open key of the training cases; None where the study has none.

    Raises:
        StudyError: if it is missing or another study's.
    """
    if not manifest.training:
        return None
    file = folder / TRAINING_KEY
    try:
        key = AnswerKey.model_validate_json(file.read_bytes())
    except OSError as error:
        raise StudyError(f"{file} could not be read ({error.strerror or error})", "copy the study again") from None
    except ValidationError:
        raise StudyError(f"{file} is no key of training cases", "copy the study again") from None
    if key.digest != manifest.digest or not {case.name for case in manifest.training} <= set(key.cases):
        raise StudyError(f"{file} belongs to another study", "copy the study again")
    return key
