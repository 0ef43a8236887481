"""What the module's own test does, in Slicer and in the stand-in host: one slice, from click to overlay."""

from __future__ import annotations

import time
from typing import Any

import slicer

from .Scene import SEGMENT, isSynthetic


def waitUntil(condition: Any, seconds: float) -> bool:
    """Lets the event loop run until something holds; whether it came to hold in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        slicer.app.processEvents()
        time.sleep(0.005)
    return True


def generateOnce(test: Any, seconds: float = 300) -> None:
    """Draws one slice of the first lesional pathology in few steps.

    Args:
        test: a unittest.TestCase.
        seconds: after which it has failed.
    """
    module = slicer.modules.jsddpmslicer
    panel = module.widgetRepresentation().self().generate
    test.assertTrue(waitUntil(lambda: not panel.busy, seconds))
    panel.parameters.steps = 2
    test.assertEqual(panel.whyNot(), "")
    panel.ui.applyButton.click()
    test.assertTrue(waitUntil(lambda: not panel.busy, seconds), "the run did not end")
    test.assertIsNotNone(panel.result, panel.ui.statusLabel.text)
    result = panel.result
    test.assertTrue(isSynthetic(result.volume) and isSynthetic(result.segmentation))
    test.assertIn("Synthetic", result.volume.GetName())
    image = slicer.util.arrayFromVolume(result.volume)
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(result.segmentation, SEGMENT, result.volume)
    test.assertEqual(image.shape, mask.shape)
    test.assertTrue(image.min() >= -1 and image.max() <= 1)
    result.remove()
