"""The files of one sample: FLAIR, mask, and the sidecar that names them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _


@dataclass(frozen=True)
class Sample:
    """The files of one sample or volume."""

    image: Path
    mask: Path
    sidecarFile: Path
    sidecar: dict[str, Any]

    @property
    def delivery(self) -> dict[str, Any]:
        """The checks of the draw that was kept."""
        return self.sidecar["attempts"][-1]


def readSample(sidecarFile: Path) -> Sample:
    """The sample of a sidecar's file; see `sampleOf`."""
    return sampleOf(sidecarFile, json.loads(sidecarFile.read_text(encoding="utf-8")))


def sampleOf(sidecarFile: Path, sidecar: dict[str, Any]) -> Sample:
    """The sample that a sidecar describes; the files it names must lie beside it.

    Raises:
        ValueError: if it names anything else.
    """
    names = {ending: record["name"] for ending, record in sidecar["files"].items()}
    for name in names.values():
        if Path(name).name != name:
            told = _("{sidecar} names the file '{name}', which does not lie beside it")
            raise ValueError(told.format(sidecar=sidecarFile.name, name=name))
    image = next(name for ending, name in names.items() if not ending.endswith("mask"))
    mask = next(name for ending, name in names.items() if ending.endswith("mask"))
    return Sample(sidecarFile.with_name(image), sidecarFile.with_name(mask), sidecarFile, sidecar)
