"""`slicer.i18n`: translation of texts. The host has no translations and gives the text back."""

from __future__ import annotations

import sys
from types import ModuleType

import slicer
from PySide6 import QtCore


def translate(context: str, text: str) -> str:
    """Translate a text of a context, such as the name of a class of Slicer."""
    return QtCore.QCoreApplication.translate(context, text)


def tr(text: str) -> str:
    """
    Translate a text of the calling file.

    :raises TypeError: the text is no str, which Qt would not look up either.
    """
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is not a text")
    return text


def install() -> None:
    """Make `from slicer.i18n import tr as _` work."""
    module = ModuleType("slicer.i18n")
    module.tr, module.translate = tr, translate
    sys.modules["slicer.i18n"] = slicer.i18n = module
