"""
What this project's module code relies on in Slicer, as assertions: the same file runs in the host and in Slicer.

In the host: `python Testing/host/conformance.py`
In Slicer: `Slicer --testing --python-script Testing/host/conformance.py`

The assertions are in the folder `checks`, one file a subject. Each obeys the rules of portable module code itself.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

SUBJECTS = (
    "properties",
    "calls",
    "signals",
    "qtwidgets",
    "qtvalues",
    "ctkwidgets",
    "forms",
    "application",
    "processes",
    "scene",
    "selectors",
    "parameters",
    "modules",
    "dicom",
    "views",
)
FOLDER = Path(__file__).resolve().parent / "checks"


class Checks:
    """Counts assertions and keeps the sentences of those that do not hold."""

    def __init__(self):
        self.count = 0
        self.failures = []
        self.subject = ""

    def that(self, sentence, holds):
        """Assert that something holds."""
        self.count += 1
        if not holds:
            self.failures.append(f"{self.subject}: {sentence}")

    def equal(self, sentence, found, wanted):
        """Assert that two values are equal."""
        self.that(f"{sentence}: {found!r} is not {wanted!r}", found == wanted)

    def refused(self, sentence, function, *errors):
        """Assert that a call raises one of some errors."""
        self.count += 1
        try:
            function()
        except errors:
            return
        except Exception as error:
            self.failures.append(f"{self.subject}: {sentence}: raises {type(error).__name__}: {error}")
        else:
            self.failures.append(f"{self.subject}: {sentence}: is accepted")


def run():
    """All assertions; a subject that breaks off counts as one failure."""
    checks = Checks()
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    for subject in SUBJECTS:
        checks.subject = subject
        try:
            importlib.import_module(f"conformance_{subject}").run(checks)
        except Exception:
            checks.failures.append(f"{subject}: broke off\n{traceback.format_exc()}")
    return checks


def main():
    """Start the host where there is no Slicer, run, report, and end with 0 where all holds."""
    import slicer

    inSlicer = hasattr(slicer, "app")
    if not inSlicer:
        import slicerhost

        slicerhost.start()
    checks = run()
    for failure in checks.failures:
        print("FAILED", failure)
    print(f"{checks.count} assertions, {len(checks.failures)} failed")
    code = 1 if checks.failures else 0
    if inSlicer:
        slicer.util.exit(code)
    else:
        sys.exit(code)


if __name__ == "__main__":
    main()
