"""The packages that the worker needs: which are there, and how they are installed after the user has agreed."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .Core import memoryBytes

REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
TORCH = "torch>=2.8"
KEPT = ("numpy", "scipy", "SimpleITK", "vtk")
"""The application's own packages, which an installation must not change."""

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)\s*>=\s*(?P<least>[0-9.]+)")


@dataclass(frozen=True)
class Package:
    """A distribution that is needed.

    Attributes:
        name: of the distribution.
        least: lowest version that serves.
        found: the version that is there; None for none.
    """

    name: str
    least: str
    found: str | None

    @property
    def serves(self) -> bool:
        return self.found is not None and _release(self.found) >= _release(self.least)

    @property
    def status(self) -> str:
        """In words."""
        if self.found is None:
            return _("missing")
        return _("present") if self.serves else _("too old, needs {least}").format(least=self.least)


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, enough to compare it with a lower bound."""
    return tuple(int(number) for number in re.match(r"[0-9.]*", version).group().strip(".").split(".") if number)


def requirements() -> list[str]:
    """Lines of requirements.txt without comments; torch is not among them, PyTorchUtils installs it."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def packages() -> list[Package]:
    """Everything that is needed, torch first."""
    importlib.invalidate_caches()
    found = []
    for line in [TORCH, *requirements()]:
        match = _REQUIREMENT.match(line)
        if match is None:
            raise ValueError(f"{REQUIREMENTS.name}: '{line}' is not of the form NAME>=VERSION")
        try:
            version = importlib.metadata.version(match["name"])
        except importlib.metadata.PackageNotFoundError:
            version = None
        found.append(Package(match["name"], match["least"], version))
    return found


def missing() -> list[Package]:
    return [package for package in packages() if not package.serves]


def howToInstall() -> str:
    """What `install` would do, in one sentence for the question before it."""
    names = [package.name for package in missing()]
    rest = ", ".join(name for name in names if name != "torch")
    if "torch" not in names:
        return _("{names} by pip").format(names=rest)
    if not rest:
        return _("PyTorch by the PyTorch extension")
    return _("PyTorch by the PyTorch extension and {names} by pip").format(names=rest)


def install() -> None:
    """Installs what is missing into the application's Python.

    Raises:
        RuntimeError: if something is still missing afterwards; the sentence says what and what to do.
    """
    names = {package.name for package in missing()}
    try:
        if "torch" in names:
            _installTorch()
        if names - {"torch"}:
            _installOthers(names)
    except subprocess.CalledProcessError as error:
        told = _(
            "pip could not install {names}: the Python console shows why; check the network connection and try again."
        )
        raise RuntimeError(told.format(names=", ".join(sorted(names)))) from error
    left = missing()
    if left:
        told = _(
            "{names} could not be installed: check the network connection, "
            "or install them by hand with slicer.util.pip_install."
        )
        raise RuntimeError(told.format(names=", ".join(package.name for package in left)))


def _installTorch() -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise RuntimeError(
            _("The PyTorch extension is missing: install it with the Extensions Manager and start Slicer again.")
        ) from error
    PyTorchUtils.PyTorchUtilsLogic().installTorch(
        askConfirmation=False, torchVersionRequirement=TORCH.removeprefix("torch")
    )


def _installOthers(names: set[str]) -> None:
    """Slicer's own numpy and its like keep their versions, whatever the new packages would like better."""
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
        limits = Path(folder) / "constraints.txt"
        limits.write_text("".join(f"{line}\n" for line in _kept()), encoding="utf-8")
        try:
            from slicer import packaging
        except ImportError:  # before Slicer 5.12
            wanted = [line for line in requirements() if _REQUIREMENT.match(line)["name"] in names]
            slicer.util.pip_install([*wanted, "-c", str(limits)])
            return
        wanted = [entry for entry in packaging.load_requirements(str(REQUIREMENTS)) if entry.name in names]
        # Without a question: it has been asked. In testing mode it returns silently; the check afterwards speaks.
        packaging.pip_ensure(wanted, constraints=str(limits), prompt_install=False, requester="JSDDPMSlicer")


def _kept() -> list[str]:
    """Constraints for what the application brings along."""
    found = []
    for name in KEPT:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name}=={importlib.metadata.version(name)}")
    return found


class GpuProbe:
    """Asks the driver for its GPUs, without torch and without waiting.

    Args:
        onFound: called once with a sentence a GPU; with none where there is no NVIDIA driver.
    """

    def __init__(self, onFound: Callable[[list[str]], None]) -> None:
        self._onFound: Callable[[list[str]], None] | None = onFound
        self._process = qt.QProcess()
        self._process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._onProcessError)
        self._process.start("nvidia-smi", ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"])

    @property
    def answered(self) -> bool:
        return self._onFound is None

    def stop(self) -> None:
        """Asks no longer."""
        self._onFound = None
        if self._process.state() != qt.QProcess.NotRunning:
            self._process.kill()
            self._process.waitForFinished(1000)

    def _onProcessError(self, error: object) -> None:
        if error == qt.QProcess.FailedToStart:
            self._tell(_appleGpu())

    def _onFinished(self, code: int, _status: object) -> None:
        text = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        self._tell(gpusOf(text) if code == 0 else _appleGpu())

    def _tell(self, found: list[str]) -> None:
        onFound, self._onFound = self._onFound, None
        if onFound is not None:
            onFound(found)


def gpusOf(text: str) -> list[str]:
    """GPUs in nvidia-smi's answer, one phrase each."""
    found = []
    for line in text.splitlines():
        name, _, memory = line.rpartition(",")
        if name and memory.strip().isdecimal():
            found.append(f"{name.strip()}, {int(memory) / 1024:.0f} GB")
    return found


def _appleGpu() -> list[str]:
    machine = os.uname().machine if hasattr(os, "uname") else ""
    return ["Apple GPU (Metal)"] if sys.platform == "darwin" and machine == "arm64" else []


def diagnostics(workerLog: list[str], gpus: list[str]) -> str:
    """A text for a bug report: versions and the worker's last words, with every path's folders left out."""
    versions = [f"{package.name} {package.found or 'missing'}" for package in packages()]
    lines = [
        f"Slicer {slicer.app.applicationVersion} (revision {slicer.app.revision})",
        f"Python {sys.version.split()[0]} on {sys.platform}",
        f"Memory {round((memoryBytes() or 0) / 2**30)} GB; GPU: {'; '.join(gpus) or 'none found'}",
        "Packages: " + ", ".join(versions),
        "Worker:",
        *workerLog[-100:],
    ]
    return withoutPaths("\n".join(lines))


_NAMES = re.compile(
    r"(?:file:\S+|[^\s\"'=(]*(?:\.nii(?:\.gz)?|\.nrrd|\.nhdr|\.mha|\.mhd|\.dcm|\.mrb)\b|\S*\^\S*)", re.I
)
"""Addresses of files, names of images, and patients' names as DICOM writes them."""

_START = r"(?:[A-Za-z]:[\\/]|[\\/]{1,2}(?=[^\s\\/]))"
_QUOTED = re.compile(rf"""(?P<quote>["'])(?P<path>{_START}[^"']*)(?P=quote)""")
_BARE = re.compile(rf"(?<![\w.:/\\\"']){_START}.*")


def withoutPaths(text: str) -> str:
    """The text without folders, and without names of files that could be a patient's.

    A path in quotes ends with them, and keeps the name of a program's own file. Any other may hold spaces, so it is
    taken to reach to the end of its line.
    """

    def shorten(match: re.Match[str]) -> str:
        last = re.split(r"[\\/]", match["path"])[-1]
        return f'".../{last}"' if last.endswith((".py", ".safetensors")) else '"(path)"'

    lines = (_BARE.sub("(path)", _QUOTED.sub(shorten, line)) for line in text.splitlines())
    return "\n".join(_NAMES.sub("(name)", line) for line in lines)
