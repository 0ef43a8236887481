"""The configuration of a model and of its training: frozen, strict, and complete in one file.

An unknown key is an error that suggests the nearest known one; a key that does nothing does not exist.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsddpm_core.config_losses import FocalFrequencyTerm, LossConfig
from jsddpm_core.errors import nearest
from jsddpm_core.strict import Strict

# ---------------------------------------------------------------- diffusion

MAXIMUM_CORRELATION = 0.99
"""Of neighbouring slices' noise: nearer to 1, a field is a sum over more slices than a head has."""


class ScheduleName(StrEnum):
    """How beta rises with t; see `diffusion.schedule`."""

    LINEAR = "linear"
    SCALED_LINEAR = "scaled_linear"
    COSINE = "cosine"
    EXPONENTIAL = "exponential"
    GAMMA = "gamma"


class Prediction(StrEnum):
    """What the network estimates: x0, the noise, or v = alpha epsilon - sigma x0."""

    SAMPLE = "sample"
    EPSILON = "epsilon"
    VELOCITY = "velocity"


class NoiseKind(StrEnum):
    """White noise, or simplex noise with structure at several scales."""

    GAUSSIAN = "gaussian"
    SIMPLEX = "simplex"


class ScheduleConfig(Strict):
    """A noise schedule over T discrete times; see `diffusion.schedule`."""

    name: ScheduleName = Field(ScheduleName.COSINE, description="how the noise rises with time")
    steps: int = Field(1000, ge=2, le=100_000, description="T, the number of discrete times")
    beta_start: float = Field(1e-4, gt=0, lt=1, description="noise added at the first time; not of the cosine")
    beta_end: float = Field(0.02, gt=0, lt=1, description="noise added at the last time; not of the cosine")
    cosine_s: float = Field(0.008, ge=0, description="offset of the cosine schedule, against too little noise at first")
    beta_max: float = Field(0.999, gt=0, lt=1, description="most noise that one time of the cosine schedule adds")
    gamma: float = Field(1.0, ge=0, description="exponent of (t/T) in the gamma-rebalanced schedule")
    zero_terminal_snr: bool = Field(False, description="scale the schedule so that nothing of the image is left at T")


class SelfConditioningConfig(Strict):
    """Chen et al. 2022: the network also sees its own earlier estimate of x0."""

    enabled: bool = Field(True, description="show the network its own earlier estimate")
    probability: float = Field(0.5, ge=0, le=1, description="chance that a training sample sees an estimate")
    later_share: float = Field(0.5, ge=0, le=1, description="share of these made at a larger t, as in sampling")


class DiffusionConfig(Strict):
    schedule: ScheduleConfig = ScheduleConfig()
    prediction: Prediction = Field(Prediction.SAMPLE, description="what the network estimates")
    noise: NoiseKind = Field(NoiseKind.GAUSSIAN, description="white noise, or noise with structure at several scales")
    clip: bool = Field(True, description="clip x0_hat to each channel's range")
    self_conditioning: SelfConditioningConfig = SelfConditioningConfig()
    noise_levels: Literal["tied", "independent"] = Field(
        "tied", description="whether the channels of a training sample may have noise levels of their own"
    )
    independent_share: float = Field(
        0.5, ge=0, le=1, description="share of training samples with independent levels, where allowed"
    )

    @model_validator(mode="after")
    def _terminal_snr_forbids_epsilon(self) -> DiffusionConfig:
        if self.schedule.zero_terminal_snr and self.prediction is Prediction.EPSILON:
            raise ValueError("zero terminal SNR leaves epsilon undefined at t = T: choose sample or velocity")
        return self


# ---------------------------------------------------------------- data


class Channel(Strict):
    """One channel of the diffused image: what it is called and what it holds."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    role: Literal["image", "mask"]
    kind: Literal["continuous", "binary"]
    range: tuple[float, float] | None = Field((-1.0, 1.0), description="lowest and highest value; none for latents")

    @model_validator(mode="after")
    def _range_ascends(self) -> Channel:
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range: {self.range[0]} must lie below {self.range[1]}")
        return self


class GridConfig(Strict):
    """The grid that cases are brought to: RAS, isotropic, centred on the MNI152 brain."""

    space: str = Field("MNI152", description="the space that positions are given in")
    shape: tuple[int, int, int] = Field((160, 160, 160), description="voxels along R, A and S")
    spacing_mm: float = Field(1.25, gt=0, description="edge of a voxel")
    first_slice: int = Field(34, ge=0, description="lowest axial slice in use")
    last_slice: int = Field(115, ge=0, description="highest axial slice in use")
    centre_mm: tuple[float, float, float] = Field((0.0, -18.0, 24.875), description="RAS point at the grid's centre")

    @model_validator(mode="after")
    def _slices_lie_in_the_grid(self) -> GridConfig:
        if not self.first_slice <= self.last_slice < self.shape[2]:
            raise ValueError(f"slices {self.first_slice} to {self.last_slice} must lie in 0 to {self.shape[2] - 1}")
        return self

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """RAS position of the first voxel's centre."""
        return tuple(
            centre - self.spacing_mm * (size - 1) / 2 for centre, size in zip(self.centre_mm, self.shape, strict=True)
        )

    @property
    def position_range_mm(self) -> tuple[float, float]:
        """Lowest and highest position of the slices in use."""
        origin = self.origin_mm[2]
        return origin + self.first_slice * self.spacing_mm, origin + self.last_slice * self.spacing_mm


class DataConfig(Strict):
    grid: GridConfig = GridConfig()
    percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="of the foreground's intensities, which go to the ends of the model's range"
    )
    minimum_brain_share: float = Field(0.05, ge=0, le=1, description="least share of a slice that is foreground")
    minimum_lesion_mm2: float = Field(20.0, ge=0, description="a slice counts as lesional from this area on")
    validation_share: float = Field(0.1, ge=0, lt=1, description="share of the subjects that training is watched with")
    test_share: float = Field(
        0.15, ge=0, lt=1, description="share of the subjects that are kept for the final measures"
    )

    @model_validator(mode="after")
    def _shares_and_percentiles_make_sense(self) -> DataConfig:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles: {low} and {high} must ascend within 0 to 100")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share together leave no subject to train on")
        return self


# ---------------------------------------------------------------- network


Width = Annotated[int, Field(ge=1)]


class PriorConfig(Strict):
    """The anatomical prior: an average image of the slice's position, shown to the network."""

    kind: Literal["none", "cross_attention", "concatenation"] = Field(
        "none", description="how the average image of the position reaches the network"
    )
    encoder_channels: tuple[Width, ...] = Field(
        (32, 64, 128), min_length=1, description="widths of the prior's encoder; each halves the sides"
    )
    token_dim: int = Field(256, ge=8, description="width of the tokens that the network attends to")


class ConditioningConfig(Strict):
    bins: int = Field(30, ge=1, le=10_000, description="classes that the positions are divided into")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of training samples that lose their condition")
    prior: PriorConfig = PriorConfig()


class NetworkConfig(Strict):
    """MONAI's DiffusionModelUNet behind our embedding of time, position and pathology."""

    spatial_dims: Literal[2, 3] = Field(2, description="2 for slices, 3 for volumes")
    channels: tuple[Width, ...] = Field(
        (64, 128, 256, 256), min_length=1, description="width of each level, from the image down"
    )
    attention: tuple[bool, ...] = Field(
        (False, False, True, True), description="which levels attend over the whole image"
    )
    residual_blocks: int = Field(2, ge=1, le=16, description="at each level")
    groups: int = Field(32, ge=1, description="of group normalisation; must divide every width")
    head_channels: int = Field(32, ge=1, description="width of an attention head")
    patch_size: Literal[1, 2, 4] = Field(1, description="pixel-unshuffle factor of the stem")
    bottleneck: Literal["shared", "decoupled", "independent"] = Field(
        "shared", description="what image and mask share: all, all but the deepest level, or nothing"
    )

    @model_validator(mode="after")
    def _levels_agree(self) -> NetworkConfig:
        if len(self.channels) != len(self.attention):
            raise ValueError(f"channels has {len(self.channels)} levels but attention has {len(self.attention)}")
        for width in self.channels:
            if width % self.groups:
                raise ValueError(f"channels: {width} is not a multiple of groups = {self.groups}")
        for width, attends in zip(self.channels, self.attention, strict=True):
            if attends and width % self.head_channels:
                raise ValueError(f"channels: {width} is not a multiple of head_channels = {self.head_channels}")
        return self


# ---------------------------------------------------------------- training and sampling


class TrainingConfig(Strict):
    seed: int = Field(0, ge=0, description="of fresh weights, of what is drawn for each step, and of the split")
    batch_size: int = Field(16, ge=1, description="slices that a step learns from, over all devices together")
    epochs: int | None = Field(None, ge=1, description="length of the run; an epoch draws as many slices as there are")
    max_steps: int | None = Field(None, ge=1, description="length of the run in steps, in place of epochs")
    learning_rate: float = Field(1e-4, gt=0, description="size of a step after the warm-up")
    minimum_learning_rate: float = Field(1e-6, ge=0, description="what the learning rate falls to along a cosine")
    warmup_steps: int = Field(0, ge=0, description="steps in which the learning rate rises from 0")
    weight_decay: float = Field(
        0.01, ge=0, description="pull of every weight towards 0, as a share of the learning rate"
    )
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of a step's gradient")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the network's arithmetic; fp16 needs a GPU"
    )
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="of the averaged weights, which the bundle gets: 0.999 averages some 1000 steps"
    )
    lesion_share: float = Field(0.5, ge=0, le=1, description="share of each batch drawn from lesional slices")
    flip: bool = Field(True, description="mirror left and right at random")
    validation_every: int = Field(5, ge=1, description="epochs; an epoch draws as many slices as there are")
    validation_samples: int = Field(16, ge=1, description="images drawn in validation and for the sample grids")
    validation_steps: int = Field(8, ge=1, description="steps of the real sampler in validation")
    patience: int | None = Field(None, ge=1, description="validations without progress before stopping")
    checkpoint_every: int = Field(1, ge=1, description="epochs; one is written every few minutes besides")
    trainable: Literal["all", "last-levels", "low-rank"] = Field(
        "all", description="which weights learn; the others stay as the start model has them"
    )
    replay_share: float = Field(
        0.0, ge=0, lt=1, description="share of each batch from slices that the start model made of its own pathologies"
    )

    @model_validator(mode="after")
    def _length_and_rates_agree(self) -> TrainingConfig:
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError("give either epochs or max_steps, and not both")
        if self.minimum_learning_rate > self.learning_rate:
            raise ValueError(
                f"minimum_learning_rate {self.minimum_learning_rate} is above learning_rate {self.learning_rate}"
            )
        return self


class SamplerName(StrEnum):
    """The samplers of `diffusion.samplers`."""

    DDPM = "ddpm"
    DDIM = "ddim"
    DPM_SOLVER_PP_2M = "dpm-solver++2m"
    DDIM_EARLY = "ddim-early-stopping"


class GridName(StrEnum):
    """How the times of a run are spaced; see `Schedule.times`."""

    UNIFORM = "uniform"
    QUADRATIC = "quadratic"
    LOG_SNR = "log_snr"


class SamplingConfig(Strict):
    sampler: SamplerName = Field(
        SamplerName.DPM_SOLVER_PP_2M, description="how images are drawn unless one asks otherwise"
    )
    grid: GridName = Field(GridName.LOG_SNR, description="how the noise levels of a draw are spaced")
    steps: int = Field(20, ge=1, le=100_000, description="evaluations of the network for a slice")
    eta: float = Field(0.0, ge=0, le=1, description="share of fresh noise in DDIM: 0 is deterministic")
    guidance: float = Field(1.0, ge=0, le=100, description="weight of the condition; 1 is no guidance")
    early_stopping_tolerance: float = Field(1e-3, gt=0, description="of the early-stopping sampler, on x0_hat")


Byte = Annotated[int, Field(ge=0, le=255)]


class Pathology(Strict):
    """A named class of slices, as bundle and interface show it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    label: str = Field(min_length=1)
    lesional: bool = True
    code: str | None = Field(None, description="coded category, scheme:value")
    colour: tuple[Byte, Byte, Byte] = (230, 75, 53)


class Config(Strict):
    """Everything that decides what a training run does."""

    channels: tuple[Channel, ...] = (
        Channel(name="FLAIR", role="image", kind="continuous"),
        Channel(name="lesion", role="mask", kind="binary"),
    )
    pathologies: tuple[Pathology, ...] = Field(min_length=1)
    diffusion: DiffusionConfig = DiffusionConfig()
    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    conditioning: ConditioningConfig = ConditioningConfig()
    losses: LossConfig
    training: TrainingConfig
    sampling: SamplingConfig = SamplingConfig()

    @model_validator(mode="after")
    def _parts_agree(self) -> Config:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError(f"two channels share a name: {', '.join(names)}")
        for term in self.losses.terms:
            for channel in term.channels:
                if channel not in names:
                    raise ValueError(f"loss term '{term.name}' names channel '{channel}': {nearest(channel, names)}")
        pathologies = [pathology.name for pathology in self.pathologies]
        if len(set(pathologies)) != len(pathologies):
            raise ValueError(f"two pathologies share a name: {', '.join(pathologies)}")
        return self

    @model_validator(mode="after")
    def _sides_divide(self) -> Config:
        sides = self.data.grid.shape[: self.network.spatial_dims]
        factor = self.network.patch_size * 2 ** (len(self.network.channels) - 1)
        if any(side % factor for side in sides):
            raise ValueError(f"data.grid.shape {sides} is not a multiple of {factor}, which the network's levels need")
        for term in self.losses.terms:
            if isinstance(term, FocalFrequencyTerm) and any(side % term.patch_factor for side in sides):
                raise ValueError(f"loss term '{term.name}': patch_factor {term.patch_factor} does not divide {sides}")
        return self
