"""The scene: arrays, segmentations, terminology, the subject hierarchy, sequences, tables and files."""

import tempfile
from pathlib import Path

import numpy as np
import slicer
import vtk


def run(checks):
    scene = slicer.mrmlScene
    scene.Clear(False)
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    volume = slicer.util.addVolumeFromArray(array, name="V")
    checks.that("an array of a volume", np.array_equal(slicer.util.arrayFromVolume(volume), array))
    slicer.util.arrayFromVolume(volume)[:] = 5
    slicer.util.arrayFromVolumeModified(volume)
    checks.equal("is written in place", slicer.util.arrayFromVolume(volume).max(), 5.0)
    spoilt = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "spoilt")
    for kind in (np.float16, np.int64, bool):
        unknown = array.astype(kind)
        checks.refused(
            f"voxels of {np.dtype(kind)}",
            lambda voxels=unknown: slicer.util.updateVolumeFromArray(spoilt, voxels),
            Exception,
        )
    scene.RemoveNode(spoilt)
    matrix = np.diag([-1.0, -2.0, 3.0, 1.0])
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    back = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(back)
    checks.that("a geometry", np.allclose(slicer.util.arrayFromVTKMatrix(back), matrix))
    checks.that("a node by its name", slicer.util.getNode("V") is volume)
    checks.refused("no node of a name", lambda: slicer.util.getNode("W"), slicer.util.MRMLNodeNotFoundException)

    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    identifier = segmentation.GetSegmentation().AddEmptySegment("lesion", "Lesion", [1.0, 0.2, 0.1])
    mask = (array > 12).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, identifier, volume)
    read = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, identifier, volume)
    checks.that("a mask", np.array_equal(read, mask))
    segment = segmentation.GetSegmentation().GetSegment(identifier)
    entry = "Segmentation category and type - DICOM master list~SCT^49755003^Morphologically Altered Structure~"
    segment.SetTag("TerminologyEntry", entry)
    text = vtk.reference("")
    checks.that("a terminology", segment.GetTag("TerminologyEntry", text) and str(text) == entry)
    display = segmentation.GetDisplayNode()
    display.SetSegmentOpacity2DFill(identifier, 0.3)
    checks.equal("an opacity", round(display.GetSegmentOpacity2DFill(identifier), 3), 0.3)

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(volume)
    checks.that("a new volume has an item", item != hierarchy.GetInvalidItemID())
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Run")
    hierarchy.SetItemParent(item, folder)
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(segmentation), folder)
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(folder, children)
    checks.equal("a folder holds items", children.GetNumberOfIds(), 2)
    hierarchy.SetItemAttribute(folder, "JSDDPM", "run")
    checks.equal("an attribute of an item", hierarchy.GetItemAttribute(folder, "JSDDPM"), "run")
    checks.equal("the name of an item", hierarchy.GetItemName(folder), "Run")

    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Q")
    for index in range(3):
        sample = slicer.util.addVolumeFromArray(np.full((1, 2, 2), index, np.float32), name=f"sample {index}")
        sequence.SetDataNodeAtValue(sample, str(index))
        scene.RemoveNode(sample)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "B")
    browser.AddSynchronizedSequenceNode(sequence)
    checks.equal("items of a sequence", browser.GetNumberOfItems(), 3)
    browser.SetSelectedItemNumber(2)
    proxy = browser.GetProxyNode(sequence)
    checks.that("the proxy follows", proxy is not None and slicer.util.arrayFromVolume(proxy).max() == 2)

    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "T")
    slicer.util.updateTableFromArray(table, np.array([[1.0, 2.0], [3.0, 4.0]]), ["a", "b"])
    checks.that("a table", table.GetTable().GetNumberOfRows() == 2 and table.GetTable().GetColumnName(1) == "b")

    with tempfile.TemporaryDirectory() as folder_:
        for ending in (".nii.gz", ".nrrd"):
            path = str(Path(folder_) / f"volume{ending}")
            checks.that(f"writing {ending}", slicer.util.saveNode(volume, path, {}))
            loaded = slicer.util.loadVolume(path, {"show": False})
            checks.that(f"reading {ending}", slicer.util.arrayFromVolume(loaded).max() == 5.0)
        checks.refused("a file that is not there", lambda: slicer.util.loadVolume("/no.nrrd", {}), RuntimeError)
        scenePath = str(Path(folder_) / "scene.mrb")
        checks.that("writing a scene", slicer.util.saveScene(scenePath, {}))
        scene.Clear(False)
        checks.equal("an empty scene", scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"), 0)
        slicer.util.loadScene(scenePath, {})
        checks.that("a scene read again", slicer.util.getNode("V") is not None)

    seen = []

    class Watcher(slicer.util.VTKObservationMixin):
        def changed(self, caller, event):
            seen.append(event)

    watcher = Watcher()
    volume = slicer.util.getNode("V")
    watcher.addObserver(volume, vtk.vtkCommand.ModifiedEvent, watcher.changed)
    volume.Modified()
    checks.equal("an observer is told", seen, ["ModifiedEvent"])
    checks.that("it is known", watcher.hasObserver(volume, vtk.vtkCommand.ModifiedEvent, watcher.changed))
    watcher.removeObservers()
    volume.Modified()
    checks.equal("and not after its removal", len(seen), 1)
    was = volume.StartModify()
    checks.that("StartModify", was == 0 and volume.EndModify(was) >= 0)
    scene.Clear(False)
