"""How long a run will take here: measured on this machine, kept in the settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import slicer

SETTING = "JSDDPMSlicer/Speeds"
MOST_KEPT = 50


@dataclass(frozen=True)
class Speed:
    """What one network evaluation costs.

    Attributes:
        seconds: wall time of an evaluation of one slice.
        memoryBytes: largest memory of the worker process; None where the system does not tell.
    """

    seconds: float
    memoryBytes: int | None


def speedKey(digest: str, device: str) -> str:
    """What a speed belongs to: a bundle on a device."""
    return f"{digest[:16]} {device}"


def evaluations(steps: int, slices: int, guidance: float) -> int:
    """Network evaluations of a run without redraws: two a step, unless guidance is 1 (none) or 0 (no condition)."""
    return steps * slices * (1 if guidance in (0, 1) else 2)


def readSpeeds() -> dict[str, Speed]:
    """All that is remembered; a damaged setting counts as empty."""
    try:
        stored = json.loads(slicer.util.settingsValue(SETTING, "{}", converter=str))
        return {key: Speed(float(entry["seconds"]), entry["memoryBytes"]) for key, entry in stored.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def remember(key: str, speed: Speed) -> None:
    """Stores a speed, newest last; the oldest go."""
    speeds = readSpeeds()
    speeds.pop(key, None)
    speeds[key] = speed
    kept = dict(list(speeds.items())[-MOST_KEPT:])
    text = json.dumps({name: asdict(entry) for name, entry in kept.items()})
    slicer.app.userSettings().setValue(SETTING, text)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def size(count: Any) -> str:
    """Bytes as people say them."""
    if count is None:
        return "unknown"
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
