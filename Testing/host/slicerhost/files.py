"""Reading and writing files: the calls of the application's IO manager that `slicer.util` makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import slicer.util
import vtk

# Kinds of files by their endings, longest first.
FILE_TYPES = {
    ".seg.nrrd": "SegmentationFile",
    ".seg.nhdr": "SegmentationFile",
    ".mrk.json": "MarkupsFile",
    ".seq.nrrd": "SequenceFile",
    ".nii.gz": "VolumeFile",
    ".nrrd": "VolumeFile",
    ".nhdr": "VolumeFile",
    ".nii": "VolumeFile",
    ".mha": "VolumeFile",
    ".mhd": "VolumeFile",
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
    ".tsv": "TableFile",
    ".csv": "TableFile",
    ".tfm": "TransformFile",
    ".txt": "TextFile",
    ".stl": "ModelFile",
    ".vtp": "ModelFile",
    ".vtk": "ModelFile",
    ".h5": "TransformFile",
}
NODE_CLASSES = {
    "SegmentationFile": "vtkMRMLSegmentationNode",
    "TableFile": "vtkMRMLTableNode",
    "MarkupsFile": "vtkMRMLMarkupsFiducialNode",
    "TransformFile": "vtkMRMLTransformNode",
    "TextFile": "vtkMRMLTextNode",
    "ModelFile": "vtkMRMLModelNode",
    "SequenceFile": "vtkMRMLSequenceNode",
}
LABEL_MAP, CENTRED, SINGLE_FILE = 1, 2, 4  # options of AddArchetypeVolume


class FileManager:
    """`slicer.app.coreIOManager()`."""

    def fileType(self, path: str) -> str:
        name = str(path).lower()
        return next((kind for ending, kind in FILE_TYPES.items() if name.endswith(ending)), "NoFile")

    def fileWriterFileType(self, node: Any) -> str:
        return node.GetClassName()

    def loadNodes(self, fileType: str, properties: dict[str, Any], nodes: Any = None, messages: Any = None) -> bool:
        """Read a file into the scene; whether that worked."""
        path = Path(properties["fileName"])
        if not path.exists():
            if messages is not None:
                messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"File not found: {path}")
            return False
        if fileType == "SceneFile":
            return self._loadScene(path, bool(properties.get("clear", False)))
        name = properties.get("name") or path.name.split(".")[0]
        read = self._loadVolume if fileType == "VolumeFile" else self._loadNode
        node = read(path, name, fileType, properties)
        if node is not None and nodes is not None:
            nodes.AddItem(node)
        return node is not None

    @staticmethod
    def _loadScene(path: Path, clear: bool) -> bool:
        scene = slicer.mrmlScene
        if path.suffix == ".mrb":
            return bool(scene.ReadFromMRB(str(path), clear))
        scene.SetURL(str(path))
        return bool(scene.Connect() if clear else scene.Import())

    @staticmethod
    def _loadVolume(path: Path, name: str, fileType: str, properties: dict[str, Any]) -> Any:
        options = LABEL_MAP * bool(properties.get("labelmap"))
        options += CENTRED * bool(properties.get("center")) + SINGLE_FILE * bool(properties.get("singleFile"))
        node = slicer.modules.volumes.logic().AddArchetypeVolume(str(path), name, options)
        if node is not None and properties.get("show", True) and not properties.get("labelmap"):
            slicer.util.setSliceViewerLayers(background=node, fit=True)
        return node

    @staticmethod
    def _loadNode(path: Path, name: str, fileType: str, properties: dict[str, Any]) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass(NODE_CLASSES[fileType], name)
        node.AddDefaultStorageNode(str(path))
        if not node.GetStorageNode().ReadData(node):
            slicer.mrmlScene.RemoveNode(node)
            return None
        if isinstance(node, slicer.vtkMRMLDisplayableNode):
            node.CreateDefaultDisplayNodes()
        return node

    def saveNodes(self, fileType: str, properties: dict[str, Any], messages: Any = None) -> bool:
        """Write a node or the scene; whether that worked."""
        path, scene = str(properties["fileName"]), slicer.mrmlScene
        if fileType == "SceneFile":
            scene.SetURL(path)
            scene.SetRootDirectory(str(Path(path).resolve().parent))
            return bool(scene.WriteToMRB(path, None) if path.endswith(".mrb") else scene.Commit(path))
        node = scene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        return bool(storage.WriteData(node))
