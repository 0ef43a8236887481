"""The slices of cases as the network will see them: pictures with the mask's outline, and arrays for a viewer.

They come through the code that prepares the training slices, so that what is shown is what is learned. The pictures
show patients: they are for the machine that they are made on.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.PngImagePlugin import PngInfo

from jsddpm_core.config import Config
from jsddpm_core.data.case_slices import slices_of
from jsddpm_core.data.on_grid import ToGrid
from jsddpm_core.data.preprocess import BACKGROUND, Prepared
from jsddpm_core.errors import CaseError, ImageError
from jsddpm_core.files import make_folder, write_file
from jsddpm_core.generation.picture import MOST_TILES, Tile, overview_picture
from jsddpm_core.progress import OnProgress, Progress
from jsddpm_core.training.request import CaseEntry, Corrections

DRAWING = "drawing the gallery"
HEADING = "REAL patients, as the network will see them; keep on this machine"
DESCRIPTION = "Slices of real patients prepared for training; not to be passed on"
SLICES_A_CASE = 4
UNKNOWN_COLOUR = (170, 170, 170)


@dataclass(frozen=True)
class GalleryCase:
    """A case on the model's grid.

    Attributes:
        name: of the case.
        image: (X, Y, Z) float32 in [-1, 1], RAS: the slices in use and those between them.
        mask: (X, Y, Z) uint8, None where the lesions are unknown.
        affine: (4, 4) from indices of `image` to RAS millimetres of the template.
        positions_mm: z of each slice of `image`.
        steps: what was done on the way, in words.
        reason: why there is nothing to show; then the arrays are None.
    """

    name: str
    image: np.ndarray | None = None
    mask: np.ndarray | None = None
    affine: np.ndarray | None = None
    positions_mm: tuple[float, ...] = ()
    steps: tuple[str, ...] = ()
    reason: str | None = None


def gallery_case(entry: CaseEntry, config: Config, to_grid: ToGrid) -> GalleryCase:
    """Brings a case to the grid and keeps the slices that training would use."""
    try:
        placed = to_grid(entry)
    except ImageError as error:
        return GalleryCase(entry.name, reason=str(error))
    prepared = placed.prepared
    used = slices_of(prepared, config)
    if not used:
        return GalleryCase(entry.name, reason="no slice in the grid's range shows enough of the brain")
    first, last = used[0][0], used[-1][0]
    affine = prepared.placement.grid_affine.copy()
    affine[:3, 3] += affine[:3, 2] * first
    return GalleryCase(
        entry.name,
        np.ascontiguousarray(prepared.image[..., first : last + 1]),
        None if prepared.mask is None else np.ascontiguousarray(prepared.mask[..., first : last + 1]),
        affine,
        _positions(prepared, first, last),
        (placed.alignment.how, *placed.steps),
    )


def _positions(prepared: Prepared, first: int, last: int) -> tuple[float, ...]:
    affine = prepared.placement.grid_affine
    return tuple(round(float(affine[2, 3] + affine[2, 2] * z), 4) for z in range(first, last + 1))


def chosen_slices(case: GalleryCase, count: int) -> list[int]:
    """Slices that show a case best: the one with most of the lesion, the others spread over its height."""
    assert case.image is not None
    height = case.image.shape[2]
    spread = np.linspace(0, height - 1, min(count, height) + 2)[1:-1].round().astype(int)
    chosen = dict.fromkeys(int(z) for z in spread)
    if case.mask is not None and case.mask.any():
        largest = int(case.mask.sum(axis=(0, 1)).argmax())
        nearest = min(chosen, key=lambda z: abs(z - largest))
        chosen = dict.fromkeys(sorted({*chosen} - {nearest} | {largest}))
    return list(chosen)


def write_gallery(
    entries: Sequence[CaseEntry],
    config: Config,
    out: Path,
    corrections: Corrections | None = None,
    on_progress: OnProgress = None,
    *,
    picture: str = "gallery.png",
    volumes: bool = True,
) -> dict[str, Any]:
    """Writes pages of slices as PNG and, for a viewer, each case's slices as arrays.

    Args:
        entries: the cases.
        config: grid, intensities and the pathologies' colours.
        out: a folder.
        corrections: as the preparation would make them.
        on_progress: told before each case; what it raises ends the work.
        picture: name of the first page; further ones get a number.
        volumes: whether `NAME.npy` (image) and `NAME.mask.npy` are written too.

    Returns:
        `pictures`: names of the pages. `cases`: for each its name, `image` and `mask` (file names or None), `affine`,
        `positions_mm`, `steps`, `page` of its picture, and `reason` where there is nothing to show.

    Raises:
        CaseError: if no case can be shown, or a template is unusable.
        PackageError: if skull stripping is wanted and HD-BET is not there.
        OutputError: if `out` cannot be written.
    """
    if not entries:
        raise CaseError("no case can be used, so there is nothing to show", "mend the cases first")
    to_grid = ToGrid(config.data, corrections or Corrections())
    make_folder(out)
    colours = {pathology.name: pathology.colour for pathology in config.pathologies}
    tiles: list[Tile] = []
    told: list[dict[str, Any]] = []
    for number, entry in enumerate(entries):
        if on_progress is not None:
            on_progress(Progress(DRAWING, number, len(entries)))
        case = gallery_case(entry, config, to_grid)
        page = len(tiles) // MOST_TILES
        tiles += _tiles(case, colours.get(entry.pathology or "", UNKNOWN_COLOUR))
        told.append({**_told(case, out if volumes else None), "page": page if case.reason is None else None})
    if not tiles:
        raise CaseError(f"none of {len(entries)} cases can be shown; the first: {told[0]['reason']}", "mend the cases")
    pages = [tiles[start : start + MOST_TILES] for start in range(0, len(tiles), MOST_TILES)]
    names = [_page_name(picture, number) for number in range(len(pages))]
    for name, page_tiles in zip(names, pages, strict=True):
        write_file(out / name, contact_sheet(page_tiles))
    if on_progress is not None:
        on_progress(Progress(DRAWING, len(entries), len(entries)))
    return {"pictures": names, "cases": told}


def contact_sheet(tiles: Sequence[Tile]) -> bytes:
    """A page as the bytes of a PNG file, whose heading and metadata say that it shows patients."""
    text = PngInfo()
    text.add_text("Description", DESCRIPTION)
    content = io.BytesIO()
    overview_picture(tiles, (BACKGROUND, 1.0), HEADING).save(content, format="PNG", pnginfo=text)
    return content.getvalue()


def _tiles(case: GalleryCase, colour: tuple[int, int, int]) -> list[Tile]:
    if case.image is None:
        return []
    found = []
    for z in chosen_slices(case, SLICES_A_CASE):
        known = case.mask is not None
        mask = case.mask[..., z] > 0 if case.mask is not None else np.zeros(case.image.shape[:2], dtype=bool)
        name = case.name.split("/", 1)[-1]
        caption = f"{name}  z = {case.positions_mm[z]:+.1f} mm" + ("" if known else "  no mask")
        found.append(Tile(case.image[..., z], mask, caption, colour))
    return found


def _told(case: GalleryCase, out: Path | None) -> dict[str, Any]:
    files: dict[str, str | None] = {"image": None, "mask": None}
    if out is not None and case.image is not None:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", case.name)
        for kind, values, name in (("image", case.image, f"{stem}.npy"), ("mask", case.mask, f"{stem}.mask.npy")):
            if values is not None:
                content = io.BytesIO()
                np.save(content, values, allow_pickle=False)
                write_file(out / name, content.getvalue())
                files[kind] = name
    return {
        "name": case.name,
        **files,
        "affine": None if case.affine is None else case.affine.tolist(),
        "positions_mm": list(case.positions_mm),
        "steps": list(case.steps),
        "reason": case.reason,
    }


def _page_name(picture: str, number: int) -> str:
    path = Path(picture)
    return picture if number == 0 else f"{path.stem}-{number + 1:02d}{path.suffix}"
