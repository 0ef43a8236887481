"""DICOM plugins and what they offer for export; patients, studies and references in the subject hierarchy."""

import importlib.util

import numpy as np
import slicer
import vtk


def run(checks):
    slicer.mrmlScene.Clear(False)
    checkHierarchy(checks)
    checkReferences(checks)
    slicer.mrmlScene.Clear(False)
    if importlib.util.find_spec("DICOMLib") is not None:  # Slicer can be built without DICOM
        checkPlugin(checks)
        checkExportable(checks)


def checkPlugin(checks):
    from DICOMLib import DICOMPlugin

    class ConformancePlugin(DICOMPlugin):
        def __init__(self):
            super().__init__()
            self.loadType = "Conformance"

    plugin = ConformancePlugin()
    checks.equal("a plugin's type", plugin.loadType, "Conformance")
    checks.that("tags to be read beforehand", all(isinstance(tag, str) for tag in plugin.tags.values()))
    checks.equal("nothing to load", list(plugin.examineForImport([["a.dcm"]])), [])
    checks.equal("nor by the old name", list(plugin.examine([["a.dcm"]])), [])
    checks.equal("nothing to export", list(plugin.examineForExport(0)), [])
    checks.equal("an export without errors", plugin.export([]), "")
    checks.that("plugins by name", isinstance(slicer.modules.dicomPlugins, dict))


def checkExportable(checks):
    exportable = slicer.qSlicerDICOMExportable()
    checks.that("an exportable's name", isinstance(exportable.name, str) and exportable.name != "")
    checks.equal("its confidence", exportable.confidence, 0.0)
    checks.equal("its item", exportable.subjectHierarchyItemID, 0)
    for name, value in (
        ("name", "Refused"),
        ("tooltip", "Why"),
        ("subjectHierarchyItemID", 7),
        ("pluginClass", "ConformancePlugin"),
        ("directory", "/tmp"),
        ("confidence", 1.0),
    ):
        setattr(exportable, name, value)
        checks.equal(f"its {name} set", getattr(exportable, name), value)
    exportable.setTag("SeriesDescription", "Synthetic")
    checks.equal("a tag", exportable.tag("SeriesDescription"), "Synthetic")
    checks.that("no tag", not exportable.tag("Modality"))


def checkHierarchy(checks):
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    checks.equal("the prefix of tags", constants.GetDICOMAttributePrefix(), "DICOM.")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    top = hierarchy.GetSceneItemID()
    checks.equal("nothing lies above the scene", hierarchy.GetItemParent(top), 0)
    patient = hierarchy.CreateSubjectItem(top, "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    folder = hierarchy.CreateFolderItem(top, "Folder")
    levels = (constants.GetDICOMLevelStudy(), constants.GetDICOMLevelPatient())
    checks.equal("a study's level", hierarchy.IsItemLevel(study, levels[0]), True)
    checks.equal("outside", [hierarchy.GetItemAncestorAtLevel(folder, level) for level in levels], [0, 0])
    moved = []
    tag = hierarchy.AddObserver(hierarchy.SubjectHierarchyItemReparentedEvent, lambda *_: moved.append(1))
    hierarchy.SetItemParent(folder, study)
    hierarchy.RemoveObserver(tag)
    checks.that("a move is told", bool(moved))
    checks.equal("inside", [hierarchy.GetItemAncestorAtLevel(folder, level) for level in levels], [study, patient])
    checks.equal("an item is not above itself", hierarchy.GetItemAncestorAtLevel(study, levels[0]), 0)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(top, items, True)
    found = [items.GetId(index) for index in range(items.GetNumberOfIds())]
    checks.equal(
        "what is above comes first", [i for i in found if i in (patient, study, folder)], [patient, study, folder]
    )
    checks.equal("no attribute", hierarchy.GetItemAttribute(folder, "none"), "")
    checks.that("is not there", not hierarchy.HasItemAttribute(folder, "none"))


def checkReferences(checks):
    scene = slicer.mrmlScene
    volume = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.float32), name="drawn on")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    checks.that("a segmentation refers to its image", volume in referenced(segmentation))
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "sequence")
    sequence.SetDataNodeAtValue(volume, "1")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.AddSynchronizedSequenceNode(sequence)
    checks.that("a browser refers to its sequence", sequence in referenced(browser))
    proxy = browser.GetProxyNode(sequence)
    checks.that("and knows whose proxy a node is", browser.GetSequenceNode(proxy) is sequence)
    checks.that("and whose it is not", browser.GetSequenceNode(segmentation) is None)


def referenced(node):
    found = []
    for number in range(node.GetNumberOfNodeReferenceRoles()):
        role = node.GetNthNodeReferenceRole(number)
        found += [node.GetNthNodeReference(role, index) for index in range(node.GetNumberOfNodeReferences(role))]
    return found
