"""Whole volumes: every slice of a range, drawn one by one from noise that neighbouring slices partly share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsddpm_core.diffusion.noise import NoiseKey, through_plane_weights
from jsddpm_core.errors import OutputError
from jsddpm_core.files import make_folder, remove_empty
from jsddpm_core.generation.delivery import BRAIN_ABOVE, Delivery, check_delivery
from jsddpm_core.generation.observer import SAMPLING, Observer, Share, on_each_step
from jsddpm_core.generation.picture import MOST_TILES, OVERVIEW, Tile, tile_caption, write_picture
from jsddpm_core.generation.request import VolumeRequest
from jsddpm_core.generation.results import remove_partials, resolved, write_result
from jsddpm_core.generation.sidecar import Sidecar, VolumeChecks
from jsddpm_core.generation.synthesizer import Drawing, Synthesizer, thread_count
from jsddpm_core.progress import OnProgress, Progress

STEM = "volume-000000"


@dataclass(frozen=True)
class Volume:
    """A finished volume.

    Attributes:
        drawing: the draw that was kept, channels `(C, X, Y, Z)`.
        positions_mm: z of each slice.
        attempts: the checks of all draws, the kept one last.
        checks: how it hangs together.
    """

    drawing: Drawing
    positions_mm: tuple[float, ...]
    attempts: tuple[Delivery, ...]
    checks: VolumeChecks


def neighbour_correlation(below: np.ndarray, above: np.ndarray, background: float = -1.0) -> float | None:
    """Pearson correlation of two slices `(X, Y)`, inside what is head in either of them.

    Returns:
        None where there is too little to correlate.
    """
    head = np.maximum(below, above) > background + BRAIN_ABOVE
    one, two = below[head].astype(np.float64), above[head].astype(np.float64)
    if head.sum() < 3 or one.std() == 0 or two.std() == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def inter_slice_correlation(volume: np.ndarray, background: float = -1.0) -> float | None:
    """Mean correlation of neighbouring slices of a volume `(X, Y, Z)`; None where no two of them correlate."""
    pairs = zip(np.moveaxis(volume, -1, 0)[:-1], np.moveaxis(volume, -1, 0)[1:], strict=True)
    found = [neighbour_correlation(below, above, background) for below, above in pairs]
    known = [correlation for correlation in found if correlation is not None]
    return round(float(np.mean(known)), 6) if known else None


def draw_volume(
    synthesizer: Synthesizer,
    request: VolumeRequest,
    on_progress: OnProgress = None,
    observer: Observer | None = None,
) -> Volume:
    """Draws a volume, again until it is as asked or its attempts are used up.

    A lesion counts as delivered if one slice holds the bundle's least area; where none was asked, no slice may.
    """
    manifest = synthesizer.bundle.manifest
    pathology = request.chosen(manifest)
    slices = request.slices(manifest)
    positions = tuple(round(manifest.grid.position_mm(index), 6) for index in slices)
    attempts: tuple[Delivery, ...] = ()
    while True:
        drawing = _draw(synthesizer, request, list(slices), positions, len(attempts), on_progress, observer)
        checked = check_delivery(
            drawing.image, drawing.mask, manifest.grid.spacing_mm, manifest.minimum_lesion_mm2, pathology.lesional
        )
        attempts = (*attempts, checked)
        if checked.as_asked or len(attempts) == request.attempts:
            break
    areas = drawing.mask.sum(axis=(0, 1)) * manifest.grid.spacing_mm**2
    checks = VolumeChecks(
        slice_lesion_mm2=tuple(round(float(area), 4) for area in areas),
        inter_slice_correlation=inter_slice_correlation(drawing.image, manifest.grid.intensity.background),
        real_inter_slice_correlation=manifest.training.inter_slice_correlation,
    )
    return Volume(drawing, positions, attempts, checks)


def generate_volume(
    synthesizer: Synthesizer,
    request: VolumeRequest,
    out: str | Path,
    on_progress: OnProgress = None,
    observer: Observer | None = None,
) -> Sidecar:
    """Writes a volume, its mask, its sidecar and `overview.png`: all of them, or nothing.

    Raises:
        RequestError: if the bundle cannot serve the request.
        OutputError: if the folder cannot be written to or holds a volume already.
    """
    manifest = synthesizer.bundle.manifest
    request.check(manifest)
    request = resolved(request, synthesizer)
    out = Path(out)
    if (out / f"{STEM}.json").exists():
        raise OutputError(f"{out} holds a volume already", "choose another folder")
    made = make_folder(out)
    remove_partials(out, {STEM})
    try:
        with thread_count(request.threads or 1):
            volume = draw_volume(synthesizer, request, on_progress, observer)
        sidecar = write_result(
            out, STEM, volume.drawing, request, synthesizer, volume.positions_mm, volume.attempts, volume.checks
        )
        write_picture(out / OVERVIEW, _tiles(volume, sidecar, synthesizer), manifest)
    finally:
        if made is not None:
            remove_empty(made)
    return sidecar


def _draw(
    synthesizer: Synthesizer,
    request: VolumeRequest,
    slices: list[int],
    positions: tuple[float, ...],
    attempt: int,
    on_progress: OnProgress,
    observer: Observer | None,
) -> Drawing:
    weights = through_plane_weights(request.correlation) if request.correlation > 0 else None
    size = synthesizer.batch_size(request)
    stage = SAMPLING if attempt == 0 else f"{SAMPLING}, draw {attempt + 1}"
    drawings: list[Drawing] = []
    for start in range(0, len(slices), size):
        share = Share(slices[start : start + size], positions[start : start + size], start, len(slices), stage)
        keys = [NoiseKey(request.seed, 0, attempt, index) for index in share.numbers]
        on_step = on_each_step(share, on_progress, observer)
        drawn = synthesizer.draw(request, share.positions_mm, keys, weights, on_step)
        if observer is not None:
            for drawing, index, position_mm in zip(drawn, share.numbers, share.positions_mm, strict=True):
                observer.drawn(drawing, index, position_mm)
        drawings += drawn
    if on_progress is not None:
        on_progress(Progress(stage, len(slices), len(slices)))
    return Drawing(np.stack([drawing.channels for drawing in drawings], axis=-1), drawings[0].table)


def _tiles(volume: Volume, sidecar: Sidecar, synthesizer: Synthesizer) -> list[Tile]:
    """Evenly spread over the volume."""
    count = len(volume.positions_mm)
    shown = sorted({round(float(place)) for place in np.linspace(0, count - 1, min(MOST_TILES, count))})
    image, mask = volume.drawing.image, volume.drawing.mask
    pathology = sidecar.request.chosen(synthesizer.bundle.manifest)
    return [
        Tile(
            image=image[..., index],
            mask=mask[..., index],
            caption=tile_caption(pathology.name, volume.positions_mm[index], sidecar),
            colour=pathology.colour,
            marked=not sidecar.delivery.as_asked,
        )
        for index in shown
    ]
