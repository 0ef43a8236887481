"""Whether a new model copies what it learned from: the nearest training slice of each of its draws.

Numbers without names go into the report (`evaluation.nearest.memorisation`). Who the nearest people are, and the
pictures of the closest pairs, are written for the eyes of those who have the scans anyway.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.evaluation.nearest import nearest_training
from jsddpm_core.evaluation.plan import reference_set
from jsddpm_core.evaluation.quality import Measured
from jsddpm_core.evaluation.resampling import weighted_quantile
from jsddpm_core.files import make_folder, write_file
from jsddpm_core.generation.picture import MOST_TILES, Tile, write_picture
from jsddpm_core.manifest import Manifest

PAIRS = MOST_TILES // 2
TABLE = "nearest.csv"
PICTURE = "nearest.png"
HEADING = "Closest pairs: a SYNTHETIC slice, then the REAL training slice. Keep on this machine"
DESCRIPTION = "Synthetic slices beside the real training slices nearest to them; shows patients, not to be passed on"

_REAL = (255, 255, 255)


@dataclass(frozen=True)
class Pair:
    """A draw and the training slice nearest to it.

    Attributes:
        name: of the draw.
        pathology: that was asked for.
        position_mm: where.
        image: the draw, `(X, Y)`.
        mask: its lesion, bool.
        row: of the training slice in the cache.
        mirrored: whether its mirror image is what comes near.
        distance: root mean square difference of block means.
        ratio: that over the median distance of real slices to training slices of other people; None without any.
    """

    name: str
    pathology: str
    position_mm: float
    image: np.ndarray
    mask: np.ndarray
    row: int
    mirrored: bool
    distance: float
    ratio: float | None


def nearest_pairs(measured: Measured, cache: SliceCache) -> list[Pair]:
    """Every draw with its nearest real training slice, the closest first.

    Args:
        measured: draws, and the context that holds the training slices of `cache`.
        cache: that they were measured against.
    """
    context, rows = measured.context, cache.indices("train", synthetic=False)
    found = []
    for pathology, draws in measured.synthetic.items():
        requests = measured.plan.of(pathology)
        near = nearest_training(draws.images, context.training)
        real = reference_set(cache, requests)
        apart = nearest_training(real.images, context.training, real.groups, context.training_groups).distances
        usual = weighted_quantile(apart, real.weights, 0.5)
        for number, request in enumerate(requests):
            distance = float(near.distances[number])
            found.append(
                Pair(
                    name=request.name,
                    pathology=pathology,
                    position_mm=request.position_mm,
                    image=draws.images[number],
                    mask=draws.masks[number],
                    row=int(rows[near.rows[number]]),
                    mirrored=bool(near.mirrored[number]),
                    distance=distance,
                    ratio=distance / usual if 0 < usual < np.inf else None,
                )
            )
    return sorted(found, key=lambda pair: pair.distance)


def write_pairs(folder: Path, pairs: list[Pair], cache: SliceCache, manifest: Manifest) -> None:
    """Writes the table of all pairs and a picture of the closest, with names: the folder must not leave the machine.

    Raises:
        OutputError: if they cannot be written.
    """
    make_folder(folder)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(
        ["draw", "pathology", "position_mm", "nearest_subject", "nearest_case", "nearest_position_mm", "mirrored",
         "distance_rms", "ratio_to_real"]
    )  # fmt: skip
    for pair in pairs:
        record = cache.records[pair.row]
        ratio = "" if pair.ratio is None else f"{pair.ratio:.4f}"
        table.writerow(
            [pair.name, pair.pathology, f"{pair.position_mm:.3f}", record.subject, record.case,
             f"{record.position_mm:.3f}", pair.mirrored, f"{pair.distance:.6f}", ratio]
        )  # fmt: skip
    write_file(folder / TABLE, text.getvalue().encode())
    colours = {entry.name: entry.colour for entry in manifest.pathologies}
    tiles: list[Tile] = []
    for pair in pairs[:PAIRS]:
        record = cache.records[pair.row]
        image, mask = np.asarray(cache.images[pair.row]), np.asarray(cache.masks[pair.row]) > 0
        if pair.mirrored:
            image, mask = image[::-1], mask[::-1]
        said = "" if pair.ratio is None else f", {pair.ratio:.2f} x real"
        tiles += [
            Tile(pair.image, pair.mask, f"SYNTHETIC {pair.name}{said}", colours[pair.pathology], marked=True),
            Tile(image, mask, f"REAL {record.case}{' mirrored' if pair.mirrored else ''}", _REAL),
        ]
    if tiles:
        write_picture(folder / PICTURE, tiles, manifest, heading=HEADING, description=DESCRIPTION)
