"""A layered head for tests of simulated lesions: folded cortex of known thickness, a ventricle, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

FLUID, GREY, WHITE, NOISE = 150.0, 720.0, 560.0, 8.0
T1_FLUID, T1_GREY, T1_WHITE = 120.0, 500.0, 800.0
CORTEX_MM, EDGE_MM = 3.5, 0.7


@dataclass(frozen=True)
class LayeredHead:
    """What is known of it; arrays of one shape, 2-D or 3-D.

    Attributes:
        flair, t1w: float32, background exactly 0.
        maps: true classes, CSF, grey and white matter.
        depth_mm: below the pial surface.
        ventricle: bool.
        spacing_mm: of each axis.
    """

    flair: np.ndarray
    t1w: np.ndarray
    maps: tuple[np.ndarray, np.ndarray, np.ndarray]
    depth_mm: np.ndarray
    ventricle: np.ndarray
    spacing_mm: tuple[float, ...]

    @property
    def centre(self) -> np.ndarray:
        return (np.array(self.flair.shape) - 1) / 2


def layered_head(spacing_mm: tuple[float, ...], *, radius_mm: float = 62.0, noise: float = NOISE) -> LayeredHead:
    """A disc or ball whose outline is folded; the cortex follows it, below 4 mm of fluid."""
    shape = tuple(int(2 * (radius_mm + 10) / step) for step in spacing_mm)
    index = np.indices(shape).astype(float)
    away = [(axis - (size - 1) / 2) * step for axis, size, step in zip(index, shape, spacing_mm, strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in away))
    outline = radius_mm - 4 + 2.5 * np.sin(7 * np.arctan2(away[1], away[0]))
    if len(shape) == 3:
        outline = outline + 1.5 * np.sin(5 * np.arctan2(away[2], away[0]))
    brain, solid = distance < outline + 4, distance < outline
    ventricle = (away[0] / 9) ** 2 + sum((axis / 16) ** 2 for axis in away[1:]) < 1
    depth = ndimage.distance_transform_edt(solid, sampling=spacing_mm)
    solid &= ~ventricle
    cortex = solid & (depth <= CORTEX_MM)
    plexus = sum(axis**2 for axis in away) < 2.5**2  # of a scan, the lesion is never the brightest part
    generator = np.random.default_rng(5)

    def image(fluid: float, grey: float, white: float) -> np.ndarray:
        values = np.where(solid, np.where(cortex, grey, white), fluid)
        values = ndimage.gaussian_filter(values, [EDGE_MM / step for step in spacing_mm])
        values[plexus] = 2.5 * grey
        values += noise * generator.standard_normal(shape)
        return np.where(brain, np.maximum(values, 1), 0).astype(np.float32)

    classes = (brain & ~solid, cortex, solid & ~cortex)
    maps = tuple(part.astype(np.float32) for part in classes)
    return LayeredHead(
        image(FLUID, GREY, WHITE), image(T1_FLUID, T1_GREY, T1_WHITE), maps, depth, ventricle, spacing_mm
    )
