"""Removing runs from the disk some files at a time: a run has thousands, and the window stays free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from slicer.i18n import tr as _

from . import Runs
from .Steps import Steps

FILES_AT_ONCE = 50


class RunRemoval:
    """One removal at a time; what was not removed in time is found again at the next start.

    Args:
        say: shows one line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._steps: Steps | None = None

    @property
    def busy(self) -> bool:
        return self._steps is not None

    def remove(self, run: Path) -> None:
        """Takes a run out of the list now, and its files off the disk soon.

        Raises:
            OSError: if it cannot be moved.
        """
        unwanted = run.with_name(f"{Runs.DRAFT}deleted-{run.name}")
        run.rename(unwanted)
        (unwanted / "state.json").unlink(missing_ok=True)  # from now on it is no run
        self.removeForgotten()

    def removeForgotten(self) -> None:
        """Removes what was about to be removed, and copies of scene volumes whose window was killed."""
        folders = Runs.forgottenDrafts() if self._steps is None else []
        if folders:
            self._steps = Steps(_removal(folders), self._onDone, self._onError)

    def close(self) -> None:
        """Before the panel goes."""
        if self._steps is not None:
            self._steps.cancel()
            self._steps = None

    def _onDone(self) -> None:
        self._steps = None
        self.removeForgotten()  # what came meanwhile

    def _onError(self, error: Exception) -> None:
        self._steps = None
        self._say(_("Not all files of the run could be deleted: {reason}").format(reason=error))


def _removal(folders: list[Path]) -> Iterator[str]:
    for folder in folders:
        paths = sorted(folder.rglob("*"), key=lambda path: len(path.parts), reverse=True)
        yield "list"
        for number, path in enumerate(paths):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            if number % FILES_AT_ONCE == 0:
                yield "remove"
        folder.rmdir()
        yield "remove"
