"""Runs of single slices: every sample depends on its own index only, so runs can be split, stopped and resumed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jsddpm_core.diffusion.noise import NoiseKey
from jsddpm_core.errors import OutputError, ReproductionError
from jsddpm_core.files import make_folder, remove_empty
from jsddpm_core.generation.delivery import Delivery, check_delivery
from jsddpm_core.generation.observer import SAMPLING, Observer, Share, on_each_step
from jsddpm_core.generation.picture import write_overview
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.results import remove_partials, resolved, sample_stem, write_result
from jsddpm_core.generation.sidecar import Sidecar, read_sidecar
from jsddpm_core.generation.synthesizer import Drawing, Synthesizer, thread_count
from jsddpm_core.progress import OnProgress, Progress


@dataclass(frozen=True)
class Sample:
    """A finished sample.

    Attributes:
        index: of the sample within its run.
        drawing: the draw that was kept.
        attempts: the checks of all draws, the kept one last.
    """

    index: int
    drawing: Drawing
    attempts: tuple[Delivery, ...]


@dataclass(frozen=True)
class RunReport:
    """What a run delivered.

    Attributes:
        folder: where the files are.
        sidecars: of all samples of this process, by index, resumed ones included.
        resumed: how many were there already.
    """

    folder: Path
    sidecars: dict[int, Sidecar] = field(default_factory=dict)
    resumed: int = 0

    @property
    def redraws(self) -> int:
        """Draws beyond the first, over all samples."""
        return sum(len(sidecar.attempts) - 1 for sidecar in self.sidecars.values())

    @property
    def as_asked(self) -> int:
        """Samples whose kept draw is as asked."""
        return sum(sidecar.delivery.as_asked for sidecar in self.sidecars.values())

    @property
    def first_as_asked(self) -> int:
        """Samples whose first draw was as asked already."""
        return sum(sidecar.attempts[0].as_asked for sidecar in self.sidecars.values())


def draw_samples(
    synthesizer: Synthesizer,
    request: GenerateRequest,
    indices: list[int],
    on_sample: Callable[[Sample], None],
    on_progress: OnProgress = None,
    done: int = 0,
    observer: Observer | None = None,
) -> None:
    """Draws samples in order of their index, each again until it is as asked or its attempts are used up.

    Args:
        synthesizer: the warm model.
        request: resolved (see `results.resolved`).
        indices: of the samples.
        on_sample: given every finished one.
        on_progress: told after each step.
        done: samples of the run that were there already, for the progress.
        observer: shown each step.
    """
    manifest = synthesizer.bundle.manifest
    asked = request.chosen(manifest).lesional
    total = done + len(indices)
    size = synthesizer.batch_size(request)
    waiting: deque[tuple[int, tuple[Delivery, ...]]] = deque((index, ()) for index in indices)
    finished = done
    while waiting:
        group = [waiting.popleft() for _ in range(min(size, len(waiting)))]
        keys = [NoiseKey(request.seed, index, attempt=len(attempts)) for index, attempts in group]
        share = Share([index for index, _ in group], [request.position_mm] * len(group), finished, total)
        drawings = synthesizer.draw(
            request, share.positions_mm, keys, on_step=on_each_step(share, on_progress, observer)
        )
        for (index, attempts), drawing in zip(group, drawings, strict=True):
            checked = check_delivery(
                drawing.image, drawing.mask, manifest.grid.spacing_mm, manifest.minimum_lesion_mm2, asked
            )
            attempts = (*attempts, checked)
            if checked.as_asked or len(attempts) == request.attempts:
                on_sample(Sample(index, drawing, attempts))
                finished += 1
            else:
                waiting.appendleft((index, attempts))
        if on_progress is not None:
            on_progress(Progress(SAMPLING, finished, total))


def generate(
    synthesizer: Synthesizer,
    request: GenerateRequest,
    out: str | Path,
    on_progress: OnProgress = None,
    on_sidecar: Callable[[int, Sidecar], None] | None = None,
    observer: Observer | None = None,
) -> RunReport:
    """Writes the samples of a request, and `overview.png` over all samples of the folder.

    A sample whose files are all there and of the same request is left as it is, so calling again resumes. If the
    run is interrupted, whole samples stay and nothing else does.

    Raises:
        RequestError: if the bundle cannot serve the request.
        OutputError: if the folder cannot be written to or holds samples of another request.
    """
    manifest = synthesizer.bundle.manifest
    request.check(manifest)
    request = resolved(request, synthesizer)
    out = Path(out)
    indices = request.samples()
    report = RunReport(out, _finished(out, indices, request, synthesizer.bundle.digest))
    missing = [index for index in indices if index not in report.sidecars]
    report = RunReport(out, report.sidecars, resumed=len(indices) - len(missing))

    made = make_folder(out)
    remove_partials(out, {sample_stem(index) for index in missing})

    def keep(sample: Sample) -> None:
        sidecar = write_result(
            out,
            sample_stem(sample.index),
            sample.drawing,
            request.of_sample(sample.index),
            synthesizer,
            (request.position_mm,),
            sample.attempts,
        )
        report.sidecars[sample.index] = sidecar
        if observer is not None:
            observer.drawn(sample.drawing, sample.index, request.position_mm)
        if on_sidecar is not None:
            on_sidecar(sample.index, sidecar)

    try:
        with thread_count(request.threads or 1):
            draw_samples(synthesizer, request, missing, keep, on_progress, report.resumed, observer)
        write_overview(out, manifest)
    finally:
        if made is not None:
            remove_empty(made)
    return report


def _finished(out: Path, indices: list[int], request: GenerateRequest, digest: str) -> dict[int, Sidecar]:
    """The samples that need not be made again."""
    found = {}
    for index in indices:
        path = out / f"{sample_stem(index)}.json"
        if not path.is_file():
            continue
        try:
            sidecar = read_sidecar(path)
        except ReproductionError as error:
            raise OutputError(f"{path} is not one of ours", "choose another folder") from error
        if not sidecar.matches(request.of_sample(index), digest):
            raise OutputError(f"{path} belongs to another request or model", "choose another folder")
        if sidecar.is_complete(out):
            found[index] = sidecar
    return found
