"""The configuration that the peer's authors published for their released model, as plain values.

Network, schedule and sampler of their x0, p = 1.5 run: DDIM with 300 steps and eta 0.2, self-conditioning on, no prior.
Keys that only their training or post-processing reads are left out.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("slim-diff==1.0.0", "omegaconf==2.3.0", "antlr4-python3-runtime==4.9.3")
"""The peer's wheel, and the reader of its configuration; torch and MONAI are ours, so both run on the same ones."""

STEPS = 300

PUBLISHED: dict[str, Any] = {
    "data": {
        "transforms": {"roi_size": [160, 160, 160]},
        "slice_sampling": {"z_range": [34, 115]},
    },
    "conditioning": {
        "z_bins": 30,
        "use_sinusoidal": True,
        "max_z": 159,
        "cfg": {"enabled": False, "null_token": 60, "dropout_prob": 0.1},
    },
    "model": {
        "spatial_dims": 2,
        "in_channels": 2,
        "out_channels": 2,
        "anatomical_conditioning": False,
        "anatomical_conditioning_method": "concat",
        "channels": [64, 128, 256, 256],
        "attention_levels": [False, False, True, True],
        "num_res_blocks": 2,
        "num_head_channels": 32,
        "norm_num_groups": 32,
        "use_class_embedding": True,
        "dropout": 0.0,
        "resblock_updown": False,
        "with_conditioning": False,
    },
    "scheduler": {
        "type": "DDPM",
        "num_train_timesteps": 1000,
        "schedule": "cosine",
        "beta_start": 0.0015,
        "beta_end": 0.0195,
        "prediction_type": "sample",
        "clip_sample": True,
        "clip_sample_range": 1.0,
    },
    "sampler": {"type": "DDIM", "num_inference_steps": STEPS, "eta": 0.2, "guidance_scale": 1.0},
    "training": {"self_conditioning": {"enabled": True, "probability": 0.5}},
}
