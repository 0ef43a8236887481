"""From folders of cases to a slice cache: find, align, resample, label, split, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jsddpm_core.config import Config
from jsddpm_core.data.cases import Case, discover
from jsddpm_core.data.preprocess import Prepared, to_grid
from jsddpm_core.data.registration import Alignment, align, as_declared, in_template_space
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter, SliceRecord, made_of
from jsddpm_core.data.split import assign_splits, read_split_file
from jsddpm_core.data.template import default_template, load_template
from jsddpm_core.data.volumes import Volume, read_mask, read_volume
from jsddpm_core.errors import CaseError, ImageError, nearest
from jsddpm_core.tensor_file import file_digest

PROCESSING = 3  # raise it with every change that alters the slices: older caches are then rebuilt

OnProgress = Callable[[int, int, str], None]  # done, total, name of the case


@dataclass(frozen=True)
class CaseOutcome:
    """What became of a case: how many slices were used, or why it was left out."""

    case: str
    subject: str
    dataset: str
    split: str
    slices: int
    lesional: int
    mask_known: bool
    aligned: str
    similarity: float | None
    reason: str | None

    @property
    def used(self) -> bool:
        return self.reason is None


@dataclass(frozen=True)
class PrepareReport:
    """The table of cases, the cache, and whether it had to be made."""

    outcomes: tuple[CaseOutcome, ...]
    cache: SliceCache
    rebuilt: bool

    @property
    def used(self) -> tuple[CaseOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.used)

    @property
    def left_out(self) -> tuple[CaseOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if not outcome.used)


def dataset_pathology(cases: Sequence[Case], config: Config, given: str | None, folder: Path) -> str:
    """The pathology that a dataset's lesions are of: as given, or as `participants.tsv` says, or the only one there is.

    Raises:
        CaseError: if it is unknown or cannot be told.
    """
    known = [pathology.name for pathology in config.pathologies if pathology.lesional]
    if given is not None:
        if given not in known:
            raise CaseError(f"unknown pathology '{given}'", nearest(given, known))
        return given
    said = {case.row.get(key, "").lower() for case in cases for key in ("pathology", "diagnosis")} & set(known)
    if len(said) == 1:
        return said.pop()
    if len(known) == 1:
        return known[0]
    raise CaseError(
        f"{folder} does not say which pathology its lesions are", f"name one of {', '.join(known)} (--pathology)"
    )


def _label(area: float, traced: bool, pathology: str, config: Config) -> str | None:
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


def _prepare_case(case: Case, config: Config, template: Callable[[], Volume]) -> tuple[Prepared, Alignment]:
    volume = read_volume(case.image)
    if volume.data.min() == volume.data.max():  # before it is compared with the template, which it resembles in nothing
        raise ImageError(f"{case.image} is empty: every voxel is {volume.data.flat[0]:g}", "choose another file")
    mask = None if case.mask is None else read_mask(case.mask, volume, case.image)
    if case.declared_free:
        mask = np.zeros(volume.data.shape, dtype=np.uint8)
    if in_template_space(case, volume):
        alignment = as_declared(volume, template(), case.image.name)
    else:
        alignment = align(volume, template(), case.image.name)
    return to_grid(volume, mask, config.data, case.image.name, alignment.matrix), alignment


def _add_slices(
    writer: SliceCacheWriter, case: Case, prepared: Prepared, split: str, pathology: str, config: Config
) -> list[SliceRecord]:
    added = []
    empty = np.zeros(prepared.image.shape[:2], dtype=np.uint8)
    for z, position, index in slices_of(prepared, config):
        known = prepared.mask is not None
        mask = prepared.mask[..., z] if known else empty
        area = float(mask.sum()) * config.data.grid.spacing_mm**2
        label = _label(area, bool(prepared.mask_trace[..., z].any()), pathology, config) if known else None
        record = SliceRecord(case.subject, case.name, split, index, position, label, known, area, case.dataset)
        writer.add(record, prepared.image[..., z], mask)
        added.append(record)
    return added


def _sources(cases: Sequence[Case]) -> dict[str, str]:
    """SHA-256 of every file that is used; `missing` where it cannot be read (the case's own reading says why)."""
    digests = {}
    for case in cases:
        for kind, path in zip(("image", "mask"), case.files, strict=False):
            try:
                digests[f"{case.name}:{kind}"] = file_digest(path)
            except OSError:
                digests[f"{case.name}:{kind}"] = "missing"
    return digests


def _find(
    folders: Sequence[Path], config: Config, pathologies: Sequence[str] | None
) -> tuple[list[Case], dict[str, str]]:
    """All cases, and the pathology of each dataset."""
    if not folders:
        raise CaseError("no folder of cases was given", "name at least one")
    if pathologies is not None and len(pathologies) != len(folders):
        raise CaseError(
            f"{len(pathologies)} pathologies were given for {len(folders)} folders", "give one for each, in their order"
        )
    cases: list[Case] = []
    of_dataset: dict[str, str] = {}
    for number, folder in enumerate(folders):
        found = discover(Path(folder))
        dataset = found[0].dataset
        if dataset in of_dataset:
            raise CaseError(f"two folders are called '{dataset}'", "rename one of them")
        given = None if pathologies is None else pathologies[number]
        of_dataset[dataset] = dataset_pathology(found, config, given, Path(folder))
        cases += found
    return cases, of_dataset


def prepare(
    folders: Sequence[Path],
    config: Config,
    out: Path,
    pathologies: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    *,
    split_file: Path | None = None,
    template_file: Path | None = None,
) -> PrepareReport:
    """Makes the slice cache of folders of cases, unless the one in `out` was made of the same things already.

    Args:
        folders: BIDS-like or flat folders of cases.
        config: its `data`, `pathologies` and `training.seed` (of the split) are used.
        out: the cache's folder.
        pathologies: what the lesions of each folder are; None to read it from `participants.tsv`.
        on_progress: called before each case with (done, total, name), and at the end.
        split_file: table of `subject` and `split` that goes before every other split.
        template_file: what native scans are aligned to; the project's template where not given.

    Raises:
        CaseError: if no case can be used, or a folder, pathology or split is unusable.
        OutputError: if `out` cannot be written.
    """
    cases, of_dataset = _find(folders, config, pathologies)
    splits = assign_splits(
        cases, config.data, config.training.seed, read_split_file(split_file) if split_file else None
    )
    template_path = template_file or default_template()
    recipe = {
        "processing": PROCESSING,
        "data": config.data.model_dump(mode="json"),
        "pathologies": [[entry.name, entry.lesional] for entry in config.pathologies],
        "datasets": of_dataset,
        "splits": splits,
        "template": file_digest(template_path),
        "free_of_lesions": sorted(case.name for case in cases if case.declared_free),
        "files": _sources(cases),
    }
    recipe = json.loads(json.dumps(recipe))
    if made_of(out) == recipe:
        cache = SliceCache.open(out)
        return PrepareReport(tuple(CaseOutcome(**tree["outcome"]) for tree in cache.manifest["cases"]), cache, False)
    loaded: list[Volume] = []

    def template() -> Volume:
        if not loaded:
            loaded.append(load_template(template_path))
        return loaded[0]

    trees: list[dict[str, Any]] = []
    with SliceCacheWriter(out, config.data.grid) as writer:
        for number, case in enumerate(cases):
            if on_progress is not None:
                on_progress(number, len(cases), case.name)
            trees.append(_process(case, config, splits[case.subject], of_dataset[case.dataset], template, writer))
        outcomes = tuple(CaseOutcome(**tree["outcome"]) for tree in trees)
        if not any(outcome.used for outcome in outcomes):
            raise CaseError(
                f"none of {len(cases)} cases can be used; the first: {outcomes[0].reason}", "mend the cases"
            )
        cache = writer.finish(recipe, cases=trees)
    if on_progress is not None:
        on_progress(len(cases), len(cases), "")
    return PrepareReport(outcomes, cache, True)


def _process(
    case: Case, config: Config, split: str, pathology: str, template: Callable[[], Volume], writer: SliceCacheWriter
) -> dict[str, Any]:
    """Writes a case's slices and says what became of it."""
    common = {"case": case.name, "subject": case.subject, "dataset": case.dataset, "split": split}
    blank = {"slices": 0, "lesional": 0, "mask_known": False, "aligned": "", "similarity": None}
    try:
        prepared, alignment = _prepare_case(case, config, template)
    except ImageError as error:
        return {"outcome": {**common, **blank, "reason": str(error)}}
    added = _add_slices(writer, case, prepared, split, pathology, config)
    outcome = {
        **common,
        "slices": len(added),
        "lesional": sum(record.pathology == pathology for record in added),
        "mask_known": prepared.mask is not None,
        "aligned": alignment.how,
        "similarity": round(alignment.similarity, 4),
        "reason": None if added else "no slice in the grid's range shows enough of the brain",
    }
    if alignment.how == "rigid":
        writer.add_text(f"transforms/{case.name.replace('/', '_')}.json", alignment.to_json())
    return {"outcome": outcome, "placement": prepared.placement.to_tree()}
