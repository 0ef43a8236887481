"""A bundle kept warm: draws slices for any positions, pathologies and noise keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from jsddpm_core.bundle import Bundle
from jsddpm_core.config import Channel, SamplingConfig
from jsddpm_core.diffusion.denoiser import Condition, Denoiser
from jsddpm_core.diffusion.guidance import guided
from jsddpm_core.diffusion.noise import NoiseKey, NoiseStream
from jsddpm_core.diffusion.samplers import StepReport, sampler_of
from jsddpm_core.diffusion.schedule import Schedule
from jsddpm_core.errors import RequestError
from jsddpm_core.generation.request import RequestBase
from jsddpm_core.networks.conditioning import position_bin
from jsddpm_core.networks.from_bundle import load_denoiser_network, load_priors

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Drawing:
    """What was drawn for one sample.

    Attributes:
        channels: every channel clipped to its range, float32 `(C, *S)`.
        table: what the channels are.
    """

    channels: np.ndarray
    table: tuple[Channel, ...]

    @property
    def image(self) -> np.ndarray:
        """The first image channel, `(*S)`."""
        return self.channels[self._first("image")]

    @property
    def mask(self) -> np.ndarray:
        """The first mask channel, bool `(*S)`: what lies above the middle of its range."""
        index = self._first("mask")
        low, high = self.table[index].range or (0.0, 1.0)
        return self.channels[index] > (low + high) / 2

    def _first(self, role: str) -> int:
        return next(index for index, channel in enumerate(self.table) if channel.role == role)


class Synthesizer:
    """A bundle's network on its device, with its schedule and priors.

    Args:
        bundle: what to draw from.
        device: `auto` takes a GPU where there is one.

    Raises:
        RequestError: if the device is not there.
        BundleError: if the weights are damaged.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle = bundle
        self.device = resolve_device(device)
        self.schedule = Schedule(bundle.manifest.diffusion.schedule)
        self.network = load_denoiser_network(bundle, self.device)
        self.priors = load_priors(bundle)

    def batch_size(self, request: RequestBase) -> int:
        """Samples in one forward pass: on the CPU one, so that a sample's sums never depend on its neighbours."""
        return 1 if self.device.type == "cpu" else request.batch

    def precision(self, request: RequestBase) -> str:
        """The request's precision, with `auto` settled for this device."""
        if request.precision != "auto":
            return request.precision
        return "bf16" if computes_in_bf16(self.device) else "fp32"

    def draw(
        self,
        request: RequestBase,
        positions_mm: Sequence[float],
        keys: Sequence[NoiseKey],
        through_plane: np.ndarray | None = None,
        on_step: Callable[[StepReport], None] | None = None,
    ) -> list[Drawing]:
        """Draws one slice for each key, all in one forward pass a step.

        Args:
            request: pathology and sampling settings.
            positions_mm: one for each key.
            keys: whose noise it is.
            through_plane: weights of the noise over neighbouring slices.
            on_step: told after each step.
        """
        manifest = self.bundle.manifest
        sampling = request.sampling(manifest)
        asked = len(keys)
        if request.deterministic and self.device.type != "cpu":
            missing = request.batch - asked
            keys, positions_mm = [*keys, *[keys[-1]] * missing], [*positions_mm, *[positions_mm[-1]] * missing]
        shape = (len(manifest.channels), *manifest.grid.shape[: manifest.network.spatial_dims])
        noise = NoiseStream(manifest.diffusion.noise, keys, shape, self.device, through_plane=through_plane)
        grid = self.schedule.grid(self.schedule.times(sampling.grid, sampling.steps))
        denoiser = Denoiser(
            self.network,
            self.schedule,
            manifest.diffusion,
            manifest.channels,
            autocast=_AUTOCAST[self.precision(request)],
        )
        denoise = self._guided(denoiser, sampling, self._condition(request, positions_mm))
        with _deterministic(request.deterministic and self.device.type != "cpu"):
            x0 = sampler_of(sampling)(denoise, noise.initial(), grid, noise, None, on_step)
        drawn = x0[:asked].float().cpu().numpy()
        return [Drawing(in_range(channels, manifest.channels), manifest.channels) for channels in drawn]

    @staticmethod
    def _guided(denoiser: Denoiser, sampling: SamplingConfig, condition: Condition):
        unconditional = denoiser.bind(condition.without_pathology())
        return guided(denoiser.bind(condition), unconditional, sampling.guidance, denoiser.clip)

    def _condition(self, request: RequestBase, positions_mm: Sequence[float]) -> Condition:
        manifest = self.bundle.manifest
        names = [pathology.name for pathology in manifest.pathologies]
        position = torch.tensor(positions_mm, dtype=torch.float32)
        prior = None
        if self.priors is not None:
            low, high = manifest.training.data.grid.position_range_mm
            bins = position_bin(position, low, high, manifest.conditioning.bins)
            prior = self.priors[bins][:, None].to(self.device)
        pathology = torch.full((len(positions_mm),), names.index(request.pathology))
        return Condition(position.to(self.device), pathology.to(self.device), prior)


def in_range(channels: np.ndarray, table: Sequence[Channel]) -> np.ndarray:
    """Each channel of `(C, *S)` clipped to its range, whether or not the model clips on its way."""
    bounds = [channel.range or (-np.inf, np.inf) for channel in table]
    low, high = (np.array([pair[side] for pair in bounds], np.float32) for side in (0, 1))
    axes = (-1, *[1] * (channels.ndim - 1))
    return np.clip(channels, low.reshape(axes), high.reshape(axes))


def resolve_device(name: str) -> torch.device:
    """The device that a name asks for.

    Raises:
        RequestError: if it is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, available in there.items() if available))
    if not there.get(name, False):
        known = ", ".join(kind for kind, available in there.items() if available)
        raise RequestError(f"device '{name}' is not there on this machine", f"choose auto or one of {known}")
    return torch.device(name)


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 arithmetic of its own; elsewhere it would be emulated, and slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # PyTorch has no public word for this; where it drops the private one, fp32 is the safe answer.
        return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return False


@contextmanager
def thread_count(threads: int) -> Iterator[None]:
    """torch with this number of threads for the length of a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    # cuBLAS needs a fixed workspace for sums of a fixed order, before its first use in the process.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark
