"""Making a result again from its sidecar, and comparing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsddpm_core.bundle import SHIPPED, Bundle, find_bundle, list_bundles, read_bundle
from jsddpm_core.errors import BundleError, ImageError, ReproductionError
from jsddpm_core.generation.generate import Sample, draw_samples
from jsddpm_core.generation.picture import load_result
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.results import arrays_of, environment_of
from jsddpm_core.generation.sidecar import Sidecar, read_sidecar, voxels_digest
from jsddpm_core.generation.synthesizer import Drawing, Synthesizer, thread_count
from jsddpm_core.generation.volume import draw_volume
from jsddpm_core.machine import available_threads
from jsddpm_core.progress import OnProgress

TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}
"""Root-mean-square difference of the image, in its range of 2, that another machine's rounding may cause."""

MASK_TOLERANCE = 1e-3
"""Share of all voxels that may change sides of the mask's threshold for that reason."""


@dataclass(frozen=True)
class Reproduction:
    """How a result that was made again compares with the first.

    Attributes:
        identical: whether every voxel of every image is the same.
        environment_differences: what differs between then and now; identical voxels are expected if nothing does.
        image_rms: root-mean-square difference of the image; 0 if identical.
        image_largest: largest difference of a voxel.
        mask_share: share of voxels whose mask differs.
        tolerance: of image_rms, where the environment differs.
    """

    identical: bool
    environment_differences: tuple[str, ...]
    image_rms: float
    image_largest: float
    mask_share: float
    tolerance: float

    @property
    def within_tolerance(self) -> bool:
        """Whether the differences are what another environment may cause; in an equal one, there may be none."""
        if self.identical:
            return True
        allowed = bool(self.environment_differences)
        return allowed and self.image_rms <= self.tolerance and self.mask_share <= MASK_TOLERANCE


def reproduce(
    path: str | Path,
    model: str | Path | None = None,
    device: str | None = None,
    on_progress: OnProgress = None,
) -> Reproduction:
    """Makes the result of a sidecar again and compares it with its files.

    Args:
        path: the sidecar.
        model: where the bundle lies now; by default where the request found it, or among the shipped ones.
        device: to compute on, by default the kind that was used.
        on_progress: told after each step.

    Raises:
        ReproductionError: if sidecar, bundle or files are missing or are not those of the result, or if an equal
            environment gives other voxels.
        RequestError: if the device is not there.
    """
    path = Path(path)
    sidecar = read_sidecar(path)
    bundle = _bundle_of(sidecar, path, model)
    request = sidecar.request
    if isinstance(request, GenerateRequest) and (request.count != 1 or request.shard is not None):
        raise ReproductionError(
            f"{path} asks for more than the one sample that it stands beside", "restore the sidecar of that run"
        )
    request.check(bundle.manifest)
    synthesizer = Synthesizer(bundle, device or sidecar.request.device)
    threads = sidecar.request.threads or available_threads()
    now = environment_of(synthesizer.device, threads)
    with thread_count(threads):
        drawing = _draw(synthesizer, sidecar, on_progress)
    arrays = arrays_of(drawing)
    identical = arrays.keys() == sidecar.files.keys() and all(
        voxels_digest(array) == sidecar.files[ending].voxels_sha256 for ending, array in arrays.items()
    )
    differences = tuple(sidecar.environment.differences(now))
    tolerance = TOLERANCE[synthesizer.precision(sidecar.request)]
    if identical:
        return Reproduction(True, differences, 0.0, 0.0, 0.0, tolerance)
    image, mask = _stored(path, sidecar)
    new_image, new_mask = _as_volume(drawing.image), _as_volume(drawing.mask)
    if image.shape != new_image.shape:
        raise ReproductionError(f"{path}: the images beside it have another shape", "restore the files of that run")
    apart = np.abs(image.astype(np.float64) - new_image)
    return Reproduction(
        identical=False,
        environment_differences=differences,
        image_rms=float(np.sqrt(np.mean(apart**2))),
        image_largest=float(apart.max()),
        mask_share=float(np.mean(mask != new_mask)),
        tolerance=tolerance,
    )


def _draw(synthesizer: Synthesizer, sidecar: Sidecar, on_progress: OnProgress) -> Drawing:
    request = sidecar.request
    if not isinstance(request, GenerateRequest):
        return draw_volume(synthesizer, request, on_progress).drawing
    kept: list[Sample] = []
    draw_samples(synthesizer, request, request.samples(), kept.append, on_progress)
    return kept[0].drawing


def _bundle_of(sidecar: Sidecar, path: Path, model: str | Path | None) -> Bundle:
    wanted = sidecar.bundle
    remedy = f"name its folder with --model ('{wanted.name}', digest {wanted.digest[:12]})"
    try:
        found = read_bundle(find_bundle(model if model is not None else sidecar.request.model))
    except BundleError as error:
        if model is not None:
            raise
        shipped = [bundle for bundle in list_bundles(SHIPPED) if isinstance(bundle, Bundle)]
        matching = [bundle for bundle in shipped if bundle.digest == wanted.digest]
        if not matching:
            raise ReproductionError(f"the model of {path} was not found", remedy) from error
        return matching[0]
    if found.digest != wanted.digest:
        raise ReproductionError(
            f"{path} was made with another model than {found.folder} (digest {found.digest[:12]})", remedy
        )
    return found


def _stored(path: Path, sidecar: Sidecar) -> tuple[np.ndarray, np.ndarray]:
    try:
        return load_result(path.parent, sidecar)
    except (OSError, ValueError, ImageError) as error:
        raise ReproductionError(
            f"the images of {path} are missing or damaged, and what was made again is not identical",
            "put them beside the sidecar to see by how much it differs",
        ) from error


def _as_volume(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 3 else array[..., None]
