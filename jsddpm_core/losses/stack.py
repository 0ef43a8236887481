"""The training loss: the configuration's list of named, weighted terms, normalised per image, averaged over the batch.

Averaging single images' losses makes the loss of an image independent of its batch mates, so that ranks of equal
batches, averaged, give the loss of their union.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jsddpm_core.config_losses import FocalFrequencyTerm, FrequencyBandTerm, HuberTerm, LossConfig, LpTerm, Term
from jsddpm_core.losses.frequency import focal_frequency, frequency_bands
from jsddpm_core.losses.spatial import weighted_huber, weighted_lp
from jsddpm_core.losses.uncertainty import KendallWeighting


@dataclass(frozen=True)
class LossInputs:
    """What the terms may look at.

    Attributes:
        x0: the clean channels, `(B, C, *S)`.
        x0_hat: their estimate, unclipped (a clip would cut the gradient), `(B, C, *S)`.
        prediction: what the network predicts, `(B, C, *S)`.
        target: what it should have predicted, `(B, C, *S)`.
        lesion: bool `(B, 1, *S)`; False everywhere where the mask is unknown.
        known: bool `(B, C)`, the channels of each image that enter the loss.
    """

    x0: Tensor
    x0_hat: Tensor
    prediction: Tensor
    target: Tensor
    lesion: Tensor
    known: Tensor


@dataclass(frozen=True)
class LossReport:
    """A batch's loss.

    Attributes:
        total: what is minimised, a scalar.
        terms: each term before its weight, `(B,)`, by name.
    """

    total: Tensor
    terms: dict[str, Tensor]


class LossStack(nn.Module):
    """Sums weighted terms within their groups, then the groups: plainly, or by their uncertainty.

    A term's value for an image is the mean over the image's known channels among the term's. An image with none of
    them contributes 0 but stays in the batch's mean: were it left out, the divisor, and with it the weight of the
    other images, would depend on who shares a rank with whom.

    Args:
        config: the terms and how groups are weighted.
        channel_names: the diffused channels in their order.

    Raises:
        ValueError: for a term of a channel that is not among them.
    """

    def __init__(self, config: LossConfig, channel_names: Sequence[str]) -> None:
        super().__init__()
        self.terms = config.terms
        names = list(channel_names)
        self.channels = [[names.index(channel) for channel in term.channels] for term in config.terms]
        self.kendall = None if config.kendall is None else KendallWeighting(config.kendall)

    def forward(self, inputs: LossInputs) -> LossReport:
        """The loss of a batch.

        Computed in float32 whatever the inputs' precision.
        """
        values: dict[str, Tensor] = {}
        groups: dict[str, Tensor] = {}
        for term, channels in zip(self.terms, self.channels, strict=True):
            value = self._per_image(term, channels, inputs)
            values[term.name] = value
            weighted = term.weight * value
            groups[term.group] = groups[term.group] + weighted if term.group in groups else weighted
        per_image = torch.stack(list(groups.values())).sum(dim=0) if self.kendall is None else self.kendall(groups)
        return LossReport(per_image.mean(), values)

    @staticmethod
    def _per_image(term: Term, channels: list[int], inputs: LossInputs) -> Tensor:
        if term.target == "x0_hat":
            estimate, truth = inputs.x0_hat, inputs.x0
        else:
            estimate, truth = inputs.prediction, inputs.target
        known = inputs.known[:, channels]
        error = estimate[:, channels].float() - truth[:, channels].float()
        error = torch.where(known.view(*known.shape, *[1] * (error.ndim - 2)), error, 0.0)
        value = term_value(term, error, inputs.lesion)
        return value.sum(dim=1) / known.sum(dim=1).clamp_min(1)


def term_value(term: Term, error: Tensor, lesion: Tensor) -> Tensor:
    """One term, unweighted, for each image and channel: error `(B, C, *S)`, lesion `(B, 1, *S)`, to `(B, C)`.

    Every kind of term is 0 where the error is 0, which is how unknown channels are left out.
    """
    match term:
        case LpTerm():
            return weighted_lp(error, lesion, term.p, term.lesion_weight)
        case HuberTerm():
            return weighted_huber(error, lesion, term.delta, term.lesion_weight)
        case FocalFrequencyTerm():
            return focal_frequency(error, term.alpha, term.patch_factor, term.log_matrix)
        case FrequencyBandTerm():
            return frequency_bands(error, term.cutoff, term.low_weight, term.high_weight)
