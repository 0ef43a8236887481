"""SYNTHETIC at the upper edge of every view that shows a synthetic image or lesion, on the screen and in captures."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from .Scene import isSynthetic
from .Views import LAYERS

IMAGE, LESION = "SYNTHETIC", "SYNTHETIC LESION"


PLACE = vtk.vtkCornerAnnotation.UpperEdge
"""Where nothing else of Slicer is: Data Probe writes into the other corners (SliceViewAnnotations.py), the orientation
marker stands in the lower right one, the ruler and the colour legend at the lower and right edges."""

_HOLDER = "jsddpmSyntheticNotice"


def startNotice() -> SyntheticNotice:
    """The application's one notice, made anew; a former one goes, whichever module made it."""
    former = getattr(slicer.modules, _HOLDER, None)
    if former is not None:
        former.close()
    setattr(slicer.modules, _HOLDER, SyntheticNotice())
    return getattr(slicer.modules, _HOLDER)


class SyntheticNotice(VTKObservationMixin):
    """Watches the layers of all slice views, and whether a synthetic lesion is drawn.

    Over a patient's volume it is the lesion alone that is synthetic, and the notice says so.
    """

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._actors: dict[str, Any] = {}
        self._renderers: dict[str, Any] = {}
        self._manager: Any = None
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeRemovedEvent, self._onRemoved)
        for event in (scene.NodeAddedEvent, scene.EndImportEvent, scene.EndBatchProcessEvent):
            self.addObserver(scene, event, self.refresh)
        # The modules are made before the views.
        slicer.app.connect("startupCompleted()", self.refresh)
        slicer.app.connect("aboutToQuit()", self.close)
        self.refresh()

    def _onRemoved(self, _caller: Any, _event: Any) -> None:
        """Lets go of nodes that left the scene, which would stay in memory otherwise."""
        scene = slicer.mrmlScene
        for node, event, method, *_rest in self.Observations:
            if node is not scene and not scene.IsNodePresent(node):
                self.removeObserver(node, event, method)
        self.refresh()

    def _onLayout(self, _layout: int) -> None:
        self.refresh()

    def refresh(self, _caller: Any = None, _event: Any = None) -> None:
        """Brings every view's notice in line with its layers."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        if self._manager is None:
            self._manager = manager
            manager.connect("layoutChanged(int)", self._onLayout)
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
        return actor.GetText(PLACE) if actor is not None and actor.GetVisibility() else ""

    def close(self) -> None:
        """Takes the notices away; the views stay."""
        self.removeObservers()
        slicer.app.disconnect("startupCompleted()", self.refresh)
        slicer.app.disconnect("aboutToQuit()", self.close)
        if self._manager is not None:
            self._manager.disconnect("layoutChanged(int)", self._onLayout)
            self._manager = None
        for name, actor in self._actors.items():
            self._renderers[name].RemoveViewProp(actor)
        self._actors, self._renderers = {}, {}

    def _show(self, name: str, view: Any, text: str) -> None:
        actor = self._actors.get(name)
        if actor is None:
            if not text:
                return
            actor = self._actors[name] = _actor()
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        if self._renderers.get(name) is not renderer:  # or a view of that name was made anew
            self._renderers[name] = renderer
            renderer.AddViewProp(actor)
        if self.shown(name) != text:
            actor.SetText(PLACE, text)
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
