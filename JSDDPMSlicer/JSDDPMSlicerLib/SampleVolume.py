"""What a model in training draws, as one volume: a column a sample, image above lesion, marked as synthetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from .Scene import SYNTHETIC

NOTICE = "Synthetic: drawn by a model in training; not the image of a patient, not for clinical use."


class SampleVolume:
    """One node, updated in place."""

    def __init__(self) -> None:
        self._node: Any = None
        self.step = 0

    @property
    def node(self) -> Any:
        """The volume; None before the first samples."""
        return self._node

    def show(self, array: Path, step: int, title: str) -> bool:
        """Takes a newer grid; whether there was one that could be read.

        Args:
            array: `.npy` file, float32 `(N, C, X, Y)` in [-1, 1].
            step: of the training.
            title: of the model that is trained.
        """
        try:
            samples = np.load(array, allow_pickle=False)
        except (OSError, ValueError):  # a newer one has replaced it, of which we shall be told
            return False
        if samples.ndim != 4 or slicer.mrmlScene.IsClosing():
            return False
        voxels = mosaic(samples)[None]
        if self._node is None or not slicer.mrmlScene.IsNodePresent(self._node):
            self._node = self._add(voxels)
        else:
            slicer.util.updateVolumeFromArray(self._node, voxels)
        self.step = step
        self._node.SetName(_("Synthetic samples of {title}, step {step}").format(title=title, step=step))
        return True

    def sceneClosed(self) -> None:
        """The node is gone."""
        self._node = None

    def close(self) -> None:
        """Takes the node out of the scene."""
        if self._node is not None and slicer.mrmlScene.IsNodePresent(self._node):
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = None

    def _add(self, voxels: np.ndarray) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic samples")
        node.SetSaveWithScene(False)
        node.SetAttribute(SYNTHETIC, "1")
        node.SetDescription(NOTICE)
        slicer.util.updateVolumeFromArray(node, voxels)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAutoWindowLevel(0)
        node.GetDisplayNode().SetWindowLevelMinMax(-1, 1)
        return node


def mosaic(samples: np.ndarray) -> np.ndarray:
    """Samples as one picture of an axial view, which shows the first axis of voxels from right to left.

    Args:
        samples: `(N, C, X, Y)`.

    Returns:
        `(C * Y, N * X)`, rows from posterior to anterior: the first sample on the left, the image channel on top.
    """
    rows = [np.concatenate(list(channel.transpose(0, 2, 1))[::-1], axis=1) for channel in samples.swapaxes(0, 1)]
    return np.ascontiguousarray(np.concatenate(rows[::-1], axis=0), dtype=np.float32)
