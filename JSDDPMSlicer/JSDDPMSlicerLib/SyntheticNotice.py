"""SYNTHETIC in a corner of every view that shows a synthetic image or lesion, on the screen and in captures."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from .Scene import isSynthetic
from .Views import LAYERS

IMAGE, LESION = "SYNTHETIC", "SYNTHETIC LESION"


class SyntheticNotice(VTKObservationMixin):
    """Watches the layers of all slice views, and whether a synthetic lesion is drawn.

    Over a patient's volume it is the lesion alone that is synthetic, and the notice says so.
    """

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
            text = IMAGE if _showsSynthetic(composite) else LESION if lesionShown else ""
            self._show(view, widget.sliceView(), text)
        for number in range(manager.threeDViewCount):
            view = manager.threeDWidget(number).threeDView()
            self._show(f"3D {number}", view, LESION if lesionShown else "")

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

    def shown(self, view: str) -> str:
        """The notice that a view carries; empty for none."""
        actor = self._actors.get(view)
        return actor.GetText(vtk.vtkCornerAnnotation.LowerRight) if actor is not None and actor.GetVisibility() else ""

    def close(self) -> None:
        """Takes the notices away; the views stay."""
        self.removeObservers()
        for actor in self._actors.values():
            actor.SetVisibility(False)

    def _show(self, name: str, view: Any, text: str) -> None:
        actor = self._actors.get(name)
        if actor is None:
            if not text:
                return
            actor = self._actors[name] = _actor()
            view.renderWindow().GetRenderers().GetFirstRenderer().AddViewProp(actor)
        if self.shown(name) != text:
            actor.SetText(vtk.vtkCornerAnnotation.LowerRight, text)
            actor.SetVisibility(bool(text))
            view.scheduleRender()


def _showsSynthetic(composite: Any) -> bool:
    identifiers = [getattr(composite, f"Get{layer}VolumeID")() for layer in LAYERS]
    return any(isSynthetic(slicer.mrmlScene.GetNodeByID(name)) for name in identifiers if name)


def _actor() -> Any:
    """A text of its own: Slicer's corner annotations are rewritten by others."""
    annotation = vtk.vtkCornerAnnotation()
    annotation.SetMaximumFontSize(16)
    annotation.SetNonlinearFontScaleFactor(1)
    annotation.GetTextProperty().SetColor(1.0, 0.8, 0.2)
    annotation.GetTextProperty().SetBold(True)
    annotation.GetTextProperty().SetShadow(True)
    annotation.SetVisibility(False)
    return annotation
