"""Items of the subject hierarchy that show what a model made, or what was made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import slicer
from slicer.i18n import tr as _

from .Scene import SYNTHETIC, isSynthetic, subjectHierarchy

NO_DICOM = _("synthetic images are not exported as DICOM, so that none gets into a patient's record")

DICOM_LABELS = {
    "SeriesDescription": "SYNTHETIC: shows no patient, not for clinical use",
    "Manufacturer": "JSDDPM generative model",
    "Model": "SYNTHETIC",
}
"""What Slicer's exporters write of an item, where it carries them as attributes, in place of their own defaults."""


def isSyntheticItem(item: int) -> bool:
    """Whether an item, anything above it, or anything that its node is made of is marked as synthetic."""
    hierarchy = subjectHierarchy()
    while item and item != hierarchy.GetSceneItemID():
        node = hierarchy.GetItemDataNode(item)
        if hierarchy.GetItemAttribute(item, SYNTHETIC) == "1" or (node is not None and _isDerived(node)):
            return True
        item = hierarchy.GetItemParent(item)
    return False


def label(item: int) -> None:
    """Lets an item say that it is synthetic in what Slicer's exporters take from it."""
    hierarchy = subjectHierarchy()
    prefix = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMAttributePrefix()
    for tag, value in DICOM_LABELS.items():
        hierarchy.SetItemAttribute(item, f"{prefix}{tag}", value)


def _isDerived(node: Any) -> bool:
    """Whether a node is marked, is drawn on a marked one, holds marked ones, or shows a sequence of them."""
    if isSynthetic(node) or any(isSynthetic(other) for other in _referenced(node)):
        return True
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    return any(isSynthetic(browser.GetSequenceNode(node)) for browser in browsers)


def _referenced(node: Any) -> Iterator[Any]:
    for number in range(node.GetNumberOfNodeReferenceRoles()):
        role = node.GetNthNodeReferenceRole(number)
        for index in range(node.GetNumberOfNodeReferences(role)):
            yield node.GetNthNodeReference(role, index)
