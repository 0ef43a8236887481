"""A set of slices to be measured, with what says which of them belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jsddpm_core.evaluation.measure import MeasureError

RANGE_TOLERANCE = 1e-3


def checked_images(images: np.ndarray) -> np.ndarray:
    """Refuses what a measure must not receive: integers, another range, other axes, non-finite values.

    Args:
        images: `(N, X, Y)` float32 in [-1, 1].

    Raises:
        MeasureError: naming what the images are instead.
    """
    images = np.asarray(images)
    if images.dtype != np.float32:
        raise MeasureError(f"images of type {images.dtype} were given to a measure", "give float32 in [-1, 1]")
    if images.ndim != 3 or 0 in images.shape:
        raise MeasureError(f"images of shape {images.shape} were given to a measure", "give (N, X, Y) with N > 0")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(low + high):
        raise MeasureError("images with non-finite values were given to a measure", "look for what made them")
    if low < -1 - RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        raise MeasureError(f"images from {low:g} to {high:g} were given to a measure", "scale them to [-1, 1]")
    return images


@dataclass(frozen=True)
class ImageSet:
    """Slices, real or synthetic.

    Attributes:
        images: `(N, X, Y)` float32 in [-1, 1], background -1.
        masks: `(N, X, Y)` bool, the lesion.
        positions_mm: `(N,)` float32, z in the bundle's space.
        groups: `(N,)` str, equal for slices that are not independent: the subject of a real slice, the name of
            the draw of a synthetic one. Equal names in two sets mean the same subject.
        weights: `(N,)` float64 > 0, how often a slice stands in the comparison.
    """

    images: np.ndarray
    masks: np.ndarray
    positions_mm: np.ndarray
    groups: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        checked_images(self.images)
        n = len(self.images)
        if self.masks.shape != self.images.shape or self.masks.dtype != np.bool_:
            raise MeasureError(
                f"masks are {self.masks.dtype} {self.masks.shape} beside images {self.images.shape}",
                "give one bool mask for each image",
            )
        for name in ("positions_mm", "groups", "weights"):
            if getattr(self, name).shape != (n,):
                raise MeasureError(f"{name} has shape {getattr(self, name).shape} for {n} images", f"give ({n},)")
        if not (self.weights > 0).all():
            raise MeasureError("an image has no positive weight", "leave it out instead")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def independent(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.groups))

    def take(self, indices: np.ndarray) -> ImageSet:
        """The slices at `indices`, as a set of their own."""
        return ImageSet(
            images=self.images[indices],
            masks=self.masks[indices],
            positions_mm=self.positions_mm[indices],
            groups=self.groups[indices],
            weights=self.weights[indices],
        )


def joined(sets: Sequence[ImageSet]) -> ImageSet:
    """Several sets as one. Groups keep their meaning: a subject in two sets stays one subject."""
    return ImageSet(
        images=np.concatenate([part.images for part in sets]),
        masks=np.concatenate([part.masks for part in sets]),
        positions_mm=np.concatenate([part.positions_mm for part in sets]),
        groups=np.concatenate([part.groups for part in sets]),
        weights=np.concatenate([part.weights for part in sets]),
    )
