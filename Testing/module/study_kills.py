"""Readings that are killed at a chosen moment, gone on with by another process, and what must hold at the end.

A reader is a process of its own: it reads in the real window, by keys, from where the slot stands, and kills itself
with SIGKILL at the moment, in the case after so many. It says each answer on its standard output once the window has
gone on from it: an answer that was said may not be lost. Run as a script, this is the nursery that readers are forked
from: what they import is imported once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOMENTS = ("render", "answer", "write", "fsync", "prefetch")
CASES = 6


def answer_to(case: str) -> int:
    """What the reader says to a case."""
    return 1 + int(case[-4:]) % 6


# ---------------------------------------------------------------- the process that reads


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    """Kills this process at a moment of the reading of one case.

    Args:
        run: the reading.
        moment: one of MOMENTS; None for never.
        after: cases that this process reads before.
    """

    def __init__(self, run: Any, moment: str | None, after: int) -> None:
        self.run, self.moment = run, moment
        self._case = run.session.done + after
        self._chance = random.Random(os.urandom(8))
        {"render": self._at_render, "write": self._at_write, "fsync": self._at_fsync,
         "prefetch": self._at_prefetch}.get(str(moment), lambda: None)()  # fmt: skip

    @property
    def due(self) -> bool:
        return self.run.session.done >= self._case

    def _at_render(self) -> None:
        """Before the drawing is told of, or after."""
        rendered = self.run._onRendered
        late = self._chance.random() < 0.5

        def on_rendered(number: int) -> None:
            if self.due and self.run.state.value == "loading" and not late:
                die()
            rendered(number)
            if self.due and self.run.state.value == "case":
                die()

        self.run.window._onRendered = on_rendered

    def _at_write(self) -> None:
        """Before a line is written, in the middle of it, or when all of it has been."""
        from jsddpm_core.reading_study import responses

        write = responses._write

        def half(handle: int, line: bytes) -> None:
            if self.due and b'"reading"' in line:
                write(handle, line[: self._chance.choice([0, self._chance.randrange(len(line)), len(line)])])
                die()
            write(handle, line)

        responses._write = half

    def _at_fsync(self) -> None:
        """While the line is made durable: before, or after."""
        from jsddpm_core.reading_study import responses

        append = responses.LogWriter.append
        sync = os.fsync
        late = self._chance.random() < 0.5

        def on_append(writer: Any, body: Any) -> str:
            watched = self.due and body.kind == "reading"

            def killed(handle: int) -> None:
                if late:
                    sync(handle)
                die()

            os.fsync = killed if watched else sync
            return append(writer, body)

        responses.LogWriter.append = on_append

    def _at_prefetch(self) -> None:
        """In the thread that reads the next case."""
        from jsddpm_core.reading_study import pictures

        read = pictures.read_case

        def reading(folder: Path, case: Any) -> Any:
            found = read(folder, case)
            if self.due and self.run.session.next.case.name != case.name:
                die()
            return found

        pictures.read_case = reading

    def answered(self) -> None:
        """The answer is typed and not confirmed."""
        if self.moment == "answer" and self.due:
            die()


def read(study: str, receipts: str, moment: str | None, after: int) -> None:
    """Reads until all is read, or until the kill."""
    import slicerhost

    app = slicerhost.start()
    from JSDDPMSlicerLib.ReadingRun import ReadingRun, State
    from study_reader import press, ready

    from jsddpm_core.reading_study.session import Session

    session = Session.open(Path(study), 1, "A. Reader", receipts=Path(receipts))
    run = ReadingRun(session, lambda: None)
    killer = Killer(run, moment, after)
    run.start()
    window = run.window.widget
    press(window, " ")
    while run.state != State.OVER:
        ready(run, State.CASE, State.TEXT)
        if session.next is None:
            press(window, " ")
            break
        place = session.next
        press(window, str(answer_to(place.case.name)))
        killer.answered()
        press(window, " ")
        print(place.index, place.case.name, answer_to(place.case.name), flush=True)
    assert not app.slotErrors, app.slotErrors


def nursery() -> None:
    """Forks a reader for each line of standard input, and answers with its exit code and what it said."""
    project = Path(__file__).resolve().parents[2]
    for folder in ("JSDDPMSlicer", "Testing/host", "Testing/core", "Testing/module", ""):
        sys.path.insert(0, str(project / folder))
    import fixtures  # noqa: F401  # as what follows: what an application needs, and none is started
    import slicerhost.application
    import slicerhost.layout
    import slicerhost.mrmlwidgets  # noqa: F401

    import jsddpm_core.reading_study.session  # noqa: F401

    tasks = Path("/proc/self/task")
    assert not tasks.is_dir() or len(list(tasks.iterdir())) == 1, "a process with threads cannot be forked"
    for line in sys.stdin:
        told, tells = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(tells, 1)
            code = 1
            try:
                read(*json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        os.close(tells)
        with os.fdopen(told) as stream:
            said = stream.read().splitlines()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps([code, said]), flush=True)


# ---------------------------------------------------------------- the test's side


@contextmanager
def readers() -> Iterator[Callable[..., tuple[bool, list[str]]]]:
    """A function that has one process read: whether it was killed, and the answers that it went on from."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip

    def one(study: Path, receipts: Path, moment: str | None, after: int) -> tuple[bool, list[str]]:
        process.stdin.write(json.dumps([str(study), str(receipts), moment, after]) + "\n")
        process.stdin.flush()
        code, said = json.loads(process.stdout.readline())
        assert code in (0, -signal.SIGKILL), f"a reader ended with {code}"
        return code != 0, said

    try:
        yield one
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def kill_through(
    reader: Callable[..., tuple[bool, list[str]]], study: Path, moments: list[str], note: Callable[[str, int], None]
) -> None:
    """Reads one slot with a kill at each of the moments, goes on to the end, and looks at what there is.

    Args:
        reader: of `readers`.
        study: a folder that is not there yet.
        moments: of the kills, one after the other; each happens in the case that is open.
        note: called with each moment and the number of answers that are on the disk after it.
    """
    from reading_fixtures import write_study

    from jsddpm_core.reading_study.session import read_log

    receipts = study.with_name(f"{study.name}-receipts")
    manifest = write_study(study, cases=CASES, training=0)
    said: list[str] = []
    for moment in moments:
        killed, told = reader(study, receipts, moment, 0 if len(said) else 1)
        said += told
        assert killed, f"not killed at {moment}"
        log = read_log(study, 1, manifest)
        assert set(said) <= {f"{each.index} {each.case} {each.answers[0].value}" for each in log.readings}, (
            f"killed at {moment}: an answer is lost"
        )
        note(moment, len(log.readings))
    killed, told = reader(study, receipts, None, 0)
    assert not killed
    log = read_log(study, 1, manifest)
    order = list(manifest.slots[0].order)
    assert [reading.case for reading in log.readings] == order, "an answer is lost or doubled"
    assert [reading.answers[0].value for reading in log.readings] == [answer_to(case) for case in order]
    assert log.complete and log.problems == ()


def counts_of(kills: list[str]) -> str:
    """How many kills there were at each moment."""
    counted = Counter(kills)
    return "\n".join(f"{moment:9} {counted[moment]} kills" for moment in MOMENTS)


if __name__ == "__main__":
    nursery()
