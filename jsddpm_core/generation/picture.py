"""The overview picture of a run: each result with its lesion's outline, where it lies, and that it is synthetic."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from skimage.measure import find_contours

from jsddpm_core.errors import ReproductionError
from jsddpm_core.files import write_file
from jsddpm_core.generation.sidecar import Sidecar, read_sidecar
from jsddpm_core.manifest import Manifest

OVERVIEW = "overview.png"
MOST_TILES = 24
COLUMNS = 6
LEAST_WIDTH_PX = 280
CONTOUR_PX = 2
HEADING = "SYNTHETIC, not a patient, not for clinical use"
DESCRIPTION = "Synthetic images made by a generative model; not a patient"

_PAPER, _INK, _FAINT = (0, 0, 0), (255, 255, 255), (170, 170, 170)
_CAPTION_PX, _HEAD_PX, _MARGIN_PX = 22, 34, 4


@dataclass(frozen=True)
class Tile:
    """One slice of the picture.

    Attributes:
        image: `(X, Y)` in RAS order.
        mask: bool, of the same shape.
        caption: below the slice.
        colour: of the lesion's outline.
        marked: whether the slice is not as asked.
    """

    image: np.ndarray
    mask: np.ndarray
    caption: str
    colour: tuple[int, int, int]
    marked: bool = False


def overview_picture(tiles: Sequence[Tile], shown: tuple[float, float], heading: str = HEADING) -> Image.Image:
    """All tiles in rows, in the radiological convention: the patient's right is at the viewer's left.

    Args:
        tiles: 1 to MOST_TILES slices of one shape.
        shown: intensities of black and of white.
        heading: what they are.
    """
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    scale = max(2, -(-LEAST_WIDTH_PX // tiles[0].image.shape[0]))
    width, height = (scale * side for side in tiles[0].image.shape)
    cell = (width + _MARGIN_PX, height + _CAPTION_PX + _MARGIN_PX)
    head = [heading, "patient's right is at the left"]
    font, small = ImageFont.load_default(size=16), ImageFont.load_default(size=13)
    beside = columns * cell[0] >= 640
    above = _HEAD_PX if beside else 2 * _HEAD_PX - 10
    picture = Image.new("RGB", (columns * cell[0] + _MARGIN_PX, rows * cell[1] + above), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN_PX + 4, 7), head[0], font=font if beside else small, fill=(255, 210, 90))
    if beside:
        draw.text((picture.width - 8, 9), head[1], font=small, fill=_FAINT, anchor="ra")
    else:
        draw.text((_MARGIN_PX + 4, 30), head[1], font=small, fill=_FAINT)
    for number, tile in enumerate(tiles):
        left = _MARGIN_PX + (number % columns) * cell[0]
        top = above + (number // columns) * cell[1]
        _draw_tile(picture, draw, tile, (left, top), scale, shown, small)
    return picture


def _draw_tile(
    picture: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    corner: tuple[int, int],
    scale: int,
    shown: tuple[float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    left, top = corner
    low, high = shown
    x_size, y_size = tile.image.shape
    grey = np.clip((np.nan_to_num(tile.image, nan=low) - low) / (high - low), 0, 1)
    upright = np.rint(255 * grey.T[::-1, ::-1]).astype(np.uint8)
    slice_picture = Image.fromarray(upright).resize((scale * x_size, scale * y_size), Image.Resampling.BICUBIC)
    picture.paste(slice_picture.convert("RGB"), (left, top))
    # Padded, so that the outline of a lesion at the edge closes.
    for contour in find_contours(np.pad(tile.mask.astype(float), 1), 0.5):
        x = left + scale * (x_size - 1 - (contour[:, 0] - 1) + 0.5)
        y = top + scale * (y_size - 1 - (contour[:, 1] - 1) + 0.5)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=tile.colour, width=CONTOUR_PX, joint="curve")
    draw.text((left + 4, top + scale * y_size // 2), "R", font=font, fill=_INK, anchor="lm")
    draw.text((left + scale * x_size - 4, top + scale * y_size // 2), "L", font=font, fill=_INK, anchor="rm")
    caption_ink = (255, 210, 90) if tile.marked else _FAINT
    draw.text((left + 4, top + scale * y_size + 4), tile.caption, font=font, fill=caption_ink)


def write_picture(
    path: Path, tiles: Sequence[Tile], manifest: Manifest, *, heading: str = HEADING, description: str = DESCRIPTION
) -> None:
    """Writes an overview as PNG, whose heading and metadata say what it shows.

    Raises:
        OutputError: if it cannot be written.
    """
    text = PngInfo()
    text.add_text("Description", description)
    content = io.BytesIO()
    overview_picture(tiles, manifest.grid.intensity.range, heading).save(content, format="PNG", pnginfo=text)
    write_file(path, content.getvalue())


def write_overview(folder: Path, manifest: Manifest) -> Path | None:
    """Draws the first MOST_TILES whole samples of a folder, whichever process made them; None if there is none."""
    colours = {pathology.name: pathology.colour for pathology in manifest.pathologies}
    tiles: list[Tile] = []
    for path in sorted(folder.glob("sample-*.json")):
        if len(tiles) == MOST_TILES:
            break
        try:
            sidecar = read_sidecar(path)
        except ReproductionError:
            continue
        if not all((folder / record.name).is_file() for record in sidecar.files.values()):
            continue
        image, mask = load_result(folder, sidecar)
        number = int(path.stem.removeprefix("sample-"))
        name = sidecar.request.pathology
        tiles.append(
            Tile(
                image=image[..., 0],
                mask=mask[..., 0],
                caption=tile_caption(f"#{number}  {name}", sidecar.geometry.positions_mm[0], sidecar),
                colour=colours.get(name, (230, 75, 53)),
                marked=not sidecar.delivery.as_asked,
            )
        )
    if not tiles:
        return None
    write_picture(folder / OVERVIEW, tiles, manifest)
    return folder / OVERVIEW


def tile_caption(what: str, position_mm: float, sidecar: Sidecar) -> str:
    """`#3  infarct  z = +18.0 mm`, and whether it is not as asked."""
    return f"{what}  z = {position_mm:+.1f} mm" + ("" if sidecar.delivery.as_asked else "  not as asked")


def load_result(folder: Path, sidecar: Sidecar) -> tuple[np.ndarray, np.ndarray]:
    """The first image, float32, and the first mask, bool, of a result, `(X, Y, Z)`."""
    image_name = next(ending for ending in sidecar.files if not ending.endswith("mask"))
    mask_name = next(ending for ending in sidecar.files if ending.endswith("mask"))
    image, mask = (
        np.asanyarray(nibabel.Nifti1Image.from_filename(folder / sidecar.files[ending].name).dataobj)
        for ending in (image_name, mask_name)
    )
    return image, mask > 0
