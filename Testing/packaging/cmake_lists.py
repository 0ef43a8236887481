"""The files that the CMakeLists.txt files hand to Slicer, and the files on disk that it ought to hand over.

Slicer's macros take explicit lists and drop nothing silently only if nothing is missing from them. After adding
or removing a file, `python Testing/packaging/cmake_lists.py --write` brings the lists up to date.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class List:
    """One `set(NAME ...)` of a CMake file, whose entries are relative to that file's folder."""

    file: Path
    name: str

    @property
    def entries(self) -> list[str]:
        """As they stand in the file, in their order."""
        return listed(self.name, self.file.read_text(encoding="utf-8"))

    def on_disk(self) -> list[str]:
        """What ought to stand there, sorted."""
        return sorted(path.relative_to(self.file.parent).as_posix() for path in _WANTED[self]())


def _files(folder: Path) -> list[Path]:
    relative = ((path, path.relative_to(PROJECT)) for path in folder.rglob("*") if path.is_file())
    return [path for path, name in relative if not any(part.startswith((".", "__pycache__")) for part in name.parts)]


def _scripts_of_core() -> list[Path]:
    return [path for path in _files(PROJECT / "jsddpm_core") if path.suffix == ".py"]


def _resources_of_core() -> list[Path]:
    """Configurations, models, templates and the encoder of the measures: what the core reads at run time."""
    data = [path for path in _files(PROJECT / "jsddpm_core") if path.suffix != ".py"]
    for folder in ("Features", "Models", "Templates"):
        data += _files(PROJECT / "Resources" / folder)
    return data


def _scripts_of_module() -> list[Path]:
    return [path for path in _files(PROJECT / "JSDDPMSlicer") if path.suffix == ".py"]


def _resources_of_module() -> list[Path]:
    """Interfaces, the icon and the requirements; the icon's drawing stays in the sources."""
    return [path for path in _files(PROJECT / "JSDDPMSlicer" / "Resources") if path.suffix != ".svg"]


CORE_SCRIPTS = List(PROJECT / "CMakeLists.txt", "JSDDPM_CORE_SCRIPTS")
CORE_RESOURCES = List(PROJECT / "CMakeLists.txt", "JSDDPM_CORE_RESOURCES")
MODULE_SCRIPTS = List(PROJECT / "JSDDPMSlicer" / "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS")
MODULE_RESOURCES = List(PROJECT / "JSDDPMSlicer" / "CMakeLists.txt", "MODULE_PYTHON_RESOURCES")

_WANTED = {
    CORE_SCRIPTS: _scripts_of_core,
    CORE_RESOURCES: _resources_of_core,
    MODULE_SCRIPTS: _scripts_of_module,
    MODULE_RESOURCES: _resources_of_module,
}
LISTS = tuple(_WANTED)


def scripts_on_disk() -> list[str]:
    """Every Python file of the core, relative to the project, sorted."""
    return CORE_SCRIPTS.on_disk()


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"^set\({name}\n(?P<body>.*?)^\s*\)$", re.MULTILINE | re.DOTALL)


def listed(name: str, text: str) -> list[str]:
    """The entries of `set(NAME ...)` in the text of a CMake file."""
    found = _block(name).search(text)
    if found is None:
        raise LookupError(f"there is no set({name} ...)")
    return [line.strip() for line in found["body"].splitlines() if line.strip()]


def updated(text: str, of: List) -> str:
    """The text of a CMake file with one list as the disk has it."""
    body = "".join(f"  {entry}\n" for entry in of.on_disk())
    return _block(of.name).sub(f"set({of.name}\n{body}  )", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite the lists in the CMakeLists.txt files")
    write = parser.parse_args().write
    for each in LISTS:
        before = each.file.read_text(encoding="utf-8")
        after = updated(before, each)
        if write:
            each.file.write_text(after, encoding="utf-8")
        print(f"{each.name} {'was up to date' if before == after else 'differs from the files on disk'}")


if __name__ == "__main__":
    main()
