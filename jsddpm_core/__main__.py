"""`python -m jsddpm_core` and `jsddpm`: the command line."""

from __future__ import annotations

import os
import sys

TURNS_OF_WAITING_THREADS = 10_000


def main() -> None:
    """Runs a command; the worker claims its channel before anything else is imported, which might write to it.

    Threads that wait for each other turn in place before they give up their core. By default they turn so long that two
    processes which compute at once (drawing beside a fine-tuning) slow each other many times over; so many turns cost a
    process nothing that has the machine to itself. GNU's OpenMP reads this as torch loads it; others pass it over.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", str(TURNS_OF_WAITING_THREADS))
    if sys.argv[1:] == ["worker"]:
        from jsddpm_core.commands.worker import worker

        worker()
    from jsddpm_core.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
