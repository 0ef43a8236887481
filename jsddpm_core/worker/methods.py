"""The methods that are queued, by name; what is heavy to import waits for the first one that needs it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from jsddpm_core import __version__
from jsddpm_core.errors import PackageError
from jsddpm_core.machine import available_threads, memory_bytes
from jsddpm_core.progress import Progress
from jsddpm_core.strict import Strict
from jsddpm_core.worker.job import LOADING, Job
from jsddpm_core.worker.params import (
    CheckModelParams,
    FineTuneParams,
    GalleryParams,
    GenerateParams,
    ImportModelParams,
    MeasureParams,
    NoParams,
    ProbeParams,
    RegisterParams,
    SettingsParams,
    SurveyParams,
)

if TYPE_CHECKING:
    from jsddpm_core.worker.synthesis import Synthesis

GRACE_S = 60.0
"""For a run to write its checkpoint, before the process ends all the same."""

PACKAGES = ("torch", "monai", "numpy", "scipy", "nibabel", "SimpleITK", "pydantic", "safetensors", "lightning")


@dataclass(frozen=True)
class Method:
    """Work that is queued.

    Attributes:
        params: what it takes.
        run: given the job and the validated params; returns the answer.
        grace_s: how long a process that shall end waits for it.
    """

    params: type[Strict]
    run: Callable[[Job, Any], dict[str, Any]]
    grace_s: float = 0.0


def queued_methods() -> dict[str, Method]:
    """All of them, sharing one warm model."""
    synthesis = cache(_load_synthesis)
    return {
        "devices": Method(NoParams, devices),
        "measure": Method(MeasureParams, partial(measure, synthesis)),
        "generate": Method(GenerateParams, partial(generate, synthesis)),
        "register": Method(RegisterParams, register),
        "survey": Method(SurveyParams, survey),
        "gallery": Method(GalleryParams, gallery),
        "settings": Method(SettingsParams, settings),
        "probe": Method(ProbeParams, probe),
        "fine_tune": Method(FineTuneParams, fine_tune, GRACE_S),
        "check_model": Method(CheckModelParams, check_model),
        "import_model": Method(ImportModelParams, import_model),
    }


def describe() -> dict[str, Any]:
    """This process and what is installed, without importing any of it."""
    packages = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            packages[package] = version(package)
    return {
        "version": __version__,
        "python": platform.python_version(),
        "threads": available_threads(),
        "packages": packages,
    }


def devices(_job: Job, _params: NoParams) -> dict[str, Any]:
    """What this machine can compute on, with the memory of each."""
    import torch

    found: list[dict[str, Any]] = [{"name": "cpu", "label": "Processor", "memory_bytes": memory_bytes()}]
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        found.append({"name": "cuda", "label": gpu.name, "memory_bytes": gpu.total_memory})
    if torch.backends.mps.is_available():
        found.append({"name": "mps", "label": "Apple GPU", "memory_bytes": torch.mps.recommended_max_memory()})
    return {"devices": found}


def measure(synthesis: Callable[[], Synthesis], job: Job, params: MeasureParams) -> dict[str, Any]:
    """How long an evaluation of a model takes here, and how much memory."""
    from jsddpm_core.bundle import find_bundle, read_bundle

    bundle = read_bundle(find_bundle(params.model))
    job.progress(Progress(LOADING, 0, 1))
    return synthesis().measure(job, params, bundle)


def generate(synthesis: Callable[[], Synthesis], job: Job, params: GenerateParams) -> dict[str, Any]:
    """Samples or a volume, as `jsddpm sample` and `jsddpm volume` write them."""
    from jsddpm_core.bundle import find_bundle, read_bundle

    with job.folder(params.out) as folder:
        bundle = read_bundle(find_bundle(params.request.model))
        params.request.check(bundle.manifest)
        job.progress(Progress(LOADING, 0, 1))
        return synthesis().generate(job, params, bundle, folder)


def register(job: Job, params: RegisterParams) -> dict[str, Any]:
    """A patient's image brought to the template, as `jsddpm register` does."""
    job.progress(Progress(LOADING, 0, 1))
    from jsddpm_core.data.align import RESAMPLED, align_to_template

    with job.folder(params.out) as folder:
        found = align_to_template(params.image, folder, job.progress)
    return {
        "folder": str(params.out),
        "matrix": found.matrix.tolist(),
        "similarity": found.similarity,
        "resampled": RESAMPLED,
        "stage": found.how,
    }


def check_model(_job: Job, params: CheckModelParams) -> dict[str, Any]:
    """Every problem of a bundle's files, digests included."""
    from jsddpm_core.bundle import check_bundle

    return {"problems": check_bundle(params.folder)}


def import_model(job: Job, params: ImportModelParams) -> dict[str, Any]:
    """A bundle copied from elsewhere, as `jsddpm import-bundle` does."""
    from jsddpm_core.bundle import read_bundle
    from jsddpm_core.bundle_import import fill_bundle

    with job.folder(params.out) as folder:
        fill_bundle(params.source, folder, lambda done, total: job.progress(Progress("copying", done, total)))
    return {"folder": str(params.out), "name": read_bundle(params.out).manifest.name}


def survey(job: Job, params: SurveyParams) -> dict[str, Any]:
    """What a folder of cases holds, as `jsddpm survey` says it."""
    job.progress(Progress(LOADING, 0, 1))
    from jsddpm_core.data.survey import survey as look_at

    rows = look_at(params.folder if params.folder is not None else params.cases, job.progress)
    return {"cases": [row.to_tree() for row in rows]}


def gallery(job: Job, params: GalleryParams) -> dict[str, Any]:
    """The slices of cases as the network will see them: pictures, and arrays to look at."""
    job.progress(Progress(LOADING, 0, 1))
    from jsddpm_core.bundle import find_bundle, read_bundle
    from jsddpm_core.config_file import load_config
    from jsddpm_core.data.gallery import write_gallery

    if params.start is None:
        config = load_config(params.config)
    else:
        config = read_bundle(find_bundle(params.start)).manifest.config()
    with job.folder(params.out) as folder:
        made = write_gallery(params.cases, config, folder, params.corrections, job.progress)
    return {"folder": str(params.out), **made}


def settings(_job: Job, params: SettingsParams) -> dict[str, Any]:
    """The whole configuration of a run, and every key of it as a form shows it."""
    from jsddpm_core.settings import describe_settings
    from jsddpm_core.training.plan import plan_of

    config = plan_of(params.request).config
    return {"config": config.model_dump(mode="json"), "settings": describe_settings(config)}


def probe(job: Job, params: ProbeParams) -> dict[str, Any]:
    """What a run takes here in time and memory, as `jsddpm fine-tune --estimate` says it."""
    job.progress(Progress(LOADING, 0, 1))
    with _training_packages():
        from jsddpm_core.training.probe import probe as measure_run
    job.progress(Progress("measuring", 0, 1))
    found = measure_run(params.request, params.out, check=job.check)
    job.progress(Progress("measuring", 1, 1))
    return found.to_tree()


def fine_tune(job: Job, params: FineTuneParams) -> dict[str, Any]:
    """A run from cases to bundle, as `jsddpm fine-tune` does it; cancelled, it can be resumed."""
    job.progress(Progress(LOADING, 0, 1))
    with _training_packages():
        from jsddpm_core.worker.training import run_fine_tuning
    return run_fine_tuning(job, params)


@contextmanager
def _training_packages() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise PackageError(
            f"package '{error.name}' is missing", "install what fine-tuning needs: lightning and PyWavelets"
        ) from error


def _load_synthesis() -> Synthesis:
    from jsddpm_core.worker.synthesis import Synthesis

    return Synthesis()
