"""What the data room's tests share: a small grid, and files with a geometry of one's own."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from jsddpm_core.config import Config, DataConfig, GridConfig
from jsddpm_core.config_file import load_config
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter, SliceRecord

SMALL_GRID = GridConfig(shape=(44, 52, 40), spacing_mm=4.0, first_slice=6, last_slice=33, centre_mm=(0.0, -18.0, 8.0))
SMALL_DATA = DataConfig(grid=SMALL_GRID)


def small_config() -> Config:
    """The fast configuration on a grid of 4 mm."""
    return load_config("fast").model_copy(update={"data": SMALL_DATA})


def write_image(path: Path, data: np.ndarray, affine: np.ndarray | None = None, sform_code: int = 4) -> Path:
    """Writes a NIfTI file and its folders; sform code 4 says MNI152."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.eye(4) if affine is None else affine
    image = nibabel.Nifti1Image(data, affine)
    image.set_sform(affine, code=sform_code)
    nibabel.save(image, path)
    return path


def reoriented(data: np.ndarray, affine: np.ndarray, codes: str) -> tuple[np.ndarray, np.ndarray]:
    """The same image stored with other axes, such as `LPS` or `PIR`."""
    wanted = nibabel.orientations.axcodes2ornt(tuple(codes))
    change = nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), wanted)
    turned = nibabel.orientations.apply_orientation(data, change)
    return turned, affine @ nibabel.orientations.inv_ornt_aff(change, data.shape)


def record(subject: str = "d/sub-01", split: str = "train", position_mm: float = 0.0, **more: object) -> SliceRecord:
    """A lesion-free slice's record."""
    known = {"pathology": "none", "mask_known": True, "lesion_mm2": 0.0, "slice_index": 20} | more
    return SliceRecord(subject=subject, case=subject, split=split, position_mm=position_mm, dataset="d", **known)


def write_cache(folder: Path, slices: list[tuple[SliceRecord, float]], made_of: object = "test") -> SliceCache:
    """A cache of even slices: each has the one value given beside its record."""
    with SliceCacheWriter(folder, SMALL_GRID) as writer:
        for entry, value in slices:
            image = np.full(SMALL_GRID.shape[:2], value, dtype=np.float32)
            writer.add(entry, image, np.zeros(SMALL_GRID.shape[:2], dtype=np.uint8))
        return writer.finish(made_of)
