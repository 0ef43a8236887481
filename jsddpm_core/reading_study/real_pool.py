"""Real slices that a study may show: of people whom the model never learned from, as far as anybody can tell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from jsddpm_core.config import Config
from jsddpm_core.config_file import load_config
from jsddpm_core.data.cases import discover
from jsddpm_core.data.entries import entry_of
from jsddpm_core.data.prepare import dataset_pathology, prepare_entries
from jsddpm_core.data.slices import SPLITS, SliceCache, SliceRecord
from jsddpm_core.data.split import NAMES
from jsddpm_core.data.subjects import notes_its_subjects, trained_on
from jsddpm_core.errors import StudyError
from jsddpm_core.manifest import Manifest
from jsddpm_core.progress import OnProgress, Progress
from jsddpm_core.reading_study.design import StudyDesign
from jsddpm_core.reading_study.pool import Candidate
from jsddpm_core.training.request import CaseEntry

STAGE = "preparing real cases"


def real_candidates(
    design: StudyDesign,
    manifest: Manifest | None,
    work: Path,
    on_progress: OnProgress = None,
) -> tuple[list[Candidate], SliceCache, list[str]]:
    """The slices that the real arm may be drawn from.

    Args:
        design: the study.
        manifest: of the bundle that made or makes the synthetic arm; None where it is not at hand.
        work: a folder for what is prepared, which has to outlive the candidates.
        on_progress: told case by case.

    Returns:
        The slices, the cache that they lie in, and sentences on who was left out and what could not be told.

    Raises:
        StudyError: if no slice is left.
        CaseError, CacheError: if the cases or the cache cannot be used.
    """
    notes: list[str] = []
    arm = design.real
    if arm.cache is not None:
        cache = SliceCache.open(arm.cache)
    else:
        cache = _prepared(design, manifest, work, notes, on_progress)
    seen: set[str] = set()
    if manifest is None:
        notes.append(
            "The model of the synthetic cases is not at hand: nobody can tell whether it learned from these people."
        )
    elif not notes_its_subjects(manifest):
        notes.append(
            f"The model '{manifest.name}' does not say whom it learned from: only the splits keep its people out."
        )
    else:
        seen = trained_on(manifest, cache, SPLITS)
    known = {record.subject for record in cache.records if record.subject in seen and record.split in arm.splits}
    if known:
        notes.append(f"{len(known)} people were left out because the model '{manifest.name}' learned from them.")
    found = [
        _candidate(cache, index)
        for index, record in enumerate(cache.records)
        if _usable(record, design, manifest) and record.subject not in seen
    ]
    copies = _copies(found)
    if copies:
        notes.append(f"{len(copies)} people were left out because a slice of theirs is a copy of somebody else's.")
        found = [candidate for candidate in found if candidate.subject not in copies]
    if not found:
        raise StudyError(
            f"no real slice of {', '.join(arm.splits)} shows {' or '.join(design.pathologies)} at the wanted positions"
            + (f" ({len(known)} people were left out because the model learned from them)" if known else ""),
            "choose other cases, pathologies, splits or positions",
        )
    return found, cache, notes


def _copies(candidates: list[Candidate]) -> set[str | None]:
    """People with a slice that is, voxel for voxel, one of somebody who comes before them: one person, two names."""
    first: dict[bytes, str | None] = {}
    copies: set[str | None] = set()
    for candidate in candidates:
        image, _ = candidate.load()
        if np.ptp(image) == 0:
            continue
        if first.setdefault(hashlib.sha256(image).digest(), candidate.subject) != candidate.subject:
            copies.add(candidate.subject)
    return copies


def _usable(record: SliceRecord, design: StudyDesign, manifest: Manifest | None) -> bool:
    if record.synthetic or record.simulated or not record.mask_known or record.split not in design.real.splits:
        return False
    if record.pathology not in design.pathologies:
        return False
    low, high = design.position_range_mm or (-np.inf, np.inf)
    if manifest is not None and not design.synthetic.results:
        ranges = {entry.name: entry.position_range_mm for entry in manifest.pathologies}
        own = ranges.get(record.pathology, (np.inf, -np.inf))
        low, high = max(low, own[0]), min(high, own[1])
    return bool(low <= record.position_mm <= high)


def _candidate(cache: SliceCache, index: int) -> Candidate:
    record = cache.records[index]
    return Candidate(
        pathology=record.pathology or "",
        lesional=record.lesion_mm2 > 0,
        position_mm=record.position_mm,
        subject=record.subject,
        load=partial(_load, cache, index),
        source={"case": record.case, "slice": record.slice_index, "split": record.split},
    )


def _load(cache: SliceCache, index: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array(cache.images[index]), np.array(cache.masks[index])


def _prepared(
    design: StudyDesign, manifest: Manifest | None, work: Path, notes: list[str], on_progress: OnProgress
) -> SliceCache:
    config = load_config("fast") if manifest is None else manifest.config()
    entries = _entries(design, config)
    if not entries:
        raise StudyError(
            f"no real case belongs to {' or '.join(design.real.splits)}", "name the splits that may be shown"
        )
    # A person without a split is shown as one of the first that may be; none is drawn.
    placed = [entry if entry.split else entry.model_copy(update={"split": design.real.splits[0]}) for entry in entries]
    report = prepare_entries(placed, config, work / "real", on_progress=_telling(on_progress))
    for outcome in report.left_out:
        notes.append(f"{outcome.case} was left out: {outcome.reason}")
    return report.cache


def _telling(on_progress: OnProgress) -> Callable[[int, int, str], None]:
    def tell(done: int, total: int, _name: str) -> None:
        if on_progress is not None:
            on_progress(Progress(STAGE, done, total))

    return tell


def _entries(design: StudyDesign, config: Config) -> list[CaseEntry]:
    arm = design.real
    if arm.cases:
        return [entry for entry in arm.cases if entry.split is None or entry.split in arm.splits]
    assert arm.folder is not None
    cases = discover(arm.folder)
    pathology = dataset_pathology(cases, config, arm.lesions, arm.folder)
    entries = []
    for case in cases:
        said = case.row.get("split", "").lower()
        split = None if said in ("", "n/a") else NAMES.get(said)
        if split is None and said not in ("", "n/a"):
            raise StudyError(f"{case.subject} has the unknown split '{said}'", "write train, validation, test or out")
        if split is None or split in arm.splits:
            entries.append(entry_of(case, pathology, split))
    return entries
