"""Where the core lies, in the source tree and in an installed extension, and whether its light part can be imported."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

LIGHT_PACKAGES = ("numpy", "pydantic", "safetensors")
"""What the window itself needs to read bundles and to write requests; everything else runs in the worker."""


def coreFolder() -> Path:
    """The folder that holds `jsddpm_core`: beside the installed module, or two levels up in the source tree.

    Raises:
        FileNotFoundError: if the installation is incomplete.
    """
    for folder in Path(__file__).resolve().parents:
        if (folder / "jsddpm_core" / "__init__.py").is_file():
            return folder
    raise FileNotFoundError("jsddpm_core is missing beside the module: install the extension again")


def makeImportable() -> None:
    """Lets `import jsddpm_core` find the core that belongs to this module."""
    folder = str(coreFolder())
    if folder not in sys.path:
        sys.path.append(folder)


def missingLightPackages() -> list[str]:
    """Packages without which no panel but Setup can work."""
    importlib.invalidate_caches()
    return [name for name in LIGHT_PACKAGES if importlib.util.find_spec(name) is None]


def memoryBytes() -> int | None:
    """The machine's main memory; None where the system does not tell."""
    makeImportable()
    from jsddpm_core.machine import memory_bytes

    return memory_bytes()
