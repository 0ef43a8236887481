"""What a network predicts, against numbers worked out by hand: x0 = 0.5, epsilon = -1, alpha = 0.6, sigma = 0.8."""

from __future__ import annotations

import pytest
import torch

from jsddpm_core.config import Prediction
from jsddpm_core.diffusion.prediction import epsilon_of, from_x0, to_x0, training_target

ALPHA, SIGMA = torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
X0, EPSILON = torch.tensor([0.5], dtype=torch.float64), torch.tensor([-1.0], dtype=torch.float64)
X_T = torch.tensor([-0.5], dtype=torch.float64)  # 0.6 * 0.5 + 0.8 * -1
BY_HAND = {Prediction.SAMPLE: 0.5, Prediction.EPSILON: -1.0, Prediction.VELOCITY: -1.0}  # 0.6 * -1 - 0.8 * 0.5

every_prediction = pytest.mark.parametrize("kind", list(Prediction))


@every_prediction
def test_a_network_is_asked_for_the_value_worked_out_by_hand(kind: Prediction) -> None:
    assert float(training_target(kind, X0, EPSILON, ALPHA, SIGMA)) == pytest.approx(BY_HAND[kind])


@every_prediction
def test_a_right_prediction_gives_the_image_back(kind: Prediction) -> None:
    prediction = torch.tensor([BY_HAND[kind]], dtype=torch.float64)
    assert float(to_x0(kind, prediction, X_T, ALPHA, SIGMA)) == pytest.approx(0.5)


@every_prediction
def test_an_image_gives_the_prediction_back(kind: Prediction) -> None:
    assert float(from_x0(kind, X0, X_T, ALPHA, SIGMA)) == pytest.approx(BY_HAND[kind])


@every_prediction
def test_both_ways_undo_each_other_with_a_noise_level_for_each_channel(kind: Prediction) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, x_t = torch.randn(2, 3, 2, 8, 8, generator=generator, dtype=torch.float64)
    alpha = torch.tensor([[0.1, 0.9], [0.6, 0.3], [0.99, 0.01]], dtype=torch.float64)[..., None, None]
    sigma = (1 - alpha**2).sqrt()
    x0 = to_x0(kind, prediction, x_t, alpha, sigma)
    torch.testing.assert_close(from_x0(kind, x0, x_t, alpha, sigma), prediction)


def test_the_three_predictions_of_one_network_state_agree_on_the_image() -> None:
    x0_hat = torch.tensor([0.3], dtype=torch.float64)
    for kind in Prediction:
        prediction = from_x0(kind, x0_hat, X_T, ALPHA, SIGMA)
        assert float(to_x0(kind, prediction, X_T, ALPHA, SIGMA)) == pytest.approx(0.3)


def test_after_a_clip_epsilon_belongs_to_the_clipped_image() -> None:
    """x0_hat = 2 clipped to 1: epsilon is (-0.5 - 0.6) / 0.8, and the two lead to x_t again."""
    clipped = torch.tensor([2.0], dtype=torch.float64).clamp(-1, 1)
    epsilon = epsilon_of(clipped, X_T, ALPHA, SIGMA)
    assert float(epsilon) == pytest.approx(-1.375)
    assert float(ALPHA * clipped + SIGMA * epsilon) == pytest.approx(float(X_T))


def test_velocity_and_sample_are_defined_where_no_signal_is_left() -> None:
    """At alpha = 0 velocity is -x0."""
    nothing, all_noise = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    velocity = training_target(Prediction.VELOCITY, X0, EPSILON, nothing, all_noise)
    assert float(velocity) == -0.5
    assert float(to_x0(Prediction.VELOCITY, velocity, EPSILON, nothing, all_noise)) == 0.5
