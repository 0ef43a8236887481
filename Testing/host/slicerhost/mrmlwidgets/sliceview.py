"""A slice view: the real slice logic and displayable managers of Slicer, drawn off screen."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from ..pythonqt import CppSignal
from ..pythonqt.properties import declared
from .base import Observations
from .canvas import RenderedWidget

MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
)


class qMRMLSliceView(RenderedWidget):
    """The canvas of a slice view, with corner annotations."""

    mrmlSceneChanged = CppSignal("mrmlSceneChanged(vtkMRMLScene*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._observations = Observations()
        self._logic: Any = None
        self._group: Any = None
        self._style: Any = None
        self._renderer, self._overlay = vtk.vtkRenderer(), vtk.vtkRenderer()
        self._overlay.SetLayer(1)
        self._window.SetNumberOfLayers(2)
        for renderer in (self._renderer, self._overlay):
            renderer.GetActiveCamera().ParallelProjectionOn()
            self._window.AddRenderer(renderer)
        self._interactor.Initialize()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._actor.VisibilityOff()
        self._renderer.AddViewProp(self._actor)
        self._corner = self._annotation(self._renderer)
        self._overlayCorner = self._annotation(self._overlay)

    @staticmethod
    def _annotation(renderer: Any) -> Any:
        annotation = vtk.vtkCornerAnnotation()
        annotation.SetMaximumLineHeight(0.07)
        annotation.GetTextProperty().SetFontSize(14)
        renderer.AddViewProp(annotation)
        return annotation

    def _observe(self, logic: Any) -> None:
        """Show what a slice logic makes."""
        self._logic = logic
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        self._group.Initialize(factory, self._renderer)
        self._observations.add(self._group, vtk.vtkCommand.UpdateEvent, self._renderRequested)
        self._group.SetMRMLDisplayableNode(logic.GetSliceNode())
        self._observations.add(logic, vtk.vtkCommand.ModifiedEvent, self._connectImage)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(logic)
        self._style.SetDisplayableManagers(self._group)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._style.SetInteractor(self._interactor)
        self._connectImage()

    def _renderRequested(self) -> None:
        self.scheduleRender()

    def _connectImage(self) -> None:
        port = self._logic.GetImageDataConnection()
        if port is not None:
            self._mapper.SetInputConnection(port)
        self._actor.SetVisibility(port is not None)
        self.scheduleRender()

    def _resized(self, width: int, height: int) -> None:
        RenderedWidget._resized(self, width, height)
        if self._logic is not None:
            self._logic.ResizeSliceNode(width, height)

    def _close(self) -> None:
        """Let go of the scene and of the render window."""
        self._observations.clear()
        if self._style is not None:
            self._style.SetInteractor(None)
            self._group.SetMRMLDisplayableNode(None)
            self._style = self._group = None
        self._window.Finalize()

    def cornerAnnotation(self) -> vtk.vtkCornerAnnotation:
        return self._corner

    def overlayCornerAnnotation(self) -> vtk.vtkCornerAnnotation:
        return self._overlayCorner

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode() if self._logic is not None else None

    def sliceViewInteractorStyle(self) -> Any:
        return self._style

    interactorStyle = sliceViewInteractorStyle

    def displayableManagerByClassName(self, name: str) -> Any:
        return self._group.GetDisplayableManagerByClassName(name)

    def getDisplayableManagers(self, managers: Any) -> None:
        for index in range(self._group.GetDisplayableManagerCount()):
            managers.AddItem(self._group.GetNthDisplayableManager(index))

    def convertXYZToRAS(self, xyz: list[float]) -> tuple[float, ...]:
        return self.mrmlSliceNode().GetXYToRAS().MultiplyPoint([*xyz, 1.0])[:3]

    def convertRASToXYZ(self, ras: list[float]) -> tuple[float, ...]:
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.mrmlSliceNode().GetXYToRAS(), inverse)
        return inverse.MultiplyPoint([*ras, 1.0])[:3]

    def _setCornerText(self, text: str) -> None:
        self._corner.ClearAllTexts()
        self._corner.SetText(2, text)
        self.scheduleRender()

    cornerAnnotationText = declared(str, lambda self: self._corner.GetText(2) or "", _setCornerText)
