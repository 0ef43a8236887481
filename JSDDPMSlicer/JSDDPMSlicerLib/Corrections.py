"""What is done to scans on the way to the network, and whether lesions are painted into them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from . import Interpreter

HD_BET = "hd-bet"


class Corrections:
    """Wires the optional steps of the Cases step.

    Args:
        ui: of the panel.
        onChanged: called after every change.
    """

    def __init__(self, ui: Any, onChanged: Callable[[], None]) -> None:
        self.ui, self._onChanged = ui, onChanged
        ui.alignmentCombo.addItem(_("Rigid: turn and shift"), "rigid")
        ui.alignmentCombo.addItem(_("Affine: also stretch and shear"), "affine")
        ui.templateEdit.filters = ui.templateEdit.Files
        ui.templateEdit.nameFilters = ["NIfTI (*.nii *.nii.gz)"]
        ui.alignmentCombo.connect("currentIndexChanged(int)", self._onOption)
        ui.templateEdit.connect("currentPathChanged(QString)", self._onOption)
        ui.simulateSlider.connect("valueChanged(double)", self._onOption)
        for check in (ui.n4Check, ui.skullCheck, ui.simulateCheck):
            check.connect("toggled(bool)", self._onOption)

    def request(self) -> dict[str, Any]:
        """The part of a request that these controls say."""
        ui = self.ui
        return {
            "corrections": {
                "n4": bool(ui.n4Check.checked),
                "skull_strip": bool(ui.skullCheck.checked and ui.skullCheck.enabled),
                "alignment": ui.alignmentCombo.itemData(ui.alignmentCombo.currentIndex),
                "template": ui.templateEdit.currentPath.strip() or None,
            },
            "simulation": {"share": ui.simulateSlider.value / 100 if ui.simulateCheck.checked else 0.0},
        }

    def whyNot(self) -> str:
        """What is wrong with them; empty where nothing is."""
        template = self.ui.templateEdit.currentPath.strip()
        if template and not Path(template).is_file():
            return _("The template {path} is not there: choose another, or empty the field.").format(path=template)
        return ""

    def refresh(self) -> None:
        """Greys what cannot be done here, and says why."""
        ui = self.ui
        there = Interpreter.currentInterpreter().foreign or shutil.which(HD_BET) is not None
        ui.skullCheck.enabled = there
        ui.skullCheck.toolTip = (
            _("Brain extraction with HD-BET, for scans that still show skull and scalp.")
            if there
            else _("HD-BET is not installed: install it with pip install hd-bet, and run it once.")
        )
        ui.simulateSlider.enabled = bool(ui.simulateCheck.checked)
        ui.simulateSlider.toolTip = (
            _("Of 100 slices without lesion, how many are used a second time with a painted lesion.")
            if ui.simulateCheck.checked
            else _("Tick the box above first.")
        )

    def _onOption(self, _value: Any) -> None:
        self._onChanged()
