"""Layouts of this module's own in Slicer, and the way back to what was shown before."""

from __future__ import annotations

import slicer

from .Views import RED, SliceState


class OwnLayout:
    """One layout.

    Args:
        number: in Slicer; others use small ones, or their own.
        description: in Slicer's words.
    """

    def __init__(self, number: int, description: str) -> None:
        self._number, self._description = number, description
        self._before: tuple[int, SliceState | None] | None = None

    @property
    def shown(self) -> bool:
        return self._before is not None

    def show(self) -> bool:
        """Changes to it; whether it was not shown before and is now."""
        manager = slicer.app.layoutManager()
        if self.shown or manager is None:
            return False
        node = manager.layoutLogic().GetLayoutNode()
        self._before = (node.GetViewArrangement(), SliceState.of(RED))
        if not node.IsLayoutDescription(self._number):
            node.AddLayoutDescription(self._number, self._description)
        manager.setLayout(self._number)
        return True

    def hide(self) -> None:
        """Back to what was shown before, unless the user has chosen another layout since."""
        if self._before is None:
            return
        (layout, state), self._before = self._before, None
        manager = slicer.app.layoutManager()
        if manager is not None and manager.layout == self._number:
            manager.setLayout(layout)
        if state is not None:
            state.restore()

    def sceneClosed(self) -> None:
        """What was shown before is gone: the way back leads to Slicer's usual layout."""
        if self.shown:
            self._before = (slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView, None)


def plotView(name: str, number: int) -> str:
    """A plot view in a layout's description."""
    return (
        f'<item><view class="vtkMRMLPlotViewNode" singletontag="{name}"><property name="viewlabel" action="default">'
        f"{number}</property></view></item>"
    )
