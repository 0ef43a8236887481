"""A job: one request under way, with what it tells, its run folder and its cancellation."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from jsddpm_core.files import PARTIAL, remove_empty, whole_folder
from jsddpm_core.progress import Pace, Progress
from jsddpm_core.worker.protocol import Cancelled, Id

LOADING = "loading"
PROGRESS_EVERY_S = 0.05
MOST_REMOVALS = 50


class Job:
    """What the work of a request may use of the worker.

    Args:
        name: the id of the request.
        work: what is to be done; its result is the answer.
        notify: sends a notification: method, params.
        grace_s: how long the process waits, before it ends, for the job to come to an end that it can be resumed from.
    """

    def __init__(
        self,
        name: Id,
        work: Callable[[Job], dict[str, Any]],
        notify: Callable[[str, dict[str, Any]], None],
        grace_s: float = 0.0,
    ) -> None:
        self.name, self.work, self.grace_s = name, work, grace_s
        self.ended = threading.Event()
        self._notify = notify
        self._cancelled = threading.Event()
        self._pace = Pace()
        self._told = (-PROGRESS_EVERY_S, "", 0.0)
        self._partial: Path | None = None
        self._made: Path | None = None
        self._settling = threading.Lock()

    def cancel(self) -> None:
        """Asks the job to end at its next step; from any thread."""
        self._cancelled.set()

    def unwanted(self) -> bool:
        """Whether the job was asked to end."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """A place where the job may end.

        Raises:
            Cancelled: if it is no longer wanted.
        """
        if self._cancelled.is_set():
            raise Cancelled

    def progress(self, progress: Progress) -> None:
        """Tells how far the job is: some twenty times a second at most, and never less than it told of a stage before.

        Raises:
            Cancelled: if the job is no longer wanted.
        """
        self.check()
        self.tell(progress)

    def tell(self, progress: Progress) -> None:
        """Tells how far the job is, whether or not it is still wanted."""
        now = time.monotonic()
        eta_s = self._pace.eta_s(progress, now)
        told_at, stage, told = self._told
        done = max(progress.done, told) if stage == progress.stage else progress.done
        if stage == progress.stage and now - told_at < PROGRESS_EVERY_S and done < progress.total:
            return
        self._told = (now, progress.stage, done)
        self._notify(
            "progress",
            {
                "id": self.name,
                "stage": progress.stage,
                "done": round(done, 4),
                "total": progress.total,
                "step": progress.step,
                "steps": progress.steps,
                "sample": progress.sample,
                "eta_s": None if eta_s is None else round(eta_s, 1),
            },
        )

    def preview(self, file: Path, **values: Any) -> None:
        """Tells of a picture of the emerging result."""
        self._notify("preview", {"id": self.name, "file": str(file), **values})

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Tells numbers at a step of training."""
        self._notify("metrics", {"id": self.name, "step": step, "values": dict(values)})

    def log(self, level: Literal["info", "warning", "error"], text: str) -> None:
        """Tells something that is neither progress nor the answer."""
        self._notify("log", {"id": self.name, "level": level, "text": text})

    @contextmanager
    def folder(self, out: Path) -> Iterator[Path]:
        """The job's run folder: it takes its name when the block ends without an error, else nothing of it stays.

        Yields:
            The `.partial` folder beside it.

        Raises:
            OutputError: if `out` is there already, or cannot be written.
            Cancelled: at the end of the block, if the job is no longer wanted.
        """
        missing = [parent for parent in out.parents if not parent.exists()]
        self._made = missing[-1] if missing else None
        self._partial = out.with_name(out.name + PARTIAL)
        with ExitStack() as settled, whole_folder(out) as partial:
            yield partial
            self.check()
            settled.enter_context(self._settling)  # until the folder has its name, which happens in between

    def abandon(self) -> None:
        """Removes what is half-written, from another thread; the process must end right after.

        A folder that is just taking its name is left to do so: it is whole.
        """
        self._settling.acquire()  # for good: the job's thread shall not come to name what is removed here
        if self._partial is None:
            return
        for _ in range(MOST_REMOVALS):  # the job's thread may still be writing
            shutil.rmtree(self._partial, ignore_errors=True)
            if not self._partial.exists():
                break
        if self._made is not None:
            remove_empty(self._made)
