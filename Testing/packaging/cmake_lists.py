"""The files that CMakeLists.txt hands to Slicer, and the files on disk that it ought to hand over.

Slicer's macros take explicit lists and drop nothing silently only if nothing is missing from them. After adding
or removing a file, `python Testing/packaging/cmake_lists.py --write` brings the lists up to date.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CMAKE = PROJECT / "CMakeLists.txt"
SCRIPTS, RESOURCES = "JSDDPM_CORE_SCRIPTS", "JSDDPM_CORE_RESOURCES"


def _files(folder: Path) -> list[Path]:
    relative = (path.relative_to(PROJECT) for path in folder.rglob("*") if path.is_file())
    return [path for path in relative if not any(part.startswith((".", "__pycache__")) for part in path.parts)]


def scripts_on_disk() -> list[str]:
    """Every Python file of the core, relative to the project, sorted."""
    return sorted(path.as_posix() for path in _files(PROJECT / "jsddpm_core") if path.suffix == ".py")


def resources_on_disk() -> list[str]:
    """Configurations, models, templates and the encoder of the measures: what the core reads at run time, sorted."""
    data = [path for path in _files(PROJECT / "jsddpm_core") if path.suffix != ".py"]
    for folder in ("Features", "Models", "Templates"):
        data += _files(PROJECT / "Resources" / folder)
    return sorted(path.as_posix() for path in data)


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"^set\({name}\n(?P<body>.*?)^\s*\)$", re.MULTILINE | re.DOTALL)


def listed(name: str, text: str | None = None) -> list[str]:
    """The entries of `set(NAME ...)` in CMakeLists.txt, in their order."""
    found = _block(name).search(CMAKE.read_text(encoding="utf-8") if text is None else text)
    if found is None:
        raise LookupError(f"CMakeLists.txt has no set({name} ...)")
    return [line.strip() for line in found["body"].splitlines() if line.strip()]


def updated(text: str) -> str:
    """The text of CMakeLists.txt with both lists as the disk has them."""
    for name, entries in ((SCRIPTS, scripts_on_disk()), (RESOURCES, resources_on_disk())):
        body = "".join(f"  {entry}\n" for entry in entries)
        text = _block(name).sub(f"set({name}\n{body}  )", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite the lists in CMakeLists.txt")
    before = CMAKE.read_text(encoding="utf-8")
    after = updated(before)
    if parser.parse_args().write:
        CMAKE.write_text(after, encoding="utf-8")
    print("the lists were up to date" if before == after else "the lists differ from the files on disk")


if __name__ == "__main__":
    main()
