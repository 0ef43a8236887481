"""Where a network's time goes: the share of each family of operations in one call, as PyTorch's profiler sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

FAMILIES = {
    "convolution": ("convolution", "conv"),
    "matrix product": ("addmm", "bmm", "::mm", "linear", "attention"),
    "normalisation": ("norm",),
    "copy and cast": ("copy", "cat", "contiguous", "clone", "_to_"),
}
"""Words of the operators' names; the first family that has one takes the operator."""
ELEMENTWISE = "activation, addition and the rest"


def family_of(operator: str) -> str:
    """The family of an operator such as `aten::native_group_norm`."""
    return next((name for name, words in FAMILIES.items() if any(word in operator for word in words)), ELEMENTWISE)


def operator_shares(call: Callable[[], Any], repeats: int = 3) -> dict[str, float]:
    """Shares of the families in the time that operators take on the CPU, from the largest to the smallest."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(repeats):
            call()
    spent: dict[str, float] = {}
    for operator in seen.key_averages():
        family = family_of(operator.key)
        spent[family] = spent.get(family, 0.0) + operator.self_cpu_time_total
    whole = sum(spent.values())
    return {name: time / whole for name, time in sorted(spent.items(), key=lambda pair: -pair[1])}
