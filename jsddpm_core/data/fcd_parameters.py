"""What a simulated focal cortical dysplasia is like: its size, its signs, and how plain they are."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from jsddpm_core.strict import Strict


class FcdParameters(Strict):
    """What is painted.

    Attributes:
        radius_mm: along the cortex, from the middle to half of the effect.
        thickening_mm: by which the cortex grows, inwards.
        blur_mm: standard deviation of the blur across the junction.
        contrast: of the subcortical zone to the white matter, as a share of the latter's level above the background.
        depth_mm: of the subcortical zone below the junction.
        tail: whether it narrows toward the ventricle.
        tail_mm: width of the tail where it ends.
        conspicuity: factor of thickening, blur and contrast together.
    """

    radius_mm: float = Field(9.0, ge=3, le=30)
    thickening_mm: float = Field(1.5, ge=0, le=5)
    blur_mm: float = Field(1.5, ge=0, le=4)
    contrast: float = Field(0.25, ge=0, le=1)
    depth_mm: float = Field(6.0, ge=1, le=20)
    tail: bool = False
    tail_mm: float = Field(3.0, ge=1, le=8)
    conspicuity: float = Field(1.0, gt=0, le=1)


def draw_parameters(generator: np.random.Generator, conspicuity: float | None = None) -> FcdParameters:
    """Random parameters: from just visible to plain; four in ten with a tail."""
    return FcdParameters(
        radius_mm=float(generator.uniform(6, 15)),
        thickening_mm=float(generator.uniform(0.8, 2.8)),
        blur_mm=float(generator.uniform(0.8, 2.2)),
        contrast=float(generator.uniform(0.18, 0.5)),
        depth_mm=float(generator.uniform(4, 10)),
        tail=bool(generator.random() < 0.4),
        tail_mm=float(generator.uniform(2, 4)),
        conspicuity=float(generator.uniform(0.55, 1.0)) if conspicuity is None else conspicuity,
    )
