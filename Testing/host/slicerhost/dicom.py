"""DICOM as far as exporters need it: the base class of plugins, what they offer, and what the dialog makes of it."""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import qt
import slicer
import vtk

from .pythonqt.properties import stored


class DICOMPlugin:
    """`DICOMLib.DICOMPlugin`: finds nothing to load and nothing to export."""

    def __init__(self) -> None:
        self.loadType = "Generic DICOM"
        self.loadableCache: dict[Any, Any] = {}
        self.tags = {"seriesDescription": "0008,103E", "seriesNumber": "0020,0011"}

    def examineForImport(self, fileList: list[Any]) -> list[Any]:
        return []

    def examine(self, fileList: list[Any]) -> list[Any]:
        return self.examineForImport(fileList)

    def load(self, loadable: Any) -> bool:
        return True

    def examineForExport(self, subjectHierarchyItemID: int) -> list[Any]:
        return []

    def export(self, exportable: Any) -> str:
        return ""


class qSlicerDICOMExportable(qt.QObject):
    """One way to export one item."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._name, self._tooltip = "Unknown exporter", "Creates a DICOM file from the selected data"
        self._item, self._plugin, self._directory, self._confidence = 0, "", "", 0.0
        self._tags: dict[str, str] = {}

    def tags(self) -> dict[str, str]:
        return dict(self._tags)

    def tag(self, name: str) -> str:
        return self._tags.get(name, "")

    def setTag(self, name: str, value: str) -> None:
        self._tags[name] = value

    name = stored(str, "_name")
    tooltip = stored(str, "_tooltip")
    subjectHierarchyItemID = stored(int, "_item")
    pluginClass = stored(str, "_plugin")
    directory = stored(str, "_directory")
    confidence = stored(float, "_confidence")


class ExportDialog:
    """What Slicer's dialog of exporting lists for a data node or a study, and what it does on Export."""

    def __init__(self, item: int) -> None:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        items = [item]
        if hierarchy.IsItemLevel(item, slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy()):
            children = vtk.vtkIdList()
            hierarchy.GetItemChildren(item, children)
            items = [children.GetId(index) for index in range(children.GetNumberOfIds())]
        elif hierarchy.GetItemDataNode(item) is None:
            raise ValueError("Can only export data node or study item")
        self._hierarchy = hierarchy
        byPlugin: dict[str, list[Any]] = {}
        for each in items:
            for exportable in self._examined(each):
                byPlugin.setdefault(exportable.pluginClass, []).append(exportable)
        byConfidence: dict[float, list[Any]] = {}
        for _plugin, group in sorted(byPlugin.items()):
            mean = sum(exportable.confidence for exportable in group) / len(group)
            byConfidence[1.0 - mean] = group  # a group takes the place of another with the same confidence
        self.rows = [group for _number, group in sorted(byConfidence.items())]

    @staticmethod
    def _examined(item: int) -> list[Any]:
        found: list[Any] = []
        for pluginClass in slicer.modules.dicomPlugins.values():
            try:
                found.extend(pluginClass().examineForExport(item))
            except Exception:
                logging.exception("Failed to get exportables from plugin %s", pluginClass.__name__)
        return found

    def select(self, row: int) -> str:
        """Fill in the series tags of a row; what the dialog says then, empty where nothing is missing."""
        hierarchy = self._hierarchy
        prefix = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMAttributePrefix()
        parents = {hierarchy.GetItemParent(exportable.subjectHierarchyItemID) for exportable in self.rows[row]}
        if len(parents) > 1:
            return "Exportables are not in the same study"
        if not hierarchy.GetItemParent(parents.pop()):
            return "No patient found"
        for exportable in self.rows[row]:
            for tag in exportable.tags():
                if hierarchy.HasItemAttribute(exportable.subjectHierarchyItemID, prefix + tag):
                    value = hierarchy.GetItemAttribute(exportable.subjectHierarchyItemID, prefix + tag)
                    exportable.setTag(tag, value)
        return ""

    def export(self, row: int, directory: str) -> str:
        """Export a row; what the dialog says then, empty for success."""
        self.select(row)
        for exportable in self.rows[row]:
            exportable.directory = directory
        return slicer.modules.dicomPlugins[self.rows[row][0].pluginClass]().export(self.rows[row])


def install() -> None:
    """Make `import DICOMLib` and `slicer.qSlicerDICOMExportable` work."""
    module = ModuleType("DICOMLib")
    module.__spec__ = ModuleSpec("DICOMLib", None)
    module.DICOMPlugin = DICOMPlugin
    sys.modules["DICOMLib"] = module
    slicer.qSlicerDICOMExportable = qSlicerDICOMExportable
    slicer.modules.dicomPlugins = {}
