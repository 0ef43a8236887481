"""Wall and processor time of a call, and the memory that a process has needed."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def timed(call: Callable[[], Any], repeats: int, warm_up: int = 1) -> dict[str, float]:
    """Medians over `repeats` calls of seconds and of processor seconds, all threads together."""
    for _ in range(warm_up):
        call()
    wall, processor = [], []
    for _ in range(repeats):
        wall_start, processor_start = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - wall_start)
        processor.append(time.process_time() - processor_start)
    return {"seconds": statistics.median(wall), "cpu_seconds": statistics.median(processor), "repeats": repeats}


def peak_memory_gb() -> float:
    """The largest resident memory of this process so far, in 10^9 bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest * (1 if sys.platform == "darwin" else 1024) / 1e9
