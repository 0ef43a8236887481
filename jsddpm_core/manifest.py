"""What stands in a bundle's `bundle.json`: strict, frozen, and free of anything that could be executed.

It holds no subject identifier, path or picture: the training record has aggregates and a salted digest only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from jsddpm_core.config import (
    Channel,
    ConditioningConfig,
    Config,
    DataConfig,
    DiffusionConfig,
    GridConfig,
    LossConfig,
    NetworkConfig,
    Pathology,
    SamplingConfig,
    TrainingConfig,
)
from jsddpm_core.strict import Strict

SCHEMA_VERSION: Final = 1
DENOISER: Final = "denoiser"
PRIORS: Final = "priors"

Digest: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Salt: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]


class IntensityMapping(Strict):
    """How scanner intensities became the model's: percentiles of the foreground go to the ends of the range.

    Generated images are written in the model's range as they are; the background is at its lower end.
    """

    range: tuple[float, float] = (-1.0, 1.0)
    background: float = -1.0
    percentiles: tuple[float, float] = (0.5, 99.5)
    percentiles_of: Literal["foreground"] = "foreground"


class ImageGrid(Strict):
    """The voxel grid of generated images, axis-aligned in RAS millimetres.

    Attributes:
        space: the space that positions are given in.
        shape: voxels along R, A, S.
        spacing_mm: edge of a voxel, the same along all axes.
        origin_mm: RAS position of the first voxel's centre.
        first_slice: lowest slice index that the model was trained on.
        last_slice: highest such index.
        intensity: the mapping of intensities.
    """

    space: str = Field(min_length=1)
    shape: tuple[int, int, int]
    spacing_mm: float = Field(gt=0)
    origin_mm: tuple[float, float, float]
    first_slice: int = Field(ge=0)
    last_slice: int = Field(ge=0)
    intensity: IntensityMapping = IntensityMapping()

    @model_validator(mode="after")
    def _shape_is_positive(self) -> ImageGrid:
        if min(self.shape) < 1 or not self.first_slice <= self.last_slice < self.shape[2]:
            raise ValueError(f"slices {self.first_slice} to {self.last_slice} do not lie in a grid of {self.shape}")
        return self

    @classmethod
    def of(cls, grid: GridConfig, percentiles: tuple[float, float]) -> ImageGrid:
        """The grid and intensities that a configuration describes."""
        return cls(
            space=grid.space,
            shape=grid.shape,
            spacing_mm=grid.spacing_mm,
            origin_mm=grid.origin_mm,
            first_slice=grid.first_slice,
            last_slice=grid.last_slice,
            intensity=IntensityMapping(percentiles=percentiles),
        )

    def position_mm(self, slice_index: int) -> float:
        """RAS z of a slice's centre."""
        return self.origin_mm[2] + slice_index * self.spacing_mm


class BundlePathology(Pathology):
    """A class of slices, with the positions at which the model was shown it."""

    position_range_mm: tuple[float, float]

    @model_validator(mode="after")
    def _range_rises(self) -> BundlePathology:
        if self.position_range_mm[0] > self.position_range_mm[1]:
            raise ValueError(f"position_range_mm of {self.name} falls: {self.position_range_mm}")
        return self


class TensorSpec(Strict):
    """Shape and stored type of one tensor."""

    shape: tuple[int, ...]
    dtype: Literal["F16", "F32"] = "F16"


class Component(Strict):
    """One set of weights and the network that they belong to.

    Attributes:
        file: a safetensors file directly in the bundle's folder.
        sha256: of that file.
        network: of a denoiser.
        tensors: every tensor that the file must hold, and no other.
    """

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\.safetensors$")
    sha256: Digest
    network: NetworkConfig | None = None
    tensors: dict[str, TensorSpec] = Field(min_length=1)


class Source(Strict):
    """Data that a model was trained on."""

    name: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    attribution: str = Field(min_length=1)


class Licence(Strict):
    """Under which terms the weights may be used, and what they were made from."""

    weights: str = Field(min_length=1, description="SPDX identifier, or a sentence")
    sources: tuple[Source, ...] = ()


class StartModel(Strict):
    """The bundle that a training run began with.

    Attributes:
        name: of the bundle.
        digest: its identity, see `Manifest.digest`.
        steps: optimiser steps behind its weights.
    """

    name: str = Field(min_length=1)
    digest: Digest
    steps: int = Field(ge=0)


class SubjectDigests(Strict):
    """The people of a training run, by salted digests: whoever has a scan can find it here, and nobody else anything.

    A person has several: of the name, and of slices, so that another name does not hide anybody; see `subjects`.

    Attributes:
        salt: of all of them.
        train: of the people that the model learned from.
        validation: of those that the run was watched with.
        test: of those that it never saw.
    """

    salt: Salt
    train: tuple[Digest, ...] = ()
    validation: tuple[Digest, ...] = ()
    test: tuple[Digest, ...] = ()


class ReplayRecord(Strict):
    """What the start model made of its own pathologies for the run, against forgetting.

    Attributes:
        model: name of the bundle that made them.
        digest: its identity.
        slices: how many of each pathology were learned from.
        dropped: draws that were not as asked and were left out.
    """

    model: str = Field(min_length=1)
    digest: Digest
    slices: dict[str, int]
    dropped: int = Field(0, ge=0)


class TrainingRecord(Strict):
    """How the model came about, in settings and aggregates.

    Numbers of slices and people are of real scans. Slices with a painted lesion are real scans too, and are told apart
    under `simulated`; slices that a model made stand under `replay` only.

    Attributes:
        losses: the loss terms.
        training: the optimiser's settings.
        data: the preprocessing settings.
        steps: optimiser steps of the run behind these weights.
        start: the bundle whose weights that run began with; None for fresh ones.
        slices: number of slices by split and class (`unknown` where the class is).
        subjects: number of people by split.
        cases: number of examinations by split.
        simulated: number of slices by split whose lesion was painted in by a program.
        replay: slices that the start model made; None without any.
        trained_parameters: how many weights learned; None where that was not noted.
        subject_digests: who was in which split; None where that was not noted.
        earlier_subjects: the same of the models that the run goes back to, the nearest first.
        data_digest: SHA-256 of salt and slice-cache digest: whoever has the data can check that it was them.
        salt: of that digest.
        inter_slice_correlation: mean Pearson correlation of neighbouring real training slices, where there are any.
        versions: of the packages that trained it.
    """

    losses: LossConfig
    training: TrainingConfig
    data: DataConfig
    steps: int = Field(ge=0)
    start: StartModel | None = None
    slices: dict[str, dict[str, int]] = Field(default_factory=dict)
    subjects: dict[str, int] = Field(default_factory=dict)
    cases: dict[str, int] = Field(default_factory=dict)
    simulated: dict[str, int] = Field(default_factory=dict)
    replay: ReplayRecord | None = None
    trained_parameters: int | None = Field(None, ge=1)
    subject_digests: SubjectDigests | None = None
    earlier_subjects: tuple[SubjectDigests, ...] = ()
    data_digest: Digest | None = None
    salt: Salt | None = None
    inter_slice_correlation: float | None = Field(None, ge=-1, le=1)
    versions: dict[str, str] = Field(default_factory=dict)


class BundleFacts(Strict):
    """All that a manifest says apart from its files."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str = Field(min_length=1)
    system: Literal["joint-slices"] = "joint-slices"
    diffusion: DiffusionConfig
    conditioning: ConditioningConfig
    channels: tuple[Channel, ...] = Field(min_length=1)
    grid: ImageGrid
    pathologies: tuple[BundlePathology, ...] = Field(min_length=1)
    sampling: SamplingConfig = SamplingConfig()
    training: TrainingRecord
    licence: Licence

    @model_validator(mode="after")
    def _parts_agree(self) -> BundleFacts:
        expected = ImageGrid.of(self.training.data.grid, self.training.data.percentiles)
        if expected != self.grid:
            raise ValueError("grid differs from the grid of the training record")
        names = [pathology.name for pathology in self.pathologies]
        if len(set(names)) != len(names):
            raise ValueError(f"two pathologies share a name: {', '.join(names)}")
        if {channel.role for channel in self.channels} != {"image", "mask"}:
            raise ValueError("channels must hold an image and a mask")
        return self


class Manifest(BundleFacts):
    """The whole content of `bundle.json`."""

    components: dict[Literal["denoiser", "priors"], Component]

    @model_validator(mode="after")
    def _components_are_there(self) -> Manifest:
        denoiser = self.components.get(DENOISER)
        if denoiser is None or denoiser.network is None:
            raise ValueError("components lacks a denoiser with its network")
        if (self.conditioning.prior.kind != "none") != (PRIORS in self.components):
            raise ValueError("components.priors must be there exactly where conditioning.prior asks for it")
        files = [component.file for component in self.components.values()]
        if len(set(files)) != len(files):
            raise ValueError(f"two components share a file: {', '.join(files)}")
        return self

    @property
    def network(self) -> NetworkConfig:
        """Of the denoiser."""
        network = self.components[DENOISER].network
        assert network is not None
        return network

    @property
    def minimum_lesion_mm2(self) -> float:
        """The area from which a slice counts as lesional."""
        return self.training.data.minimum_lesion_mm2

    def config(self) -> Config:
        """The configuration that the model was trained with, sampling defaults included."""
        return Config(
            channels=self.channels,
            pathologies=tuple(
                Pathology(**pathology.model_dump(exclude={"position_range_mm"})) for pathology in self.pathologies
            ),
            diffusion=self.diffusion,
            data=self.training.data,
            network=self.network,
            conditioning=self.conditioning,
            losses=self.training.losses,
            training=self.training.training,
            sampling=self.sampling,
        )


def content_digest(tree: dict[str, Any]) -> str:
    """SHA-256 of what stands in a `bundle.json`, which holds the digests of all files: the identity of the bundle.

    It is of the file's content and not of the `Manifest` read from it, so that a bundle keeps its identity when later
    versions of this program know of more keys.
    """
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
