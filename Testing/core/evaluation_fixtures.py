"""Images with known answers, for the tests of the measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from jsddpm_core.config_file import load_config
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter, SliceRecord
from jsddpm_core.evaluation.image_set import ImageSet

SIDE = 64


def noise_images(count: int, deviation: float = 0.1, seed: int = 0, side: int = SIDE) -> np.ndarray:
    """White noise about 0, `(count, side, side)` float32."""
    values = np.random.default_rng(seed).standard_normal((count, side, side)) * deviation
    return np.clip(values, -1, 1).astype(np.float32)


def brain_images(count: int, seed: int = 0, side: int = SIDE, radius: float = 0.35) -> np.ndarray:
    """Textured discs on a background of exactly -1."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*[np.linspace(-0.5, 0.5, side)] * 2, indexing="ij")
    inside = np.hypot(x, y) < radius
    texture = ndimage.gaussian_filter(rng.standard_normal((count, side, side)), (0, 1.5, 1.5))
    return np.where(inside, np.clip(0.1 + texture, -0.7, 1), -1).astype(np.float32)


def image_set(
    images: np.ndarray,
    *,
    masks: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    prefix: str = "draw",
    position_mm: float = 18.0,
    weights: np.ndarray | None = None,
) -> ImageSet:
    """A set in which every image is a group of its own, unless said otherwise."""
    n = len(images)
    return ImageSet(
        images=images,
        masks=np.zeros(images.shape, dtype=bool) if masks is None else masks,
        positions_mm=np.full(n, position_mm, dtype=np.float32),
        groups=np.array([f"{prefix}-{i}" for i in range(n)]) if groups is None else groups,
        weights=np.ones(n) if weights is None else weights,
    )


def write_evaluation_cache(folder: Path, subjects: int = 16, levels: tuple[float, ...] = (17.0, 18.25)) -> SliceCache:
    """Slices of textured discs at two levels: every fourth subject is held out, half of them have an infarct.

    Four more subjects have `ms`, of which only one is held out.
    """
    config = load_config("fast", (f"data.grid.shape=[{SIDE},{SIDE},160]",))
    plain = [(f"set/sub-{n:02d}", "infarct" if n % 2 else "none", n // 2) for n in range(subjects)]
    rare = [(f"rare/sub-{n:02d}", "ms", n) for n in range(4)]
    with SliceCacheWriter(folder, config.data.grid) as writer:
        for seed, (subject, pathology, turn) in enumerate(plain + rare):
            split = {3: "test", 2: "validation" if pathology != "ms" else "train"}.get(turn % 4, "train")
            for image, position in zip(brain_images(len(levels), seed=seed), levels, strict=True):
                mask = np.zeros(image.shape, dtype=np.uint8)
                if pathology != "none":
                    mask[28:36, 30 : 36 + seed % 4] = 1
                    image[mask > 0] = 0.9
                writer.add(
                    SliceRecord(
                        subject=subject,
                        case=subject,
                        split=split,
                        slice_index=80,
                        position_mm=position,
                        pathology=pathology,
                        mask_known=True,
                        lesion_mm2=float(mask.sum()) * config.data.grid.spacing_mm**2,
                        dataset=subject.split("/")[0],
                    ),
                    image,
                    mask,
                )
        return writer.finish({"made": "for tests"})
