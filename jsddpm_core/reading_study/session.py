"""A reader's way through a slot: started, resumed after whatever happened, and never further than the disk is.

An answer is on the disk before `record` returns, so whoever shows the next case only after it loses none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from jsddpm_core.errors import OutputError, StudyError
from jsddpm_core.files import make_folder
from jsddpm_core.reading_study.answers import check_answers
from jsddpm_core.reading_study.lock import SlotLock
from jsddpm_core.reading_study.manifest import RESPONSES, StudyManifest, read_manifest
from jsddpm_core.reading_study.names import plain_name, same_name
from jsddpm_core.reading_study.pictures import missing_files
from jsddpm_core.reading_study.reader_log import Place, ReaderLog, check_receipt, places_of, read_log, sound_lines
from jsddpm_core.reading_study.receipt import Receipt, held_against, read_receipt, write_receipt
from jsddpm_core.reading_study.responses import (
    Answer,
    Break,
    Chain,
    End,
    LogWriter,
    Reading,
    Resume,
    Start,
    ViewState,
    cut_torn,
    end_line,
    log_file,
    read_chain,
)
from jsddpm_core.strict import Strict

__all__ = ["Place", "ReaderLog", "Session", "check_receipt", "read_log"]


def _now() -> datetime:
    return datetime.now(UTC).astimezone()


class Session:
    """One reader on one slot; `open` makes it, `close` lets go of it.

    Attributes:
        folder: of the study.
        manifest: of the study.
        slot: its number.
        reader: who reads it.
        places: everything that the reader sees, in its order.
        done: how many of them have been read.
        notes: what the reader should know of how the session was found.
        resumed: whether the slot had been started before.
    """

    def __init__(
        self, folder: Path, manifest: StudyManifest, slot: int, receipts: Path | None, now: Callable[[], datetime]
    ) -> None:
        self.folder, self.manifest, self.slot = folder, manifest, slot
        self.places = places_of(manifest, slot)
        self.reader = ""
        self.done = 0
        self.notes: tuple[str, ...] = ()
        self.resumed = self.ended = False
        self._receipts, self._now = receipts, now
        self._lines = self._kept = 0
        self._broken_off = -1
        self._writer: LogWriter
        self._lock: SlotLock

    @classmethod
    def open(
        cls,
        folder: Path,
        slot: int,
        reader: str,
        experience: str = "",
        years: float | None = None,
        *,
        receipts: Path | None = None,
        now: Callable[[], datetime] = _now,
    ) -> Self:
        """Starts a slot, or goes on with it at the first case that has no answer.

        Args:
            folder: of the study.
            slot: its number.
            reader: name, as it will be asked for again.
            experience: in the reader's words.
            years: of experience.
            receipts: folder, apart from the study, where a receipt is kept.
            now: the clock.

        Raises:
            StudyError: if the study is not whole, the slot is being read or belongs to somebody else, its log was
                changed or lacks a tail, or the folder cannot be written to. Nothing is changed then.
        """
        manifest = read_manifest(folder)
        session = cls(folder, manifest, slot, receipts, now)
        reader = plain_name(reader)
        if not reader:
            raise StudyError("the reader has no name", "type your name")
        lacking = missing_files(folder, manifest)
        if lacking:
            raise StudyError(
                f"{folder} was not copied whole: {lacking[0]} and {len(lacking) - 1} more images are missing"
                if len(lacking) > 1
                else f"{folder} was not copied whole: {lacking[0]} is missing",
                "copy the study again",
            )
        try:
            make_folder(folder / RESPONSES)
        except OutputError as error:
            raise StudyError(error.message, error.remedy) from error
        file = log_file(folder, slot)
        session._lock = SlotLock(file.with_suffix(".lock"), f"slot {slot}")
        try:
            session._open(file, reader, experience, years)
        except BaseException:
            session._lock.release()
            raise
        return session

    def _open(self, file: Path, reader: str, experience: str, years: float | None) -> None:
        chain = read_chain(file, self.manifest.digest) if file.exists() else Chain((), (), 0)
        kept = read_receipt(self._receipts, self.manifest.study, self.slot) if self._receipts is not None else None
        wrong = chain.broken or sound_lines(chain, self.places, self.manifest, self.slot, file)[1]
        if wrong:
            raise StudyError(wrong, "leave the file as it is and tell the organiser; all before that is kept")
        lacks = held_against(chain, kept, file) if kept is not None else ""
        if lacks:
            raise StudyError(lacks, "tell the organiser, or look for the study's folder that you read in before")
        start = chain.bodies[0] if chain.bodies else None
        if start is not None and not same_name(start.reader, reader):
            raise StudyError(
                f"slot {self.slot} was started by '{start.reader}', not by '{reader}'",
                "type the name as it was, or choose another slot",
            )
        notes = []
        if chain.torn:
            aside = cut_torn(file, chain)
            notes.append(f"The last answer had not been saved to its end; what there was lies in {aside.name}.")
        size = end_line(file, chain) if chain.unended else chain.size
        self._writer = LogWriter(file, chain.hashes[-1] if chain.hashes else self.manifest.digest, size)
        self.reader = reader if start is None else start.reader
        self._lines = len(chain.bodies)
        self.done = sum(isinstance(body, Reading) for body in chain.bodies)
        self.ended = any(isinstance(body, End) for body in chain.bodies)
        last = chain.bodies[-1] if chain.bodies else None
        self._broken_off = last.after if isinstance(last, Break) else -1
        if start is None:
            said = {"study": self.manifest.study, "digest": self.manifest.digest, "slot": self.slot}
            try:
                first = Start(**said, reader=reader, experience=plain_name(experience), years=years, at=self._now())
            except ValidationError as error:
                field = error.errors()[0]["loc"][0]
                what = "name" if field == "reader" else field
                raise StudyError(f"the {what} of the reader cannot be kept", "type it again, shorter") from None
            self._append(first)
        elif not self.ended:
            self.resumed = True
            now = self._now()
            behind = (chain.bodies[-1].at - now).total_seconds()
            if behind > 0:
                notes.append(f"The clock of this computer stands {behind:.0f} s before the last answer; it was noted.")
            self._append(Resume(at=now, clock_behind_s=behind if behind > 0 else None))
        self.notes = tuple(notes)

    # ------------------------------------------------------------ where it is

    @property
    def next(self) -> Place | None:
        """What is to be read now; None when all has been read."""
        return self.places[self.done] if self.done < len(self.places) else None

    @property
    def following(self) -> Place | None:
        """What comes after that."""
        return self.places[self.done + 1] if self.done + 1 < len(self.places) else None

    @property
    def break_due(self) -> bool:
        """Whether a break is offered before the next case."""
        every, place = self.manifest.display.break_every, self.next
        if every is None or place is None or place.part == "training" or place.index == 0:
            return False
        return place.index % every == 0 and self._broken_off != place.index - 1

    @property
    def receipt(self) -> Receipt:
        """How far the log is now."""
        return Receipt(
            study=self.manifest.study, slot=self.slot, lines=self._lines, readings=self.done, head=self._writer.head
        )

    # ------------------------------------------------------------ what is said

    def record(
        self,
        answers: tuple[Answer, ...],
        response_s: float,
        view: ViewState,
        *,
        timed_out: bool = False,
        undone: int = 0,
    ) -> Receipt:
        """Puts the answers to the case whose turn it is on the disk, and goes on to the next.

        The receipt waits for `keep_receipt`, so that the next case need not.

        Raises:
            StudyError: if they do not fit the questions or cannot be saved; the turn is still the same case's then.
        """
        place = self.next
        if place is None:
            raise StudyError("every case of this slot has been read", "choose another slot")
        check_answers(self.manifest.items, answers, timed_out)
        body = Reading(
            part=place.part, index=place.index, case=place.case.name, answers=answers, response_s=response_s,
            timed_out=timed_out, undone=undone, view=view, at=self._now(),
        )  # fmt: skip
        self._append(body)
        self.done += 1
        return self.receipt

    def take_break(self, seconds: float) -> None:
        """Notes a break that is over.

        Raises:
            StudyError: if it cannot be saved.
        """
        place = self.next
        if place is not None and place.part == "cases" and place.index > 0:
            self._append(Break(after=place.index - 1, seconds=seconds, at=self._now()))
            self._broken_off = place.index - 1

    def end(self) -> Receipt:
        """Says that all has been read.

        Raises:
            StudyError: if it has not, or that cannot be saved.
        """
        if self.next is not None:
            raise StudyError(f"{len(self.places) - self.done} cases of slot {self.slot} are not read", "read them")
        if not self.ended:
            self._append(End(at=self._now()))
            self.ended = True
            self.keep_receipt()
        return self.receipt

    def beat(self) -> None:
        """Says that somebody still reads; to be called now and then."""
        self._lock.beat()

    def close(self) -> None:
        """Keeps the receipt and lets go of the slot."""
        self.keep_receipt()
        self._lock.release()

    def _append(self, body: Strict) -> None:
        if not self._lock.held:
            raise StudyError(
                f"slot {self.slot} has been opened on another computer", "go on there; the answers so far are kept"
            )
        self._writer.append(body)
        self._lines += 1

    def keep_receipt(self) -> None:
        """Keeps the receipt of the log as it is now.

        The log is what counts: that no receipt could be kept stops nobody, and is said in the notes. A receipt that is
        behind the log agrees with it.
        """
        if self._receipts is None or self._kept == self._lines:
            return
        try:
            write_receipt(self._receipts, self.receipt)
            self._kept = self._lines
        except StudyError as error:
            said = f"No receipt could be kept: {error}"
            self.notes = (*(note for note in self.notes if note != said), said)
