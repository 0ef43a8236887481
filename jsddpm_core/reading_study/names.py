"""Names of readers, as they are typed: once so, once otherwise."""

from __future__ import annotations

import unicodedata


def plain_name(text: str) -> str:
    """One way to write letters with accents, and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def same_name(one: str, other: str) -> bool:
    """Whether two names are one but for capitals, spaces and the way of writing accents."""
    return plain_name(one).casefold() == plain_name(other).casefold()
