"""`python -m jsddpm_core`: the command line of `jsddpm`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs a command; the worker claims its channel before anything else is imported, which might write to it."""
    if sys.argv[1:] == ["worker"]:
        from jsddpm_core.commands.worker import worker

        worker()
    from jsddpm_core.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
