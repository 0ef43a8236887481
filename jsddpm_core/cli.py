"""`jsddpm`: the command line, and the one place where errors become sentences and exit codes.

0: done. 1: a fault of the program. 2: something the user can mend, said in one sentence. 3: stopped, to be resumed.
130: interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from jsddpm_core import __version__
from jsddpm_core.commands import (
    fine_tuning,
    generation,
    models,
    registration,
    simulation,
    study,
    survey,
    training,
    worker,
)
from jsddpm_core.commands.reporting import Reporter, say_error
from jsddpm_core.errors import JsddpmError, UnforeseenError, unforeseen
from jsddpm_core.files import output_error

FAULT, USAGE, INTERRUPTED = 1, 2, 130

# typer brings click along, in older releases as a package of its own: its errors are reached through typer's.
_UsageError: Any = typer.BadParameter.__base__
_ClickError: Any = _UsageError.__base__

app = typer.Typer(
    name="jsddpm",
    help="Joint synthesis of FLAIR slices and their lesion masks by diffusion. For research, not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"jsddpm {__version__}\n")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


app.command("survey")(survey.survey)
app.command("simulate-fcd")(simulation.simulate_fcd)
app.command("prepare")(training.prepare)
app.command("train")(training.train)
app.command("export")(training.export)
app.command("fine-tune")(fine_tuning.fine_tune)
app.command("sample")(generation.sample)
app.command("volume")(generation.volume)
app.command("reproduce")(generation.reproduce)
app.command("models")(models.models)
app.command("check-bundle")(models.check)
app.command("import-bundle")(models.import_model)
app.command("register")(registration.register)
app.command("worker")(worker.worker)
app.add_typer(study.app, name="study")


def run(arguments: Sequence[str]) -> int:
    """Runs a command.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code.
    """
    report = Reporter("--json" in arguments)
    try:
        code = app(list(arguments), standalone_mode=False) or 0
        # typer turns Ctrl-C into this exit code, in other releases into Abort.
        return _interrupted(report) if code == INTERRUPTED else code
    except JsddpmError as error:
        report.error(error)
        return USAGE
    except _ClickError as error:
        return _usage(error, report)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(report)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except OSError as error:
        report.error(output_error(Path(str(error.filename or "a file")), error))
        return USAGE
    except Exception as error:
        return _fault(error, report)


def main() -> None:
    """Entry point of the console script."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # SIGINT too: a shell starts background jobs with it ignored.
        signal.signal(number, _interrupt)
    sys.exit(run(sys.argv[1:]))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second one must not break off the cleaning up
    raise KeyboardInterrupt


def _interrupted(report: Reporter) -> int:
    report.event("interrupted")
    say_error("interrupted; what was half-written has been removed.")
    return INTERRUPTED


def _usage(error: Any, report: Reporter) -> int:
    # A wrong choice is announced by the kind of error that it is to the parser, which tells the user nothing.
    said = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    if not said:  # `jsddpm` alone: the help has been shown
        return USAGE
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "jsddpm"
    report.error(JsddpmError(said, f"see {command} --help"))
    return USAGE


def _fault(error: Exception, report: Reporter) -> int:
    """What nobody foresaw: one sentence, and the traceback only for whoever asks."""
    said = unforeseen(error, "please report it, with what JSDDPM_TRACEBACK=1 shows")
    if os.environ.get("JSDDPM_TRACEBACK"):
        traceback.print_exc()
    report.error(said)
    return FAULT if isinstance(said, UnforeseenError) else USAGE


if __name__ == "__main__":
    main()
