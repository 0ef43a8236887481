"""Classifier-free guidance: where it points, and what it costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jsddpm_core.diffusion.guidance import guided

X, T = torch.zeros(3, 2, 4, 4), torch.full((3,), 500.0)


class Constant:
    """A denoiser that always answers the same and remembers the batches that it was asked about."""

    def __init__(self, value: float) -> None:
        self.value, self.batches = value, []

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        self.batches.append(tuple(x_t.shape))
        return torch.full_like(x_t, self.value)


@pytest.mark.parametrize(("weight", "expected"), [(0, 0.25), (0.5, 0.375), (1, 0.5), (2, 0.75), (4, 1.25)])
def test_the_result_lies_on_the_line_from_the_unconditional_to_the_conditional_image(weight, expected) -> None:
    denoise = guided(Constant(0.5), Constant(0.25), weight)
    assert torch.equal(denoise(X, T), torch.full_like(X, expected))


@pytest.mark.parametrize(("weight", "conditional", "unconditional"), [(1, 1, 0), (0, 0, 1), (3, 1, 1)])
def test_no_evaluation_is_wasted_and_none_holds_two_samples_for_one(weight, conditional, unconditional) -> None:
    known, unknown = Constant(0.5), Constant(0.25)
    guided(known, unknown, weight)(X, T)
    assert known.batches == [tuple(X.shape)] * conditional
    assert unknown.batches == [tuple(X.shape)] * unconditional


def test_an_exaggerated_image_is_clipped_where_asked() -> None:
    denoise = guided(Constant(0.5), Constant(0.25), 4, clip=lambda x0: x0.clamp(-1, 1))
    assert float(denoise(X, T).max()) == 1.0


def test_gradients_reach_through_guidance() -> None:
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    guided(lambda x_t, t: 3 * x_t, lambda x_t, t: x_t, 2.0)(x, T[:1]).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 5.0))
