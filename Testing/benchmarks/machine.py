"""What the machine is, and how fast its convolutions can be."""

from __future__ import annotations

import platform
from pathlib import Path

import torch
from timing import timed
from torch import nn


def processor_name() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself; where it does not, bf16 is slower than fp32."""
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in ("AVX512", "AMX"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@torch.no_grad()
def convolution_peak(dtype: torch.dtype, seconds: float = 3.0) -> float:
    """The best of several large 3 x 3 convolutions in channels-last, in GFLOP/s (a multiply-add is two)."""
    best = 0.0
    for channels, side in ((128, 80), (256, 80), (256, 40), (512, 40)):
        layer = nn.Conv2d(channels, channels, 3, padding=1).to(dtype=dtype, memory_format=torch.channels_last)
        image = torch.randn(2, channels, side, side).to(dtype=dtype, memory_format=torch.channels_last)
        once = timed(lambda layer=layer, image=image: layer(image), 1)["seconds"]
        repeats = max(3, min(50, int(seconds / 4 / max(once, 1e-4))))
        fastest = min(timed(lambda layer=layer, image=image: layer(image), 1, 0)["seconds"] for _ in range(repeats))
        flops = 2 * 9 * channels * channels * side * side * 2
        best = max(best, flops / fastest / 1e9)
    return best
