"""What a case may show: the pathologies that models know, new ones by the names that users give them, and no lesion."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Sequence
from typing import Any

from slicer.i18n import tr as _

COLOURS = ((230, 75, 53), (77, 187, 213), (0, 160, 135), (60, 84, 136), (243, 155, 127), (132, 145, 180))
"""Of new pathologies, one after the other."""

LONGEST_NAME = 48


class Vocabulary:
    """Labels as users see them, and pathologies as a request takes them.

    Args:
        known: lesional pathologies of the chosen start model, or of all models, as plain values.
    """

    def __init__(self, known: Sequence[dict[str, Any]] = ()) -> None:
        self._known = {entry["name"]: entry for entry in known}
        focal = {"name": "fcd", "label": _("Focal cortical dysplasia"), "lesional": True, "colour": [0, 160, 135]}
        self._known.setdefault("fcd", focal)

    @property
    def free(self) -> str:
        """Of a case that is known to have no lesion."""
        return _("No lesion")

    @property
    def unknown(self) -> str:
        """Of a case whose lesions nobody has outlined or named."""
        return _("Not known")

    def labels(self) -> list[str]:
        """All that can be chosen without typing."""
        return [*(entry["label"] for entry in self._known.values()), self.free, self.unknown]

    def label(self, name: str | None, lesionFree: bool = False) -> str:
        """What is shown for a pathology's name."""
        if name is None:
            return self.free if lesionFree else self.unknown
        return self._known[name]["label"] if name in self._known else name.replace("-", " ")

    def meaning(self, text: str) -> tuple[str | None, bool]:
        """The name of a pathology, and whether there is none, from what a user chose or typed.

        Nothing typed means not known; any other words are a pathology, perhaps a new one.
        """
        said = text.strip()
        lower = said.lower()
        if lower in ("", self.unknown.lower()):
            return None, False
        if lower == self.free.lower():
            return None, True
        for entry in self._known.values():
            if lower in (entry["label"].lower(), entry["name"]):
                return entry["name"], False
        return nameOf(said) or f"pathology-{zlib.crc32(lower.encode()):08x}", False

    def canonical(self, text: str) -> str:
        """The label that stands for what was typed: a known one where it means one, else the words themselves."""
        name, free = self.meaning(text)
        return self.label(name, free) if name is None or name in self._known else text.strip()

    def isNew(self, text: str) -> bool:
        """Whether the words name a pathology that no model knows."""
        name, _free = self.meaning(text)
        return name is not None and name not in self._known

    def nearest(self, text: str) -> str:
        """The known label that some words come close to; empty where none does."""
        labels = {entry["label"].lower(): entry["label"] for entry in self._known.values()}
        close = difflib.get_close_matches(text.strip().lower(), list(labels), n=1, cutoff=0.7)
        return labels[close[0]] if close else ""

    def entries(self, labels: Sequence[str]) -> list[dict[str, Any]]:
        """The pathologies that some labels mean, as a request describes them, each once."""
        found: dict[str, dict[str, Any]] = {}
        for label in labels:
            name, _free = self.meaning(label)
            if name is None or name in found:
                continue
            colour = COLOURS[len(found) % len(COLOURS)]
            new = {"name": name, "label": label.strip(), "lesional": True, "colour": list(colour)}
            found[name] = self._known.get(name, new)
        return list(found.values())


def nameOf(text: str) -> str:
    """Words as a name of small letters, digits and hyphens; empty where none of them can be used."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST_NAME].strip("-")
