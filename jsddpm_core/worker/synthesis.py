"""The methods that need torch; the model that was asked for last stays warm between them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from jsddpm_core.bundle import Bundle
from jsddpm_core.diffusion.noise import NoiseKey
from jsddpm_core.errors import OutputError, is_out_of_memory
from jsddpm_core.generation.generate import generate as generate_samples
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.results import sample_stem
from jsddpm_core.generation.synthesizer import Drawing, Synthesizer, resolve_device, thread_count
from jsddpm_core.generation.volume import STEM, generate_volume
from jsddpm_core.machine import available_threads, peak_memory_bytes
from jsddpm_core.progress import Progress
from jsddpm_core.worker.job import LOADING, Job
from jsddpm_core.worker.params import GenerateParams, MeasureParams
from jsddpm_core.worker.previews import Previews


class MeteredSynthesizer(Synthesizer):
    """A synthesizer that counts the evaluations of its network and the time that it draws.

    Attributes:
        load_s: how long it took to load.
        evaluations: forward passes since `reset`.
        seconds: spent in `draw` since `reset`.
    """

    def __init__(self, bundle: Bundle, device: str) -> None:
        started = time.perf_counter()
        super().__init__(bundle, device)
        self.load_s = time.perf_counter() - started
        self.network.register_forward_hook(self._count)
        self.reset()

    def reset(self) -> None:
        """Counts from here."""
        self.evaluations, self.seconds = 0, 0.0

    def draw(self, *given: Any, **more: Any) -> list[Drawing]:
        """Draws as a Synthesizer does."""
        started = time.perf_counter()
        try:
            return super().draw(*given, **more)
        finally:
            self.seconds += time.perf_counter() - started

    def _count(self, *_forward: Any) -> None:
        self.evaluations += 1


class Synthesis:
    """Generates and measures; holds one model in memory."""

    def __init__(self) -> None:
        self._warm: MeteredSynthesizer | None = None
        self._preview_numbers = itertools.count(1)

    def generate(self, job: Job, params: GenerateParams, bundle: Bundle, folder: Path) -> dict[str, Any]:
        """Writes the samples or the volume of a request into an empty folder.

        Args:
            job: told of progress and previews.
            params: what is asked for.
            bundle: of the request's model; it can serve the request.
            folder: where the files go.

        Returns:
            The answer.
        """
        request = params.request
        if params.preview is not None and not params.preview.is_dir():
            raise OutputError(f"{params.preview} is not a folder", "make it before previews are asked for")
        with self._model(job, bundle, request.device) as model:
            previews = Previews(
                job, params.preview, params.preview_interval_s, bundle.manifest.channels, self._preview_numbers
            )
            if isinstance(request, GenerateRequest):
                run = generate_samples(model, request, folder, job.progress, observer=previews)
                sidecars = [f"{sample_stem(index)}.json" for index in sorted(run.sidecars)]
                as_asked, redraws = run.as_asked, run.redraws
            else:
                sidecar = generate_volume(model, request, folder, job.progress, previews)
                sidecars = [f"{STEM}.json"]
                as_asked, redraws = int(sidecar.delivery.as_asked), len(sidecar.attempts) - 1
            return {
                "folder": str(params.out),
                "sidecars": sidecars,
                "as_asked": as_asked,
                "redraws": redraws,
                "seconds": model.seconds,
                "evaluations": model.evaluations,
                "seconds_per_evaluation": model.seconds / max(model.evaluations, 1),
                "peak_memory_bytes": _peak_memory_bytes(model.device),
                "device": model.device.type,
                "bundle_digest": bundle.digest,
            }

    def measure(self, job: Job, params: MeasureParams, bundle: Bundle) -> dict[str, Any]:
        """Times one evaluation of a model's network for one slice, after another that is discarded."""
        manifest = bundle.manifest
        pathology = manifest.pathologies[0]
        position_mm = pathology.position_range_mm[0]
        request = GenerateRequest(
            model=params.model, pathology=pathology.name, position_mm=position_mm, steps=1, guidance=1
        )
        threads = params.threads or available_threads()
        with self._model(job, bundle, params.device) as model, thread_count(threads):
            for _ in range(2):
                job.check()
                model.reset()
                model.draw(request, [position_mm], [NoiseKey(request.seed, 0)])
            return {
                "bundle_digest": bundle.digest,
                "device": model.device.type,
                "seconds_per_evaluation": model.seconds / max(model.evaluations, 1),
                "load_s": model.load_s,
                "memory_bytes": _peak_memory_bytes(model.device),
                "threads": threads,
            }

    @contextmanager
    def _model(self, job: Job, bundle: Bundle, device: str) -> Iterator[MeteredSynthesizer]:
        """The bundle on its device, warm or loaded; let go if the memory runs out."""
        kind = resolve_device(device).type
        try:
            kept = self._warm
            if kept is None or kept.bundle.digest != bundle.digest or kept.device.type != kind:
                kept = self._warm = None  # two at a time may be too many
                job.check()
                kept = self._warm = MeteredSynthesizer(bundle, kind)
                job.log("info", f"model '{bundle.manifest.name}' was loaded on {kind} in {kept.load_s:.1f} s")
            job.progress(Progress(LOADING, 1, 1))
            kept.reset()
            yield kept
        except Exception as error:
            if is_out_of_memory(error):
                self._warm = None
            raise


def _peak_memory_bytes(device: torch.device) -> int | None:
    """The most memory held so far: of the GPU where one computes, else of this process."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else peak_memory_bytes()
