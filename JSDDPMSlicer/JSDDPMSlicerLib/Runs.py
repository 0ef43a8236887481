"""Where results lie on the disk, and what they are called."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import slicer
from slicer.i18n import tr as _

SETTING = "JSDDPMSlicer/ResultsFolder"


def resultsFolder() -> Path:
    """The folder of all runs; it need not be there yet."""
    chosen = slicer.util.settingsValue(SETTING, "", converter=str)
    if chosen:
        return Path(chosen).absolute()
    home = Path(slicer.app.temporaryPath) if slicer.app.testingEnabled() else Path.home() / "Documents"
    return home / "JSDDPMSlicer" / "Results"


def setResultsFolder(path: str) -> None:
    slicer.app.userSettings().setValue(SETTING, path)


def newRunFolder(pathology: str) -> Path:
    """A folder for a run, not there yet; its parent is made.

    Raises:
        OSError: if the folder of all runs cannot be made.
    """
    root = resultsFolder()
    root.mkdir(parents=True, exist_ok=True)
    stem = f"synthetic-{pathology}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        if not folder.exists() and not folder.with_name(folder.name + ".partial").exists():
            return folder
    raise OSError(_("{folder} holds a thousand runs of this second").format(folder=root))


def newScratchFolder(name: str) -> Path:
    """An empty folder for what a job hands over on its way; whoever asked removes it."""
    root = Path(slicer.app.temporaryPath) / "JSDDPMSlicer"
    root.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        folder = root / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise OSError(_("{folder} is full of {name} folders: delete them").format(folder=root, name=name))
