"""
The libraries of the system that the host needs: says which are missing, and installs them where it may.

`python Testing/host/system_libraries.py` installs with apt-get as root, and else names the command; `--screen` asks for
those of a window on a screen too, `--required` ends with an error where some are missing still. Standard library only.
"""

from __future__ import annotations

import argparse
import ctypes
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable

# Debian's packages and the file of each that is loaded.
DRAWING = {
    "libegl1": "libEGL.so.1",
    "libgl1": "libGL.so.1",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libxkbcommon0": "libxkbcommon.so.0",
    "libfontconfig1": "libfontconfig.so.1",
    "libdbus-1-3": "libdbus-1.so.3",
}
# What draws without a graphics card is no library that can be loaded by itself, but a file in one of these places.
DRIVERS = {
    "libgl1-mesa-dri": ("/usr/lib/*/dri/*_dri.so", "/usr/lib64/dri/*_dri.so", "/usr/lib/*/libgallium*.so"),
}
SCREEN = {
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-image0": "libxcb-image.so.0",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-render-util0": "libxcb-render-util.so.0",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libxcb-xinerama0": "libxcb-xinerama.so.0",
    "libxcb-xkb1": "libxcb-xkb.so.1",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
}


def loads(file: str) -> bool:
    """Whether a library can be loaded."""
    try:
        ctypes.CDLL(file)
    except OSError:
        return False
    return True


def exists(patterns: Iterable[str]) -> bool:
    """Whether a file of one of the patterns is there."""
    return any(glob.glob(pattern) for pattern in patterns)  # noqa: PTH207 - absolute patterns


def missing(
    screen: bool, canLoad: Callable[[str], bool] = loads, isThere: Callable[[Iterable[str]], bool] = exists
) -> list[str]:
    """
    Debian's names of the packages whose files cannot be found.

    :param screen: look for those of a window on a screen too.
    """
    libraries = {**DRAWING, **(SCREEN if screen else {})}
    lacking = [package for package, file in libraries.items() if not canLoad(file)]
    return lacking + [package for package, patterns in DRIVERS.items() if not isThere(patterns)]


def command(packages: list[str]) -> str:
    """What a person types to install packages."""
    return f"sudo apt-get install --no-install-recommends {' '.join(packages)}"


def install(packages: list[str]) -> bool:
    """Install packages with apt-get; whether that worked."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        if subprocess.run(["apt-get", *arguments], env=environment, check=False).returncode:
            return False
    return True


def main(arguments: list[str]) -> int:
    """Look, install where possible, and say what remains."""
    parser = argparse.ArgumentParser(description="System libraries of the stand-in for Slicer.")
    parser.add_argument("--screen", action="store_true", help="those of a window on a screen too")
    parser.add_argument("--required", action="store_true", help="end with an error where some are missing")
    options = parser.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        return 0
    packages = missing(options.screen)
    mayInstall = packages and shutil.which("apt-get") is not None and os.geteuid() == 0
    if mayInstall:
        print(f"Installing system libraries: {' '.join(packages)}")
        install(packages)
        packages = missing(options.screen)
    if not packages:
        return 0
    print(f"The stand-in for Slicer needs system libraries that are missing: {' '.join(packages)}")
    print(f"On Debian and Ubuntu install them with: {command(packages)}")
    return 1 if options.required else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
