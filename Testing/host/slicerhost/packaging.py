"""
`slicer.packaging` of Slicer 5.12 and later, which slicer-core lacks: the calls, with pip as it is.

As in testing mode of Slicer, pip runs while the caller waits; what needs a dialog is refused.
"""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from packaging.requirements import Requirement


def load_requirements(path: str | Path) -> list[Requirement]:
    """Read a requirements file; options of pip in it are skipped."""
    lines = (line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pip_check(requirements: Any) -> bool:
    """Tell whether all requirements are satisfied, without pip."""
    return all(_satisfied(requirement) for requirement in _list(requirements))


def pip_ensure(
    requirements: Any,
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> None:
    """
    Install what is missing.

    :raises RuntimeError: the user declined.
    :raises subprocess.CalledProcessError: pip failed.
    """
    missing = [requirement for requirement in _list(requirements) if not _satisfied(requirement)]
    if not missing:
        return
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info(f"Testing mode is enabled: skipping pip_ensure for {missing}")
        return
    if prompt_install and not slicer.util.confirmOkCancelDisplay(
        f"{len(missing)} Python packages need to be installed.", f"{requester} - Install Python Packages"
    ):
        raise RuntimeError("User declined package installation")
    pip_install([str(requirement) for requirement in missing], constraints, skip_packages=skip_packages)


def pip_install(
    requirements: str | list[str],
    constraints: str | Path | None = None,
    no_deps_requirements: str | list[str] | None = None,
    skip_packages: list[str] | None = None,
    blocking: bool = True,
    show_progress: bool = True,
    requester: str | None = None,
    parent: Any = None,
    logCallback: Callable[[str], None] | None = None,
    completedCallback: Callable[[int], None] | None = None,
) -> None:
    """
    Run pip and wait for it.

    :raises subprocess.CalledProcessError: it failed.
    """
    if no_deps_requirements is not None or skip_packages is not None or not blocking:
        raise NotImplementedError("the host's pip_install waits, and installs with dependencies")
    wanted = requirements.split() if isinstance(requirements, str) else list(requirements)
    limits = [] if constraints is None else ["-c", str(constraints)]
    subprocess.run([sys.executable, "-m", "pip", "install", *wanted, *limits], check=True)
    importlib.invalidate_caches()


def _list(requirements: Any) -> list[Requirement]:
    given = [requirements] if isinstance(requirements, str | Requirement) else requirements
    return [entry if isinstance(entry, Requirement) else Requirement(entry) for entry in _checked(given)]


def _checked(given: Iterable[Any]) -> Iterable[Any]:
    for entry in given:
        if not isinstance(entry, str | Requirement):
            raise TypeError(f"{entry!r} is neither a text nor a Requirement")
        yield entry


def _satisfied(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def install() -> None:
    """Make `import slicer.packaging` and `slicer.util.pip_install` work."""
    module = ModuleType("slicer.packaging")
    for function in (load_requirements, pip_check, pip_ensure, pip_install):
        setattr(module, function.__name__, function)
    sys.modules["slicer.packaging"] = slicer.packaging = module
