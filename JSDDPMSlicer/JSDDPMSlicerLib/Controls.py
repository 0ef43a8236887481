"""Buttons that say why they cannot be pressed, and parts that stay hidden while their section is folded."""

from __future__ import annotations

from typing import Any


def explain(button: Any, why: str, what: str) -> None:
    """Enables a button with what it does as its tooltip; disables it where there is a reason, and says that."""
    button.enabled = not why
    button.toolTip = why or what


def show(widget: Any, wanted: bool) -> None:
    """Shows or hides a part of a panel; in a folded section it stays hidden until that unfolds and all is refreshed."""
    parent = widget.parentWidget()
    while wanted and parent is not None:
        if getattr(parent, "collapsed", False) is True:
            return
        parent = parent.parentWidget()
    widget.setVisible(wanted)
