"""Which Python the worker runs in: PythonSlicer, or any other that the user chose."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import qt
import slicer

SETTING = "JSDDPMSlicer/Interpreter"


@dataclass(frozen=True)
class Interpreter:
    """A Python executable.

    Attributes:
        path: of the executable.
        foreign: whether it is another Python than the one of this application.
    """

    path: Path
    foreign: bool

    def environment(self, core: Path) -> qt.QProcessEnvironment:
        """The variables that its process starts with.

        Slicer's own variables (library and Python paths) must not reach another Python.

        Args:
            core: the folder that holds `jsddpm_core`.
        """
        if self.foreign:
            environment = slicer.app.startupEnvironment()
            paths = [str(core)]
        else:
            environment = qt.QProcessEnvironment.systemEnvironment()
            # Module paths reach sys.path, not PYTHONPATH.
            paths = [str(core), *filter(None, environment.value("PYTHONPATH", "").split(os.pathsep))]
        environment.insert("PYTHONPATH", os.pathsep.join(paths))
        environment.insert("PYTHONIOENCODING", "utf-8")
        return environment


def ownInterpreter() -> Path:
    """PythonSlicer; outside Slicer, the Python that runs this."""
    found = shutil.which("PythonSlicer")
    if found is None:
        home = Path(slicer.app.slicerHome) / "bin"
        found = shutil.which("PythonSlicer", path=str(home))
    return Path(found or sys.executable)


def currentInterpreter() -> Interpreter:
    """As the setting says."""
    chosen = slicer.util.settingsValue(SETTING, "", converter=str)
    if chosen:
        return Interpreter(Path(chosen), foreign=True)
    return Interpreter(ownInterpreter(), foreign=False)


def chooseInterpreter(path: str) -> None:
    """Stores the choice; an empty path means the application's own Python."""
    settings = slicer.app.userSettings()
    if path:
        settings.setValue(SETTING, path)
    else:
        settings.remove(SETTING)
