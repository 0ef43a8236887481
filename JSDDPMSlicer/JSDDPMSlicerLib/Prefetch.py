"""The next case, read and held against its hash while the present one is looked at."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

KEPT = 3


class Prefetch:
    """Reads cases of a study in a thread of their own; no node and no widget is touched there.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, Any] = {}
        self._threads: dict[str, threading.Thread] = {}

    def want(self, case: Any) -> None:
        """Begins to read a case, unless that is done or under way."""
        if case is None or case.name in self._threads:
            return
        for name in list(self._threads)[: 1 - KEPT] if len(self._threads) >= KEPT else []:
            self._forget(name)
        thread = threading.Thread(target=self._read, args=(case,), daemon=True)
        self._threads[case.name] = thread
        thread.start()

    def ready(self, case: Any, seconds: float = 0.0) -> bool:
        """Whether a case has been read; waits for it a little.

        In Slicer a thread gets its turn only while Python runs or waits: this is where it gets it.
        """
        thread = self._threads.get(case.name)
        if thread is None:
            return False
        thread.join(seconds)
        return case.name in self._found

    def poke(self) -> None:
        """Gives threads that read a few milliseconds."""
        for thread in list(self._threads.values()):
            if thread.is_alive():
                thread.join(0.003)

    def take(self, case: Any) -> Any:
        """The pictures of a case that has been read.

        Raises:
            StudyError: if they are missing, changed or no images; the next `want` reads them again.
        """
        found = self._found[case.name]
        if isinstance(found, Exception):
            self._forget(case.name)
            raise found
        return found

    def _read(self, case: Any) -> None:
        from jsddpm_core.errors import StudyError
        from jsddpm_core.reading_study.pictures import read_case

        try:
            found: Any = read_case(self._folder, case)
        except StudyError as error:
            found = error
        except Exception as error:  # of a thread nobody would hear
            found = StudyError(f"{case.name} could not be read ({error})", "copy the study again")
        self._found[case.name] = found

    def _forget(self, name: str) -> None:
        self._threads.pop(name, None)
        self._found.pop(name, None)
