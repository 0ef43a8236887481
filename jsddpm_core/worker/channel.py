"""The channel: one message a line, on descriptors that nothing else in the process can reach."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

LONGEST_LINE = 8 * 1024 * 1024


class Channel:
    """Lines in, lines out.

    Args:
        incoming: read by one thread.
        outgoing: written by any.
    """

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._writing = threading.Lock()

    def lines(self) -> Iterator[bytes | None]:
        """Each line as it arrives, until the other side closes; None for one that is too long and was skipped."""
        while line := self._incoming.readline(LONGEST_LINE):
            if line.endswith(b"\n"):
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = self._incoming.readline(LONGEST_LINE)
            if line:
                yield None

    def send(self, line: bytes) -> None:
        """Writes a line, from any thread.

        Raises:
            OSError: if nobody reads any more.
        """
        with self._writing:
            self._outgoing.write(line)
            self._outgoing.flush()


def claim_standard_streams() -> Channel:
    """Takes standard input and output for messages, before other code can use them.

    What is printed from then on goes to standard error. Who reads standard input finds it empty; on Windows,
    importing a library while a thread reads from it would hang.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    with suppress(OSError):  # there may be no standard error
        os.dup2(2, 1)
    os.close(nothing)
    sys.stdout = sys.stderr  # its own buffer would be lost when the process ends at once
    return Channel(os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb"))
