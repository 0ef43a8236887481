"""The results of the scene, and which of them the panel shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .Scene import Result, findResults, isSynthetic
from .Words import title


class Results(VTKObservationMixin):
    """Keeps a list of results in step with the scene: made here, loaded with a scene, removed or deleted by hand.

    Args:
        combo: in which the user chooses one.
        selector: of a patient's volume, in which nothing synthetic is offered.
        isLoading: whether a result is being put into the scene, which must not be taken for one yet.
        say: shows one line.
        onChanged: called when the chosen result is another one, or looks different.
    """

    def __init__(
        self,
        combo: Any,
        selector: Any,
        isLoading: Callable[[], bool],
        say: Callable[[str], None],
        onChanged: Callable[[], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._combo, self._selector, self._isLoading, self._say, self._onChanged = (
            combo,
            selector,
            isLoading,
            say,
            onChanged,
        )
        self.all: list[Result] = []
        self._current: Result | None = None
        self._closed = self._waiting = self._filling = False
        self._seen: tuple[Any, ...] = ()
        scene = slicer.mrmlScene
        for event in (
            scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndImportEvent, scene.EndCloseEvent,
            scene.EndBatchProcessEvent,
        ):  # fmt: skip
            self.addObserver(scene, event, self._later)
        combo.connect("currentIndexChanged(int)", self._onChosen)
        self.look()

    @property
    def current(self) -> Result | None:
        return self._current

    @current.setter
    def current(self, result: Result | None) -> None:
        for browser in self._browsers():
            self.removeObserver(browser, vtk.vtkCommand.ModifiedEvent, self._later)
        self._current = result
        for browser in self._browsers():
            self.addObserver(browser, vtk.vtkCommand.ModifiedEvent, self._later)
        if result is not None and result not in self.all:
            self.all.append(result)
        self._fill()

    def look(self) -> Result | None:
        """Brings list and choice in line with the scene, and returns the chosen result."""
        if self._isLoading() or slicer.mrmlScene.IsBatchProcessing():
            return self._current if self._current is not None and self._current.present else None
        known, before = list(self.all), self._current
        self.all = findResults(known)
        if before is not None and not before.present:
            if before.nodes:  # or it was removed as it should be
                told = _("'{name}' is no longer whole: its nodes were deleted. Its files are still in {folder}.")
                self._say(told.format(name=before.name, folder=before.folder))
            self.current = self.all[-1] if self.all else None
        elif before is None and self.all and self.all != known:
            self.current = self.all[-1]
        elif self.all != known:
            self._fill()
        return self._current

    def forget(self) -> None:
        """The scene goes, and all its results."""
        self.all = []
        self.current = None

    def close(self) -> None:
        """Looks no longer."""
        self._closed = True
        self.removeObservers()

    def _browsers(self) -> list[Any]:
        return [] if self._current is None or self._current.browser is None else [self._current.browser]

    def _later(self, _caller: Any = None, _event: Any = None) -> None:
        """Once, when whoever changes the scene has changed it."""
        if not self._waiting:
            self._waiting = True
            qt.QTimer.singleShot(0, self._lookLater)

    def _lookLater(self) -> None:
        self._waiting = False
        if self._closed:
            return
        result = self.look()
        self._hideSynthetic()
        seen = (result, *((result.number, result.patient, result.toWorld is None) if result is not None else ()))
        if seen != self._seen:
            self._seen = seen
            self._onChanged()

    def _hideSynthetic(self) -> None:
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        hidden = tuple(node.GetID() for node in volumes if isSynthetic(node))
        model = self._selector.sortFilterProxyModel()
        if tuple(model.hiddenNodeIDs) != hidden:
            model.hiddenNodeIDs = list(hidden)

    def _onChosen(self, index: int) -> None:
        if not self._filling and 0 <= index < len(self.all):
            self.current = self.all[index]
            self._onChanged()

    def _fill(self) -> None:
        combo, self._filling = self._combo, True
        combo.clear()
        for result in self.all:
            combo.addItem(title(result), str(result.folder))
            combo.setItemData(combo.count - 1, str(result.folder), qt.Qt.ToolTipRole)
        combo.setCurrentIndex(self.all.index(self._current) if self._current in self.all else -1)
        self._filling = False
        combo.enabled = bool(self.all)
        combo.toolTip = (
            _("The result that the buttons below are about. All results of the scene are here.")
            if self.all
            else _("The scene holds no result yet.")
        )
