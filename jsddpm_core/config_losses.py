"""The loss section of a configuration: named, weighted terms, and how their groups are weighed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsddpm_core.strict import Strict


class TermBase(Strict):
    """What every loss term has: a name, its channels, its target and where it is weighted in."""

    name: str = Field(min_length=1, description="of the term, in logs and curves")
    channels: tuple[str, ...] = Field(min_length=1, description="that the term looks at")
    target: Literal["x0_hat", "prediction"] = Field(
        "prediction", description="whether the estimated image or the network's own output is compared"
    )
    weight: float = Field(1.0, gt=0, description="of the term within its group")
    group: str = Field("spatial", min_length=1, description="terms that Kendall weighting treats as one")


class LpTerm(TermBase):
    """Lesion-weighted Lp; p = 1 is L1 and p = 2 is L2."""

    kind: Literal["lp"] = Field("lp", description="of the term")
    p: float = Field(1.5, gt=0, description="exponent of the error: 1 is L1, 2 is L2")
    lesion_weight: float = Field(
        1.0, ge=1, description="of an error inside a lesion; above 1, lesions are drawn too large"
    )


class HuberTerm(TermBase):
    kind: Literal["huber"] = Field("huber", description="of the term")
    delta: float = Field(0.1, gt=0, description="error from which the loss rises linearly")
    lesion_weight: float = Field(
        1.0, ge=1, description="of an error inside a lesion; above 1, lesions are drawn too large"
    )


class FocalFrequencyTerm(TermBase):
    """Jiang et al. 2021, eqs. 8-10."""

    kind: Literal["focal_frequency"] = Field("focal_frequency", description="of the term")
    target: Literal["x0_hat"] = Field("x0_hat", description="the estimated image is compared")
    alpha: float = Field(1.0, ge=0, description="how much more the frequencies count that are hard to get right")
    patch_factor: int = Field(1, ge=1, description="patches along a side whose spectra are compared one by one")
    log_matrix: bool = Field(False, description="weigh frequencies by the logarithm of their error")
    group: str = Field("frequency", description="terms that Kendall weighting treats as one")


class FrequencyBandTerm(TermBase):
    """Low and high spatial frequencies, split by a radial cut-off and weighted apart."""

    kind: Literal["frequency_bands"] = Field("frequency_bands", description="of the term")
    cutoff: float = Field(0.25, gt=0, lt=1, description="radius of the split, as a share of Nyquist")
    low_weight: float = Field(1.0, ge=0, description="of what lies below the split")
    high_weight: float = Field(1.0, ge=0, description="of what lies above the split")
    group: str = Field("frequency", description="terms that Kendall weighting treats as one")


Term = Annotated[LpTerm | HuberTerm | FocalFrequencyTerm | FrequencyBandTerm, Field(discriminator="kind")]


class KendallConfig(Strict):
    """Kendall et al. 2018, eq. 10: one log variance a group of terms."""

    initial_log_variances: dict[str, float] = Field(
        min_length=1, description="by group; a group counts by the inverse of its variance"
    )
    learnable: bool = Field(True, description="whether the variances learn with the network")


class LossConfig(Strict):
    terms: tuple[Term, ...] = Field(min_length=1, description="what the network's errors are measured by")
    kendall: KendallConfig | None = Field(None, description="learned weights of the groups of terms")

    @model_validator(mode="after")
    def _names_and_groups_agree(self) -> LossConfig:
        names = [term.name for term in self.terms]
        if len(set(names)) != len(names):
            raise ValueError(f"two loss terms share a name: {', '.join(names)}")
        if self.kendall is not None:
            groups = {term.group for term in self.terms}
            if groups != set(self.kendall.initial_log_variances):
                raise ValueError(
                    f"kendall.initial_log_variances names {sorted(self.kendall.initial_log_variances)} "
                    f"but the terms are in the groups {sorted(groups)}"
                )
        return self
