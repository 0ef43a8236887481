"""The end of a run: its weights become a bundle, measured against people whom it did not learn from.

What leaves the machine with the bundle is settings, numbers and salted digests. Whatever names or shows a patient is
written to the run's `local/` folder only.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from jsddpm_core.bundle import MODEL_CARD, SHIPPED, Bundle, find_bundle, read_bundle
from jsddpm_core.config import Config
from jsddpm_core.data.slices import SPLITS, SliceCache
from jsddpm_core.data.subjects import trained_on
from jsddpm_core.errors import BundleError, CaseError, TrainingError
from jsddpm_core.evaluation.encoder import WEIGHTS as ENCODER_WEIGHTS
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.plan import HELD_OUT, can_be_asked
from jsddpm_core.evaluation.quality import Measured, measure
from jsddpm_core.evaluation.report import Report
from jsddpm_core.evaluation.unseen import counted_as_training
from jsddpm_core.files import make_folder, output_error, whole_folder, write_file
from jsddpm_core.manifest import Licence, Manifest, Source
from jsddpm_core.progress import OnProgress, Progress
from jsddpm_core.tensor_file import file_digest
from jsddpm_core.training.export import export_run, source_of
from jsddpm_core.training.memorisation import nearest_pairs, write_pairs
from jsddpm_core.training.model_card import Curves, model_card
from jsddpm_core.training.request import FineTuneRequest
from jsddpm_core.training.runs import BUNDLE, CHECKPOINTS, LOCAL, REPORT, read_curves

STAGE = "finishing"
DRAWS = 48
"""First draws in all, shared among the pathologies: with the fast network some minutes on a laptop."""
LEAST_DRAWS = 8
"""Of a pathology, however many there are."""
FEW_PEOPLE = 10
UNSTATED = "not stated: fill in before sharing"
LOCAL_DATA = Source(name="local cases", licence="local data, not to be shared", attribution="none stated")
CURVES = ("train/loss", "validation/loss", "validation/energy_distance")
LEVELS_UP = 4
"""How far above an image its data set's description may lie."""

_ENCODER = SHIPPED.parent / "Features"


def finish_run(
    run: Path,
    request: FineTuneRequest,
    config: Config,
    cache: SliceCache,
    checkpoint: Path | None = None,
    on_progress: OnProgress = None,
    *,
    draws: int = DRAWS,
) -> Bundle:
    """Writes `report.json`, `local/` and `bundle/` of a run, in this order; each is whole or as it was.

    Called again after it was stopped it goes on, and it does nothing where all is done for this checkpoint, this cache
    and the request's own words.

    Args:
        run: the run's folder.
        request: that it was started with.
        config: of the run.
        cache: that it was trained on, with the held-out people.
        checkpoint: whose averaged weights are taken; the best by default, else the last.
        on_progress: told after each draw; an exception that it raises ends the work.
        draws: to measure on, in all.

    Returns:
        The bundle in `run/bundle`; it is copied from there to where models are kept.

    Raises:
        TrainingError: if there is no checkpoint, or it is of another cache.
        OutputError: if the disk is full or the folder cannot be written.
    """
    run = Path(run)
    checkpoint = checkpoint or chosen_checkpoint(run)
    words = {key: getattr(request, key) for key in ("name", "title", "licence")}
    identity = {"checkpoint": file_digest(checkpoint), "cache": cache.digest, "draws": draws, **words}
    done = _finished(run, identity)
    if done is not None:
        return done
    work = run / "finishing.partial"
    start = None if request.start is None else read_bundle(find_bundle(request.start))
    bundle = _unmeasured(work, identity, request, config, cache, checkpoint, start)
    seen_before = trained_on(bundle.manifest, cache, HELD_OUT)
    split = counted_as_training(cache, seen_before)
    report, measured = _measure(bundle, split, work / "draws", request, draws, len(seen_before), on_progress)
    report.about.update(finish=identity)
    _write_local(run / LOCAL, split, seen_before, measured, bundle.manifest)
    report.write(run / REPORT)
    curves = read_curves(run)
    card = _card(bundle, report, measured, {name: curves[name] for name in CURVES if name in curves})
    with whole_folder(run / BUNDLE, overwrite=True) as partial:
        for path in bundle.folder.iterdir():
            _copy(path, partial / path.name)
        write_file(partial / MODEL_CARD, card.encode())
    shutil.rmtree(work, ignore_errors=True)
    return read_bundle(run / BUNDLE)


def chosen_checkpoint(run: Path) -> Path:
    """The best checkpoint of a run, or the last where nothing was held out to judge by.

    Raises:
        TrainingError: if there is neither.
    """
    for name in ("best.ckpt", "last.ckpt"):
        if (run / CHECKPOINTS / name).is_file():
            return run / CHECKPOINTS / name
    raise TrainingError(f"{run} holds no checkpoint yet", "let it train until the first one is written")


def terms_of(request: FineTuneRequest, start: Bundle | None) -> Licence:
    """Under which terms the weights stand: the request's own words, and every source of data that went in.

    A data set without a description that states its terms is local data; its name and place are not told.
    """
    sources = [_source_of(case.image) for case in request.cases]
    sources += () if start is None else start.manifest.licence.sources
    return Licence(weights=request.licence.strip() or UNSTATED, sources=tuple(dict.fromkeys(sources)))


def _source_of(image: Path) -> Source:
    for folder in list(image.parents)[:LEVELS_UP]:
        if (folder / "dataset_description.json").is_file():
            try:
                return source_of(folder)
            except CaseError:
                return LOCAL_DATA
    return LOCAL_DATA


def _finished(run: Path, identity: dict) -> Bundle | None:
    try:
        said = json.loads((run / REPORT).read_text(encoding="utf-8"))
        return read_bundle(run / BUNDLE) if said["about"]["finish"] == identity else None
    except (OSError, ValueError, KeyError, TypeError, BundleError):
        return None


def _unmeasured(
    work: Path,
    identity: dict,
    request: FineTuneRequest,
    config: Config,
    cache: SliceCache,
    checkpoint: Path,
    start: Bundle | None,
) -> Bundle:
    """The bundle without its measures, as an earlier call left it or made anew."""
    claim = json.dumps(identity, sort_keys=True)
    try:
        if (work / "of.json").read_text(encoding="utf-8") == claim:
            return read_bundle(work / BUNDLE)
    except (OSError, ValueError, BundleError):
        pass
    shutil.rmtree(work, ignore_errors=True)
    make_folder(work)
    bundle = export_run(
        checkpoint,
        cache,
        work / BUNDLE,
        request.name,
        title=request.title,
        licence=terms_of(request, start),
        priors=_priors(cache, config),
        start_bundle=start,
    )
    write_file(work / "of.json", claim.encode())
    return bundle


def _priors(cache: SliceCache, config: Config):
    if config.conditioning.prior.kind == "none":
        return None
    from jsddpm_core.data.priors import build_priors

    return build_priors(cache, config)


def _measure(
    bundle: Bundle,
    cache: SliceCache,
    samples: Path,
    request: FineTuneRequest,
    draws: int,
    moved: int,
    on_progress: OnProgress,
) -> tuple[Report, Measured | None]:
    manifest = bundle.manifest
    there = [entry.name for entry in manifest.pathologies if can_be_asked(cache, entry.name, entry.position_range_mm)]
    notes = _notes(manifest, there, moved)
    if not there:
        return Report({"model": manifest.name, "draws": 0}, notes, []), None

    def tell(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(Progress(STAGE, done, total))

    try:
        measured = measure(
            bundle,
            cache,
            samples,
            features_folder=_ENCODER if (_ENCODER / ENCODER_WEIGHTS).is_file() else None,
            count=max(draws // len(there), LEAST_DRAWS),
            seed=request.seed,
            workers=0,  # PythonSlicer, which this may run in, hangs with processes of its own
            device=request.device,
            pathologies=there,
            on_progress=tell,
        )
    except MeasureError as error:
        return Report({"model": manifest.name, "draws": 0}, [*notes, str(error)], []), None
    report = measured.report
    return Report(dict(report.about), [*report.notes, *notes], report.rows), measured


def _notes(manifest: Manifest, measured: Sequence[str], moved: int) -> list[str]:
    notes = []
    record = manifest.training
    if moved:
        notes.append(
            f"{moved} of the people held out here were learned from all the same, by the model that the run started "
            "from or under another name: they count as training people."
        )
    if record.start is not None and not record.earlier_subjects:
        notes.append(
            f"The start model {record.start.name} does not say by whom it was trained: people held out here may be "
            "among them."
        )
    unmeasured = [entry.name for entry in manifest.pathologies if entry.name not in measured]
    if unmeasured:
        notes.append(f"Nothing is measured of {', '.join(unmeasured)}: no real slice is at hand.")
    return notes


def _card(bundle: Bundle, report: Report, measured: Measured | None, curves: Curves) -> str:
    manifest = bundle.manifest
    component = manifest.components["denoiser"]
    size = sum(_product(spec.shape) for spec in component.tensors.values())
    said = "Nothing was measured: there was no real slice to measure against."
    if measured is not None:
        table = report.as_markdown()
        said = (
            f"Measured at the end of the run on {len(measured.plan.requests)} first draws, none chosen or repeated, at "
            f"the positions of real slices; held-out people where there were enough.\n\n{table}"
        ).rstrip()
    people = manifest.training.subjects.get("train", 0)
    limits = []
    if people < FEW_PEOPLE:
        limits.append(f"It learned from {people} people only: expect it to resemble them.")
    for entry in manifest.pathologies:
        if entry.name.endswith("simulated"):
            limits.append(f"`{entry.name}` shows what a program painted, not what patients have.")
    network = manifest.network.model_dump(mode="json")
    return model_card(manifest, size, network, limits, measured=said, curves=curves)


def _product(shape: Sequence[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def _write_local(
    folder: Path, cache: SliceCache, seen_before: set[str], measured: Measured | None, manifest: Manifest
) -> None:
    """Who was in which split, and the nearest training slices: with names, for this machine only."""
    make_folder(folder)
    record = manifest.training
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["subject", "split", "held_out_but_learned_from_before"])
    of = {entry.subject: entry.split for entry in cache.records if not entry.synthetic}
    known = "not known" if record.start is not None and not record.earlier_subjects else "no"
    for subject, split in sorted(of.items(), key=lambda pair: (SPLITS.index(pair[1]), pair[0])):
        table.writerow([subject, split, "yes" if subject in seen_before else known])
    write_file(folder / "subjects.csv", text.getvalue().encode())
    if measured is not None:
        write_pairs(folder, nearest_pairs(measured, cache), cache, manifest)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise output_error(target, error) from error
