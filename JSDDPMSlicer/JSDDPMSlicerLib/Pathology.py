"""What is drawn as the lesion: its name, colour and code in Slicer's terminology."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slicer.i18n import tr as _

CATEGORY = "SCT^49755003^Morphologically Altered Structure"
UNCODED = "SCT^52988006^Lesion"
TISSUE = "SCT^85756007^Tissue"
"""Category and type of what is no lesion: Slicer's own for a segment of which nothing is known."""


@dataclass(frozen=True)
class Pathology:
    """What is drawn as the lesion: a class of the bundle, as its manifest has it."""

    name: str
    label: str
    code: str | None
    colour: tuple[int, int, int]
    lesional: bool = True

    @property
    def segmentName(self) -> str:
        named = _("{label} (synthetic)") if self.lesional else _("{label} asked (synthetic)")
        return named.format(label=self.label)

    @property
    def terminology(self) -> str:
        """The segment's terminology entry, serialised as Slicer does."""
        category, kind = (CATEGORY, UNCODED) if self.lesional else (TISSUE, TISSUE)
        code = re.fullmatch(r"(\w+):(\w+)", self.code or "")
        if code is not None and self.lesional:
            kind = f"{code[1]}^{code[2]}^{_plain(self.label)}"
        return f"Segmentation category and type - 3D Slicer General Anatomy list~{category}~{kind}~^^~~^^~^^"


def _plain(label: str) -> str:
    """A label without the characters that separate the parts of a terminology entry and of a segment's tags."""
    return " ".join(re.sub(r"[~^|<>]", " ", label).split())
