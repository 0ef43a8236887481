"""The JSON sidecar of a generated image: all that is needed to make it again, and what was checked on it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from jsddpm_core.errors import ReproductionError
from jsddpm_core.generation.delivery import Delivery
from jsddpm_core.generation.request import Request
from jsddpm_core.strict import Strict

SIDECAR_VERSION: Final = 1
NOTICE = "Synthetic: made by a generative model, not the image of a patient, not for clinical use."


class BundleIdentity(Strict):
    """Which model it was."""

    name: str
    digest: str


class Environment(Strict):
    """Everything outside request and bundle that voxels may depend on.

    Attributes:
        versions: of Python and the packages whose arithmetic is involved.
        cpu: the processor's name.
        instructions: the vector instructions that torch uses on it.
        device: `cpu`, or the kind and name of the GPU.
        threads: that a forward pass used on the CPU.
    """

    versions: dict[str, str]
    cpu: str
    instructions: str
    device: str
    threads: int

    def differences(self, other: Environment) -> list[str]:
        """What differs between two environments, one phrase each."""
        mine, theirs = self.model_dump(), other.model_dump()
        found = [f"{key} {mine[key]} / {theirs[key]}" for key in mine if key != "versions" and mine[key] != theirs[key]]
        for package in sorted(mine["versions"].keys() | theirs["versions"].keys()):
            one, two = mine["versions"].get(package), theirs["versions"].get(package)
            if one != two:
                found.append(f"{package} {one} / {two}")
        return found


class FileRecord(Strict):
    """One image file.

    Attributes:
        name: beside the sidecar.
        sha256: of the file.
        voxels_sha256: of the voxels alone, little-endian, in C order.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str
    voxels_sha256: str


class Geometry(Strict):
    """Where the image lies.

    Attributes:
        space: of the coordinates.
        affine: from voxel indices to RAS millimetres.
        positions_mm: z of each slice.
        intensity_range: lowest and highest value of the image; the background is at the lowest.
    """

    space: str
    affine: tuple[tuple[float, float, float, float], ...]
    positions_mm: tuple[float, ...]
    intensity_range: tuple[float, float]


class VolumeChecks(Strict):
    """How a volume hangs together.

    Attributes:
        slice_lesion_mm2: area of the mask in each slice.
        inter_slice_correlation: mean Pearson correlation of neighbouring slices inside the head; None for one slice.
        real_inter_slice_correlation: the same of the model's training volumes, where it had any.
    """

    slice_lesion_mm2: tuple[float, ...]
    inter_slice_correlation: float | None
    real_inter_slice_correlation: float | None


class Saved(Strict):
    """How files that a user saved elsewhere differ from the ones that were made.

    Attributes:
        model_to_patient: 4 x 4, from the model's space to that of the saved files, RAS millimetres; None where equal.
        reference: SHA-256 of the name of the patient's volume in whose frame they lie; the name itself is nobody's
            business.
        mask_edited: whether the mask was changed by hand.
    """

    model_to_patient: tuple[tuple[float, float, float, float], ...] | None = None
    reference: str | None = None
    mask_edited: bool = False


class Sidecar(Strict):
    """Of one sample or volume."""

    version: Literal[1] = SIDECAR_VERSION
    synthetic: Literal[True] = True
    notice: str = NOTICE
    request: Request
    bundle: BundleIdentity
    environment: Environment
    geometry: Geometry
    attempts: tuple[Delivery, ...] = Field(min_length=1, description="each draw's checks; the last was kept")
    volume: VolumeChecks | None = None
    files: dict[str, FileRecord]
    saved: Saved | None = None

    @property
    def delivery(self) -> Delivery:
        """The checks of the draw that was kept."""
        return self.attempts[-1]

    def to_bytes(self) -> bytes:
        """The file's content; equal sidecars give equal bytes."""
        apart = {"saved"} if self.saved is None else set()
        return (json.dumps(self.model_dump(mode="json", exclude=apart), indent=1, ensure_ascii=False) + "\n").encode()

    def matches(self, other_request: Request, digest: str) -> bool:
        """Whether this is what a resolved request would give from that bundle, wherever it lies."""
        apart = {"model"}
        return self.bundle.digest == digest and self.request.model_dump(exclude=apart) == other_request.model_dump(
            exclude=apart
        )

    def is_complete(self, folder: Path) -> bool:
        """Whether all image files are there as they were written."""
        for record in self.files.values():
            path = folder / record.name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != record.sha256:
                return False
        return True


def voxels_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's values, little-endian, in C order."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return hashlib.sha256(little.tobytes()).hexdigest()


def read_sidecar(path: str | Path) -> Sidecar:
    """Reads a sidecar.

    Raises:
        ReproductionError: if it is missing, damaged or not one of ours.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReproductionError(
            f"the sidecar {path} could not be read ({error.strerror})", "give the JSON file beside a generated image"
        ) from error
    try:
        return Sidecar.model_validate_json(content)
    except ValidationError as error:
        problem: Any = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        said = problem["msg"].removeprefix("Value error, ")
        raise ReproductionError(
            f"{path} is not a sidecar that can be used, {where}: {said[:1].lower()}{said[1:]}",
            "give the JSON file beside a generated image",
        ) from error
