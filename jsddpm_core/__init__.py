"""Joint synthesis of FLAIR slices and their lesion masks by diffusion."""

__version__ = "0.1.0"
