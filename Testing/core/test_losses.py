"""Loss terms against values worked out by hand, and how they are combined."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from jsddpm_core.config_losses import LossConfig
from jsddpm_core.losses.frequency import focal_frequency, frequency_bands, split_patches
from jsddpm_core.losses.spatial import lesion_weights, weighted_huber, weighted_lp
from jsddpm_core.losses.stack import LossInputs, LossReport, LossStack


def an_image(*rows: list[float]) -> Tensor:
    return torch.tensor([[list(rows)]], dtype=torch.float32)


NO_LESION = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
LAST_VOXEL = torch.tensor([[[[False, False], [False, True]]]])

# The spectrum of [[3, 1], [1, 1]] is (6, 2, 2, 2); divided by sqrt(4) its amplitudes are 3, 1, 1, 1.
UNEVEN = an_image([3, 1], [1, 1])


# ---------------------------------------------------------------- space


@pytest.mark.parametrize(
    ("p", "value"),
    [
        (0.5, (0 + 1 + 2 + 2) / 4),
        (1.0, (0 + 1 + 4 + 4) / 4),
        (1.5, (0 + 1 + 8 + 8) / 4),
        (2.0, (0 + 1 + 16 + 16) / 4),
        (2.5, (0 + 1 + 32 + 32) / 4),
    ],
)
def test_lp_is_the_mean_power_of_the_error(p: float, value: float) -> None:
    error = an_image([0, 1], [4, -4])
    assert weighted_lp(error, NO_LESION, p, lesion_weight=2).item() == pytest.approx(value)


@pytest.mark.parametrize(("p", "value"), [(1.0, 13 / 5), (1.5, 25 / 5), (2.0, 49 / 5)])
def test_a_voxel_of_the_lesion_counts_twice_and_the_weights_are_divided_by_their_mean(p: float, value: float) -> None:
    # Weights 1, 1, 1, 2 over their mean 5/4: (0 + 1 + 4^p + 2 x 4^p) / 5.
    error = an_image([0, 1], [4, -4])
    assert weighted_lp(error, LAST_VOXEL, p, lesion_weight=2).item() == pytest.approx(value)


def test_an_image_that_is_all_lesion_weighs_as_one_that_has_none() -> None:
    error = an_image([1, 2], [3, 4])
    everywhere = torch.ones_like(NO_LESION)
    torch.testing.assert_close(weighted_lp(error, everywhere, 2, 2), weighted_lp(error, NO_LESION, 2, 2))


def test_mean_weights_are_taken_image_by_image() -> None:
    weights = lesion_weights(torch.cat([LAST_VOXEL, NO_LESION]), 2)
    torch.testing.assert_close(weights[0, 0], torch.tensor([[0.8, 0.8], [0.8, 1.6]]))
    torch.testing.assert_close(weights[1, 0], torch.ones(2, 2))


def test_huber_is_a_parabola_up_to_delta_and_a_line_beyond() -> None:
    error = an_image([0, 0.5], [2, -3])  # 0, 0.5^2 / 2, 2 - 0.5, 3 - 0.5
    assert weighted_huber(error, NO_LESION, delta=1, lesion_weight=2).item() == pytest.approx(4.125 / 4)
    assert weighted_huber(error, LAST_VOXEL, delta=1, lesion_weight=2).item() == pytest.approx(6.625 / 5)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 2.25])
def test_a_perfect_voxel_has_a_zero_gradient_and_not_an_infinite_one(p: float) -> None:
    error = an_image([0, 0], [0, 1]).requires_grad_()
    weighted_lp(error, LAST_VOXEL, p, lesion_weight=2).sum().backward()
    assert error.grad is not None
    assert error.grad.flatten()[:3].tolist() == [0, 0, 0]
    assert error.grad.flatten()[3].item() == pytest.approx(p * 2 / 5)


def test_volumes_are_weighed_like_slices() -> None:
    error = torch.full((1, 1, 2, 2, 2), 3.0)
    assert weighted_lp(error, torch.zeros(1, 1, 2, 2, 2, dtype=torch.bool), 2, 2).item() == pytest.approx(9)


# ---------------------------------------------------------------- frequency


@pytest.mark.parametrize(
    ("alpha", "log_matrix", "value"),
    [
        (0.0, False, (9 + 1 + 1 + 1) / 4),
        (1.0, False, (9 + (1 + 1 + 1) / 3) / 4),
        (2.0, False, (9 + (1 + 1 + 1) / 9) / 4),
        (1.0, True, (9 + (1 + 1 + 1) / 2) / 4),  # log(1 + 1) / log(1 + 3) = 1/2
    ],
)
def test_focal_frequency_weighs_a_frequency_by_its_own_error(alpha: float, log_matrix: bool, value: float) -> None:
    assert focal_frequency(UNEVEN, alpha, 1, log_matrix).item() == pytest.approx(value)


def test_focal_frequency_gives_every_patch_weights_of_its_own() -> None:
    # The diagonal patch has amplitudes 2, 0, 0, 2, all at its maximum: (4 + 4) / 4 = 2. The uneven one: 10 / 4.
    error = torch.zeros(1, 1, 4, 4)
    error[..., :2, 2:] = UNEVEN
    error[..., 2:, :2] = an_image([2, 0], [0, 2])
    assert focal_frequency(error, 1.0, 2, False).item() == pytest.approx((2.5 + 2) / 4)


def test_patches_are_neighbouring_voxels() -> None:
    patches = split_patches(torch.arange(16.0).view(1, 1, 4, 4), 2)
    assert patches[0, 0, 1].tolist() == [[2, 3], [6, 7]]
    assert patches[0, 0, 2].tolist() == [[8, 9], [12, 13]]
    assert split_patches(torch.zeros(1, 2, 4, 6, 8), 2).shape == (1, 2, 8, 2, 3, 4)


def test_patches_that_do_not_divide_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be cut into 3"):
        split_patches(torch.zeros(1, 1, 4, 4), 3)


def test_no_gradient_flows_through_the_focal_weights() -> None:
    # With the weights 1, 1/3, 1/3, 1/3 held fixed, the gradient is 2 / 4 x the inverse DFT of (3, 1/3, 1/3, 1/3):
    # (3 + 1) / 2 x 1/2 = 1 at the first voxel, (3 - 1/3) / 2 x 1/2 = 2/3 elsewhere.
    error = UNEVEN.clone().requires_grad_()
    focal_frequency(error, 1.0, 1, False).sum().backward()
    assert error.grad is not None
    torch.testing.assert_close(error.grad, an_image([1, 2 / 3], [2 / 3, 2 / 3]))


def test_a_perfect_spectrum_has_a_zero_loss_and_gradient() -> None:
    error = torch.zeros(1, 1, 4, 4, requires_grad=True)
    (focal_frequency(error, 1.2, 2, True) + frequency_bands(error, 0.25, 1, 2)).sum().backward()
    assert error.grad is not None
    assert error.grad.abs().max() == 0


def test_the_bands_split_at_the_cutoff() -> None:
    # A constant 2 is all at frequency 0; a checkerboard of 3 is all at the corner beyond Nyquist.
    checkerboard = 3 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(2, 2).view(1, 1, 4, 4)
    both = checkerboard + 2
    assert frequency_bands(both, 0.25, 1, 1).item() == pytest.approx(4 + 9)
    assert frequency_bands(both, 0.25, 5, 0).item() == pytest.approx(5 * 4)
    assert frequency_bands(both, 0.25, 0, 7).item() == pytest.approx(7 * 9)


def test_the_cutoff_is_a_share_of_nyquist() -> None:
    # Period 4 is half of Nyquist; its mean square is 1/2.
    wave = torch.tensor([1.0, 0.0, -1.0, 0.0]).view(1, 1, 4, 1).expand(1, 1, 4, 4)
    assert frequency_bands(wave, 0.45, 1, 0).item() == pytest.approx(0, abs=1e-6)
    assert frequency_bands(wave, 0.55, 1, 0).item() == pytest.approx(0.5)


# ---------------------------------------------------------------- the stack

NAMES = ["FLAIR", "lesion"]


def a_stack(*terms: dict[str, Any], **rest: Any) -> LossStack:
    return LossStack(LossConfig.model_validate({"terms": terms, **rest}), NAMES)


def an_l2(name: str, *channels: str, **rest: Any) -> dict[str, Any]:
    return {"name": name, "kind": "lp", "p": 2, "channels": channels, **rest}


def inputs(error: Tensor, known: list[list[bool]] | None = None, x0_error: Tensor | None = None) -> LossInputs:
    """Predictions off by `error` and estimates off by `x0_error`, around a truth that is not 0."""
    target = torch.full_like(error, 0.25)
    x0 = torch.full_like(error, -0.5)
    return LossInputs(
        x0=x0,
        x0_hat=x0 + (torch.zeros_like(error) if x0_error is None else x0_error),
        prediction=target + error,
        target=target,
        lesion=torch.zeros(len(error), 1, *error.shape[2:], dtype=torch.bool),
        known=torch.tensor(known if known is not None else [[True, True]] * len(error)),
    )


def errors_of(*images: tuple[float, float]) -> Tensor:
    """One image an entry, each channel uniformly wrong."""
    return torch.tensor(images).view(-1, 2, 1, 1).expand(-1, 2, 4, 4).clone()


def test_terms_are_weighted_summed_and_averaged_over_the_batch() -> None:
    stack = a_stack(an_l2("image", "FLAIR"), an_l2("mask", "lesion", weight=3))
    report = stack(inputs(errors_of((1, 2), (3, 0))))
    assert report.terms["image"].tolist() == pytest.approx([1, 9])
    assert report.terms["mask"].tolist() == pytest.approx([4, 0])
    assert report.total.item() == pytest.approx(((1 + 3 * 4) + (9 + 0)) / 2)


def test_a_term_of_two_channels_is_their_mean() -> None:
    report = a_stack(an_l2("both", "FLAIR", "lesion"))(inputs(errors_of((1, 3))))
    assert report.total.item() == pytest.approx((1 + 9) / 2)


def test_a_term_looks_at_its_target() -> None:
    given = inputs(errors_of((2, 0)), x0_error=errors_of((5, 0)))
    assert a_stack(an_l2("a", "FLAIR"))(given).total.item() == pytest.approx(4)
    assert a_stack(an_l2("a", "FLAIR", target="x0_hat"))(given).total.item() == pytest.approx(25)


def test_frequency_terms_look_at_the_estimate_of_the_image() -> None:
    # Uniformly wrong by 2: all at frequency 0, with weight 1; the mean of |F|^2 is the mean square.
    spectrum = {"name": "s", "kind": "focal_frequency", "channels": ["FLAIR"]}
    report = a_stack(spectrum)(inputs(errors_of((7, 0)), x0_error=errors_of((2, 0))))
    assert report.total.item() == pytest.approx(4, rel=1e-5)


ALL_KINDS: list[dict[str, Any]] = [
    {"name": "a", "kind": "lp", "p": 1.5, "lesion_weight": 2, "channels": NAMES},
    {"name": "b", "kind": "huber", "channels": NAMES},
    {"name": "c", "kind": "focal_frequency", "alpha": 1.2, "patch_factor": 2, "log_matrix": True, "channels": NAMES},
    {"name": "d", "kind": "frequency_bands", "high_weight": 2, "channels": NAMES},
]


def random_inputs(count: int) -> LossInputs:
    generator = torch.Generator().manual_seed(3)
    error, x0_error = (torch.randn(count, 2, 8, 8, generator=generator) for _ in range(2))
    given = inputs(error, [[True, index != 1] for index in range(count)], x0_error)
    lesion = torch.rand(count, 1, 8, 8, generator=generator) > 0.7
    return LossInputs(given.x0, given.x0_hat, given.prediction, given.target, lesion, given.known)


def rows(given: LossInputs, chosen: slice) -> LossInputs:
    return LossInputs(**{name: value[chosen] for name, value in vars(given).items()})


def test_the_loss_of_an_image_does_not_depend_on_its_batch_mates() -> None:
    stack, given = a_stack(*ALL_KINDS), random_inputs(4)
    together: LossReport = stack(given)
    alone = [stack(rows(given, slice(index, index + 1))) for index in range(4)]
    for name, values in together.terms.items():
        torch.testing.assert_close(values, torch.cat([report.terms[name] for report in alone]))
    torch.testing.assert_close(together.total, torch.stack([report.total for report in alone]).mean())


def test_two_ranks_of_half_a_batch_average_to_the_loss_of_the_whole() -> None:
    kendall = {"initial_log_variances": {"spatial": 0.3, "frequency": 0.5}}
    stack, given = a_stack(*ALL_KINDS, kendall=kendall), random_inputs(4)
    halves = (stack(rows(given, slice(0, 2))).total + stack(rows(given, slice(2, 4))).total) / 2
    torch.testing.assert_close(stack(given).total, halves)


def test_an_unknown_mask_is_left_out_of_the_loss_and_gets_no_gradient() -> None:
    given = random_inputs(3)
    prediction, x0_hat = given.prediction.requires_grad_(), given.x0_hat.requires_grad_()
    a_stack(*ALL_KINDS)(given).total.backward()
    for tensor in (prediction, x0_hat):
        assert tensor.grad is not None
        strength = tensor.grad.abs().sum(dim=(2, 3))
        assert strength[1, 1] == 0
        assert (strength > 0).sum() == 5


def test_a_term_is_normalised_by_the_channels_that_are_known() -> None:
    known = [[True, True], [True, False]]
    report = a_stack(an_l2("both", "FLAIR", "lesion"))(inputs(errors_of((1, 3), (1, 3)), known))
    assert report.terms["both"].tolist() == pytest.approx([5, 1])


def test_an_image_without_any_known_channel_adds_nothing_but_stays_in_the_mean() -> None:
    report = a_stack(an_l2("mask", "lesion"))(inputs(errors_of((0, 2), (0, 9)), [[True, True], [True, False]]))
    assert report.terms["mask"].tolist() == pytest.approx([4, 0])
    assert report.total.item() == pytest.approx(4 / 2)


def test_half_precision_predictions_are_compared_in_float32() -> None:
    given = inputs(errors_of((1, 2)))
    half = LossInputs(
        given.x0, given.x0_hat.bfloat16(), given.prediction.bfloat16(), given.target, given.lesion, given.known
    )
    report = a_stack(*ALL_KINDS)(half)
    assert report.total.dtype == torch.float32
    assert all(values.dtype == torch.float32 for values in report.terms.values())


# ---------------------------------------------------------------- Kendall


def a_kendall_stack(learnable: bool) -> LossStack:
    terms = [
        an_l2("image", "FLAIR", weight=2),
        {"name": "spectrum", "kind": "frequency_bands", "channels": ["FLAIR"], "target": "x0_hat"},
    ]
    kendall = {"initial_log_variances": {"spatial": math.log(4), "frequency": 0.0}, "learnable": learnable}
    return a_stack(*terms, kendall=kendall)


KENDALL_INPUTS = inputs(errors_of((2, 0)), x0_error=errors_of((3, 0)))


@pytest.mark.parametrize("learnable", [True, False])
def test_groups_are_weighed_by_their_variance(learnable: bool) -> None:
    # spatial: its term weighs 2, so 2 x 4 = 8; 8 / (2 x 4) + log(4) / 2 = 1 + log 2. frequency: 9 / 2 + 0.
    report = a_kendall_stack(learnable)(KENDALL_INPUTS)
    assert report.total.item() == pytest.approx(1 + math.log(2) + 4.5)


def test_learnable_variances_move_towards_their_groups_losses() -> None:
    stack = a_kendall_stack(learnable=True)
    optimizer = torch.optim.SGD(stack.parameters(), lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        stack(KENDALL_INPUTS).total.backward()
        optimizer.step()
    assert stack.kendall is not None
    assert stack.kendall.log_variances.tolist() == pytest.approx([math.log(8), math.log(9)], abs=1e-3)


def test_fixed_variances_are_stored_but_never_trained() -> None:
    stack = a_kendall_stack(learnable=False)
    assert list(stack.parameters()) == []
    assert stack.state_dict()["kendall.log_variances"].tolist() == pytest.approx([math.log(4), 0])


def test_without_kendall_groups_are_only_summed() -> None:
    terms = [an_l2("image", "FLAIR", group="one"), an_l2("mask", "lesion", group="two")]
    assert a_stack(*terms)(inputs(errors_of((1, 2)))).total.item() == pytest.approx(5)
