"""What the slice views say of what they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from test_generate import run


@pytest.fixture
def views(app: Any, module: Any) -> Any:
    """Red and yellow views on the screen."""
    from slicerhost import mainwindow

    window = mainwindow.openMainWindow([slicer.modules.jsddpmslicer])
    app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
    app.processEvents()
    module.notice.refresh()
    yield module.notice
    window.close()
    app.processEvents()


def test_every_view_that_shows_something_synthetic_says_so(views: Any, panel: Any) -> None:
    own = slicer.util.addVolumeFromArray(np.zeros((4, 8, 8), np.float32), name="own")
    slicer.util.setSliceViewerLayers(background=own)
    assert not views.shown("Red")
    result = run(panel)
    assert views.shown("Red") == views.shown("Yellow") == "SYNTHETIC"
    slicer.util.setSliceViewerLayers(background=own)
    assert views.shown("Red") == "SYNTHETIC LESION", "it still lies over the patient's volume"
    result.segmentation.GetDisplayNode().SetVisibility(False)
    assert not views.shown("Red")
    slicer.util.setSliceViewerLayers(background=own, foreground=result.volume)
    assert views.shown("Red") == "SYNTHETIC"
    result.remove()
    assert not views.shown("Red")
