"""The Reading study panel: a blinded study from its design to its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from .AnalyseStep import AnalyseStep
from .DesignStep import DesignStep
from .ReadStep import ReadStep


class ReadingStudyPanel:
    """Wires one `ReadingStudy.ui`.

    Args:
        widget: the loaded user interface.
    """

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.ui = slicer.util.childWidgetVariables(widget)
        self._study: Path | None = None
        self._refreshing = False
        self.design = DesignStep(self.ui, self._onStudy)
        self.read = ReadStep(self.ui, self.refresh)
        self.analyse = AnalyseStep(self.ui, self._folder)
        for section in (self.ui.designSection, self.ui.readSection, self.ui.analyseSection):
            section.connect("contentsCollapsed(bool)", self._onUnfolded)
        self.refresh()

    def enter(self) -> None:
        """The panel has come to the front."""
        self.design.enter()
        self.read.enter()
        self.refresh()

    def exit(self) -> None:
        """The panel has gone to the back."""

    def sceneClosed(self) -> None:
        """The scene's nodes are gone, and with them a reading's."""
        self.design.sceneClosed()
        self.analyse.sceneClosed()
        if self.read.run is not None:
            self.read.run.close()

    def close(self) -> None:
        """Before the panel goes."""
        for step in (self.design, self.read, self.analyse):
            step.close()

    def refresh(self) -> None:
        """Brings every control in line with what can be done now."""
        if self._refreshing:
            return
        self._refreshing = True
        for step in (self.design, self.read):
            step.refresh()
        if self._study != self.read.folder:
            self._study = self.read.folder
            self.analyse.forget()
        self.analyse.refresh()
        self._refreshing = False

    def _folder(self) -> Path | None:
        return self.read.folder if self.read.manifest is not None else None

    def _onStudy(self, folder: Path) -> None:
        """A study was made: it is the one to read."""
        self.ui.studyFolderEdit.currentPath = str(folder)

    def _onUnfolded(self, _collapsed: bool) -> None:
        self.refresh()
