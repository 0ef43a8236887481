"""How quiet the background of a slice is, which in a real, brain-extracted slice is exactly -1.

On a synthetic slice no mask says what is background, and a threshold on the slice itself would call every stray speck
a piece of brain. So the background is defined from outside: the pixels in which no training subject has tissue at
that level, less a margin, because another brain may be a little larger. Next to the synthetic brain this says
nothing; a second measure covers that zone. It takes as brain the slice's own large pieces that reach into the
training subjects' support, with their holes and a margin, and as background all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from jsddpm_core.evaluation.image_set import ImageSet, checked_images
from jsddpm_core.evaluation.measure import Measure, MeasureError
from jsddpm_core.evaluation.resampling import bootstrap, weighted_mean

TISSUE = -0.95
"""Intensity above which a pixel of a real slice counts as tissue."""
MARGIN_PX = 3
"""Pixels by which the support of the training brains grows."""
OWN_TISSUE = -0.8
"""Intensity above which a pixel of any slice may belong to its own brain."""
OWN_PIECE_PX = 30
"""Smallest piece of an own brain; what is smaller is a speck."""
OWN_MARGIN_PX = 2
LEVEL_MM = 2.5
"""Width of the levels over which supports are gathered."""


def level_of(position_mm: float) -> int:
    """The level of a position: the nearest multiple of `LEVEL_MM`."""
    return round(float(position_mm) / LEVEL_MM)


class BrainSupport:
    """Where real brains lie, level by level.

    Args:
        images: `(N, X, Y)` float32 real slices of the training subjects.
        positions_mm: `(N,)` of each.
    """

    def __init__(self, images: np.ndarray, positions_mm: np.ndarray) -> None:
        unions: dict[int, np.ndarray] = {}
        for image, position in zip(images, positions_mm, strict=True):
            level = level_of(position)
            tissue = checked_images(np.asarray(image)[None])[0] > TISSUE
            unions[level] = tissue | unions[level] if level in unions else tissue
        self._unions: Mapping[int, np.ndarray] = unions

    def at(self, position_mm: float) -> np.ndarray:
        """`(X, Y)` bool: within the margin of any training brain at this level or the two beside it.

        Raises:
            MeasureError: where no training slice lies near.
        """
        level = level_of(position_mm)
        near = [self._unions[i] for i in (level - 1, level, level + 1) if i in self._unions]
        if not near:
            raise MeasureError(
                f"no training slice lies near z = {position_mm:g} mm", "measure where the model was trained"
            )
        union = np.logical_or.reduce(near)
        return ndimage.binary_dilation(ndimage.binary_fill_holes(union), _disc(), iterations=MARGIN_PX)


def _disc() -> np.ndarray:
    return ndimage.generate_binary_structure(2, 1)


def own_brain(image: np.ndarray, support: np.ndarray) -> np.ndarray:
    """`(X, Y)` bool: the slice's own brain with its holes and a margin; pieces outside the support are none."""
    pieces, count = ndimage.label(image > OWN_TISSUE)
    if count == 0:
        return np.zeros(image.shape, dtype=bool)
    index = np.arange(1, count + 1)
    large = ndimage.sum_labels(np.ones_like(pieces), pieces, index) >= OWN_PIECE_PX
    brain = np.isin(pieces, index[large])
    return ndimage.binary_dilation(ndimage.binary_fill_holes(brain), _disc(), iterations=OWN_MARGIN_PX) & support


def background_pixels(images: ImageSet, support: BrainSupport) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard deviation far from the brain and outside the own brain, and mean offset from -1: each `(N,)`."""
    far, rim, offset = (np.empty(len(images)) for _ in range(3))
    supports = {level_of(position): support.at(position) for position in np.unique(images.positions_mm)}
    for row, (image, position) in enumerate(zip(images.images, images.positions_mm, strict=True)):
        region = supports[level_of(position)]
        outside = image[~region].astype(np.float64)
        around = image[~own_brain(image, region)].astype(np.float64)
        if outside.size == 0:
            raise MeasureError(f"the training brains at z = {position:g} mm fill the slice", "there is no background")
        far[row], rim[row], offset[row] = outside.std(), around.std(), outside.mean() + 1
    return far, rim, offset


def background(images: ImageSet, support: BrainSupport) -> list[Measure]:
    """Three measures, each a mean over images in units of the intensity scale [-1, 1].

    background std: outside the training brains at that level. background std beside the brain: outside the own
    brain. background offset: mean less -1, outside the training brains.
    """
    names = ("background std", "background std beside the brain", "background offset")
    return [
        Measure(
            name=name,
            value=weighted_mean(values, images.weights),
            interval=bootstrap(lambda w, v=values: weighted_mean(v, w), [(images.groups, images.weights)]),
            n=len(images),
            independent=images.independent,
            unit="of [-1, 1]",
        )
        for name, values in zip(names, background_pixels(images, support), strict=True)
    ]
