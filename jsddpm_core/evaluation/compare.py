"""All measures of one set of slices against another: the same whether the set is synthetic or real.

Measures of a set by itself (background, distance to training, lesions) have as their real counterpart the value of the
reference; measures of two sets (slope, wavelets, KID, lesion areas) have that of real slices of other subjects against
the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jsddpm_core.evaluation.background import BrainSupport, background, level_of
from jsddpm_core.evaluation.encoder import SliceEncoder, features
from jsddpm_core.evaluation.image_set import ImageSet
from jsddpm_core.evaluation.kid import kernel_distance, shared_levels
from jsddpm_core.evaluation.lesions import area_comparison, lesion_contrast, median_area, share_with_lesion
from jsddpm_core.evaluation.measure import Measure, Target
from jsddpm_core.evaluation.nearest import median_distance, memorisation, nearest_distances
from jsddpm_core.evaluation.spectrum import slope_difference
from jsddpm_core.evaluation.wavelets import diagonal_energy_ratio

TARGETS = {
    "background std": Target(at_most=0.01),
    "spectral slope difference": Target(at_least=-0.1, at_most=0.1),
    "finest diagonal wavelet energy ratio": Target(at_least=0.85, at_most=1.15),
    "lesion requests with a lesion": Target(at_least=0.90),
    "requests for none without a lesion": Target(at_least=0.95),
}
"""What the project set out to reach, by the name of the measure."""


@dataclass(frozen=True)
class Context:
    """What the measures need beside the sets.

    Attributes:
        support: where training brains lie.
        training: `(M, X, Y)` float32 training slices.
        training_groups: `(M,)` their subjects, as the groups of real sets name them.
        encoder: in whose features KID is measured; None leaves KID out.
        spacing_mm: side of a pixel.
    """

    support: BrainSupport
    training: np.ndarray
    training_groups: np.ndarray
    encoder: SliceEncoder | None
    spacing_mm: float


@dataclass(frozen=True)
class Prepared:
    """A set with what is worked out once an image: features, where there is an encoder, and distances."""

    images: ImageSet
    features: np.ndarray | None
    distances: np.ndarray

    def take(self, indices: np.ndarray) -> Prepared:
        known = None if self.features is None else self.features[indices]
        return Prepared(self.images.take(indices), known, self.distances[indices])


def prepared(images: ImageSet, context: Context) -> Prepared:
    """Features and distances to the nearest training slice of another subject."""
    return Prepared(
        images=images,
        features=None if context.encoder is None else features(context.encoder, images.images),
        distances=nearest_distances(images.images, context.training, images.groups, context.training_groups),
    )


def alone(part: Prepared, context: Context, lesion_wanted: bool | None) -> list[Measure]:
    """The measures of a set by itself; `lesion_wanted` is None for a mix of requests."""
    measures = [*background(part.images, context.support), median_distance(part.images, part.distances)]
    if lesion_wanted is not None:
        measures.append(share_with_lesion(part.images, context.spacing_mm, wanted=lesion_wanted))
    if lesion_wanted:
        measures += [
            found
            for found in (
                median_area(part.images, context.spacing_mm),
                lesion_contrast(part.images, context.spacing_mm),
            )
            if found is not None
        ]
    return measures


def against(part: Prepared, reference: Prepared, context: Context, lesion_wanted: bool | None) -> list[Measure]:
    """The measures of a set against a reference; KID only at levels that enough of the reference's subjects share."""
    measures = [
        slope_difference(part.images, reference.images),
        diagonal_energy_ratio(part.images, reference.images),
    ]
    distance = _kid(part, reference)
    measures += [] if distance is None else [distance]
    measures += memorisation(part.images, part.distances, reference.images, reference.distances)
    if lesion_wanted:
        measures += area_comparison(part.images, reference.images, context.spacing_mm)
    return measures


def _kid(part: Prepared, reference: Prepared) -> Measure | None:
    if part.features is None or reference.features is None:
        return None
    levels = shared_levels(reference.images.positions_mm, reference.images.groups)
    ours, theirs = (
        side.take(np.array([row for row, z in enumerate(side.images.positions_mm) if level_of(z) in levels], dtype=int))
        if levels
        else None
        for side in (part, reference)
    )
    if ours is None or theirs is None or ours.images.independent < 2:
        return None
    return kernel_distance(
        ours.features,
        theirs.features,
        ours.images.groups,
        theirs.images.groups,
        ours.images.weights,
        theirs.images.weights,
    )
