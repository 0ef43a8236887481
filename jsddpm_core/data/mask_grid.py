"""A lesion mask brought to its image's grid, where its own header says how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from jsddpm_core.data.preprocess import foreground, resample, smoothed
from jsddpm_core.data.volumes import Volume, binary_mask, lesion_of, read_volume
from jsddpm_core.errors import ImageError

LEAST_WITHIN_HEAD = 0.9
NEAR_HEAD_MM = 5.0


@dataclass(frozen=True)
class MaskOnImage:
    """A mask on its image's grid.

    Attributes:
        data: (I, J, K) uint8 of 0 and 1.
        differed: how its own grid differs, in words; None where it is the image's.
    """

    data: np.ndarray
    differed: str | None


def in_words(volume: Volume) -> str:
    """A grid as `256 x 256 x 40 voxels of 0.94 x 0.94 x 4 mm`."""
    sizes = " x ".join(str(size) for size in volume.data.shape)
    return f"{sizes} voxels of {' x '.join(f'{length:.3g}' for length in volume.spacing_mm)} mm"


def mask_on_image(path: Path, image: Volume, image_path: Path) -> MaskOnImage:
    """Reads a mask; one with other sizes is resampled by its own affine, so that it keeps its place in the patient.

    A mask of the same sizes but another affine is refused: drawn on the same voxels, one of the two affines is wrong,
    and nobody can tell which.

    Raises:
        ImageError: as `read_mask`, and if the lesions of a mask with other sizes lie outside the image's head.
    """
    mask = read_volume(path)
    if mask.data.shape == image.data.shape:
        return MaskOnImage(binary_mask(mask, image, path, image_path), None)
    differed = f"it has {in_words(mask)}, its image {in_words(image)}"
    lesion = lesion_of(mask, path).astype(np.float32)
    to_mask = np.linalg.inv(mask.affine) @ image.affine
    if lesion.any():
        inside = _share_in_head(lesion, mask, image)
        if inside < LEAST_WITHIN_HEAD:
            raise ImageError(
                f"{path} lies on another grid ({differed}) and {1 - inside:.0%} of its lesions lie outside the head",
                "draw or export the mask on its own image",
            )
    share = resample(smoothed(lesion, to_mask), to_mask, image.data.shape, "linear")
    return MaskOnImage((share > 0.5).astype(np.uint8), differed)


def _share_in_head(lesion: np.ndarray, mask: Volume, image: Volume) -> float:
    """The share of a lesion's voxels that lie in an image's head, or close to it."""
    reach = [
        round(NEAR_HEAD_MM / length) if size > 1 else 0
        for length, size in zip(image.spacing_mm, image.data.shape, strict=True)
    ]
    head = foreground(image.data)
    near = ndimage.maximum_filter(head, size=[2 * steps + 1 for steps in reach])
    index = np.argwhere(lesion).T
    at = np.linalg.inv(image.affine) @ mask.affine @ np.vstack([index, np.ones(index.shape[1])])
    at = np.rint(at[:3]).astype(int)
    shape = np.array(image.data.shape)[:, None]
    there = ((at >= 0) & (at < shape)).all(axis=0)
    return float(near[tuple(at[:, there])].sum() / index.shape[1])
