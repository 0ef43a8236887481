"""What this machine and this process have, asked without torch."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def available_threads() -> int:
    """Processor threads that this process may use: the system's word, or fewer where `OMP_NUM_THREADS` says so."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(allowed, int(asked)) if asked.isdecimal() and int(asked) > 0 else allowed


def memory_bytes() -> int | None:
    """The machine's memory; None where the system does not tell."""
    if sys.platform == "win32":
        return _windows_memory_bytes()
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _windows_memory_bytes() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong), ("load", ctypes.c_ulong), ("total", ctypes.c_ulonglong),
            ("available", ctypes.c_ulonglong), ("total_page", ctypes.c_ulonglong),
            ("available_page", ctypes.c_ulonglong), ("total_virtual", ctypes.c_ulonglong),
            ("available_virtual", ctypes.c_ulonglong), ("extended", ctypes.c_ulonglong),
        ]  # fmt: skip

    status = Status()
    status.length = ctypes.sizeof(status)
    return status.total if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def memory_limit_bytes() -> int | None:
    """The memory that this process may use: the machine's, or less where a container says so; None if nobody tells."""
    limits = [memory_bytes()]
    with suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def forget_peak_memory() -> None:
    """Lets `peak_memory_bytes` begin anew, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held so far; None where the system does not tell."""
    # Linux counts what the starting process held into getrusage; its own high-water mark is this process's alone.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def first_of_many() -> bool:
    """Whether this is the first of the processes that share a job (torchrun, SLURM, Lightning's own), or the only one.

    The first speaks for all.
    """
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
