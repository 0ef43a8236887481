"""Simulated focal cortical dysplasia: painted into a real, lesion-free FLAIR, slice or volume, with an exact mask.

What radiologists look for in type II (Blümcke et al. 2011): a thickened cortex, a blurred junction of grey and white
matter, a bright subcortical zone, and often a tail of it that narrows toward the ventricle, the transmantle sign
(Barkovich et al. 1997). Each is painted into the smooth part of the image, by depth below the pial surface; the scan's
own noise and fine texture are put back on top, and every voxel outside the lesion's reach keeps its bits.

All that is made here is simulated, and whoever writes it to a file has to say so (`NOTICE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from jsddpm_core.data.fcd_parameters import FcdParameters
from jsddpm_core.data.fcd_shape import Shape, cut, junction_mm, nearest_ventricle, shape_at, sites, surroundings
from jsddpm_core.data.tissue import Tissue
from jsddpm_core.errors import ImageError

PATHOLOGY = "fcd-simulated"
NOTICE = "Contains a SIMULATED cortical dysplasia, painted by a program; not a patient's lesion, not for clinical use"

SMOOTH_MM = 1.2
"""Width of the low-pass that parts structure from texture."""

DEPTH_STEP_MM = 0.5
"""Of the depth profile by which an image's layers are told from its texture."""

LEAST_AT_DEPTH = 20  # voxels

CLEAR_MM = 1.5
"""Nearer to the new junction, what is brighter may be the cortex that has moved in."""

IN_RIBBON = 0.3
"""Brightening of the cortex itself, as a share of that of the subcortical zone."""

IN_T1W = -0.3
"""Change of the subcortical zone on T1-weighted images, as a share of that on FLAIR."""


@dataclass(frozen=True)
class Effects:
    """What the painting did, measured on the image.

    Attributes:
        contrast: mean rise of the subcortical zone's core, as a share of the white matter's level above the background;
            NaN where a slice shows none of it.
        junction_gradient: steepness of the smoothed image across the junction, after over before; the rim of a bright
            subcortical zone counts.
        thickening_mm: by which the junction has moved inwards, asked and painted alike.
        lesion_mm: area in mm^2 of a slice's mask, or volume in mm^3.
    """

    contrast: float
    junction_gradient: float
    thickening_mm: float
    lesion_mm: float


@dataclass(frozen=True)
class Painted:
    """An image with a simulated lesion.

    Attributes:
        image: float32, of the input's shape and scale.
        mask: uint8 of 0 and 1.
        t1w: the same lesion in the T1-weighted image, where one was given.
        site: voxel index of the lesion's middle, on the junction.
        parameters: what was asked for.
        effects: what came of it.
    """

    image: np.ndarray
    mask: np.ndarray
    t1w: np.ndarray | None
    site: tuple[int, ...]
    parameters: FcdParameters
    effects: Effects


def paint(
    image: np.ndarray,
    spacing_mm: Sequence[float],
    tissue: Tissue,
    parameters: FcdParameters,
    generator: np.random.Generator,
    *,
    site: Sequence[float] | np.ndarray | None = None,
    allowed: np.ndarray | None = None,
    t1w: np.ndarray | None = None,
    least_mm: float = 0.0,
) -> Painted:
    """Paints one lesion. No voxel becomes brighter than the image's brightest.

    Args:
        image: 2-D or 3-D FLAIR, skull-stripped, any linear scale.
        spacing_mm: of each axis.
        tissue: of the image.
        parameters: what is painted.
        generator: chooses the site, and nothing else.
        site: voxel index of the lesion's middle, whole or not; the nearest point of the junction is taken.
        allowed: bool, where a site may be chosen; by default the whole cortex.
        t1w: on the same grid, painted alike: a thicker cortex, a blurred junction, a slightly dark subcortical zone.
        least_mm: least area or volume of the mask, in mm^2 or mm^3.

    Raises:
        ImageError: if no place takes such a lesion.
    """
    if t1w is not None and t1w.shape != image.shape:
        raise ImageError(
            f"the T1-weighted image has the sizes {t1w.shape}, the FLAIR {image.shape}", "resample it to the FLAIR"
        )
    junction = junction_mm(tissue)
    ventricles = nearest_ventricle(tissue, spacing_mm) if parameters.tail else None
    for place in sites(tissue, junction, spacing_mm, generator, site, allowed):
        if parameters.tail and ventricles is None:
            continue
        target = None if ventricles is None else tuple(int(end[place]) for end in ventricles)
        box = surroundings(place, target, spacing_mm, image.shape, parameters)
        around, end = cut(tissue, box), None if target is None else _within(target, box)
        shape = shape_at(_within(place, box), end, junction, spacing_mm, around, parameters)
        if shape is not None and shape.mask.sum() * np.prod(spacing_mm) >= least_mm:
            break
    else:
        raise ImageError("no place in the cortex takes such a lesion", "ask for a smaller one or without a tail")
    contrast = parameters.contrast * parameters.conspicuity
    painted = _spread(_apply(image, box, shape, tissue, contrast, spacing_mm), box, image)
    other = None
    if t1w is not None:
        other = _spread(_apply(t1w, box, shape, tissue, IN_T1W * contrast, spacing_mm), box, t1w)
    effects = _effects(image[box], painted[box], shape, around, junction, spacing_mm)
    mask = _spread(shape.mask, box, np.zeros(image.shape, np.uint8))
    return Painted(painted, mask, other, place, parameters, effects)


def _within(point: tuple[int, ...], box: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(index - part.start for index, part in zip(point, box, strict=True))


def _spread(part: np.ndarray, box: tuple[slice, ...], whole: np.ndarray) -> np.ndarray:
    """A copy of the whole with a part put in."""
    copy = whole.astype(part.dtype)
    copy[box] = part
    return copy


def _smooth(image: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    return ndimage.gaussian_filter(image.astype(np.float64), [SMOOTH_MM / step for step in spacing_mm])


def _apply(
    whole: np.ndarray,
    box: tuple[slice, ...],
    shape: Shape,
    tissue: Tissue,
    contrast: float,
    spacing_mm: Sequence[float],
) -> np.ndarray:
    """The painted part of an image; bit for bit the given one where no effect reaches."""
    background = float(whole.min())
    white = float(np.median(whole[tissue.white > 0.8]))
    image, around = whole[box], cut(tissue, box)
    smooth = _smooth(image, spacing_mm)
    smooth = smooth + _sharp_layers(image - smooth, shape, around)
    texture = image - smooth
    coordinates = np.indices(image.shape, dtype=np.float64)
    for axis, step in enumerate(spacing_mm):
        coordinates[axis] -= shape.shift_mm * shape.inwards[axis] / step
    drawn = ndimage.map_coordinates(smooth, coordinates, order=1, mode="nearest")
    if shape.blur_mm > 0:
        sigma = [shape.blur_mm / step for step in spacing_mm]
        solid = (around.csf < 0.5) & (around.grey + around.white > 0.5)
        weight = ndimage.gaussian_filter(solid.astype(np.float64), sigma)
        blurred = ndimage.gaussian_filter(np.where(solid, drawn, 0), sigma) / np.maximum(weight, 1e-3)
        drawn = drawn + shape.blur * (blurred - drawn)
    drawn = drawn + contrast * (white - background) * np.clip(shape.subcortical + IN_RIBBON * shape.window, 0, 1)
    reached = ((shape.window > 0.01) | (shape.subcortical > 0.01)) & (around.csf < 0.5)
    painted = np.clip(drawn + texture, background, whole.max())
    return np.where(reached, painted, image).astype(np.float32)


def _sharp_layers(texture: np.ndarray, shape: Shape, tissue: Tissue) -> np.ndarray:
    """What of the texture is no texture but the layers' sharpness, for it is alike all along the cortex.

    Left in the texture, it would draw the old junction again over the blurred one.
    """
    tissues = (shape.window > 0.01) & (tissue.csf < 0.5)
    bins = np.round(tissue.depth_mm[tissues] / DEPTH_STEP_MM).astype(int)
    counts = np.bincount(bins)
    means = np.bincount(bins, texture[tissues]) / np.maximum(counts, 1)
    means[counts < LEAST_AT_DEPTH] = 0
    layers = np.zeros(texture.shape)
    layers[tissues] = np.interp(tissue.depth_mm[tissues] / DEPTH_STEP_MM, np.arange(len(means)), means)
    return layers


def _effects(
    before: np.ndarray,
    after: np.ndarray,
    shape: Shape,
    tissue: Tissue,
    junction: float,
    spacing_mm: Sequence[float],
) -> Effects:
    moved = float(shape.shift_mm.max())
    core = (shape.subcortical > 0.85) & (tissue.csf < 0.2)
    clear = core & (tissue.depth_mm > junction + moved + CLEAR_MM)
    core = clear if clear.any() else core
    scale = tissue.white_level - tissue.background
    contrast = float((after[core] - before[core]).mean()) / scale if core.any() else float("nan")
    steepness = []
    for image, depth in ((before, junction), (after, junction + moved)):
        slope = np.stack(np.gradient(_smooth(image, spacing_mm), *spacing_mm)).reshape(image.ndim, *image.shape)
        across = (slope * shape.inwards).sum(0)
        band = (shape.window > 0.7) & (np.abs(tissue.depth_mm - depth) < 1.5) & (tissue.csf < 0.2)
        steepness.append(float(np.abs(across[band]).mean()) if band.any() else float("nan"))
    return Effects(
        contrast=contrast,
        junction_gradient=steepness[1] / steepness[0] if steepness[0] else float("nan"),
        thickening_mm=moved,
        lesion_mm=float(shape.mask.sum() * np.prod(spacing_mm)),
    )
