"""From a trained network to a bundle, with the facts that the manifest and the model card state."""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from jsddpm_core import __version__
from jsddpm_core.bundle import Bundle, write_bundle
from jsddpm_core.config import Config
from jsddpm_core.config_file import parse_config
from jsddpm_core.data.slices import SPLITS, SliceCache
from jsddpm_core.errors import CaseError, TrainingError
from jsddpm_core.generation.volume import neighbour_correlation
from jsddpm_core.manifest import BundleFacts, BundlePathology, ImageGrid, Licence, Source, StartModel, TrainingRecord
from jsddpm_core.training.checkpoint import read_checkpoint
from jsddpm_core.training.model_card import model_card

PREFIX = "network."
RANGE_PERCENTILES = (1.0, 99.0)
"""Of the positions that a pathology was seen at: a range's ends must have been learned from more than a slice."""

_PACKAGES = ("torch", "monai", "lightning", "numpy")


def averaged_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's averaged weights from a checkpoint; Lightning's averaging stores them as its `state_dict`.

    Raises:
        TrainingError: if the checkpoint holds no network.
    """
    state = checkpoint.get("state_dict", {})
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    if not weights:
        raise TrainingError("the checkpoint holds no network", "choose a checkpoint of jsddpm train")
    return weights


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
    overwrite: bool = False,
) -> Bundle:
    """Writes the bundle of a training run's checkpoint.

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
        limits=limits,
        priors=priors,
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
    slices, subjects = slice_counts(cache)
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
            slices=slices,
            subjects=subjects,
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


def slice_counts(cache: SliceCache) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Slices by split and pathology, and people by split."""
    slices: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    subjects: dict[str, set[str]] = {split: set() for split in SPLITS}
    for record in cache.records:
        slices[record.split][record.pathology or "unknown"] += 1
        subjects[record.split].add(record.subject)
    return (
        {split: dict(sorted(counts.items())) for split, counts in slices.items()},
        {split: len(people) for split, people in subjects.items()},
    )


def position_range(cache: SliceCache, pathology: str) -> tuple[float, float]:
    """Where a pathology was learned: all but the outermost positions of its training slices, and half a slice more.

    Raises:
        TrainingError: if there is no training slice of it.
    """
    seen = [record.position_mm for record in cache.records if record.split == "train" and record.pathology == pathology]
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
        if record.split == "train":
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
