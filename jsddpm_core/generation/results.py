"""From drawn arrays to the files of one result: NIfTI images first, the sidecar last, so that it marks a whole one."""

from __future__ import annotations

import hashlib
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from jsddpm_core import __version__
from jsddpm_core.bundle import Bundle
from jsddpm_core.files import PARTIAL, write_file
from jsddpm_core.generation.delivery import Delivery
from jsddpm_core.generation.nifti import affine_of, image_bytes, mask_bytes
from jsddpm_core.generation.request import GenerateRequest, VolumeRequest
from jsddpm_core.generation.sidecar import (
    BundleIdentity,
    Environment,
    FileRecord,
    Geometry,
    Sidecar,
    VolumeChecks,
    voxels_digest,
)
from jsddpm_core.generation.synthesizer import Drawing, Synthesizer
from jsddpm_core.machine import available_threads

PACKAGES = ("numpy", "scipy", "torch", "monai")


def sample_stem(sample: int) -> str:
    """How the files of a sample begin."""
    return f"sample-{sample:06d}"


def resolved(request, synthesizer: Synthesizer):
    """The request with nothing left to the bundle or the machine, so that it stands for one image."""
    sampling = request.sampling(synthesizer.bundle.manifest)
    settled = {key: getattr(sampling, key) for key in ("sampler", "grid", "steps", "eta", "guidance")}
    settled["precision"] = synthesizer.precision(request)
    return request.model_copy(
        update={**settled, "threads": request.threads or available_threads(), "device": synthesizer.device.type}
    )


def arrays_of(drawing: Drawing) -> dict[str, np.ndarray]:
    """What is written, by the ending of its file: images as float32, masks as uint8."""
    masks = sum(channel.role == "mask" for channel in drawing.table)
    arrays = {}
    for channel, values in zip(drawing.table, drawing.channels, strict=True):
        if channel.kind == "continuous":
            arrays[channel.name] = values.astype(np.float32)
        else:
            low, high = channel.range or (0.0, 1.0)
            ending = "mask" if masks == 1 else f"{channel.name}_mask"
            arrays[ending] = (values > (low + high) / 2).astype(np.uint8)
    return arrays


def write_result(
    folder: Path,
    stem: str,
    drawing: Drawing,
    request: GenerateRequest | VolumeRequest,
    synthesizer: Synthesizer,
    positions_mm: tuple[float, ...],
    attempts: tuple[Delivery, ...],
    volume: VolumeChecks | None = None,
) -> Sidecar:
    """Writes `STEM_desc-synthetic_FLAIR.nii.gz`, `..._mask.nii.gz` and `STEM.json`; nothing stays if that fails.

    Raises:
        OutputError: if the disk is full or the folder cannot be written to.
    """
    bundle, written = synthesizer.bundle, []
    grid = bundle.manifest.grid
    records = {}
    try:
        for ending, array in arrays_of(drawing).items():
            to_bytes = mask_bytes if array.dtype == np.uint8 else image_bytes
            content = to_bytes(array, grid, positions_mm[0])
            name = f"{stem}_desc-synthetic_{ending}.nii.gz"
            records[ending] = FileRecord(
                name=name, sha256=hashlib.sha256(content).hexdigest(), voxels_sha256=voxels_digest(array)
            )
            written.append(folder / name)
            write_file(folder / name, content)
        sidecar = Sidecar(
            request=request,
            bundle=BundleIdentity(name=bundle.manifest.name, digest=bundle.digest),
            environment=environment_of(synthesizer.device, request.threads or available_threads()),
            geometry=_geometry(bundle, positions_mm),
            attempts=attempts,
            volume=volume,
            files=records,
        )
        written.append(folder / f"{stem}.json")
        write_file(folder / f"{stem}.json", sidecar.to_bytes())
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    return sidecar


def remove_partials(folder: Path, stems: set[str]) -> None:
    """Removes what a killed process left half-written of the named results."""
    for path in folder.glob(f".*{PARTIAL}"):
        if any(path.name.startswith(f".{stem}") for stem in stems):
            with suppress(OSError):
                path.unlink()


def environment_of(device: torch.device, threads: int) -> Environment:
    """Where this process computes."""
    versions = {"python": platform.python_version(), "jsddpm_core": __version__}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    name = f"cuda {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type
    return Environment(
        versions=versions,
        cpu=_cpu_name(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        device=name,
        threads=threads,
    )


def _geometry(bundle: Bundle, positions_mm: tuple[float, ...]) -> Geometry:
    grid = bundle.manifest.grid
    return Geometry(
        space=grid.space,
        affine=tuple(tuple(row) for row in affine_of(grid, positions_mm[0]).tolist()),
        positions_mm=positions_mm,
        intensity_range=grid.intensity.range,
    )


def _cpu_name() -> str:
    if sys.platform == "linux":
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
