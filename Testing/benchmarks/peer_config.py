"""The configuration that the peer's authors published for their released model, as plain values.

Their x0, p = 1.5 run (`x0_lp_1.5.yaml` in their repository): DDIM with 300 steps and eta 0.2, self-conditioning on, no
prior; trained with the mean of |error|^1.5, AdamW and mixed 16-bit precision. Keys that only their data preparation,
post-processing and logging read are left out.
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
    "training": {
        "self_conditioning": {"enabled": True, "probability": 0.5},
        "optimizer": {"type": "AdamW", "lr": 1e-4, "weight_decay": 1e-4, "betas": [0.9, 0.999], "eps": 1e-8},
        "lr_scheduler": {"type": "CosineAnnealingLR", "T_max": None, "eta_min": 1e-6},
        "max_epochs": 500,
        "gradient_clip_val": 1.0,
        "ema": {"decay": 0.999, "update_every": 1, "update_start_step": 0, "store_on_cpu": True, "use_buffers": True},
    },
    "loss": {
        "mode": "mse_lp_norm",
        "lp_norm": {"p": 1.5},
        "uncertainty_weighting": {"enabled": False, "initial_log_vars": [0.0, 0.0], "learnable": True},
        "lesion_weighted_image": {"enabled": True, "lesion_weight": 1.0, "background_weight": 1.0},
        "lesion_weighted_mask": {"enabled": True, "lesion_weight": 1.0, "background_weight": 1.0},
    },
}
