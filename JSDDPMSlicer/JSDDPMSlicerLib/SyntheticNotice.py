"""SYNTHETIC in a corner of every slice view that shows a synthetic image, on the screen and in captures."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from .Scene import isSynthetic
from .Views import LAYERS

TEXT = "SYNTHETIC"


class SyntheticNotice(VTKObservationMixin):
    """Watches the layers of all slice views."""

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._actors: dict[str, Any] = {}
        scene = slicer.mrmlScene
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            self.addObserver(scene, event, self.refresh)
        self.refresh()

    def refresh(self, _caller: Any = None, _event: Any = None) -> None:
        """Brings every view's notice in line with its layers."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        lesionShown = self._lesionShown()
        for view in manager.sliceViewNames():
            widget = manager.sliceWidget(view)
            composite = widget.mrmlSliceCompositeNode()
            if composite is None:
                continue
            if not self.hasObserver(composite, vtk.vtkCommand.ModifiedEvent, self.refresh):
                self.addObserver(composite, vtk.vtkCommand.ModifiedEvent, self.refresh)
            self._show(view, widget.sliceView(), lesionShown or _showsSynthetic(composite))

    def _lesionShown(self) -> bool:
        """Whether a synthetic lesion is drawn, which happens in all views; every one is watched from now on."""
        shown = False
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
            if not isSynthetic(node):
                continue
            event = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
            if not self.hasObserver(node, event, self.refresh):
                self.addObserver(node, event, self.refresh)
            display = node.GetDisplayNode()
            shown = shown or (display is not None and bool(display.GetVisibility()))
        return shown

    def shown(self, view: str) -> bool:
        """Whether a view carries the notice."""
        return view in self._actors and bool(self._actors[view].GetVisibility())

    def close(self) -> None:
        """Takes the notices away; the views stay."""
        self.removeObservers()
        for actor in self._actors.values():
            actor.SetVisibility(False)

    def _show(self, view: str, sliceView: Any, wanted: bool) -> None:
        actor = self._actors.get(view)
        if actor is None:
            if not wanted:
                return
            actor = self._actors[view] = _actor()
            renderer = sliceView.renderWindow().GetRenderers().GetFirstRenderer()
            renderer.AddViewProp(actor)
        if bool(actor.GetVisibility()) != wanted:
            actor.SetVisibility(wanted)
            sliceView.scheduleRender()


def _showsSynthetic(composite: Any) -> bool:
    identifiers = [getattr(composite, f"Get{layer}VolumeID")() for layer in LAYERS]
    return any(isSynthetic(slicer.mrmlScene.GetNodeByID(name)) for name in identifiers if name)


def _actor() -> Any:
    """A text of its own: Slicer's corner annotations are rewritten by others."""
    annotation = vtk.vtkCornerAnnotation()
    annotation.SetText(vtk.vtkCornerAnnotation.LowerRight, TEXT)
    annotation.SetMaximumFontSize(16)
    annotation.SetNonlinearFontScaleFactor(1)
    annotation.GetTextProperty().SetColor(1.0, 0.8, 0.2)
    annotation.GetTextProperty().SetBold(True)
    annotation.GetTextProperty().SetShadow(True)
    annotation.SetVisibility(False)
    return annotation
