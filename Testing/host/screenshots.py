"""
Draw every panel, with images that the demo model makes, into `Resources/Screenshots/`.

`make screenshots` runs it; the README shows what it draws.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicerhost

PROJECT = Path(__file__).resolve().parents[2]
MODULE = PROJECT / "JSDDPMSlicer" / "JSDDPMSlicer.py"
TEMPLATE = PROJECT / "Resources" / "Templates" / "flair-mni152-2mm.nii.gz"
SIZE = (1440, 960)
PATIENCE_S = 900


class Photographer:
    """Draws the main window into files.

    Args:
        window: the main window.
        folder: where the pictures go.
    """

    def __init__(self, window: Any, folder: Path) -> None:
        self.window, self.folder = window, folder
        folder.mkdir(parents=True, exist_ok=True)

    def draw(self, name: str) -> None:
        """One picture, once everything has been drawn on the screen."""
        import slicer

        for _ in range(20):
            slicer.app.processEvents()
        path = self.folder / f"{name}.png"
        if not self.window.grab().save(str(path)):
            raise OSError(f"{path} could not be written")
        print(path)


def generated(panel: Any, seed: int, **wishes: Any) -> Any:
    """The result of one run of the Generate panel."""
    from fixtures import until

    panel.parameters.seed = seed
    for name, value in wishes.items():
        setattr(panel.parameters, name, value)
    if panel.whyNot():
        raise RuntimeError(panel.whyNot())
    panel.ui.applyButton.click()
    until(lambda: not panel.busy, PATIENCE_S)
    if panel.result is None:
        raise RuntimeError(panel.ui.statusLabel.text)
    return panel.result


def choose(panel: Any, pathology: str) -> None:
    combo = panel.ui.pathologyCombo
    combo.setCurrentIndex(combo.findData(pathology))


def take(photographer: Photographer, module: Any) -> None:
    """All pictures, in the order of the README's tutorial."""
    import slicer
    from fixtures import until

    panel = module.generate
    layout = slicer.app.layoutManager()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    until(lambda: panel._measuring is None, PATIENCE_S)
    photographer.draw("generate-start")

    choose(panel, "ms")
    panel.parameters.positionMm = 18.0
    panel.parameters.seed = 3
    panel.parameters.steps = 50
    panel.ui.applyButton.click()
    until(
        lambda: not panel.busy or (panel.run.preview is not None and "tep 3" in panel.ui.statusLabel.text), PATIENCE_S
    )
    photographer.draw("generate-running")
    panel.ui.applyButton.click()
    until(lambda: not panel.busy, PATIENCE_S)

    choose(panel, "infarct")
    generated(panel, seed=1, steps=20)
    photographer.draw("generate-infarct")
    choose(panel, "ms")
    generated(panel, seed=1, positionMm=18.0)
    photographer.draw("generate-ms")

    patient = slicer.util.loadVolume(str(TEMPLATE), {"name": "Average FLAIR"})
    panel.ui.referenceSection.collapsed = False
    panel.parameters.reference = patient
    panel.parameters.referenceIsAligned = True
    generated(panel, seed=5)
    panel.ui.sideBySideButton.click()
    photographer.draw("generate-beside-patient")
    panel.ui.referenceSection.collapsed = True
    panel.ui.advancedSection.collapsed = False
    photographer.draw("generate-advanced")

    module.tabs.setCurrentIndex(1)
    until(lambda: module.settings._probe.answered, 30)
    photographer.draw("setup")


def main(arguments: list[str]) -> int:
    """Draw, and clean up."""
    parser = argparse.ArgumentParser(description="Draw every panel with images that the demo model makes.")
    parser.add_argument("--out", type=Path, default=PROJECT / "Resources" / "Screenshots")
    options = parser.parse_args(arguments)
    app = slicerhost.start()
    from slicerhost import application, mainwindow

    loaded = application.load_module(str(MODULE))
    with tempfile.TemporaryDirectory() as results:
        app.userSettings().setValue("JSDDPMSlicer/ResultsFolder", results)
        window = mainwindow.openMainWindow([loaded])
        window.resize(*SIZE)
        window.show()
        try:
            take(Photographer(window, options.out), loaded.widgetRepresentation().self())
        finally:
            application.unload_module("JSDDPMSlicer")
            window.close()
    return 1 if app.slotErrors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
