"""Synthetic slices that a study may show: results that are there, or what a bundle draws for the places wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from jsddpm_core.bundle import Bundle, find_bundle, read_bundle
from jsddpm_core.data.volumes import read_volume
from jsddpm_core.errors import BundleError, StudyError
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.sidecar import Sidecar, read_sidecar
from jsddpm_core.progress import OnProgress, Progress
from jsddpm_core.reading_study.design import StudyDesign, SyntheticArm
from jsddpm_core.reading_study.pool import Candidate, Wanted

STAGE = "drawing synthetic cases"


def bundle_of(design: StudyDesign, sidecars: Sequence[Sidecar]) -> Bundle | None:
    """The bundle that draws, or that made the results; None where that is not at hand.

    Raises:
        BundleError: if the one that the design names is missing or damaged.
        StudyError: if the design names another than the one that made the results.
    """
    if design.synthetic.model is not None:
        bundle = read_bundle(find_bundle(design.synthetic.model))
        other = next((sidecar for sidecar in sidecars if sidecar.bundle.digest != bundle.digest), None)
        if other is not None:
            raise StudyError(
                f"results were made by the model '{other.bundle.name}' and not by '{bundle.manifest.name}'",
                "name the model that made them, or leave 'model' out",
            )
        return bundle
    try:
        bundle = read_bundle(find_bundle(sidecars[0].request.model))
    except BundleError:
        return None
    return bundle if all(sidecar.bundle.digest == bundle.digest for sidecar in sidecars) else None


def read_sidecars(folders: Sequence[Path]) -> list[tuple[Path, Sidecar]]:
    """The sidecars of folders of results, by folder and name.

    Raises:
        StudyError: if a folder holds none.
        ReproductionError: if one is damaged.
    """
    found: list[tuple[Path, Sidecar]] = []
    for folder in folders:
        files = sorted(folder.glob("sample-*.json"))
        if not files:
            raise StudyError(f"{folder} holds no synthetic slices with their records", "name the folder of a run")
        found += [(file, read_sidecar(file)) for file in files]
    return found


def result_candidates(
    results: Sequence[tuple[Path, Sidecar]], design: StudyDesign, shape: tuple[int, int], spacing_mm: float
) -> tuple[list[Candidate], list[str]]:
    """The results that a study may show, and sentences on those that it may not.

    Args:
        results: from `read_sidecars`.
        design: pathologies and positions.
        shape: of the real slices.
        spacing_mm: of these.

    Raises:
        StudyError: if a result's files are missing, changed or on another grid than the real slices.
    """
    found: list[Candidate] = []
    voxels: set[str] = set()
    missed = twice = 0
    low, high = design.position_range_mm or (-np.inf, np.inf)
    for file, sidecar in results:
        request, position = sidecar.request, sidecar.geometry.positions_mm[0]
        if not isinstance(request, GenerateRequest) or request.pathology not in design.pathologies:
            continue
        if not low - design.tolerance_mm <= position <= high + design.tolerance_mm:
            continue
        if not sidecar.delivery.as_asked:
            missed += 1
            continue
        image = sidecar.files.get("FLAIR") or next(record for key, record in sidecar.files.items() if "mask" not in key)
        if image.voxels_sha256 in voxels:
            twice += 1
            continue
        voxels.add(image.voxels_sha256)
        spacing = float(np.linalg.norm([row[0] for row in sidecar.geometry.affine[:3]]))
        if abs(spacing - spacing_mm) > 1e-3:
            raise StudyError(
                f"{file} has pixels of {spacing:g} mm and the real slices of {spacing_mm:g} mm",
                "prepare the real cases for the model that made it",
            )
        mask = next(record for key, record in sidecar.files.items() if "mask" in key)
        files = [(file.parent / record.name, record.sha256) for record in (image, mask)]
        found.append(
            Candidate(
                pathology=request.pathology,
                lesional=sidecar.delivery.lesion_asked,
                position_mm=position,
                subject=None,
                load=partial(_load_result, files, shape),
                source=sidecar.model_dump(mode="json"),
            )
        )
    notes = [f"{missed} results are not as asked for and are not shown."] if missed else []
    notes += [f"{twice} results are copies of others and are not shown again."] if twice else []
    return found, notes


def _load_result(files: Sequence[tuple[Path, str]], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for path, digest in files:
        volume = read_volume(path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise StudyError(f"{path} is not the file that its sidecar was written for", "copy the results again")
        if volume.data.shape != (*shape, 1):
            raise StudyError(
                f"{path} has the sizes {volume.data.shape} and the real slices {shape}",
                "prepare the real cases for the model that made it",
            )
        arrays.append(volume.data[..., 0])
    return arrays[0], arrays[1]


def drawn_candidates(
    bundle: Bundle, arm: SyntheticArm, wanted: Sequence[Wanted], on_progress: OnProgress = None
) -> list[Candidate]:
    """One slice for each place, drawn by a bundle until it is as asked.

    Args:
        bundle: the model.
        arm: how it draws.
        wanted: places with positions.
        on_progress: told after each step; what it raises ends the work.

    Raises:
        RequestError: if the bundle does not know a pathology or position.
        StudyError: if a slice does not come out as asked.
    """
    requests = [_request(bundle, arm, place, index) for index, place in enumerate(wanted)]
    for request in requests:
        request.check(bundle.manifest)

    from jsddpm_core.generation.generate import Sample, draw_samples
    from jsddpm_core.generation.results import resolved
    from jsddpm_core.generation.synthesizer import Synthesizer, thread_count

    synthesizer = Synthesizer(bundle, arm.device)
    samples: list[Sample] = []

    def tell(progress: Progress, done: int) -> None:
        if on_progress is not None:
            on_progress(Progress(STAGE, min(done + progress.done, done + 1), len(requests)))

    found = []
    for index, request in enumerate(requests):
        request = resolved(request, synthesizer)
        with thread_count(request.threads or 1):
            draw_samples(synthesizer, request, [index], samples.append, partial(tell, done=index))
        sample = samples[-1]
        if not sample.attempts[-1].as_asked:
            raise StudyError(
                f"the model '{bundle.manifest.name}' made no slice of '{request.pathology}' at z = "
                f"{request.position_mm:g} mm that is as asked, in {len(sample.attempts)} draws",
                "allow more attempts, or other positions or pathologies",
            )
        image, mask = sample.drawing.image.copy(), sample.drawing.mask.copy()
        found.append(
            Candidate(
                pathology=request.pathology,
                lesional=sample.attempts[-1].lesion_asked,
                position_mm=request.position_mm,
                subject=None,
                load=partial(_same, image, mask),
                source={
                    "bundle": {"name": bundle.manifest.name, "digest": bundle.digest},
                    "request": request.of_sample(index).model_dump(mode="json"),
                    "draws": len(sample.attempts),
                },
            )
        )
    if on_progress is not None:
        on_progress(Progress(STAGE, len(requests), len(requests)))
    return found


def _same(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return image, mask


def _request(bundle: Bundle, arm: SyntheticArm, place: Wanted, index: int) -> GenerateRequest:
    assert place.position_mm is not None
    return GenerateRequest(
        model=str(bundle.folder),
        pathology=place.pathology,
        position_mm=place.position_mm,
        first=index,
        seed=arm.seed,
        steps=arm.steps,
        guidance=arm.guidance,
        attempts=arm.attempts,
        device=arm.device,
        threads=arm.threads,
    )
