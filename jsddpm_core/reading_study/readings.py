"""Response logs joined with the manifest and the key: what each reader answered to each case, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, Literal

import numpy as np

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.manifest import AnswerKey, CaseTruth, Item, StudyManifest

Timeouts = Literal["wrong", "middle", "left-out"]


@dataclass(frozen=True)
class Answer:
    """To one item.

    Attributes:
        item: its name.
        value: None where time ran out.
        mark_mm: RAS millimetres, where the reader clicked.
    """

    item: str
    value: int | None
    mark_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Reading:
    """Of one case, once.

    Attributes:
        index: position in the slot's order, from 0.
        case: its name.
        answers: in the manifest's order of items.
        response_s: first full render to confirmation.
        timed_out: whether the limit came first.
        undone: steps back.
        part: training cases count for nothing.
    """

    index: int
    case: str
    answers: tuple[Answer, ...]
    response_s: float
    timed_out: bool = False
    undone: int = 0
    part: Literal["training", "cases"] = "cases"


@dataclass(frozen=True)
class ReaderLog:
    """All that one reader answered.

    Attributes:
        slot: the reader's number.
        reader: name; appears in no result.
        experience: in the reader's words; appears in no result.
        years: of experience; None where not told.
        readings: in the order in which they were made.
        complete: whether every case of the slot was read.
        problems: what is wrong with the log, a sentence each; the readings are those of its intact part.
    """

    slot: int
    reader: str
    experience: str
    years: float | None
    readings: tuple[Reading, ...]
    complete: bool = True
    problems: tuple[str, ...] = ()


def reader_log(read: Any) -> ReaderLog:
    """What a session read from disk, as the analysis takes it: its plain values, and none of its files.

    Args:
        read: a log of the session's, with attributes of these names.
    """
    readings = tuple(
        Reading(
            reading.index,
            reading.case,
            tuple(Answer(answer.item, answer.value, answer.mark_mm) for answer in reading.answers),
            reading.response_s,
            reading.timed_out,
            reading.undone,
            reading.part,
        )
        for reading in read.readings
    )
    return ReaderLog(read.slot, read.reader, read.experience, read.years, readings, read.complete, tuple(read.problems))


@dataclass(frozen=True)
class ItemReadings:
    """The answers to one item: R readers, N cases that count, the first time each was shown.

    Attributes:
        item: asked.
        readers: labels `reader-1` and so on, by slot.
        cases: names.
        truths: of the cases.
        signal: `(N,)` bool: synthetic, or a lesion; of a pair, whether the left one is real.
        clusters: `(N,)` numbers from 0: the subject shown; every synthetic picture is a cluster of its own.
        raw: `(R, N)` values as given; NaN where there is none.
        counted: `(R, N)` likewise, time-outs put in as the plan says.
        timed_out: `(R, N)` bool.
        response_s: `(R, N)`; NaN where the case was not read.
        marks_mm: `(R, N, 3)`; NaN where nothing was marked.
        again: `(R, N)` raw values of the second time; NaN where there was none.
    """

    item: Item
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    truths: tuple[CaseTruth, ...]
    signal: np.ndarray
    clusters: np.ndarray
    raw: np.ndarray
    counted: np.ndarray
    timed_out: np.ndarray
    response_s: np.ndarray
    marks_mm: np.ndarray
    again: np.ndarray = field(repr=False)

    @property
    def categories(self) -> int:
        """How many answers the item has."""
        return categories(self.item)

    @property
    def called(self) -> np.ndarray:
        """`(R, N)`: 1 where the signal was said to be there, 0 where not, 0.5 in the middle; NaN without an answer."""
        if self.item.kind == "pair":
            return 2 - self.counted
        middle = (1 + self.categories) / 2
        return np.where(np.isnan(self.counted), np.nan, (np.sign(self.counted - middle) + 1) / 2)

    @property
    def correct(self) -> np.ndarray:
        """`(R, N)`: 1 where right, 0 where wrong, 0.5 where the plan counts it as half; NaN without an answer."""
        return np.where(self.signal, self.called, 1 - self.called)

    def of(self, chosen: np.ndarray) -> ItemReadings:
        """The same of some cases only, `(N,)` bool."""
        return replace(
            self,
            cases=tuple(compress(self.cases, chosen)),
            truths=tuple(compress(self.truths, chosen)),
            signal=self.signal[chosen],
            clusters=np.unique(self.clusters[chosen], return_inverse=True)[1],
            **{name: getattr(self, name)[:, chosen] for name in _BY_READER},
        )

    def by(self, chosen: np.ndarray) -> ItemReadings:
        """The same of some readers only, `(R,)` bool."""
        return replace(
            self,
            readers=tuple(compress(self.readers, chosen)),
            **{name: getattr(self, name)[chosen] for name in _BY_READER},
        )


_BY_READER = ("raw", "counted", "timed_out", "response_s", "marks_mm", "again")


def categories(item: Item) -> int:
    """How many answers an item has, numbered from 1."""
    match item.kind:
        case "pair":
            return 2
        case "likert":
            return item.points
        case _:
            return 2 if item.scale == "forced" else 6


def check_together(manifest: StudyManifest, key: AnswerKey, logs: Sequence[ReaderLog]) -> None:
    """Holds manifest, key and logs against one another.

    Raises:
        StudyError: if the key is of another study or lacks a case, or a log holds what the study does not ask.
    """
    if (key.study, key.digest) != (manifest.study, manifest.digest):
        raise StudyError("the answer key is of another study", "choose the key that was made with this one")
    missing = [case.name for case in manifest.cases if case.name not in key.cases]
    if missing:
        raise StudyError(f"the answer key says nothing of {missing[0]}", "choose the key that was made with this study")
    if not logs:
        raise StudyError("no reader has answered a case yet", "analyse the study when there are responses")
    slots = [log.slot for log in logs]
    if len(set(slots)) != len(slots):
        raise StudyError(f"two logs are of slot {max(slots, key=slots.count)}", "keep one log a slot")
    allowed = {item.name: range(1, categories(item) + 1) for item in manifest.items}
    names = {case.name for case in (*manifest.cases, *manifest.training)}
    for log in logs:
        for reading in log.readings:
            where = f"reading {reading.index} of slot {log.slot}"
            if reading.case not in names or [answer.item for answer in reading.answers] != list(allowed):
                raise StudyError(f"{where} is of no case or items of this study", "copy the log again")
            for answer in reading.answers:
                if answer.value is not None and answer.value not in allowed[answer.item]:
                    raise StudyError(
                        f"{where} answers '{answer.item}' with {answer.value}, which is not on its scale",
                        "copy the log again",
                    )


def item_readings(
    item: Item, manifest: StudyManifest, key: AnswerKey, logs: Sequence[ReaderLog], timeouts: Timeouts
) -> ItemReadings:
    """The answers to one item as arrays.

    Args:
        item: of the manifest.
        manifest: of the study.
        key: of the same.
        logs: one a reader.
        timeouts: what an answer that did not come in time counts as: the surest wrong one, the middle of the scale, or
            nothing. A question of one's own (Likert) has no wrong answer and no middle to speak of: it is left out.
    """
    names = tuple(case.name for case in manifest.cases)
    place = {name: number for number, name in enumerate(names)}
    truths = tuple(key.cases[name] for name in names)
    signal = np.array([_signal(item, truth) for truth in truths])
    shape = (len(logs), len(names))
    raw, again, seconds = (np.full(shape, np.nan) for _ in range(3))
    marks, late, read = np.full((*shape, 3), np.nan), np.zeros(shape, bool), np.zeros(shape, int)
    for row, log in enumerate(logs):
        for reading in sorted(log.readings, key=lambda reading: reading.index):
            if reading.part != "cases":
                continue
            at = (row, place[reading.case])
            given = next(answer for answer in reading.answers if answer.item == item.name)
            value = np.nan if given.value is None else float(given.value)
            read[at] += 1
            if read[at] == 2:
                again[at] = value
            if read[at] > 1:
                continue
            raw[at], seconds[at], late[at] = value, reading.response_s, given.value is None
            if given.mark_mm is not None:
                marks[at] = given.mark_mm
    counted = raw.copy()
    top = categories(item)
    if item.kind != "likert" and timeouts != "left-out":
        wrong = np.where(signal, 2, 1) if item.kind == "pair" else np.where(signal, 1, top)
        counted = np.where(late, (1 + top) / 2 if timeouts == "middle" else wrong, raw)
    readers = tuple(f"reader-{log.slot}" for log in logs)
    return ItemReadings(
        item, readers, names, truths, signal, _clusters(names, truths), raw, counted, late, seconds, marks, again
    )


def _signal(item: Item, truth: CaseTruth) -> bool:
    if item.kind == "lesion":
        return truth.lesion
    return (truth.arm == "real") if item.kind == "pair" else (truth.arm == "synthetic")


def _clusters(names: Sequence[str], truths: Sequence[CaseTruth]) -> np.ndarray:
    labels = [
        f"subject {truth.subject}" if truth.subject else f"case {name}"
        for name, truth in zip(names, truths, strict=True)
    ]
    return np.unique(labels, return_inverse=True)[1]
