"""Curves and samples of a run in Slicer's views, and the way back to what was shown before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer

from .Curves import Curves
from .OwnLayout import OwnLayout, plotView
from .PlotNodes import showChart
from .SampleVolume import SampleVolume
from .Views import RED, compositeNode, sliceNode

LAYOUT = 50_451

_PLOTS = ("TrainingLosses", "TrainingValidation", "TrainingRate")


def _description() -> str:
    plots = "".join(plotView(name, number) for number, name in enumerate(_PLOTS, start=1))
    return (
        '<layout type="horizontal" split="true"><item><view class="vtkMRMLSliceNode" singletontag="Red">'
        '<property name="orientation" action="default">Axial</property><property name="viewlabel" action="default">R'
        '</property><property name="viewcolor" action="default">#F34A33</property></view></item>'
        f'<item><layout type="vertical">{plots}</layout></item></layout>'
    )


class TrainingView:
    """What is known of one run, and whether it is shown."""

    def __init__(self) -> None:
        self.curves = Curves()
        self.samples = SampleVolume()
        self.folder: Path | None = None
        self.title = ""
        self.layout = OwnLayout(LAYOUT, _description())
        self._newest: tuple[Path, int] | None = None

    def setRun(self, folder: Path | None, title: str = "") -> None:
        """Takes another run, with the curves and samples that its folder has."""
        self.folder, self.title = folder, title
        self.samples.close()
        self._newest = None
        if folder is None:
            self.curves.replace({})
            return
        from jsddpm_core.training.runs import PREVIEWS, read_curves

        self.curves.replace(read_curves(folder))
        grids = sorted((folder / PREVIEWS).glob("step-*.npy"))
        if grids:
            self.addSamples(grids[-1], int(grids[-1].name.removeprefix("step-").partition("_")[0]))
        self._showPlots()

    def addSamples(self, array: Path, step: int) -> None:
        """Shows newer samples in the volume of the run."""
        if self.samples.show(array, step, self.title):
            self._newest = (array, step)
            self._showSamples()

    def show(self) -> None:
        """The run's own layout: samples on the left, plots on the right."""
        if not self.layout.show():
            return
        self._showPlots()
        self._showSamples()
        qt.QTimer.singleShot(0, self._fit)  # when the views have got their sizes

    def hide(self) -> None:
        """Back to what was shown before."""
        self.layout.hide()

    def sceneClosed(self) -> None:
        """The nodes are gone; numbers and files stay."""
        self.curves.sceneClosed()
        self.samples.sceneClosed()
        self.layout.sceneClosed()

    def close(self) -> None:
        """Before the panel goes."""
        self.hide()
        self.curves.close()
        self.samples.close()

    def _showPlots(self) -> None:
        if not self.layout.shown:
            return
        for name, chart in zip(_PLOTS, self.curves.charts(), strict=True):
            showChart(name, chart)

    def _showSamples(self) -> None:
        if not self.layout.shown or self.samples.node is None:
            return
        layers: Any = compositeNode(RED)
        if layers.GetBackgroundVolumeID() != self.samples.node.GetID():
            layers.SetBackgroundVolumeID(self.samples.node.GetID())
            layers.SetForegroundVolumeID(None)
            layers.SetLabelVolumeID(None)
            sliceNode(RED).SetOrientationToAxial()
            self._fit()

    def _fit(self) -> None:
        if not self.layout.shown or self.samples.node is None:
            return
        logic = slicer.app.applicationLogic().GetSliceLogic(sliceNode(RED))
        if logic is not None:
            logic.FitSliceToBackground()
            sliceNode(RED).SetSliceOffset(0.0)
