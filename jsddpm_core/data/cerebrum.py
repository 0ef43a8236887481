"""Where in template space the cerebral cortex may lie, roughly: what a cortical lesion may be painted into."""

from __future__ import annotations

import numpy as np

POSTERIOR_FOSSA_MM = (0.0, -30.0)
"""Below this height, and behind this line, lies the cerebellum, which has no cortical dysplasia to speak of."""

CENTRE_MM = ((-28.0, 28.0), (-40.0, 20.0), (-80.0, 20.0))
"""Basal ganglia, thalamus and brainstem in MNI152 x, y and z: grey matter, but no cortex."""


def cerebral_plane(shape: tuple[int, int], affine: np.ndarray, height_mm: float) -> np.ndarray:
    """(X, Y) bool: where a slice of the model's grid shows the cerebrum and not the posterior fossa.

    Args:
        shape: of the slice.
        affine: (4, 4) of the grid, axes along those of MNI152.
        height_mm: z of the slice.
    """
    low, behind = POSTERIOR_FOSSA_MM
    allowed = np.ones(shape, dtype=bool)
    if height_mm < low:
        allowed[:, float(affine[1, 3]) + affine[1, 1] * np.arange(allowed.shape[1]) < behind] = False
    return allowed


def cerebral_volume(shape: tuple[int, int, int], to_template: np.ndarray) -> np.ndarray:
    """(I, J, K) bool: neither posterior fossa nor the deep grey matter.

    Args:
        shape: of the image.
        to_template: (4, 4) from its voxel indices to MNI152 millimetres.
    """
    x, y, z = (
        sum((to_template[row, axis] * _along(size, axis) for axis, size in enumerate(shape)), to_template[row, 3])
        for row in range(3)
    )
    low, behind = POSTERIOR_FOSSA_MM
    central = np.ones(shape, dtype=bool)
    for values, (least, most) in zip((x, y, z), CENTRE_MM, strict=True):
        central &= (values > least) & (values < most)
    return ~(central | ((z < low) & (y < behind)))


def _along(size: int, axis: int) -> np.ndarray:
    return np.arange(size, dtype=np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
