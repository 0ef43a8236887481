"""Measures what a user waits for, a bundle loaded and one slice drawn, in a process of its own: `... BUNDLE`."""

from __future__ import annotations

import json
import sys
import time

STARTED = time.perf_counter()

from pathlib import Path  # noqa: E402

from timing import peak_memory_gb  # noqa: E402

from jsddpm_core.bundle import read_bundle  # noqa: E402
from jsddpm_core.diffusion.noise import NoiseKey  # noqa: E402
from jsddpm_core.generation.request import GenerateRequest  # noqa: E402
from jsddpm_core.generation.synthesizer import Synthesizer  # noqa: E402


def main(folder: str) -> dict[str, float]:
    """Seconds for imports, for loading, and for the first slice by the bundle's defaults; memory."""
    imported = time.perf_counter()
    synthesizer = Synthesizer(read_bundle(Path(folder)), "cpu")
    loaded = time.perf_counter()
    pathology = synthesizer.bundle.manifest.pathologies[0]
    position = sum(pathology.position_range_mm) / 2
    request = GenerateRequest(model=folder, pathology=pathology.name, position_mm=position, device="cpu")
    synthesizer.draw(request, [position], [NoiseKey(0, 0)])
    drawn = time.perf_counter()
    return {
        "imports": imported - STARTED,
        "load": loaded - imported,
        "slice": drawn - loaded,
        "total": drawn - STARTED,
        "memory_gb": peak_memory_gb(),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
