"""Slices that the start model makes of its own pathologies, to be learned from again against forgetting.

The data that a start model was trained on is not at hand, but the model is: its own draws stand for that data
(generative replay, Shin et al. 2017). They are drawn as anybody would draw them, spread evenly over its pathologies
and over the positions of each, and stand in the cache beside the real slices, flagged `synthetic` and in the training
split only. A draw that is not as asked after all its attempts is left out.

Every finished draw is kept in a folder beside the cache until all are there, so that stopping costs the draw under
way. The cache is whole at any time: with all of them or none.
"""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jsddpm_core.bundle import Bundle
from jsddpm_core.data.slices import ARRAYS, MANIFEST, SliceCache, SliceCacheWriter, SliceRecord
from jsddpm_core.errors import TrainingError
from jsddpm_core.files import make_folder, output_error, write_file
from jsddpm_core.generation.generate import Sample, draw_samples
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.results import resolved
from jsddpm_core.generation.synthesizer import Synthesizer, thread_count
from jsddpm_core.machine import available_threads
from jsddpm_core.manifest import Manifest, ReplayRecord
from jsddpm_core.progress import OnProgress, Progress

STAGE = "replaying"
KEY = "replay"
"""Of the cache's manifest: beside `made_of`, so that cases that are prepared again find their cache."""

_WRITTEN = ("schema", "grid", "arrays", "made_of", "records", KEY)


@dataclass(frozen=True)
class Asked:
    """One slice to be drawn: its number, which its noise depends on, its pathology and position."""

    sample: int
    pathology: str
    position_mm: float


def add_replay(
    bundle: Bundle,
    cache_folder: Path,
    slices: int,
    seed: int = 0,
    *,
    device: str = "auto",
    on_progress: OnProgress = None,
) -> SliceCache:
    """Adds the start model's draws to a cache; a cache that holds them already comes back as it is.

    Args:
        bundle: the start model.
        cache_folder: of the prepared cases; draws of another model, number or seed there are replaced.
        slices: draws in all.
        seed: of their noise.
        device: to draw on; `auto` takes a GPU where there is one.
        on_progress: told after each sampling step; an exception that it raises ends the work, and what was drawn
            stays for the next call.

    Raises:
        TrainingError: if no draw was as asked.
        OutputError: if the disk is full or the folder cannot be written.
        CacheError: if the cache cannot be read.
    """
    cache_folder = Path(cache_folder)
    recipe = {"model": bundle.manifest.name, "digest": bundle.digest, "asked": slices, "seed": seed}
    cache = SliceCache.open(cache_folder)
    found = cache.manifest.get(KEY)
    if found is not None and all(found.get(key) == value for key, value in recipe.items()):
        return cache
    plan = spread_over(bundle.manifest, slices)
    drawn = cache_folder.with_name(f"{cache_folder.name}.replay.partial")
    _claim(drawn, recipe)
    missing = [asked for asked in plan if not _file(drawn, asked).is_file()]
    if missing:
        _draw(bundle, missing, drawn, seed, device, on_progress, len(plan))
    kept = [asked for asked in plan if _is_kept(_file(drawn, asked))]
    if not kept:
        raise TrainingError(
            f"none of {len(plan)} draws of the start model {bundle.manifest.name} was as asked",
            "set replay_share to 0, or choose another start model",
        )
    del cache  # its arrays are mapped, which keeps some systems from putting another folder in its place
    made = _with_draws(cache_folder, drawn, kept, recipe, bundle, len(plan) - len(kept))
    shutil.rmtree(drawn, ignore_errors=True)
    return made


def replay_record(cache: SliceCache) -> ReplayRecord | None:
    """What a cache holds of a start model's draws, as a bundle states it."""
    said = cache.manifest.get(KEY)
    if said is None:
        return None
    counts = Counter(record.pathology for record in cache.records if record.synthetic)
    return ReplayRecord(
        model=said["model"],
        digest=said["digest"],
        slices={str(name): count for name, count in sorted(counts.items(), key=str)},
        dropped=said["dropped"],
    )


def replayed_ranges(cache: SliceCache) -> dict[str, tuple[float, float]]:
    """The positions at which the start model knew each pathology that its draws show."""
    said = cache.manifest.get(KEY) or {}
    return {name: (float(low), float(high)) for name, (low, high) in said.get("ranges", {}).items()}


def spread_over(manifest: Manifest, slices: int) -> list[Asked]:
    """Equal numbers of each pathology, at the middles of equal parts of its range."""
    each, rest = divmod(slices, len(manifest.pathologies))
    plan: list[Asked] = []
    for number, pathology in enumerate(manifest.pathologies):
        count = each + (number < rest)
        low, high = pathology.position_range_mm
        places = [round(low + (place + 0.5) / count * (high - low), 4) for place in range(count)]
        plan += [Asked(len(plan) + place, pathology.name, z) for place, z in enumerate(places)]
    return plan


def _draw(
    bundle: Bundle, missing: list[Asked], folder: Path, seed: int, device: str, on_progress: OnProgress, total: int
) -> None:
    """Draws one after another by the model's own sampling defaults, each into a file of its own."""
    synthesizer = Synthesizer(bundle, device)
    done = total - len(missing)

    def tell(progress: Progress) -> None:
        # The inner run is of one sample: its progress is a share of this one's unit.
        if on_progress is not None:
            on_progress(Progress(STAGE, done + progress.done, total, progress.step, progress.steps, asked.sample))

    with thread_count(available_threads()):
        for asked in missing:
            request = GenerateRequest(
                model=str(bundle.folder),
                pathology=asked.pathology,
                position_mm=asked.position_mm,
                seed=seed,
                first=asked.sample,
                batch=1,
            )
            request.check(bundle.manifest)
            found: list[Sample] = []
            draw_samples(synthesizer, resolved(request, synthesizer), [asked.sample], found.append, tell)
            _keep(_file(folder, asked), found[0])
            done += 1


def _file(folder: Path, asked: Asked) -> Path:
    return folder / f"{asked.sample:06d}.npz"


def _keep(path: Path, sample: Sample) -> None:
    content = io.BytesIO()
    np.savez(
        content,
        images=sample.drawing.image.astype(np.float32),
        masks=sample.drawing.mask.astype(np.uint8),
        kept=np.array(sample.attempts[-1].as_asked),
    )
    write_file(path, content.getvalue())


def _is_kept(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as arrays:
        return bool(arrays["kept"])


def _claim(folder: Path, recipe: dict[str, Any]) -> None:
    """Makes the folder of draws; those of another recipe are removed."""
    said = folder / "recipe.json"
    text = json.dumps(recipe, sort_keys=True)
    if folder.exists() and not (said.is_file() and said.read_text(encoding="utf-8") == text):
        shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    write_file(said, text.encode())


def _with_draws(
    cache_folder: Path, drawn: Path, kept: list[Asked], recipe: dict[str, Any], bundle: Bundle, dropped: int
) -> SliceCache:
    manifest = bundle.manifest
    ranges = {entry.name: entry.position_range_mm for entry in manifest.pathologies}
    cache = SliceCache.open(cache_folder)
    beside = {key: value for key, value in cache.manifest.items() if key not in _WRITTEN}
    made_of, grid = cache.manifest["made_of"], cache.grid
    pixel_mm2 = grid.spacing_mm**2
    with SliceCacheWriter(cache_folder, grid) as writer:
        for index, record in enumerate(cache.records):
            if not record.synthetic:
                writer.add(record, cache.images[index], cache.masks[index])
        for asked in kept:
            with np.load(_file(drawn, asked), allow_pickle=False) as arrays:
                image, mask = arrays["images"], arrays["masks"]
            place = round((asked.position_mm - grid.origin_mm[2]) / grid.spacing_mm)
            writer.add(
                SliceRecord(
                    subject=f"replay/{manifest.name}",
                    case=f"replay/{manifest.name}/{asked.sample:06d}",
                    split="train",
                    slice_index=min(max(place, grid.first_slice), grid.last_slice),
                    position_mm=asked.position_mm,
                    pathology=asked.pathology,
                    mask_known=True,
                    lesion_mm2=float(mask.sum()) * pixel_mm2,
                    dataset=f"replay/{manifest.name}",
                    synthetic=True,
                ),
                image,
                mask,
            )
        _copy_beside(cache_folder, writer.partial)
        del cache  # as above
        said = {**recipe, "dropped": dropped, "ranges": {asked.pathology: ranges[asked.pathology] for asked in kept}}
        return writer.finish(made_of, **{**beside, KEY: said})


def _copy_beside(source: Path, target: Path) -> None:
    """What lies in a cache beside its arrays and manifest, such as transforms."""
    try:
        for path in sorted(source.rglob("*")):
            beside = path.relative_to(source)
            if path.is_file() and str(beside) not in (MANIFEST, *ARRAYS):
                (target / beside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / beside)
    except OSError as error:
        raise output_error(target, error) from error
