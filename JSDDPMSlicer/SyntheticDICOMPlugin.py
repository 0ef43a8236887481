"""Export to DICOM: refused, with the reason, for what a model made. A hidden module, as all DICOM plugins are.

How Slicer comes to it, from Slicer's sources:

- Every Python file on top of a module folder is a module, and one slicerMacroBuildScriptedModule may hand over several
  (Modules/Scripted/DICOMPlugins/CMakeLists.txt). A DICOM plugin's module puts its class into
  `slicer.modules.dicomPlugins` when it is loaded, which may be before the DICOM module is.
- The dialog (DICOMLib/Widgets/qSlicerDICOMExportDialog.cxx) asks each class for exportables of an item, groups them by
  `pluginClass`, and lists the groups by their mean confidence, the highest first and chosen. In a map with that
  number as its key the group whose plugin comes last in the order of code points takes the place of others with the
  same number. SlicerRT claims segmentations with 1.0 as DicomRtImportExportPlugin; this module's name comes after all
  that begin with D, so it is the refusal that stays.
- Groups with a lower confidence stay in the list and can be chosen; a plugin has no say in that.
- The editor of tags (qSlicerDICOMTagEditorWidget.cxx) fills a series tag from the item's attribute `DICOM.<tag>` where
  there is one; the plugins' own default comes second.
- After Export the dialog shows the text that `export` returns and writes nothing more; an empty text means success.
- For loading, `examineForImport` is asked, then `examine` where that found nothing (DICOMLib/DICOMUtils.py). The base
  class finds nothing in either, and so does this one: what is loaded is for the others to say.
"""

from __future__ import annotations

from typing import Any

import slicer
from JSDDPMSlicerLib.StudyGuard import StudyGuard
from JSDDPMSlicerLib.SyntheticItems import DICOM_LABELS, NO_DICOM, isSyntheticItem, label
from JSDDPMSlicerLib.SyntheticNotice import startNotice
from slicer.i18n import tr as _

try:
    from DICOMLib import DICOMPlugin
except ImportError:  # Slicer can be built without DICOM
    DICOMPlugin = None


class SyntheticDICOMPluginClass(DICOMPlugin or object):
    """Answers for synthetic items only, and exports none."""

    def __init__(self) -> None:
        super().__init__()
        self.loadType = _("Synthetic image")

    def examineForExport(self, subjectHierarchyItemID: int) -> list[Any]:
        """One exportable for a synthetic item, none for others.

        The item is labelled first, so that what another plugin may write of it says that it is synthetic.
        """
        if not isSyntheticItem(subjectHierarchyItemID):
            return []
        label(subjectHierarchyItemID)
        exportable = slicer.qSlicerDICOMExportable()
        exportable.name = _("Refused: synthetic image")
        exportable.tooltip = _refusal(subjectHierarchyItemID)
        exportable.subjectHierarchyItemID = subjectHierarchyItemID
        exportable.pluginClass = self.__module__
        exportable.confidence = 1.0
        for tag, value in DICOM_LABELS.items():
            exportable.setTag(tag, value)
        return [exportable]

    def export(self, exportables: list[Any]) -> str:
        """Writes nothing and says why."""
        return _refusal(*(exportable.subjectHierarchyItemID for exportable in exportables))


def _refusal(*items: int) -> str:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return _("Not exported: {names}. The reason: {reason}. 'Save as...' in the module writes NIfTI and NRRD.").format(
        names=", ".join(hierarchy.GetItemName(item) for item in items), reason=NO_DICOM
    )


class SyntheticDICOMPlugin:
    """The hidden module; from its start, results are kept out of patients' studies, and views say what is synthetic."""

    def __init__(self, parent: Any) -> None:
        parent.title = _("Synthetic DICOM Plugin (JSDDPM)")
        parent.categories = ["Developer Tools.DICOM Plugins"]
        parent.dependencies = []
        parent.contributors = ["JSDDPMSlicer maintainers"]
        parent.helpText = _("Refuses the export of synthetic images as DICOM. It has no panel.")
        parent.acknowledgementText = ""
        parent.hidden = True
        self.guard = StudyGuard()
        slicer.app.connect("aboutToQuit()", self.guard.close)
        startNotice()
        if DICOMPlugin is not None:
            if not hasattr(slicer.modules, "dicomPlugins"):
                slicer.modules.dicomPlugins = {}
            slicer.modules.dicomPlugins["SyntheticDICOMPlugin"] = SyntheticDICOMPluginClass
