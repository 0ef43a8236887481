"""Choosing cases among what is loaded: volumes to tick, and the segment that is the lesion of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from . import SceneCases
from .Controls import show
from .SceneCases import Lesion, SceneCase
from .Steps import Steps
from .Tables import fitHeight


class ScenePicker:
    """Wires the scene part of a step that takes cases.

    Args:
        ui: of the panel.
        draftFolder: gives the folder that files are written into.
        onWritten: called with that folder when all are written.
        withoutLesion: what a volume without a segment is called.
    """

    def __init__(
        self, ui: Any, draftFolder: Callable[[], Path], onWritten: Callable[[Path], None], withoutLesion: str
    ) -> None:
        self.ui, self._draftFolder, self._onWritten = ui, draftFolder, onWritten
        self._withoutLesion = withoutLesion
        self._volumes: list[Any] = []
        self._lesions: list[Lesion] = []
        self._combos: list[Any] = []
        self._filling = False
        self.steps: Steps | None = None
        table = ui.sceneTable
        table.setColumnCount(2)
        table.setHorizontalHeaderLabels([_("FLAIR volume"), _("Its lesion")])
        table.verticalHeader().setVisible(False)
        table.setSelectionMode(qt.QAbstractItemView.NoSelection)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        for column in range(2):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)
        table.connect("itemChanged(QTableWidgetItem*)", self._onItem)
        ui.sceneButton.connect("toggled(bool)", self._onToggled)
        ui.addSceneButton.connect("clicked(bool)", self.onAdd)
        self.refresh()

    @property
    def busy(self) -> bool:
        return self.steps is not None

    def fill(self) -> None:
        """Looks at the scene anew."""
        table = self.ui.sceneTable
        self._volumes, self._lesions, self._combos = SceneCases.volumes(), SceneCases.lesions(), []
        self._filling = True
        table.setRowCount(len(self._volumes))
        for number, volume in enumerate(self._volumes):
            problem = SceneCases.problem(volume)
            item = qt.QTableWidgetItem(volume.GetName())
            item.setFlags(
                qt.Qt.ItemIsSelectable if problem else qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable
            )  # fmt: skip
            item.setCheckState(qt.Qt.Unchecked)
            item.setToolTip(problem or _("Tick to take this volume."))
            table.setItem(number, 0, item)
            table.setCellWidget(number, 1, self._combo(volume, not problem))
        fitHeight(table)
        self._filling = False
        self.refresh()

    def whyNot(self) -> str:
        """Why nothing can be added; empty where something can."""
        if self.busy:
            return _("The volumes are being written.")
        if not self._volumes:
            return _("No volume is loaded: load FLAIR volumes first.")
        chosen = self._chosen()
        if not chosen:
            return _("Tick a volume first.")
        for volume, lesion in chosen:
            if lesion == "":
                return _("Choose which segment is the lesion of {name}, or that it has none.").format(
                    name=volume.GetName()
                )
        return ""

    def refresh(self) -> None:
        """Brings the button and its words in line."""
        why = self.whyNot()
        show(self.ui.scenePanel, bool(self.ui.sceneButton.checked))
        self.ui.addSceneButton.enabled = not why
        self.ui.addSceneButton.toolTip = why or _("Writes copies; the scene stays as it is.")
        self.ui.sceneStatus.text = why

    def sceneClosed(self) -> None:
        """The nodes are gone."""
        if self.steps is not None:
            self.steps.cancel()
            self.steps = None
        if self.ui.sceneButton.checked:
            self.fill()
        else:
            self._volumes, self._lesions, self._combos = [], [], []

    def onAdd(self) -> None:
        """Writes what is ticked, one file per turn of the event loop."""
        if self.whyNot():
            return
        cases = [SceneCase(volume, lesion) for volume, lesion in self._chosen()]
        if not all(SceneCases.isThere(case) for case in cases):
            self.fill()
            self.ui.sceneStatus.text = _("The scene has changed: choose again.")
            return
        try:
            folder = self._draftFolder()
        except OSError as error:
            self.ui.sceneStatus.text = _("The copies cannot be written: {reason}").format(
                reason=error.strerror or error
            )
            return
        self.steps = Steps(
            SceneCases.write(cases, folder), lambda: self._onDone(folder), lambda error: self._onError(error)
        )
        self.refresh()
        self.ui.sceneStatus.text = _("Writing copies...")

    def _onDone(self, folder: Path) -> None:
        self.steps = None
        self.ui.sceneButton.setChecked(False)
        self._onWritten(folder)

    def _onError(self, error: Exception) -> None:
        self.steps = None
        self.refresh()
        remedy = _("free disk space") if isinstance(error, OSError) else _("choose again")
        self.ui.sceneStatus.text = _("The volumes could not be handed over ({reason}): {remedy}.").format(
            reason=error, remedy=remedy
        )

    def _onToggled(self, shown: bool) -> None:
        if shown:
            self.fill()
        self.refresh()

    def _onItem(self, _item: Any) -> None:
        if not self._filling:
            self.refresh()

    def _onLesion(self, _index: int) -> None:
        self.refresh()

    def _combo(self, volume: Any, enabled: bool) -> Any:
        combo = qt.QComboBox()
        own = SceneCases.suggested(volume, self._lesions)
        combo.addItem(_("Choose..."), "")
        combo.addItem(self._withoutLesion, "none")
        for number, lesion in enumerate(self._lesions):
            combo.addItem(lesion.label, str(number))
        combo.setCurrentIndex(self._lesions.index(own) + 2 if own is not None else 0 if self._lesions else 1)
        combo.toolTip = _("Which segment is the lesion; it is brought to the grid of the volume.")
        combo.enabled = enabled
        combo.connect("currentIndexChanged(int)", self._onLesion)
        self._combos.append(combo)
        return combo

    def _chosen(self) -> list[tuple[Any, Any]]:
        """Ticked volumes, each with its lesion; None for no mask, and an empty word where nothing was chosen."""
        chosen = []
        for number, volume in enumerate(self._volumes):
            if self.ui.sceneTable.item(number, 0).checkState() != qt.Qt.Checked:
                continue
            data = self._combos[number].itemData(self._combos[number].currentIndex)
            chosen.append((volume, "" if data == "" else None if data == "none" else self._lesions[int(data)]))
        return chosen
