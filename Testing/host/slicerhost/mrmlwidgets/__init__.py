"""Widgets of Slicer that show the scene: what `slicer` offers beside the classes of MRML."""

from __future__ import annotations

from typing import Any

import ctk
import slicer

from ..pythonqt.uiloader import customWidgets
from .base import qMRMLWidget, qSlicerWidget
from .hierarchy import qMRMLSubjectHierarchyTreeView
from .nodecombobox import qMRMLNodeComboBox
from .plotview import qMRMLPlotView, qMRMLPlotWidget
from .segments import qMRMLSegmentSelectorWidget, qMRMLSegmentsTableView
from .sequences import qMRMLSequenceBrowserPlayWidget, qMRMLSequenceBrowserSeekWidget
from .sliceview import qMRMLSliceView
from .slicewidget import qMRMLSliceControllerWidget, qMRMLSliceWidget
from .tableview import qMRMLTableView, qMRMLTableWidget

WIDGETS: tuple[Any, ...] = (
    qMRMLNodeComboBox,
    qMRMLPlotView,
    qMRMLPlotWidget,
    qMRMLSegmentSelectorWidget,
    qMRMLSegmentsTableView,
    qMRMLSequenceBrowserPlayWidget,
    qMRMLSequenceBrowserSeekWidget,
    qMRMLSliceControllerWidget,
    qMRMLSliceView,
    qMRMLSliceWidget,
    qMRMLSubjectHierarchyTreeView,
    qMRMLTableView,
    qMRMLTableWidget,
    qMRMLWidget,
    qSlicerWidget,
)

# They exist in Slicer, so that code may name them; making one in the host is an error.
ABSENT = (
    "qMRMLCheckableNodeComboBox",
    "qMRMLCollapsibleButton",
    "qMRMLRangeWidget",
    "qMRMLScreenShotDialog",
    "qMRMLSegmentEditorWidget",
    "qMRMLSliderWidget",
    "qMRMLSpinBox",
    "qMRMLSubjectHierarchyComboBox",
    "qMRMLThreeDView",
    "qMRMLThreeDWidget",
    "qMRMLVolumeThresholdWidget",
    "qSlicerModuleSelectorToolBar",
)


def install() -> None:
    """Put the widgets into `slicer` and before the loader of forms."""
    for widget in WIDGETS:
        setattr(slicer, widget.__name__, widget)
        customWidgets[widget.__name__] = widget
    for name in ABSENT:
        setattr(slicer, name, ctk.absent(name))
