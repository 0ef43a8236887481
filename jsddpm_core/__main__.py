"""`python -m jsddpm_core` and `jsddpm`: the command line."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs a command; the worker claims its channel before anything else is imported, which might write to it.

    Threads of OpenMP that wait for each other give up their core: where a second process computes too (drawing beside
    a fine-tuning), waiting threads that hold on to it make both several times slower. OpenMP reads this as torch loads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.argv[1:] == ["worker"]:
        from jsddpm_core.commands.worker import worker

        worker()
    from jsddpm_core.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
