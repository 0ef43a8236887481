"""Where a simulated dysplasia lies and how far each of its signs reaches: weights by depth below the pial surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

from jsddpm_core.data.fcd_parameters import FcdParameters
from jsddpm_core.data.tissue import Tissue
from jsddpm_core.errors import ImageError

JUNCTION_MM = 3.2
"""Depth of the junction where the image itself does not tell."""

MASK_SHARE = 0.4
"""A voxel belongs to the lesion from this share of its effect on."""

FROM_VENTRICLE_MM = 12.0
"""Grey matter nearer to a ventricle is not cortex."""

LEAST_CORE_MM3 = 50.0
"""Least volume of the subcortical zone's core; thin gyri have no room for it."""

MOST_SITES = 60
REACH = 1.5  # of the radius: beyond it nothing is painted along the cortex
MARGIN_MM = 20.0
"""Tissue around a lesion that the widest low-pass may draw on."""


@dataclass(frozen=True)
class Shape:
    """Weights from 0 to 1 of the effects, and how far the image is drawn inwards.

    Attributes:
        window: along the cortex.
        shift_mm: of the cortex, inwards.
        inwards: (ndim, ...) unit vectors, away from the pia.
        blur: across the junction.
        blur_mm: its width.
        subcortical: of the bright zone and its tail.
        mask: uint8, the lesion.
    """

    window: np.ndarray
    shift_mm: np.ndarray
    inwards: np.ndarray
    blur: np.ndarray
    blur_mm: float
    subcortical: np.ndarray
    mask: np.ndarray


def junction_mm(tissue: Tissue) -> float:
    """Depth at which grey and white matter are equally likely."""
    edge = (np.abs(tissue.grey - tissue.white) < 0.3) & (tissue.grey + tissue.white > 0.7) & (tissue.depth_mm < 8)
    return float(np.median(tissue.depth_mm[edge])) if edge.sum() > 50 else JUNCTION_MM


def sites(
    tissue: Tissue,
    junction: float,
    spacing_mm: Sequence[float],
    generator: np.random.Generator,
    site: Sequence[float] | np.ndarray | None,
    allowed: np.ndarray | None,
) -> list[tuple[int, ...]]:
    """Voxels on the junction in random order, or the one that is nearest to the wish.

    Raises:
        ImageError: if there is none.
    """
    step = float(max(spacing_mm))
    fits = (np.abs(tissue.depth_mm - junction) < step) & (tissue.csf < 0.2)
    if tissue.ventricle.any():
        fits &= ndimage.distance_transform_edt(~tissue.ventricle, sampling=spacing_mm) > FROM_VENTRICLE_MM
    if allowed is not None:
        fits &= allowed
    places = np.argwhere(fits)
    if not len(places):
        raise ImageError("there is no cortex where the lesion may lie", "allow more of the image")
    if site is not None:
        away = (places - np.asarray(site)) * np.asarray(spacing_mm)
        return [tuple(int(index) for index in places[np.argmin((away**2).sum(1))])]
    order = generator.permutation(len(places))[:MOST_SITES]
    return [tuple(int(index) for index in places[number]) for number in order]


def surroundings(
    site: tuple[int, ...],
    target: tuple[int, ...] | None,
    spacing_mm: Sequence[float],
    shape: tuple[int, ...],
    parameters: FcdParameters,
) -> tuple[slice, ...]:
    """What of an image a lesion at a site can have to do with; a slice is small enough to be taken whole.

    Args:
        site: voxel index.
        target: voxel index of the tail's end, None without a tail.
        spacing_mm: of each axis.
        shape: of the image.
        parameters: of the lesion.
    """
    if len(shape) == 2:
        return tuple(slice(0, size) for size in shape)
    ends = np.array([site, site if target is None else target])
    reach = REACH * parameters.radius_mm + parameters.depth_mm + MARGIN_MM
    low = np.floor(ends.min(0) - reach / np.asarray(spacing_mm)).astype(int)
    high = np.ceil(ends.max(0) + reach / np.asarray(spacing_mm)).astype(int) + 1
    return tuple(
        slice(max(0, int(start)), min(size, int(stop))) for start, stop, size in zip(low, high, shape, strict=True)
    )


def cut(tissue: Tissue, box: tuple[slice, ...]) -> Tissue:
    """The tissue of a part of an image."""
    names = ("csf", "grey", "white", "depth_mm", "ventricle")
    return replace(tissue, **{name: getattr(tissue, name)[box] for name in names})


def nearest_ventricle(tissue: Tissue, spacing_mm: Sequence[float]) -> np.ndarray | None:
    """(ndim, ...) voxel index of each voxel's nearest ventricle; None where there is no ventricle."""
    if not tissue.ventricle.any():
        return None
    return ndimage.distance_transform_edt(
        ~tissue.ventricle, sampling=spacing_mm, return_distances=False, return_indices=True
    )


def shape_at(
    site: tuple[int, ...],
    target: tuple[int, ...] | None,
    junction: float,
    spacing_mm: Sequence[float],
    tissue: Tissue,
    parameters: FcdParameters,
) -> Shape | None:
    """The lesion's shape at a site.

    Args:
        site: voxel index of the middle, on the junction.
        target: voxel index where a tail ends, None without one.
        junction: its depth in mm.
        spacing_mm: of each axis.
        tissue: around the site.
        parameters: what is painted.

    Returns:
        None where it does not fit there.
    """
    share = parameters.conspicuity
    thickening, blur_mm = parameters.thickening_mm * share, parameters.blur_mm * share
    solid = np.clip(1 - tissue.csf, 0, 1) * ((tissue.grey + tissue.white + tissue.csf) > 0)
    along = _distance_mm(site, solid, spacing_mm, REACH * parameters.radius_mm + parameters.depth_mm)
    window = falling(along, 0.5 * parameters.radius_mm, REACH * parameters.radius_mm) * solid
    below = tissue.depth_mm - (junction + thickening)
    rising = np.clip(tissue.depth_mm / junction, 0, 1)
    settling = falling(below, 0, 2 * thickening + 3)
    shift = thickening * window * rising * settling
    depth = ndimage.gaussian_filter(tissue.depth_mm, [1.0 / step for step in spacing_mm])
    slope = np.stack(np.gradient(depth, *spacing_mm)).reshape(depth.ndim, *depth.shape)
    inwards = slope / np.maximum(np.sqrt((slope**2).sum(0)), 1e-3)
    blur = window * np.exp(-0.5 * (below / (blur_mm + 1.0)) ** 2)
    begins = np.clip(below / 1.5 + 0.5, 0, 1)
    zone = window * begins * falling(below, 0.5 * parameters.depth_mm, 1.3 * parameters.depth_mm)
    if target is not None:
        tail = _tail(site, target, tissue, spacing_mm, parameters)
        if tail is None:
            return None
        zone = np.maximum(zone, tail * solid * np.clip(begins, 0, 1))
    core = (zone > 0.85) & (tissue.csf < 0.2)
    if core.ndim == 3 and core.sum() * np.prod(spacing_mm) < LEAST_CORE_MM3:  # of a slice's, much lies beside it
        return None
    ribbon = (window >= MASK_SHARE) & (below <= 0)
    mask = (ribbon | (zone >= MASK_SHARE)) & (tissue.csf < 0.5) & (solid > 0.5)
    labels, _ = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    if labels[site] == 0:
        return None
    return Shape(window, shift, inwards, blur, blur_mm, zone, (labels == labels[site]).astype(np.uint8))


def _distance_mm(site: tuple[int, ...], solid: np.ndarray, spacing_mm: Sequence[float], reach_mm: float) -> np.ndarray:
    """Length of the shortest way through tissue, so that a sulcus's other bank is far; infinite beyond the reach."""
    box = tuple(
        slice(max(0, index - int(reach_mm / step) - 1), min(size, index + int(reach_mm / step) + 2))
        for index, step, size in zip(site, spacing_mm, solid.shape, strict=True)
    )
    cost = np.where(solid[box] > 0.5, 1.0, 6.0)
    begin = tuple(index - part.start for index, part in zip(site, box, strict=True))
    ways, _ = MCP_Geometric(cost, sampling=tuple(spacing_mm)).find_costs([begin])
    found = np.full(solid.shape, np.inf)
    found[box] = ways
    return found


def falling(values: np.ndarray, full: float | np.ndarray, none: float | np.ndarray) -> np.ndarray:
    """1 up to `full`, 0 from `none` on, half a cosine between."""
    place = np.clip((values - full) / np.maximum(none - full, 1e-6), 0, 1)
    return 0.5 * (1 + np.cos(np.pi * place))


def _tail(
    site: tuple[int, ...],
    target: tuple[int, ...],
    tissue: Tissue,
    spacing_mm: Sequence[float],
    parameters: FcdParameters,
) -> np.ndarray | None:
    """Weight of the zone that narrows from the site to a ventricle; None where another gyrus is between."""
    end = np.asarray(target)
    step = np.asarray(spacing_mm, dtype=float)
    way = (end - np.asarray(site)) * step
    length = float(np.linalg.norm(way))
    points = (np.asarray(site) + np.linspace(0, 1, 50)[:, None] * (end - np.asarray(site))).round().astype(int)
    white = tissue.white[tuple(points.T)]
    if length < FROM_VENTRICLE_MM or (white[8:-4] > 0.5).mean() < 0.95:
        return None
    index = np.indices(tissue.csf.shape, dtype=np.float32)
    away = (index - np.reshape(site, (-1, *[1] * tissue.csf.ndim))) * step.reshape(-1, *[1] * tissue.csf.ndim)
    axis = (way / length).reshape(-1, *[1] * tissue.csf.ndim)
    forward = (away * axis).sum(0)
    aside = np.sqrt(np.maximum((away**2).sum(0) - forward**2, 0))
    place = np.clip(forward / length, 0, 1)
    half = 0.6 * parameters.radius_mm * (1 - place) ** 1.5 + 0.5 * parameters.tail_mm
    inside = ((forward > -1) & (forward < length)).astype(float)
    return falling(aside, 0.6 * half, 1.4 * half) * (1 - 0.45 * place) * inside
