"""The quality of a model against real test subjects: draws, measures, one report (`make quality`).

`python -m jsddpm_core.evaluation.quality --model BUNDLE --cache CACHE --samples FOLDER --out FILE.json`
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jsddpm_core.bundle import Bundle, read_bundle
from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.data.subjects import notes_its_subjects
from jsddpm_core.errors import JsddpmError, nearest
from jsddpm_core.evaluation.against_real import measure_all
from jsddpm_core.evaluation.background import BrainSupport
from jsddpm_core.evaluation.compare import Context
from jsddpm_core.evaluation.draws import draw_all, load_draws
from jsddpm_core.evaluation.encoder import encoder_record, load_encoder
from jsddpm_core.evaluation.image_set import ImageSet
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.plan import Plan, make_plan
from jsddpm_core.evaluation.report import Report
from jsddpm_core.evaluation.unseen import check_unseen


@dataclass(frozen=True)
class Measured:
    """A report, and the draws that it is of.

    Attributes:
        report: of the measures.
        plan: what was asked for.
        synthetic: what was drawn, by pathology, in the order of the plan.
        context: what it was measured with.
    """

    report: Report
    plan: Plan
    synthetic: dict[str, ImageSet]
    context: Context


def synthetic_set(folder: Path, plan: Plan, pathology: str, config: Config) -> ImageSet:
    """The draws of a pathology: the first image channel, and the lesion where the first mask is past its middle."""
    requests = plan.of(pathology)
    draws = load_draws(folder, requests)
    roles = [channel.role for channel in config.channels]
    low, high = config.channels[roles.index("mask")].range or (0.0, 1.0)
    return ImageSet(
        images=np.clip(draws[:, roles.index("image")], -1, 1),
        masks=draws[:, roles.index("mask")] > (low + high) / 2,
        positions_mm=np.array([request.position_mm for request in requests], dtype=np.float32),
        groups=np.array([request.name for request in requests]),
        weights=np.ones(len(requests)),
    )


def context_of(cache: SliceCache, features_folder: Path | None) -> Context:
    """Support and training slices, from the training split of the cache, and the encoder, where there is one."""
    rows = cache.indices("train", synthetic=False)
    if not len(rows):
        raise MeasureError(f"{cache.folder} holds no training slice", "prepare the cases that the model was trained on")
    training = np.stack([np.asarray(cache.images[row], dtype=np.float32) for row in rows])
    return Context(
        support=BrainSupport(training, np.array([cache.records[row].position_mm for row in rows])),
        training=training,
        training_groups=np.array([cache.records[row].subject for row in rows]),
        encoder=None if features_folder is None else load_encoder(features_folder),
        spacing_mm=cache.grid.spacing_mm,
    )


def _about(
    bundle: Bundle, cache: SliceCache, plan: Plan, features_folder: Path | None, seconds: float
) -> dict[str, Any]:
    return {
        "model": bundle.manifest.name,
        "model_digest": bundle.digest,
        "sampling": bundle.manifest.sampling.model_dump(mode="json"),
        "weights": "as stored in the bundle",
        "subjects_checked": notes_its_subjects(bundle.manifest),
        "cache_digest": cache.digest,
        "encoder_sha256": None if features_folder is None else encoder_record(features_folder)["sha256"],
        "draws": len(plan.requests),
        "seconds": round(seconds, 1),
    }


def measure(
    bundle: Bundle,
    cache: SliceCache,
    samples: Path,
    *,
    features_folder: Path | None,
    count: int,
    seed: int = 0,
    workers: int = 2,
    device: str = "cpu",
    pathologies: Sequence[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Draws what is missing and measures all.

    Args:
        bundle: the model.
        cache: slices with held-out people.
        samples: folder of raw draws; an interrupted measurement goes on there.
        features_folder: the encoder of `make features`; None leaves KID out.
        count: first draws a pathology.
        seed: of plan and noise.
        workers: drawing processes of one thread each; 0 draws in this process.
        device: that this process draws on, where it does.
        pathologies: which ones, all of the model's if empty.
        on_progress: called with the number of finished draws and of all.

    Raises:
        JsddpmError: for a cache, encoder or folder that cannot be used, or one that holds out people whom the model
            was trained on.
    """
    started = time.monotonic()
    config = bundle.manifest.config()
    if cache.grid != config.data.grid:
        raise MeasureError(f"{cache.folder} was prepared for another grid than the model's", "prepare it for this one")
    check_unseen(bundle.manifest, cache)
    context = context_of(cache, features_folder)
    known = {pathology.name: pathology for pathology in bundle.manifest.pathologies}
    for name in pathologies:
        if name not in known:
            raise MeasureError(f"the model has no pathology '{name}'", nearest(name, known))
    chosen = [known[name] for name in (pathologies or known)]
    plan = make_plan(cache, [(entry.name, entry.position_range_mm) for entry in chosen], count, seed)
    record = {"model": bundle.digest, "cache": cache.digest, "count": count}
    draw_all(bundle.folder, plan, samples, record, seed=seed, workers=workers, device=device, on_progress=on_progress)
    synthetic = {entry.name: synthetic_set(samples, plan, entry.name, config) for entry in chosen}
    rows, notes = measure_all(cache, plan, synthetic, context, {entry.name: entry.lesional for entry in chosen})
    if not notes_its_subjects(bundle.manifest):
        notes.append("The model does not say by whom it was trained: the cache's word was taken for who is held out.")
    about = _about(bundle, cache, plan, features_folder, time.monotonic() - started)
    return Measured(Report(about, notes, rows), plan, synthetic, context)


def run(
    model: Path,
    cache_folder: Path,
    samples: Path,
    out: Path,
    *,
    features_folder: Path,
    count: int = 200,
    seed: int = 0,
    workers: int = 2,
    pathologies: tuple[str, ...] = (),
    console: Console | None = None,
) -> Report:
    """Draws, measures and writes the report.

    Args:
        model: the bundle.
        cache_folder: slice cache of the data that the model was trained on, with its held-out subjects.
        samples: folder of raw draws; an interrupted run goes on there.
        out: the report, JSON; its table lies beside it as Markdown.
        features_folder: the encoder of `make features`.
        count: first draws a pathology.
        seed: of plan and noise.
        workers: drawing processes of one thread each.
        pathologies: which ones, all of the model's if empty.
        console: for the progress bar.

    Raises:
        JsddpmError: for a bundle, cache, encoder or folder that cannot be used.
    """
    bundle, cache = read_bundle(model), SliceCache.open(cache_folder)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("drawing", total=None)
        report = measure(
            bundle,
            cache,
            samples,
            features_folder=features_folder,
            count=count,
            seed=seed,
            workers=workers,
            pathologies=pathologies,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        ).report
    report.write(out)
    return report


def main(arguments: list[str] | None = None) -> int:
    """The command; 2 after an error of the user's, 130 after Ctrl-C (what was drawn stays)."""
    parser = argparse.ArgumentParser(description="Measure a model against real test subjects.")
    parser.add_argument("--model", type=Path, required=True, help="bundle")
    parser.add_argument("--cache", type=Path, required=True, help="slice cache, as 'jsddpm prepare' makes it")
    parser.add_argument(
        "--samples", type=Path, required=True, help="folder for the raw draws; goes on where it stopped"
    )
    parser.add_argument("--out", type=Path, required=True, help="report (JSON; a Markdown table is put beside it)")
    parser.add_argument("--features", type=Path, default=Path("Resources/Features"), help="encoder of 'make features'")
    parser.add_argument("--count", type=int, default=200, help="first draws a pathology")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="drawing processes of one thread each")
    parser.add_argument("--pathology", action="append", default=[], help="only this one (may be repeated)")
    chosen = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        report = run(
            chosen.model,
            chosen.cache,
            chosen.samples,
            chosen.out,
            features_folder=chosen.features,
            count=chosen.count,
            seed=chosen.seed,
            workers=chosen.workers,
            pathologies=tuple(chosen.pathology),
            console=console,
        )
    except JsddpmError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 2
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(report.as_markdown())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
