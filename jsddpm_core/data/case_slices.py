"""The slices of a prepared case: which are used, how each is labelled, and their painted copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jsddpm_core.config import Config
from jsddpm_core.data.fcd_simulation import PATHOLOGY as SIMULATED
from jsddpm_core.data.preprocess import Prepared
from jsddpm_core.data.simulated_slices import simulated_slices
from jsddpm_core.data.slices import SliceCacheWriter, SliceRecord
from jsddpm_core.training.request import CaseEntry


def label_of(area: float, traced: bool, pathology: str | None, config: Config) -> str | None:
    """Lesional from the least area on, free of lesions without any trace of one, unknown between."""
    if area >= config.data.minimum_lesion_mm2:
        return pathology
    if area > 0 or traced:
        return None
    return next((entry.name for entry in config.pathologies if not entry.lesional), None)


def slices_of(prepared: Prepared, config: Config) -> list[tuple[int, float, int]]:
    """The slices of a case that are used: (index in the prepared image, position in mm, index in the model's grid)."""
    grid = config.data.grid
    found = []
    for z in range(prepared.image.shape[2]):
        position = float(prepared.placement.grid_affine[2, 3]) + z * grid.spacing_mm
        index = round((position - grid.origin_mm[2]) / grid.spacing_mm)
        share = float(prepared.brain[..., z].mean())
        if grid.first_slice <= index <= grid.last_slice and share >= config.data.minimum_brain_share:
            found.append((z, round(position, 6), index))
    return found


def add_slices(
    writer: SliceCacheWriter, case: CaseEntry, prepared: Prepared, split: str, config: Config
) -> list[SliceRecord]:
    """Writes a case's slices to a cache; returns what is known of each."""
    added = []
    empty = np.zeros(prepared.image.shape[:2], dtype=np.uint8)
    for z, position, index in slices_of(prepared, config):
        known = prepared.mask is not None
        mask = prepared.mask[..., z] if known else empty
        area = float(mask.sum()) * config.data.grid.spacing_mm**2
        traced = known and bool(prepared.mask_trace[..., z].any())
        label = label_of(area, traced, case.pathology, config) if known else None
        painted = traced and case.pathology == SIMULATED  # a lesion that simulate-fcd painted
        record = SliceRecord(case.subject, case.name, split, index, position, label, known, area, case.dataset, painted)
        writer.add(record, prepared.image[..., z], mask)
        added.append(record)
    return added


def add_simulated(
    writer: SliceCacheWriter,
    prepared: Prepared,
    added: Sequence[SliceRecord],
    config: Config,
    share: float,
    seed: int,
) -> int:
    """Painted copies of a case's slices that are known to be free of lesions; how many there are."""
    lesional = {entry.name for entry in config.pathologies if entry.lesional}
    bottom = float(prepared.placement.grid_affine[2, 3])
    of_slice = {
        round((record.position_mm - bottom) / config.data.grid.spacing_mm): record
        for record in added
        if record.mask_known and record.pathology is not None and record.pathology not in lesional
    }
    count = 0
    name = added[0].case if added else ""
    for made in simulated_slices(prepared, sorted(of_slice), config.data, share, seed, name):
        area = float(made.mask.sum()) * config.data.grid.spacing_mm**2
        copy = f"{name}{made.suffix}"
        record = replace(of_slice[made.z], case=copy, pathology=SIMULATED, lesion_mm2=area, simulated=True)
        writer.add(record, made.image, made.mask)
        count += 1
    return count
