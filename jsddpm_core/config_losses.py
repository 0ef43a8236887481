"""The loss section of a configuration: named, weighted terms, and how their groups are weighed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsddpm_core.strict import Strict


class TermBase(Strict):
    """What every loss term has: a name, its channels, its target and where it is weighted in."""

    name: str = Field(min_length=1)
    channels: tuple[str, ...] = Field(min_length=1)
    target: Literal["x0_hat", "prediction"] = "prediction"
    weight: float = Field(1.0, gt=0, description="within its group")
    group: str = Field("spatial", min_length=1, description="terms that Kendall weighting treats as one")


class LpTerm(TermBase):
    """Lesion-weighted Lp; p = 1 is L1 and p = 2 is L2."""

    kind: Literal["lp"] = "lp"
    p: float = Field(1.5, gt=0)
    lesion_weight: float = Field(1.0, ge=1)


class HuberTerm(TermBase):
    kind: Literal["huber"] = "huber"
    delta: float = Field(0.1, gt=0)
    lesion_weight: float = Field(1.0, ge=1)


class FocalFrequencyTerm(TermBase):
    """Jiang et al. 2021, eqs. 8-10."""

    kind: Literal["focal_frequency"] = "focal_frequency"
    target: Literal["x0_hat"] = "x0_hat"
    alpha: float = Field(1.0, ge=0)
    patch_factor: int = Field(1, ge=1)
    log_matrix: bool = False
    group: str = "frequency"


class FrequencyBandTerm(TermBase):
    """Low and high spatial frequencies, split by a radial cut-off and weighted apart."""

    kind: Literal["frequency_bands"] = "frequency_bands"
    cutoff: float = Field(0.25, gt=0, lt=1, description="radius of the split, as a share of Nyquist")
    low_weight: float = Field(1.0, ge=0)
    high_weight: float = Field(1.0, ge=0)
    group: str = "frequency"


Term = Annotated[LpTerm | HuberTerm | FocalFrequencyTerm | FrequencyBandTerm, Field(discriminator="kind")]


class KendallConfig(Strict):
    """Kendall et al. 2018, eq. 10: one log variance a group of terms."""

    initial_log_variances: dict[str, float] = Field(min_length=1)
    learnable: bool = True


class LossConfig(Strict):
    terms: tuple[Term, ...] = Field(min_length=1)
    kendall: KendallConfig | None = None

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
