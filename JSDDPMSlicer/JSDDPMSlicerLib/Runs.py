"""Where results lie on the disk, and what they are called."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import slicer
from slicer.i18n import tr as _

SETTING = "JSDDPMSlicer/ResultsFolder"
TRAINING_SETTING = "JSDDPMSlicer/TrainingFolder"
DRAFT = ".cases-"


def resultsFolder() -> Path:
    """The folder of all runs; it need not be there yet."""
    chosen = slicer.util.settingsValue(SETTING, "", converter=str)
    if chosen:
        return Path(chosen).absolute()
    home = Path(slicer.app.temporaryPath) if slicer.app.testingEnabled() else Path.home() / "Documents"
    return home / "JSDDPMSlicer" / "Results"


def trainingFolder() -> Path:
    """The folder of all training runs; it need not be there yet."""
    chosen = slicer.util.settingsValue(TRAINING_SETTING, "", converter=str)
    return Path(chosen) if chosen else resultsFolder().parent / "Training"


def setTrainingFolder(path: str) -> None:
    slicer.app.userSettings().setValue(TRAINING_SETTING, path)


def newTrainingRun(name: str) -> Path:
    """A folder for a training run, made now and empty.

    Raises:
        OSError: if it cannot be made.
    """
    root = trainingFolder()
    root.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    return _newFolder(root, stem, (stem, *(f"{stem}-{number}" for number in range(2, 1000))))


def newDraftFolder() -> Path:
    """A folder for cases of the scene, beside the runs so that one of them can take it over; whoever asked removes it.

    Raises:
        OSError: if it cannot be made.
    """
    root = trainingFolder()
    root.mkdir(parents=True, exist_ok=True)
    return _newFolder(root, DRAFT, (f"{DRAFT}{os.getpid()}-{number}" for number in range(1, 1000)))


def forgottenDrafts() -> list[Path]:
    """Draft folders of windows that are gone, and runs that were about to be deleted."""
    from jsddpm_core.training.runs import process_lives

    root = trainingFolder()
    found = []
    for folder in sorted(root.glob(f"{DRAFT}*")) if root.is_dir() else []:
        owner = folder.name.removeprefix(DRAFT).partition("-")[0]
        if folder.is_dir() and not (owner.isdigit() and process_lives(int(owner))):
            found.append(folder)
    return found


def _newFolder(root: Path, what: str, names: Iterable[str]) -> Path:
    for name in names:
        try:
            (root / name).mkdir()
        except FileExistsError:
            continue
        return root / name
    raise OSError(_("{folder} is full of folders named {name}: delete them").format(folder=root, name=what))


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
    return _newFolder(root, name, (f"{name}-{number}" for number in range(1, 10_000)))
