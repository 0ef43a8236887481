"""From a trained network to a bundle, with the facts that the manifest and the model card state."""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from jsddpm_core import __version__
from jsddpm_core.bundle import Bundle, find_bundle, read_bundle, write_bundle
from jsddpm_core.config import Config
from jsddpm_core.config_tree import parse_config
from jsddpm_core.data.slices import SPLITS, SliceCache
from jsddpm_core.data.subjects import subject_digests
from jsddpm_core.errors import BundleError, CaseError, TrainingError
from jsddpm_core.generation.volume import neighbour_correlation
from jsddpm_core.manifest import (
    BundleFacts,
    BundlePathology,
    ImageGrid,
    Licence,
    Source,
    StartModel,
    SubjectDigests,
    TrainingRecord,
)
from jsddpm_core.training.adapt import count_trained, merged
from jsddpm_core.training.checkpoint import read_checkpoint
from jsddpm_core.training.model_card import model_card
from jsddpm_core.training.replay import replay_record, replayed_ranges

PREFIX = "network."
RANGE_PERCENTILES = (1.0, 99.0)
"""Of the positions that a pathology was seen at: a range's ends must have been learned from more than a slice."""

_PACKAGES = ("torch", "monai", "lightning", "numpy")


def averaged_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's averaged weights from a checkpoint, low-rank changes added to them.

    Lightning's averaging stores them as its `state_dict`.

    Raises:
        TrainingError: if the checkpoint holds no network.
    """
    state = checkpoint.get("state_dict", {})
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    if not weights:
        raise TrainingError("the checkpoint holds no network", "choose a checkpoint of jsddpm train")
    return merged(weights)


def export_run(
    checkpoint: str | Path,
    cache: SliceCache,
    out: str | Path,
    name: str,
    *,
    title: str,
    licence: Licence,
    limits: Sequence[str] = (),
    priors: np.ndarray | None = None,
    salt: str | None = None,
    overwrite: bool = False,
    start_bundle: Bundle | None = None,
) -> Bundle:
    """Writes the bundle of a training run's checkpoint; see `export_bundle` for the arguments.

    Without `start_bundle`, a shipped one of the recorded name and digest is taken.

    Raises:
        TrainingError: if the checkpoint is damaged, not of `jsddpm train`, or of another cache.
    """
    content = read_checkpoint(Path(checkpoint))
    record = content.get("jsddpm")
    if not isinstance(record, dict) or "config" not in record:
        raise TrainingError(f"{checkpoint} says nothing of its run", "choose a checkpoint of jsddpm train")
    if record.get("cache_digest") != cache.digest:
        raise TrainingError(f"{checkpoint} was trained on another cache", "name the cache of that run")
    config = parse_config(record["config"], str(checkpoint))
    return export_bundle(
        averaged_weights(content),
        config,
        cache,
        out,
        name,
        title=title,
        licence=licence,
        steps=int(content.get("global_step", 0)),
        start=record.get("start"),
        start_bundle=start_bundle or _shipped_start(record.get("start")),
        limits=limits,
        priors=priors,
        salt=salt,
        overwrite=overwrite,
    )


def export_bundle(
    weights: Mapping[str, Tensor],
    config: Config,
    cache: SliceCache,
    out: str | Path,
    name: str,
    *,
    title: str,
    licence: Licence,
    steps: int,
    start: Mapping[str, Any] | None = None,
    start_bundle: Bundle | None = None,
    limits: Sequence[str] = (),
    priors: np.ndarray | None = None,
    salt: str | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Writes a bundle and its model card.

    Args:
        weights: the network's tensors, averaged.
        config: that the network was trained with; its sampling settings become the bundle's defaults.
        cache: the slices that it was trained on.
        out: the bundle's folder.
        name: of the bundle, lower case.
        title: of the model card.
        licence: of the weights, and the data behind them.
        steps: optimiser steps of the run behind these weights.
        start: name, digest and steps of the bundle that the run began with.
        start_bundle: that bundle itself: the people that it was trained on are carried along.
        limits: what the model cannot do, one sentence each.
        priors: anatomical prior of each bin, `(bins, X, Y)` in [-1, 1], where the model uses one.
        salt: of the data digest, hexadecimal; drawn at random by default.
        overwrite: whether a bundle that stands there is replaced.

    Raises:
        TrainingError: if the cache holds no training slice of one of the pathologies.
        BundleError: if a weight is not finite or too large for half precision.
        OutputError: if the folder is there or cannot be written.
    """
    salt = secrets.token_hex(16) if salt is None else salt
    counts = slice_counts(cache)
    trained = count_trained(config)
    facts = BundleFacts(
        name=name,
        title=title,
        diffusion=config.diffusion,
        conditioning=config.conditioning,
        channels=config.channels,
        grid=ImageGrid.of(config.data.grid, config.data.percentiles),
        pathologies=tuple(
            BundlePathology(**pathology.model_dump(), position_range_mm=position_range(cache, pathology.name))
            for pathology in config.pathologies
        ),
        sampling=config.sampling,
        training=TrainingRecord(
            losses=config.losses,
            training=config.training,
            data=config.data,
            steps=steps,
            start=None if start is None else StartModel(**start),
            slices=counts.slices,
            subjects=counts.subjects,
            cases=counts.cases,
            simulated=counts.simulated,
            replay=replay_record(cache) if config.training.replay_share else None,
            trained_parameters=trained.parameters,
            subject_digests=subject_digests(cache, salt),
            earlier_subjects=earlier_subjects(start_bundle),
            data_digest=hashlib.sha256(f"{salt}{cache.digest}".encode()).hexdigest(),
            salt=salt,
            inter_slice_correlation=real_inter_slice_correlation(cache),
            versions=_versions(),
        ),
        licence=licence,
    )
    arrays = {key: value.detach().cpu().float().numpy() for key, value in weights.items()}
    card = model_card(
        facts, sum(array.size for array in arrays.values()), config.network.model_dump(mode="json"), limits
    )
    return write_bundle(out, facts, config.network, arrays, card, priors=priors, overwrite=overwrite)


@dataclass(frozen=True)
class Counts:
    """How much of what a cache holds of real scans.

    Attributes:
        slices: by split and pathology, painted ones under theirs.
        subjects: people by split.
        cases: examinations by split.
        simulated: slices by split whose lesion was painted in; only splits that have any.
    """

    slices: dict[str, dict[str, int]]
    subjects: dict[str, int]
    cases: dict[str, int]
    simulated: dict[str, int]


def slice_counts(cache: SliceCache) -> Counts:
    """Counts a cache; what a model drew is not of a real scan."""
    slices: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    subjects: dict[str, set[str]] = {split: set() for split in SPLITS}
    cases: dict[str, set[str]] = {split: set() for split in SPLITS}
    simulated: Counter[str] = Counter()
    for record in cache.records:
        if record.synthetic:
            continue
        slices[record.split][record.pathology or "unknown"] += 1
        subjects[record.split].add(record.subject)
        if record.simulated:
            simulated[record.split] += 1
        else:
            cases[record.split].add(record.case)
    return Counts(
        slices={split: dict(sorted(counts.items())) for split, counts in slices.items()},
        subjects={split: len(people) for split, people in subjects.items()},
        cases={split: len(names) for split, names in cases.items()},
        simulated=dict(simulated),
    )


def earlier_subjects(start: Bundle | None) -> tuple[SubjectDigests, ...]:
    """The people behind a start model and the models before it, each under the salt of its own run."""
    if start is None:
        return ()
    record = start.manifest.training
    own = () if record.subject_digests is None else (record.subject_digests,)
    return (*own, *record.earlier_subjects)


def _shipped_start(said: Mapping[str, Any] | None) -> Bundle | None:
    if said is None:
        return None
    with suppress(BundleError):
        found = read_bundle(find_bundle(said["name"]))
        return found if found.digest == said["digest"] else None
    return None


def position_range(cache: SliceCache, pathology: str) -> tuple[float, float]:
    """Where a pathology was learned: all but the outermost positions of its training slices, and half a slice more.

    Real slices alone say so. A pathology that only the start model's draws show keeps the start model's range.

    Raises:
        TrainingError: if there is no training slice of it.
    """
    records = [cache.records[index] for index in cache.indices("train", synthetic=False)]
    seen = [record.position_mm for record in records if record.pathology == pathology]
    if not seen and pathology in replayed_ranges(cache):
        return replayed_ranges(cache)[pathology]
    if not seen:
        raise TrainingError(
            f"the cache holds no training slice of '{pathology}'", "leave it out of the configuration's pathologies"
        )
    low, high = np.percentile(seen, RANGE_PERCENTILES, method="nearest")
    half = cache.grid.spacing_mm / 2
    return round(float(low) - half, 4), round(float(high) + half, 4)


def real_inter_slice_correlation(cache: SliceCache) -> float | None:
    """Mean correlation of neighbouring slices of the training volumes, each volume counting once."""
    volumes: dict[str, dict[int, int]] = defaultdict(dict)
    for index, record in enumerate(cache.records):
        if record.split == "train" and not record.synthetic and not record.simulated:
            volumes[record.case][record.slice_index] = index
    means = []
    for places in volumes.values():
        pairs = [(places[z], places[z + 1]) for z in places if z + 1 in places]
        found = [neighbour_correlation(cache.images[below], cache.images[above]) for below, above in pairs]
        known = [correlation for correlation in found if correlation is not None]
        if known:
            means.append(float(np.mean(known)))
    return round(float(np.mean(means)), 6) if means else None


def source_of(folder: str | Path) -> Source:
    """Name, licence and attribution of a data set, from its `dataset_description.json`.

    Raises:
        CaseError: if it does not say.
    """
    path = Path(folder) / "dataset_description.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Source(name=said["Name"], licence=said["License"], attribution=said["HowToAcknowledge"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CaseError(f"{path} does not state Name, License and HowToAcknowledge", "add them to it") from error


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "jsddpm_core": __version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
