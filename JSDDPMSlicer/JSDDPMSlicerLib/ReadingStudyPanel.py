"""The Reading study panel: a blinded study from its design to its report."""

from __future__ import annotations

from typing import Any

import slicer

from .ReadStep import ReadStep


class ReadingStudyPanel:
    """Wires one `ReadingStudy.ui`.

    Args:
        widget: the loaded user interface.
    """

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.ui = slicer.util.childWidgetVariables(widget)
        self.read = ReadStep(self.ui, self.refresh)
        self.refresh()

    def enter(self) -> None:
        """The panel has come to the front."""
        self.read.enter()

    def exit(self) -> None:
        """The panel has gone to the back."""

    def sceneClosed(self) -> None:
        """The scene's nodes are gone, and with them a reading's."""
        if self.read.run is not None:
            self.read.run.close()

    def close(self) -> None:
        """Before the panel goes."""
        self.read.close()

    def refresh(self) -> None:
        """Brings every control in line with what can be done now."""
        self.read.refresh()
