"""The anatomical prior's encoder: token counts, position code, export."""

from __future__ import annotations

import math

import pytest
import torch

from jsddpm_core.config import PriorConfig
from jsddpm_core.networks.prior_encoder import PriorEncoder, grid_sinusoid


@pytest.fixture
def encoder() -> PriorEncoder:
    torch.manual_seed(0)
    return PriorEncoder(2, PriorConfig(kind="cross_attention")).eval()


def test_a_slice_of_160_by_160_becomes_400_tokens_of_256(encoder: PriorEncoder) -> None:
    assert encoder(torch.zeros(2, 1, 160, 160)).shape == (2, 400, 256)


def test_a_volume_is_encoded_with_the_same_keys() -> None:
    encoder = PriorEncoder(3, PriorConfig(kind="cross_attention", encoder_channels=(8, 16), token_dim=20))
    assert encoder(torch.zeros(1, 1, 16, 8, 12)).shape == (1, 4 * 2 * 3, 20)


def test_each_width_of_the_encoder_halves_the_sides() -> None:
    encoder = PriorEncoder(2, PriorConfig(kind="cross_attention", encoder_channels=(8, 16), token_dim=32))
    assert encoder(torch.zeros(1, 1, 32, 32)).shape == (1, 64, 32)


def test_a_side_that_does_not_divide_is_rounded_up(encoder: PriorEncoder) -> None:
    assert encoder(torch.zeros(1, 1, 44, 40)).shape == (1, 6 * 5, 256)


def test_tokens_carry_the_place_they_come_from() -> None:
    # Token (x = 2, y = 0) of a 3 x 2 grid with four numbers a place: sin and cos of x, then of y, at the shortest
    # period, one radian a token (the only period where an axis has two numbers).
    code = grid_sinusoid((3, 2), 4)
    assert code.shape == (6, 4)
    assert code[4].tolist() == pytest.approx([math.sin(2), math.cos(2), 0.0, 1.0], abs=1e-6)
    assert code[1].tolist() == pytest.approx([0.0, 1.0, math.sin(1), math.cos(1)], abs=1e-6)


@pytest.mark.parametrize("shape", [(20, 20), (64, 64), (5, 6, 7)])
def test_no_two_places_share_a_code(shape: tuple[int, ...]) -> None:
    code = grid_sinusoid(shape, 256)
    distances = torch.cdist(code, code, compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(math.inf)
    assert distances.min() > 0.1


def test_numbers_that_the_axes_cannot_share_stay_zero() -> None:
    assert grid_sinusoid((2, 2, 2), 16)[:, 12:].abs().max() == 0


def test_a_uniform_prior_still_tells_places_apart(encoder: PriorEncoder) -> None:
    tokens = encoder(torch.full((1, 1, 160, 160), -1.0))[0]
    inner = 9 * 20 + 9  # far from the border, so only the code can differ
    assert not torch.allclose(tokens[inner], tokens[inner + 1], atol=1e-2)


def test_a_change_in_a_corner_reaches_the_corners_token_first(encoder: PriorEncoder) -> None:
    prior = torch.zeros(1, 1, 160, 160)
    changed = prior.clone()
    changed[..., 150:, :10] = 1.0  # high x, low y: row 19, column 0
    difference = (encoder(changed) - encoder(prior)).abs().sum(dim=2)[0]
    assert difference.argmax().item() in {18 * 20, 18 * 20 + 1, 19 * 20, 19 * 20 + 1}


def test_batch_mates_do_not_change_a_prior(encoder: PriorEncoder) -> None:
    priors = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(encoder(priors)[1:2], encoder(priors[1:2]))


def test_it_exports(encoder: PriorEncoder) -> None:
    prior = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    exported = torch.export.export(encoder, (prior,)).module()
    torch.testing.assert_close(exported(prior), encoder(prior))


def test_it_learns_in_reduced_precision(encoder: PriorEncoder) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens = encoder(torch.rand(1, 1, 64, 64))
        tokens.square().mean().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert tokens.dtype == torch.bfloat16
