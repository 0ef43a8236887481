"""Measures one of our configurations in a process of its own: `probe_ours.py CONFIG PRECISION STEPS RUN REPEATS`.

The network carries random weights with its last convolutions perturbed, as the peer's does; time depends on neither.
Everything around it is what generation uses: denoiser, schedule, keyed noise, the configured sampler. A slice of
STEPS steps is timed over RUN of them.
"""

from __future__ import annotations

import json
import sys

import torch
from network_cost import network_cost
from operator_shares import operator_shares
from timing import peak_memory_gb, timed

from jsddpm_core.config_file import load_config
from jsddpm_core.diffusion.denoiser import Condition, Denoiser
from jsddpm_core.diffusion.noise import NoiseKey, NoiseStream
from jsddpm_core.diffusion.samplers import sampler_of
from jsddpm_core.diffusion.schedule import Schedule
from jsddpm_core.networks.joint_unet import build_network


@torch.no_grad()
def main(name: str, precision: str, steps: int, run: int, repeats: int) -> dict[str, object]:
    """Seconds and cost of an evaluation and what takes them, seconds a slice, memory."""
    torch.manual_seed(0)
    config = load_config(name)
    network = build_network(config).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    for unet in network.unets:
        last = [module for module in unet.out.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        torch.nn.init.normal_(last.weight, std=0.02)
    schedule = Schedule(config.diffusion.schedule)
    autocast = torch.bfloat16 if precision == "bf16" else None
    denoiser = Denoiser(network, schedule, config.diffusion, config.channels, autocast=autocast)
    shape = (len(config.channels), *config.data.grid.shape[:2])
    prior = None if config.conditioning.prior.kind == "none" else torch.zeros(1, 1, *shape[1:])
    condition = Condition(torch.tensor([18.0]), torch.tensor([1]), prior)
    noise = NoiseStream(config.diffusion.noise, [NoiseKey(0, 0)], shape)
    x, t = noise.initial(), torch.tensor([500.0])
    denoise = denoiser.bind(condition)
    evaluation = timed(lambda: denoise(x, t), repeats, warm_up=2)
    shares = operator_shares(lambda: denoise(x, t))
    grid = schedule.grid(schedule.times(config.sampling.grid, run))
    sampler = sampler_of(config.sampling)
    short = timed(lambda: sampler(denoiser.bind(condition), noise.initial(), grid, noise), 1, warm_up=0)
    return {
        "evaluation": evaluation,
        "shares": shares,
        **network_cost(config),
        "slice": {key: short[key] * steps / run for key in ("seconds", "cpu_seconds")},
        "steps": steps,
        "steps_run": run,
        "sampler": config.sampling.sampler.value,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "memory_gb": peak_memory_gb(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], *(int(value) for value in sys.argv[3:6]))))
