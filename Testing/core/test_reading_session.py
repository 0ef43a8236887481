"""A slot read from the first case to the last, and everything that may happen to it on the way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from privileges import without_privileges
from reading_fixtures import ALL_ITEMS, VIEW, answers_to, write_study

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study import lock, responses
from jsddpm_core.reading_study.manifest import LesionItem, StudyManifest, canonical, read_manifest
from jsddpm_core.reading_study.receipt import read_receipt
from jsddpm_core.reading_study.responses import Answer, chained, log_file
from jsddpm_core.reading_study.session import Session, check_receipt, read_log

NAME = "A. Reader"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of one training case and four that count."""
    write_study(tmp_path / "study")
    return tmp_path / "study"


def opened(study: Path, slot: int = 1, **said: object) -> Session:
    return Session.open(study, slot, NAME, "neuroradiologist", 12, **said)


def read(session: Session, count: int, value: int = 1) -> None:
    for _ in range(count):
        session.record(answers_to(session.manifest, value), 2.5, VIEW)


def read_some(study: Path, count: int, **said: object) -> Path:
    """The log of a reader who answered some cases and left."""
    session = opened(study, **said)
    read(session, count)
    session.close()
    return log_file(study, session.slot)


def bodies(log: Path) -> list[dict]:
    return [json.loads(line)["body"] for line in log.read_bytes().splitlines()]


# ---------------------------------------------------------------- the way through


def test_a_slot_is_read_in_its_order_after_the_training(study: Path) -> None:
    session = opened(study, slot=2)
    seen = []
    while session.next is not None:
        seen.append(session.next.case.name)
        read(session, 1)
    session.end()
    session.close()
    assert seen == ["training-0001", "case-0004", "case-0003", "case-0002", "case-0001"]
    log = read_log(study, 2, read_manifest(study))
    assert (log.reader, log.experience, log.years) == (NAME, "neuroradiologist", 12)
    assert [reading.case for reading in log.readings] == seen
    assert log.complete and log.problems == ()
    assert bodies(log_file(study, 2))[-1]["kind"] == "end"


def test_an_answer_is_durable_before_record_returns(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(responses.os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    session = opened(study)
    assert len(synced) >= 2, "the new file and its folder"
    read(session, 1)
    assert log_file(study, 1).stat().st_size in synced


def test_a_slot_goes_on_where_it_was_left(study: Path) -> None:
    read_some(study, 3)
    again = opened(study)
    assert again.resumed and again.done == 3
    assert again.next.case.name == "case-0003"
    read(again, 2)
    again.end()
    again.close()
    kinds = [body["kind"] for body in bodies(log_file(study, 1))]
    assert kinds == ["start", "reading", "reading", "reading", "resume", "reading", "reading", "end"]
    finished = opened(study)
    assert finished.next is None and finished.ended
    finished.close()


def test_every_line_hangs_on_the_one_before(study: Path) -> None:
    log = read_some(study, 2)
    previous = read_manifest(study).digest
    for line in log.read_bytes().splitlines():
        tree = json.loads(line)
        assert line == canonical(tree)
        previous = chained(previous, tree["body"])
        assert tree["hash"] == previous


def test_a_break_is_offered_when_it_is_due_and_noted_once(tmp_path: Path) -> None:
    write_study(tmp_path / "study", training=1, display={"break_every": 2})
    session = opened(tmp_path / "study")
    due = []
    while session.next is not None:
        due.append(session.break_due)
        if session.break_due:
            session.take_break(61.0)
            assert not session.break_due
        read(session, 1)
    assert due == [False, False, False, True, False]
    assert [body["after"] for body in bodies(log_file(tmp_path / "study", 1)) if body["kind"] == "break"] == [1]
    session.close()


def test_repeats_and_time_outs_are_kept_as_they_are(tmp_path: Path) -> None:
    manifest = write_study(tmp_path / "study", cases=3, training=0, repeats=(0,), items=ALL_ITEMS)
    session = opened(tmp_path / "study")
    read(session, 3, value=5)
    late = tuple(Answer(item=item.name, value=None) for item in manifest.items)
    session.record((answers_to(manifest)[0], *late[1:]), 20.0, VIEW, timed_out=True, undone=2)
    session.close()
    log = read_log(tmp_path / "study", 1, manifest)
    assert [reading.case for reading in log.readings] == ["case-0001", "case-0002", "case-0003", "case-0001"]
    assert [answer.value for answer in log.readings[-1].answers] == [1, None, None]
    assert log.readings[-1].timed_out and log.readings[-1].undone == 2
    assert log.readings[0].answers[1].mark_mm == (0.0, 0.0, 18.0)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((Answer(item="lesion", value=7),), "7 is no answer"),
        ((Answer(item="lesion", value=5),), "the place of the lesion is missing"),
        ((Answer(item="lesion", value=1, mark_mm=(0, 0, 0)),), "a place was given although no lesion was"),
        ((Answer(item="lesion", value=None),), "has no answer"),
        ((Answer(item="other", value=1),), "not those of this study's questions"),
        ((), "not those of this study's questions"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_turn_stays(
    tmp_path: Path, answers: tuple[Answer, ...], said: str
) -> None:
    write_study(tmp_path / "study", items=(LesionItem(),))
    session = opened(tmp_path / "study")
    with pytest.raises(StudyError, match=said):
        session.record(answers, 1.0, VIEW)
    assert session.done == 0
    session.close()


# ---------------------------------------------------------------- killed, changed, cut


@pytest.mark.parametrize("left", [1, 40, -1])
def test_a_line_torn_by_a_kill_is_cut_off_and_kept_aside(study: Path, left: int) -> None:
    log = read_some(study, 3)
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    part = lines[-1][:left]
    torn = b"".join(lines[:-1]) + part
    log.write_bytes(torn)
    if left == -1:  # only the end of the line is missing: the answer is whole
        again = opened(study)
        assert again.done == 3 and log.read_bytes().startswith(whole)
    else:
        assert "never written to its end" in read_log(study, 1, read_manifest(study)).problems[0]
        again = opened(study)
        assert again.done == 2
        assert "slot-01.torn-1" in again.notes[0]
        assert (log.parent / "slot-01.torn-1").read_bytes() == part
    read(again, len(again.places) - again.done)
    again.close()
    assert read_log(study, 1, read_manifest(study)).complete


def test_a_first_line_torn_by_a_kill_starts_anew(study: Path) -> None:
    log = read_some(study, 0)
    log.write_bytes(log.read_bytes()[:20])
    session = opened(study)
    assert session.done == 0
    read(session, 1)
    session.close()
    assert [body["kind"] for body in bodies(log)] == ["start", "reading"]


@pytest.mark.parametrize("forge", ["value", "swap", "drop", "garble"])
def test_a_changed_line_is_named_and_nothing_is_overwritten(study: Path, forge: str) -> None:
    log = read_some(study, 4)
    lines = log.read_bytes().splitlines(keepends=True)
    if forge == "value":
        lines[2] = lines[2].replace(b'"value":1', b'"value":2')
    elif forge == "swap":
        lines[2], lines[3] = lines[3], lines[2]
    elif forge == "drop":
        del lines[2]
    else:
        lines[2] = b"\xff" + lines[2]
    log.write_bytes(b"".join(lines))
    with pytest.raises(StudyError, match=r"line 3 of .*slot-01.jsonl"):
        opened(study)
    assert log.read_bytes() == b"".join(lines)
    kept = read_log(study, 1, read_manifest(study))
    assert [reading.case for reading in kept.readings] == ["training-0001"], "the intact part is kept"
    assert not kept.complete and "line 3" in kept.problems[0]


def test_a_log_of_another_study_is_refused(study: Path, tmp_path: Path) -> None:
    log = read_some(study, 2)
    write_study(tmp_path / "other", cases=6)
    shutil.copytree(log.parent, tmp_path / "other" / "responses")
    with pytest.raises(StudyError, match="line 1"):
        opened(tmp_path / "other")


def test_a_removed_tail_is_revealed_by_the_receipt_kept_apart(study: Path, tmp_path: Path) -> None:
    receipts = tmp_path / "settings" / "receipts"
    log = read_some(study, 3, receipts=receipts)
    manifest = read_manifest(study)
    receipt = read_receipt(receipts, manifest.study, 1)
    assert receipt.readings == 3 and receipt.code.startswith("3-")
    assert check_receipt(study, 1, receipt, manifest) == ""
    again = opened(study, receipts=receipts)
    read(again, 1)
    again.close()
    assert check_receipt(study, 1, receipt, manifest) == "", "a log that has grown agrees with an older receipt"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:3]))
    assert "holds 2 answers" in check_receipt(study, 1, receipt, manifest)
    with pytest.raises(StudyError, match="holds 2 answers"):
        opened(study, receipts=receipts)
    log.unlink()
    with pytest.raises(StudyError, match="holds 0 answers"):
        opened(study, receipts=receipts)
    assert not log.exists()


def test_a_log_begun_anew_with_the_same_length_is_not_the_one_of_the_receipt(study: Path, tmp_path: Path) -> None:
    log = read_some(study, 3, receipts=tmp_path / "receipts")
    log.unlink()
    read_some(study, 3)
    with pytest.raises(StudyError, match="not the log that the receipt"):
        opened(study, receipts=tmp_path / "receipts")


# ---------------------------------------------------------------- people and clocks


def test_a_slot_belongs_to_who_started_it(study: Path) -> None:
    read_some(study, 1)
    with pytest.raises(StudyError, match="slot 1 was started by 'A. Reader', not by 'B. Reader'"):
        Session.open(study, 1, "B. Reader")
    session = Session.open(study, 1, "  a.  READER ")
    assert session.done == 1
    session.close()
    with pytest.raises(StudyError, match="no name"):
        Session.open(study, 2, "  ")
    with pytest.raises(StudyError, match="no slot 3"):
        Session.open(study, 3, NAME)


def test_a_clock_that_goes_back_is_noted_and_stops_nobody(study: Path) -> None:
    read_some(study, 1, now=lambda: datetime(2030, 1, 2, tzinfo=UTC))
    session = opened(study, now=lambda: datetime(2030, 1, 2, tzinfo=UTC) - timedelta(hours=1))
    assert "3600 s" in session.notes[0]
    read(session, 1)
    session.close()
    assert bodies(log_file(study, 1))[2]["clock_behind_s"] == 3600
    log = read_log(study, 1, read_manifest(study))
    assert len(log.readings) == 2
    assert "clock went back by 3600 s before line 3" in log.problems[0]


def test_two_readers_read_two_slots_of_one_folder_at_once(study: Path) -> None:
    one, two = opened(study, 1), Session.open(study, 2, "B. Reader")
    for _ in range(5):
        read(one, 1)
        read(two, 1, value=6)
    one.close()
    two.close()
    manifest = read_manifest(study)
    logs = [read_log(study, slot, manifest) for slot in (1, 2)]
    assert [log.complete for log in logs] == [True, True]
    assert [{answer.value for reading in log.readings for answer in reading.answers} for log in logs] == [{1}, {6}]


def test_one_slot_is_not_read_twice_at_once(study: Path) -> None:
    first = opened(study)
    with pytest.raises(StudyError, match="slot 1 is being read in another window on this computer"):
        opened(study)
    read(first, 1)
    first.close()
    assert not list((study / "responses").glob("*.lock*"))
    opened(study).close()


def foreign_lock(study: Path, age: float) -> Path:
    (study / "responses").mkdir(exist_ok=True)
    file = study / "responses" / "slot-01.lock"
    file.write_text(json.dumps({"token": "x", "host": "reading-room-2", "pid": 1}))
    os.utime(file, (time.time() - age,) * 2)
    return file


def test_a_lock_of_another_computer_holds_until_that_has_been_silent(study: Path) -> None:
    foreign_lock(study, age=60)
    with pytest.raises(StudyError, match="being read on the computer reading-room-2"):
        opened(study)
    foreign_lock(study, age=lock.SILENT_S + 60)
    opened(study).close()


def test_the_lock_of_a_killed_process_holds_nobody_up(study: Path) -> None:
    file = foreign_lock(study, age=0)
    file.write_text(json.dumps({"token": "x", "host": lock.platform.node(), "pid": 2**22 + 1}))
    opened(study).close()


def test_a_name_that_no_log_can_hold_is_told(study: Path) -> None:
    with pytest.raises(StudyError, match="the name of the reader cannot be kept: type it again, shorter"):
        Session.open(study, 1, "n" * 201)


def test_a_lock_that_nobody_can_read_is_no_riddle(study: Path) -> None:
    file = foreign_lock(study, age=0)
    file.write_text("")  # the power went before it was written
    with pytest.raises(StudyError, match="being read on the computer of somebody else"):
        opened(study)
    file.write_text(json.dumps({"token": "x", "host": lock.platform.node(), "pid": "many"}))
    opened(study).close()


def test_who_was_taken_over_writes_nothing_more(study: Path) -> None:
    first = opened(study)
    read(first, 1)
    os.utime(study / "responses" / "slot-01.lock", (0, 0))  # asleep for a long time
    second = opened(study)
    with pytest.raises(StudyError, match="opened on another computer"):
        read(first, 1)
    first.close()
    read(second, 1)
    second.close()
    assert read_log(study, 1, read_manifest(study)).problems == ()


# ---------------------------------------------------------------- disks and copies


def test_a_full_disk_is_said_and_the_answer_can_be_confirmed_again(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(study)
    log, write = log_file(study, 1), os.write
    before = log.read_bytes()

    def half(handle: int, content: bytes) -> int:
        if len(content) < 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, content[: len(content) - 40])

    monkeypatch.setattr(responses.os, "write", half)
    for _ in range(2):
        with pytest.raises(StudyError, match="not saved.*No space left.*free disk space.*confirm again"):
            read(session, 1)
        assert session.done == 0 and log.read_bytes() == before
    monkeypatch.undo()
    read(session, 1)
    session.close()
    assert len(read_log(study, 1, read_manifest(study)).readings) == 1


def test_an_answer_that_could_not_be_taken_back_either_is_replaced_later(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(study)

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(responses.os, "fsync", refuse)
    monkeypatch.setattr(responses.os, "ftruncate", refuse)
    with pytest.raises(StudyError, match="not saved"):
        read(session, 1)
    monkeypatch.undo()
    read(session, 1, value=2)
    session.close()
    log = read_log(study, 1, read_manifest(study))
    assert [reading.answers[0].value for reading in log.readings] == [2]


def test_a_log_that_somebody_else_wrote_to_is_not_written_to(study: Path) -> None:
    session = opened(study)
    with log_file(study, 1).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(StudyError, match="changed by another program"):
        read(session, 1)
    session.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps folders' rights otherwise")
def test_a_folder_that_may_not_be_written_is_said(study: Path) -> None:
    # Not in pytest's own folder, which only the user who runs it may enter.
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(study, Path(name) / "study"))
        copy.chmod(stat.S_IRUSR | stat.S_IXUSR)
        refusal = pytest.raises(StudyError, match="may not be written.*choose a folder that you may write to")
        with without_privileges(Path(name)), refusal:
            opened(copy)
        copy.chmod(stat.S_IRWXU)


def test_a_folder_on_a_read_only_disk_is_said(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StudyError, match="may not be written.*Read-only file system"):
        opened(study)


def test_a_half_copied_folder_is_said_before_anything_is_written(study: Path) -> None:
    (study / "images" / "000002.nii").unlink()
    with pytest.raises(StudyError, match=r"not copied whole: images/000002.nii is missing"):
        opened(study)
    (study / "images" / "000003.nii").unlink()
    with pytest.raises(StudyError, match=r"images/000002.nii and 1 more images are missing"):
        opened(study)
    assert not (study / "responses").exists()


def test_a_receipt_that_cannot_be_kept_stops_nobody(study: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    session = opened(study, receipts=tmp_path / "taken" / "receipts")
    for _ in range(2):
        read(session, 1)
        session.keep_receipt()
    assert session.done == 2
    assert len(session.notes) == 1 and "No receipt could be kept" in session.notes[0]
    session.close()


def test_a_study_moves_by_copying(study: Path, tmp_path: Path) -> None:
    read_some(study, 2)
    shutil.copytree(study, tmp_path / "moved")
    session = opened(tmp_path / "moved")
    assert session.done == 2
    session.close()
    manifest: StudyManifest = read_manifest(tmp_path / "moved")
    assert len(read_log(study, 1, manifest).readings) == 2
