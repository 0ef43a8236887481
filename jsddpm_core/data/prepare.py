"""From folders of cases to a slice cache: find, align, resample, label, split, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jsddpm_core.config import Config
from jsddpm_core.data.case_slices import add_simulated, add_slices
from jsddpm_core.data.cases import Case, discover
from jsddpm_core.data.entries import entry_of, given_splits, kinds_of
from jsddpm_core.data.fcd_simulation import PATHOLOGY as SIMULATED
from jsddpm_core.data.on_grid import ToGrid
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter, made_of
from jsddpm_core.data.split import LEFT_OUT, assign_splits, draw_splits, read_split_file
from jsddpm_core.data.volumes import read_volume
from jsddpm_core.errors import CaseError, ImageError, nearest
from jsddpm_core.tensor_file import file_digest
from jsddpm_core.training.request import CaseEntry, Corrections, Simulation

PROCESSING = 4  # raise it with every change that alters the slices: older caches are then rebuilt

OnProgress = Callable[[int, int, str], None]  # done, total, name of the case
NONE, NOTHING = Corrections(), Simulation()


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
    simulated: int = 0

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
        f"{folder} does not say which pathology its lesions are", f"name one of {', '.join(known)} as their pathology"
    )


def _sources(cases: Sequence[CaseEntry]) -> dict[str, str]:
    """SHA-256 of every file that is used; `missing` where it cannot be read (the case's own reading says why)."""
    digests = {}
    for case in cases:
        for kind, path in (("image", case.image), ("mask", case.mask)):
            if path is None:
                continue
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
    simulate_fcd: float = 0.0,
) -> PrepareReport:
    """Makes the slice cache of folders of cases, unless the one in `out` was made of the same things already.

    Args:
        folders: BIDS-like or flat folders of cases.
        config: its `data`, `pathologies` and `training.seed` (of the split) are used.
        out: the cache's folder.
        pathologies: what the lesions of each folder are; None to read it from `participants.tsv`.
        on_progress: called before each case with (done, total, name), and at the end.
        split_file: table of `subject` and `split` that goes before every other split; `out` leaves a subject out.
        template_file: what native scans are aligned to; the project's template where not given.
        simulate_fcd: chance of a lesion-free slice to be copied with a painted lesion, labelled simulated.

    Raises:
        CaseError: if no case can be used, or a folder, pathology or split is unusable.
        OutputError: if `out` cannot be written.
    """
    cases, of_dataset = _find(folders, config, pathologies)
    splits = assign_splits(
        cases, config.data, config.training.seed, read_split_file(split_file) if split_file else None
    )
    report = prepare_entries(
        [
            entry_of(case, of_dataset[case.dataset], splits[case.subject])
            for case in cases
            if splits[case.subject] != LEFT_OUT
        ],
        config,
        out,
        Corrections(template=None if template_file is None else Path(template_file).absolute()),
        Simulation(share=simulate_fcd),
        on_progress,
    )
    unused = [_unused(case) for case in cases if splits[case.subject] == LEFT_OUT]
    return replace(report, outcomes=(*report.outcomes, *unused))


def _unused(case: Case) -> CaseOutcome:
    reason = "the table of splits leaves it out"
    return CaseOutcome(case.name, case.subject, case.dataset, LEFT_OUT, 0, 0, False, "", None, reason)


def prepare_entries(
    entries: Sequence[CaseEntry],
    config: Config,
    out: Path,
    corrections: Corrections = NONE,
    simulation: Simulation = NOTHING,
    on_progress: OnProgress | None = None,
    seed: int | None = None,
) -> PrepareReport:
    """Makes the slice cache of the cases of a table, unless the one in `out` was made of the same things already.

    Subjects without a split of their own are drawn within those of a pathology and spread over lesion sizes (`split`).
    A case that cannot be read, or no longer, is left out with the reason.

    Args:
        entries: the cases, each once.
        config: its `data` and `pathologies` are used.
        out: the cache's folder.
        corrections: optional steps on the way to the grid.
        simulation: lesions to be painted into copies of lesion-free slices, labelled simulated.
        on_progress: called before each case with (done, total, name), and at the end; what it raises ends the work.
        seed: of the split and of what is painted; the configuration's where not given.

    Raises:
        CaseError: if no case can be used, or a pathology, split or template is unusable.
        PackageError: if skull stripping is wanted and HD-BET is not there.
        OutputError: if `out` cannot be written.
    """
    seed = config.training.seed if seed is None else seed
    _check(entries, config, simulation)
    tell = on_progress or (lambda _done, _total, _name: None)
    to_grid = ToGrid(config.data, corrections)
    splits = _splits(entries, config, seed, tell)
    recipe = json.loads(json.dumps(_recipe(entries, splits, config, to_grid, simulation, seed)))
    if made_of(out) == recipe:
        cache = SliceCache.open(out)
        return PrepareReport(tuple(CaseOutcome(**tree["outcome"]) for tree in cache.manifest["cases"]), cache, False)
    trees: list[dict[str, Any]] = []
    with SliceCacheWriter(out, config.data.grid) as writer:
        for number, entry in enumerate(entries):
            tell(number, len(entries), entry.name)
            waiting = partial(tell, number, len(entries), entry.name)
            tree = _process(entry, config, splits[entry.subject], to_grid, writer, simulation.share, seed, waiting)
            if tree["outcome"]["reason"] is not None:
                recipe["files"].update(_sources([entry]))  # as they were when they could not be used
            trees.append(tree)
        outcomes = tuple(CaseOutcome(**tree["outcome"]) for tree in trees)
        if not any(outcome.used for outcome in outcomes):
            raise CaseError(
                f"none of {len(entries)} cases can be used; the first: {outcomes[0].reason}", "mend the cases"
            )
        cache = writer.finish(recipe, cases=trees)
    tell(len(entries), len(entries), "")
    return PrepareReport(outcomes, cache, True)


def _check(entries: Sequence[CaseEntry], config: Config, simulation: Simulation) -> None:
    known = {entry.name for entry in config.pathologies if entry.lesional}
    if not entries:
        raise CaseError("no case was given", "choose at least one")
    for entry in entries:
        if entry.pathology is not None and entry.pathology not in known:
            raise CaseError(f"{entry.name}: unknown pathology '{entry.pathology}'", nearest(entry.pathology, known))
    if simulation.share and SIMULATED not in known:
        raise CaseError(
            f"the configuration has no lesional pathology '{SIMULATED}'", "add it under 'pathologies', or simulate none"
        )


def _splits(entries: Sequence[CaseEntry], config: Config, seed: int, tell: OnProgress) -> dict[str, str]:
    """The split of each subject: as the table says, or drawn."""
    splits = given_splits(entries)
    free = [entry for entry in entries if entry.subject not in splits]
    sizes = {}
    for entry in free:
        tell(0, len(entries), entry.name)
        sizes[entry.name] = lesion_ml(entry)
    return splits | draw_splits(kinds_of(free, sizes), config.data, seed)


def lesion_ml(entry: CaseEntry) -> float | None:
    """Volume of a case's lesions in ml, as its mask says in its own grid; None where it is not known."""
    if entry.mask is None:
        return 0.0 if entry.lesion_free else None
    try:
        mask = read_volume(entry.mask)
    except ImageError:
        return None  # the case's own reading says why
    return float((mask.data > 0.5).sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000)


def _recipe(
    entries: Sequence[CaseEntry],
    splits: dict[str, str],
    config: Config,
    to_grid: ToGrid,
    simulation: Simulation,
    seed: int,
) -> dict[str, Any]:
    """All that the slices follow from, as a plain tree."""
    of_dataset: dict[str, dict[str, str | None]] = {}
    for entry in entries:
        of_dataset.setdefault(entry.dataset, {})[entry.name] = entry.pathology
    recipe = {
        "processing": PROCESSING,
        "data": config.data.model_dump(mode="json"),
        "pathologies": [[entry.name, entry.lesional] for entry in config.pathologies],
        "datasets": {
            dataset: next(iter(own.values())) if len(set(own.values())) == 1 else own
            for dataset, own in of_dataset.items()
        },
        "splits": splits,
        "template": file_digest(to_grid.template_file),
        "free_of_lesions": sorted(entry.name for entry in entries if entry.lesion_free),
        "files": _sources(entries),
    }
    corrections = to_grid.corrections.model_dump(mode="json", exclude={"template"})
    if corrections != NONE.model_dump(mode="json", exclude={"template"}):
        recipe["corrections"] = corrections
    if simulation.share:
        recipe["simulated"] = {"pathology": SIMULATED, "share": simulation.share, "seed": seed}
    return recipe


def _process(
    case: CaseEntry,
    config: Config,
    split: str,
    to_grid: ToGrid,
    writer: SliceCacheWriter,
    share: float,
    seed: int,
    on_wait: Callable[[], None],
) -> dict[str, Any]:
    """Writes a case's slices and says what became of it."""
    common = {"case": case.name, "subject": case.subject, "dataset": case.dataset, "split": split}
    blank = {"slices": 0, "lesional": 0, "mask_known": False, "aligned": "", "similarity": None}
    try:
        placed = to_grid(case, on_wait)
    except ImageError as error:
        return {"outcome": {**common, **blank, "reason": str(error)}}
    prepared, alignment = placed.prepared, placed.alignment
    added = add_slices(writer, case, prepared, split, config)
    simulated = add_simulated(writer, prepared, added, config, share, seed) if share else 0
    outcome = {
        **common,
        "slices": len(added),
        "simulated": simulated,
        "lesional": sum(record.pathology is not None and record.pathology == case.pathology for record in added),
        "mask_known": prepared.mask is not None,
        "aligned": alignment.how,
        "similarity": round(alignment.similarity, 4),
        "reason": None if added else "no slice in the grid's range shows enough of the brain",
    }
    if alignment.how != "header":
        writer.add_text(f"transforms/{case.name.replace('/', '_')}.json", alignment.to_json())
    steps = {"steps": list(placed.steps)} if placed.steps else {}
    return {"outcome": outcome, "placement": prepared.placement.to_tree(), **steps}
