"""Measures the peer in a process of its own: `probe_peer.py FOLDER REPEATS`, one line of JSON.

It runs as published: its own network, sampler and defaults (float32), with random weights. MONAI starts a network's
last convolution at zero; it is perturbed, so that the sampler works on numbers of the usual size.
"""

from __future__ import annotations

import copy
import json
import sys

import torch
from peer_config import PUBLISHED, STEPS
from timing import peak_memory_gb, timed

SHORT_RUN = 5
TOKEN = 45


@torch.no_grad()
def main(folder: str, repeats: int) -> dict[str, object]:
    """Seconds an evaluation and a slice, the latter from a run of `SHORT_RUN` steps."""
    sys.path.insert(0, folder)
    from omegaconf import OmegaConf
    from src.diffusion.model.factory import DiffusionSampler, build_inferer, build_model

    torch.manual_seed(0)
    settings = copy.deepcopy(PUBLISHED)
    settings["sampler"]["num_inference_steps"] = SHORT_RUN
    config = OmegaConf.create(settings)
    network, encoder = build_model(config)
    network.eval()
    last = [module for module in network.out.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    torch.nn.init.normal_(last.weight, std=0.02)
    inputs = torch.randn(1, 4, 160, 160)
    times, tokens = torch.full((1,), 500), torch.tensor([TOKEN])
    evaluation = timed(lambda: network(inputs, timesteps=times, context=None, class_labels=tokens), repeats)
    sampler = DiffusionSampler(network, build_inferer(config), config, device="cpu", anatomical_encoder=encoder)
    short = timed(lambda: sampler.sample_single(TOKEN), 1, warm_up=0)
    factor = STEPS / SHORT_RUN
    return {
        "evaluation": evaluation,
        "slice": {"seconds": short["seconds"] * factor, "cpu_seconds": short["cpu_seconds"] * factor},
        "steps": STEPS,
        "steps_run": SHORT_RUN,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "memory_gb": peak_memory_gb(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
