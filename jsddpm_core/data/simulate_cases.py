"""A folder of copies of lesion-free scans with a painted cortical dysplasia each, to measure detection against.

The copies are BIDS-like, lie on their scans' own grids, and say everywhere that they are simulated: in their names and
headers, in a JSON sidecar for each image, in the data set's description and in the table of participants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from jsddpm_core.data.cases import Case, discover, is_simulated
from jsddpm_core.data.cerebrum import cerebral_volume
from jsddpm_core.data.fcd_parameters import FcdParameters, draw_parameters
from jsddpm_core.data.fcd_simulation import Painted, paint
from jsddpm_core.data.looks import has_skull
from jsddpm_core.data.preprocess import foreground, resample, smoothed
from jsddpm_core.data.registration import align, as_declared, in_template_space
from jsddpm_core.data.simulated_files import CopyOf, SimulatedFolder
from jsddpm_core.data.template import load_template
from jsddpm_core.data.tissue import Tissue, tissue_of
from jsddpm_core.data.volumes import AFFINE_TOLERANCE_MM, Volume, read_mask, read_volume
from jsddpm_core.errors import CaseError, ImageError, OutputError
from jsddpm_core.files import whole_folder
from jsddpm_core.progress import Progress
from jsddpm_core.strict import Strict

ATTEMPTS = 8
LEAST_MM = {2: 40.0, 3: 300.0}
"""Least area and volume of a painted lesion, in mm^2 and mm^3."""

BESIDE_LESION_MM = 5.0
"""No site lies nearer to a lesion that is there already."""

MIDLINE_MM = 3.0
"""A site of one side lies farther from the middle than this."""


class SimulationRequest(Strict):
    """What is painted into every case; what is None is drawn for each copy.

    Attributes:
        count: copies of a case.
        seed: of all that is drawn.
        conspicuity, radius_mm, thickening_mm, contrast, tail: as in `FcdParameters`.
        side: of the patient that the lesions lie on.
        site: RAS millimetres of each image, to which the nearest point of the cortex is taken.
        every: whether cases count whose lesions are unknown or there.
    """

    count: int = Field(1, ge=1, le=999)
    seed: int = Field(0, ge=0)
    conspicuity: float | None = Field(None, gt=0, le=1)
    radius_mm: float | None = Field(None, ge=3, le=30)
    thickening_mm: float | None = Field(None, ge=0, le=5)
    contrast: float | None = Field(None, ge=0, le=1)
    tail: bool | None = None
    side: Literal["left", "right"] | None = None
    site: tuple[float, float, float] | None = None
    every: bool = False

    def drawn(self, generator: np.random.Generator) -> FcdParameters:
        """Parameters of one lesion."""
        asked = self.model_dump(
            include={"conspicuity", "radius_mm", "thickening_mm", "contrast", "tail"}, exclude_none=True
        )
        return draw_parameters(generator).model_copy(update=asked)


@dataclass(frozen=True)
class SimulatedCase:
    """What became of a case.

    Attributes:
        case: its name.
        copies: what was written of it.
        reason: why not all was; None where all was.
    """

    case: str
    copies: tuple[CopyOf, ...]
    reason: str | None


@dataclass(frozen=True)
class _Scan:
    """A case as it is painted.

    Attributes:
        case: it.
        flair: in its own grid.
        t1w: on the same grid, None where there is none.
        tissue: of the image; of a single slice in two dimensions.
        allowed: bool, where a site may be drawn.
        known_free: whether it is known to be free of lesions.
    """

    case: Case
    flair: Volume
    t1w: np.ndarray | None
    tissue: Tissue
    allowed: np.ndarray
    known_free: bool


def simulate_cases(
    folder: Path, out: Path, request: SimulationRequest, on_progress: Callable[[Progress], None] | None = None
) -> list[SimulatedCase]:
    """Writes painted copies of a folder's cases; a case that cannot be painted is listed with the reason.

    Args:
        folder: of the cases, as `discover` takes it.
        out: the new folder.
        request: what is painted.
        on_progress: called before each case and at the end; what it raises ends the work.

    Raises:
        CaseError: if the folder holds no case, none can be painted, or the request contradicts itself.
        OutputError: if `out` is there already, lies among the cases or cannot be written.
    """
    if request.side is not None and request.site is not None:
        raise CaseError("a side and a site were given", "give one of them")
    if Path(folder).resolve() in (Path(out).resolve(), *Path(out).resolve().parents):
        raise OutputError(f"{out} lies in the folder of the cases", "choose a place outside of it")
    cases = discover(folder)
    tell = on_progress or (lambda _progress: None)
    outcomes = []
    with whole_folder(out) as partial:
        written = SimulatedFolder(partial, folder)
        for number, case in enumerate(cases):
            tell(Progress("painting", number, len(cases)))
            outcomes.append(_copies(case, request, written))
        if not any(outcome.copies for outcome in outcomes):
            raise CaseError(f"none of {len(cases)} cases can be painted; the first: {outcomes[0].reason}", "mend them")
        written.finish()
    tell(Progress("painting", len(cases), len(cases)))
    return outcomes


def _copies(case: Case, request: SimulationRequest, written: SimulatedFolder) -> SimulatedCase:
    copies: list[CopyOf] = []
    try:
        scan = _scan(case, request)
        for number in range(1, request.count + 1):
            made = _painted(scan, request, number)
            copies.append(written.add(case, scan.flair, number, made, request.seed, scan.known_free))
    except ImageError as error:
        return SimulatedCase(case.name, tuple(copies), str(error))
    return SimulatedCase(case.name, tuple(copies), None)


def _scan(case: Case, request: SimulationRequest) -> _Scan:
    """Reads a case and makes sure that it can be painted.

    Raises:
        ImageError: if it cannot.
    """
    if is_simulated(case.image):
        raise ImageError("it is a simulated copy itself", "give the original")
    if case.mask is None and not case.declared_free and not request.every:
        raise ImageError("it is not known to be free of lesions", "say so in participants.tsv, or paint all (--all)")
    flair = read_volume(case.image)
    lesion = None if case.mask is None else read_mask(case.mask, flair, case.image) > 0
    free = case.declared_free or (lesion is not None and not lesion.any())
    if not (free or request.every):
        raise ImageError("it has a lesion", "leave it out, or paint all (--all)")
    if flair.data.min() == flair.data.max():
        raise ImageError(f"{case.image.name} is empty", "choose another file")
    if has_skull(flair):
        raise ImageError(f"{case.image.name} shows the skull", "strip it first")
    flat = _flat(flair.data.shape)
    spacing = tuple(np.delete(flair.spacing_mm, flat))
    inside = ndimage.binary_fill_holes(np.squeeze(foreground(flair.data), flat))
    tissue = tissue_of(np.squeeze(flair.data, flat), spacing, inside)
    allowed = _allowed(case, flair, request)
    if lesion is not None and lesion.any():
        allowed &= ndimage.distance_transform_edt(~lesion, sampling=flair.spacing_mm) > BESIDE_LESION_MM
    return _Scan(case, flair, _t1w(case, flair), tissue, np.squeeze(allowed, flat), free)


def _flat(shape: Sequence[int]) -> tuple[int, ...]:
    """The axis of a single slice that has no length; none of a volume."""
    return tuple(axis for axis, size in enumerate(shape) if size == 1)


@cache
def _template() -> Volume:
    return load_template()


def _allowed(case: Case, flair: Volume, request: SimulationRequest) -> np.ndarray:
    """Where a site may be drawn: in the cerebrum, and on the side that is asked for; everywhere for a given site.

    Raises:
        ImageError: if the image cannot be aligned to the template, which tells.
    """
    if request.site is not None:
        return np.ones(flair.data.shape, dtype=bool)
    place = as_declared if in_template_space(case, flair) else align
    to_template = place(flair, _template(), case.image.name).matrix @ flair.affine
    allowed = cerebral_volume(flair.data.shape, to_template)
    if request.side is not None:
        index = np.indices(flair.data.shape, dtype=np.float32, sparse=True)
        right = sum((to_template[0, axis] * index[axis] for axis in range(3)), to_template[0, 3])
        allowed &= right > MIDLINE_MM if request.side == "right" else right < -MIDLINE_MM
    return allowed


def _t1w(case: Case, flair: Volume) -> np.ndarray | None:
    """The T1-weighted image on the FLAIR's grid."""
    if case.t1w is None:
        return None
    t1w = read_volume(case.t1w)
    same = t1w.data.shape == flair.data.shape and np.abs(t1w.affine - flair.affine).max() < AFFINE_TOLERANCE_MM
    if same:
        return t1w.data
    to_t1w = np.linalg.inv(t1w.affine) @ flair.affine
    return resample(smoothed(t1w.data, to_t1w), to_t1w, flair.data.shape, "linear", float(t1w.data.min()))


def _painted(scan: _Scan, request: SimulationRequest, number: int) -> Painted:
    """One copy in three dimensions; what is drawn is drawn again where it finds no place.

    Raises:
        ImageError: if nothing did.
    """
    key = hashlib.sha256(f"simulate-fcd {request.seed} {scan.case.name} {number}".encode()).digest()
    generator = np.random.default_rng(np.frombuffer(key, dtype=np.uint64))
    flat = _flat(scan.flair.data.shape)
    site = None
    if request.site is not None:
        at = np.linalg.inv(scan.flair.affine) @ np.append(request.site, 1.0)
        site = np.delete(at[:3], flat)
        if (at[:3] < -0.5).any() or (at[:3] > np.array(scan.flair.data.shape) - 0.5).any():
            raise ImageError(f"the site {request.site} lies outside the image", "give RAS millimetres of the image")
    spacing = tuple(np.delete(scan.flair.spacing_mm, flat))
    image = np.squeeze(scan.flair.data, flat)
    t1w = None if scan.t1w is None else np.squeeze(scan.t1w, flat)
    for attempt in range(ATTEMPTS):
        try:
            made = paint(
                image, spacing, scan.tissue, request.drawn(generator), generator,
                site=site, allowed=scan.allowed, t1w=t1w, least_mm=LEAST_MM[image.ndim],
            )  # fmt: skip
        except ImageError:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            break
    return _in_space(made, flat)


def _in_space(made: Painted, flat: tuple[int, ...]) -> Painted:
    """A painted slice as the volume of one slice that it came from."""
    site = list(made.site)
    for axis in flat:
        site.insert(axis, 0)
    return Painted(
        image=np.expand_dims(made.image, flat),
        mask=np.expand_dims(made.mask, flat),
        t1w=None if made.t1w is None else np.expand_dims(made.t1w, flat),
        site=tuple(site),
        parameters=made.parameters,
        effects=made.effects,
    )
