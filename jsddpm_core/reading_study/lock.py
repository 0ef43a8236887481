"""One reader at a time on one slot, on any shared folder.

A file that only one can create says who reads. It is touched now and then; who has not touched it for `SILENT_S`
seconds, by the clock of the folder's own machine, or whose process is gone from this machine, has let go of it.
"""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jsddpm_core.errors import StudyError
from jsddpm_core.files import output_error
from jsddpm_core.training.runs import process_lives

SILENT_S: Final = 300.0
BEAT_S: Final = 30.0
"""How often whoever holds a lock touches it."""


class SlotLock:
    """Holds a slot until it is released.

    Args:
        file: to create.
        what: is locked, in words.

    Raises:
        StudyError: if somebody else holds it, or the folder cannot be written to.
    """

    def __init__(self, file: Path, what: str) -> None:
        self.file, self._what = file, what
        self._token = uuid.uuid4().hex
        self._beaten = 0.0
        for _ in range(3):
            if self._create():
                return
            self._push_aside()
        raise StudyError(f"{what} is being opened elsewhere at this moment", "try again, or choose another slot")

    def _create(self) -> bool:
        said = {"token": self._token, "host": platform.node(), "pid": os.getpid()}
        try:
            with self.file.open("x", encoding="utf-8") as stream:
                json.dump(said, stream)
        except FileExistsError:
            return False
        except OSError as error:
            told = output_error(self.file, error)
            raise StudyError(told.message, told.remedy) from error
        self._beaten = time.monotonic()
        return True

    def _push_aside(self) -> None:
        """Removes the lock of one who is gone.

        Raises:
            StudyError: if who holds it is not gone.
        """
        held = _read(self.file)
        if held is None:
            return
        here = held.get("host") == platform.node()
        silent = self._silence()
        pid = held.get("pid")
        gone = here and not (isinstance(pid, int) and process_lives(pid))
        if not gone and silent is not None and silent < SILENT_S:
            where = (
                "in another window on this computer"
                if here
                else f"on the computer {held.get('host') or 'of somebody else'}"
            )
            remedy = (
                "go on there, or choose another slot"
                if here
                else f"go on there; if it was switched off, wait {SILENT_S / 60:.0f} minutes"
            )
            raise StudyError(f"{self._what} is being read {where}", remedy)
        aside = self.file.with_name(f"{self.file.name}.{self._token}")
        with suppress(OSError):
            self.file.rename(aside)
            if (_read(aside) or {}).get("token") != held.get("token"):  # somebody was quicker, and this one is theirs
                aside.rename(self.file)
                return
            aside.unlink()

    def _silence(self) -> float | None:
        """Seconds since the lock was touched; a file made beside it says what the time is on that machine."""
        probe = self.file.with_name(f"{self.file.name}.{self._token}.now")
        try:
            probe.write_bytes(b"")
            return probe.stat().st_mtime - self.file.stat().st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            told = output_error(self.file, error)
            raise StudyError(told.message, told.remedy) from error
        finally:
            with suppress(OSError):
                probe.unlink()

    def beat(self) -> None:
        """Says that the slot is still being read, now and then."""
        if time.monotonic() - self._beaten >= BEAT_S:
            self._beaten = time.monotonic()
            with suppress(OSError):
                if self.held:
                    os.utime(self.file)

    @property
    def held(self) -> bool:
        """Whether the lock is still this one's."""
        return (_read(self.file) or {}).get("token") == self._token

    def release(self) -> None:
        """Lets go, unless somebody else took over."""
        with suppress(OSError):
            if self.held:
                self.file.unlink()


def _read(file: Path) -> dict[str, Any] | None:
    """What a lock says; None where there is none, and nothing where it was not written to its end."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
