"""The scene of the application, with the nodes and logics that Slicer makes at its start."""

from __future__ import annotations

import colorsys
from typing import Any

import slicer
import vtk

from .modules import LoadableModule, register

# Logics of slicer-core by the name of their module. Terminologies is not among them: slicer-core lacks its files.
LOGICS = {
    "Annotations": "vtkSlicerAnnotationModuleLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}
GENERIC_COLOURS = 64


def createScene(app: Any) -> tuple[Any, Any]:
    """The application's logic and its scene, ready for files to be read and views to be shown."""
    logic = slicer.vtkSlicerApplicationLogic()
    scene = slicer.vtkMRMLScene()
    logic.SetTemporaryPath(app.temporaryPath)
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.GetCacheManager().SetRemoteCacheDirectory(app.cachePath)
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLApplicationLogic(logic)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    logic.SetMRMLScene(scene)  # makes the selection and interaction nodes
    logic.SetMRMLSceneDataIO(scene, remote, data)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    app._held = (remote, data)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    return logic, scene


def loadLogics(app: Any) -> None:
    """Make the logics of Slicer's own modules: `slicer.modules.volumes.logic()`."""
    for name, className in LOGICS.items():
        if not hasattr(slicer, className):
            continue
        logic = getattr(slicer, className)()
        app.applicationLogic().SetModuleLogic(name, logic)
        logic.SetMRMLApplicationLogic(app.applicationLogic())
        logic.SetMRMLScene(app.mrmlScene())
        register(LoadableModule(name, logic))


def addColours(app: Any) -> None:
    """The colour tables; the generic ones are made here, slicer-core brings no colour files."""
    scene, application = app.mrmlScene(), app.applicationLogic()
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLApplicationLogic(application)
    colours.SetMRMLScene(scene)
    application.SetModuleLogic("Colors", colours)
    register(LoadableModule("Colors", colours))
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    if scene.GetNodeByID("vtkMRMLColorTableNodeFileGenericColors.txt") is not None:
        return
    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToUser()
    table.SetSingletonTag("FileGenericColors.txt")
    table.SetName("GenericColors")
    table.SetNumberOfColors(GENERIC_COLOURS)
    table.SetHideFromEditors(False)
    for index in range(GENERIC_COLOURS):
        colour = colorsys.hsv_to_rgb(index * 0.381966 % 1.0, 0.65, 0.95)
        table.SetColor(index, str(index), *colour, 1.0 if index else 0.0)
    scene.AddNode(table)
