"""Requests: what is to be generated, as a versioned union by task; light enough for an interface to import."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from jsddpm_core.config import MAXIMUM_CORRELATION, GridName, SamplerName, SamplingConfig
from jsddpm_core.errors import RequestError, nearest
from jsddpm_core.manifest import BundlePathology, Manifest
from jsddpm_core.strict import Strict

REQUEST_VERSION: Final = 1
POSITION_TOLERANCE_MM = 0.01
"""Positions are typed by hand with two decimals; a range's end must be reachable."""

LARGEST_INDEX = 999_999
"""File names hold six digits."""


class RequestBase(Strict):
    """What every request for images says.

    What is None is taken from the bundle. Where two requests agree in all but `device`, they ask for the same images.

    Attributes:
        model: folder of a bundle, or the name of a shipped one.
        pathology: one of the bundle's.
        seed: of the noise.
        attempts: draws at most, until the result holds a lesion where one was asked for and none where none was.
        precision: of the network's arithmetic; `auto` takes bf16 where the device computes in it, fp32 elsewhere.
        threads: processor threads of a forward pass; None for as many as the process may use. Part of the result:
            sums in another order round otherwise.
        batch: samples in a forward pass away from the CPU, where it is always one.
        deterministic: whether every forward pass away from the CPU has the same shape and fixed algorithms.
    """

    version: Literal[1] = REQUEST_VERSION
    model: str = Field(min_length=1)
    pathology: str = Field(min_length=1)
    seed: int = Field(0, ge=0)
    sampler: SamplerName | None = None
    grid: GridName | None = None
    steps: int | None = Field(None, ge=1, le=1000)
    eta: float | None = Field(None, ge=0, le=1)
    guidance: float | None = Field(None, ge=0, le=100)
    attempts: int = Field(3, ge=1, le=100)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: int | None = Field(None, ge=1, le=1024)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    batch: int = Field(8, ge=1)
    deterministic: bool = False

    def sampling(self, manifest: Manifest) -> SamplingConfig:
        """The bundle's sampling defaults with this request's wishes over them."""
        wishes = self.model_dump(include={"sampler", "grid", "steps", "eta", "guidance"}, exclude_none=True)
        return SamplingConfig(**{**manifest.sampling.model_dump(), **wishes})

    def chosen(self, manifest: Manifest) -> BundlePathology:
        """The pathology's entry in the bundle.

        Raises:
            RequestError: if the bundle does not know it; the known ones are listed.
        """
        known = {pathology.name: pathology for pathology in manifest.pathologies}
        if self.pathology not in known:
            raise RequestError(
                f"model '{manifest.name}' does not know the pathology '{self.pathology}'",
                f"choose one of {', '.join(known)}",
            )
        return known[self.pathology]

    def check(self, manifest: Manifest) -> None:
        """Holds the request against a bundle.

        Raises:
            RequestError: if the bundle cannot serve it.
        """
        self.chosen(manifest)
        guidance = self.sampling(manifest).guidance
        if guidance != 1 and manifest.conditioning.dropout == 0:
            raise RequestError(
                f"model '{manifest.name}' was trained without condition dropout and cannot be guided ({guidance:g})",
                "leave guidance at 1",
            )


class Shard(Strict):
    """One of several processes that share a run: it makes every `count`-th sample."""

    index: int = Field(ge=0)
    count: int = Field(ge=1)

    @model_validator(mode="after")
    def _index_is_one_of_count(self) -> Self:
        if self.index >= self.count:
            raise ValueError(f"shard {self.index}/{self.count} does not exist: they run from 0 to {self.count - 1}")
        return self

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads `I/N`, I from 0.

        Raises:
            RequestError: if it is anything else.
        """
        try:
            index, count = (int(part) for part in text.split("/"))
            return cls(index=index, count=count)
        except ValueError as error:
            raise RequestError(
                f"shard '{text}' cannot be used", "write I/N with I from 0 to N - 1, such as 0/4"
            ) from error


class GenerateRequest(RequestBase):
    """Single slices at one position.

    Attributes:
        position_mm: z of the slice's centre, in the bundle's space.
        first: index of the first sample; a sample's noise depends on its index, not on `first` or `count`.
        count: number of samples.
        shard: which part of them this process makes; None for all.
    """

    task: Literal["generate"] = "generate"
    position_mm: float
    first: int = Field(0, ge=0, le=LARGEST_INDEX)
    count: int = Field(1, ge=1, le=LARGEST_INDEX + 1)
    shard: Shard | None = None

    @model_validator(mode="after")
    def _indices_have_six_digits(self) -> Self:
        if self.first + self.count - 1 > LARGEST_INDEX:
            raise ValueError(f"samples up to {self.first + self.count - 1} are more than file names can number")
        return self

    def check(self, manifest: Manifest) -> None:
        super().check(manifest)
        check_position(self.position_mm, self.chosen(manifest), manifest)

    def samples(self) -> list[int]:
        """The indices of the samples that this request's shard makes."""
        indices = range(self.first, self.first + self.count)
        return [index for index in indices if self.shard is None or index % self.shard.count == self.shard.index]

    def of_sample(self, sample: int) -> GenerateRequest:
        """The request for one sample alone: it gives the same image as the run."""
        return self.model_copy(update={"first": sample, "count": 1, "shard": None})


class VolumeRequest(RequestBase):
    """Every slice of a range, as one volume.

    Attributes:
        from_mm: lowest position; None for the lowest of the pathology.
        to_mm: highest position; None for the highest of the pathology.
        correlation: of the noise of neighbouring slices, 0 (each slice by itself) to 0.99.
    """

    task: Literal["volume"] = "volume"
    from_mm: float | None = None
    to_mm: float | None = None
    correlation: float = Field(0.95, ge=0, le=MAXIMUM_CORRELATION)

    def check(self, manifest: Manifest) -> None:
        super().check(manifest)
        self.slices(manifest)

    def slices(self, manifest: Manifest) -> range:
        """The slice indices of the grid whose centres lie in the range.

        Raises:
            RequestError: if the range leaves the bundle's or holds no slice.
        """
        pathology = self.chosen(manifest)
        low, high = pathology.position_range_mm
        low = low if self.from_mm is None else self.from_mm
        high = high if self.to_mm is None else self.to_mm
        for position in (low, high):
            check_position(position, pathology, manifest)
        if low > high:
            raise RequestError(f"the range from {low:g} to {high:g} mm runs downwards", "give the lower position first")
        grid = manifest.grid
        places = ((position - grid.origin_mm[2]) / grid.spacing_mm for position in (low, high))
        lowest, highest = places
        slack = POSITION_TOLERANCE_MM / grid.spacing_mm
        first = max(math.ceil(lowest - slack), 0)
        last = min(math.floor(highest + slack), grid.shape[2] - 1)
        if first > last:
            raise RequestError(
                f"no slice of the model's grid lies between {low:g} and {high:g} mm",
                f"widen the range: slices are {grid.spacing_mm:g} mm apart",
            )
        return range(first, last + 1)


Request = Annotated[GenerateRequest | VolumeRequest, Field(discriminator="task")]

_ADAPTER: TypeAdapter[GenerateRequest | VolumeRequest] = TypeAdapter(Request)


def check_position(position_mm: float, pathology: BundlePathology, manifest: Manifest) -> None:
    """Holds a position against the range that the model learned the pathology at.

    Raises:
        RequestError: outside it; the range is given.
    """
    low, high = pathology.position_range_mm
    if not low - POSITION_TOLERANCE_MM <= position_mm <= high + POSITION_TOLERANCE_MM:
        raise RequestError(
            f"position {position_mm:g} mm is outside what model '{manifest.name}' learned for '{pathology.name}'",
            f"choose a position from {low:g} to {high:g} mm",
        )


def parse_request(tree: dict[str, Any] | str | bytes) -> GenerateRequest | VolumeRequest:
    """Validates a request given as plain values or as JSON.

    Raises:
        RequestError: for an unknown task or key, or an unusable value.
    """
    try:
        return _ADAPTER.validate_python(tree) if isinstance(tree, dict) else _ADAPTER.validate_json(tree)
    except ValidationError as error:
        raise explain(error) from error


def missing(key: str) -> str:
    """How it is said that a request lacks a key."""
    return f"the request lacks '{key}'"


def explain(error: ValidationError, also_known: Iterable[str] = ()) -> RequestError:
    """One sentence for the first thing that is wrong with a request.

    Args:
        error: of its validation.
        also_known: keys around the request proper, to choose from where one was mistyped.
    """
    # A mistyped key often explains why another is missing, so it goes first.
    problem: Any = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    loc = [str(part) for part in problem["loc"] if part not in ("generate", "volume")]
    where = ".".join(loc)
    if problem["type"] == "extra_forbidden":
        known = {*GenerateRequest.model_fields, *VolumeRequest.model_fields, *also_known}
        return RequestError(f"unknown key '{where}' in the request", nearest(loc[-1], known))
    if problem["type"] == "missing":
        return RequestError(missing(where), "add it")
    given = problem.get("input")
    shown = f"{where} = {given!r}" if isinstance(given, str | int | float | bool) else where or "the request"
    said = problem["msg"].removeprefix("Value error, ")
    return RequestError(f"{shown} cannot be used, {said[:1].lower()}{said[1:]}", "correct the value")
