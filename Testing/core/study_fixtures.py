"""Slices of two arms that show the same and differ in all else, and studies made of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from evaluation_fixtures import SIDE, brain_images

from jsddpm_core.config_file import load_config
from jsddpm_core.data.slices import SliceCache, SliceCacheWriter, SliceRecord
from jsddpm_core.generation.delivery import Delivery
from jsddpm_core.generation.nifti import affine_of, image_bytes, mask_bytes
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.sidecar import BundleIdentity, Environment, FileRecord, Geometry, Sidecar, voxels_digest
from jsddpm_core.manifest import ImageGrid
from jsddpm_core.reading_study.design import StudyDesign, parse_design

PASSPHRASE = "four plain words here"
SECRET = bytes(range(32))
POSITIONS = (0.5, 18.0)
LESION = (slice(28, 36), slice(30, 38))


def config() -> Any:
    """The fast configuration on small slices."""
    return load_config("fast", (f"data.grid.shape=[{SIDE},{SIDE},160]",))


def arm_images(count: int, seed: int, pathology: str) -> tuple[np.ndarray, np.ndarray]:
    """Brains of various sizes with their masks, `(count, X, Y)` each, the background at -1."""
    radii = 0.35 + 0.02 * np.random.default_rng(seed).standard_normal(count)
    images = np.concatenate(
        [brain_images(1, seed=seed * 10_000 + i, radius=float(radius)) for i, radius in enumerate(radii)]
    )
    masks = np.zeros(images.shape, dtype=np.uint8)
    if pathology != "none":
        masks[:, *LESION] = 1
        images[masks > 0] = 0.7
    return images, masks


def write_real_cache(folder: Path, people: int, split: str = "test", seed: int = 1) -> SliceCache:
    """People as a scanner and a converter leave them: 8-bit values, cut at both ends, an even background."""
    settings = config()
    with SliceCacheWriter(folder, settings.data.grid) as writer:
        for number in range(people):
            pathology = "infarct" if number % 2 else "none"
            images, masks = arm_images(1, seed * 1000 + number, pathology)
            comb = np.where(images > -1, np.clip(np.round((images + 1) * 90) / 90 - 1, -1, 1), -1)
            record = SliceRecord(
                subject=f"scans/sub-{number:04d}",
                case=f"scans/sub-{number:04d}",
                split=split,
                slice_index=80,
                position_mm=POSITIONS[number // 2 % 2],
                pathology=pathology,
                mask_known=True,
                lesion_mm2=float(masks.sum()) * settings.data.grid.spacing_mm**2,
                dataset="scans",
            )
            writer.add(record, comb[0].astype(np.float32), masks[0])
        return writer.finish({"made": "for tests"})


def write_results(folder: Path, count: int, pathology: str, position_mm: float, seed: int = 2) -> Path:
    """Results as `jsddpm sample` writes them: any value in the brain, noise about -1 outside of it."""
    folder.mkdir(parents=True)
    settings = config()
    grid = ImageGrid.of(settings.data.grid, settings.data.percentiles)
    images, masks = arm_images(count, seed, pathology)
    noise = np.random.default_rng(seed).normal(0, 0.02, images.shape)
    images = np.clip(images + noise, -1, 1).astype(np.float32)
    for index in range(count):
        files = {}
        for ending, array, to_bytes in (("FLAIR", images[index], image_bytes), ("mask", masks[index], mask_bytes)):
            name, content = f"sample-{index:06d}_desc-synthetic_{ending}.nii.gz", to_bytes(array, grid, position_mm)
            (folder / name).write_bytes(content)
            files[ending] = FileRecord(
                name=name, sha256=hashlib.sha256(content).hexdigest(), voxels_sha256=voxels_digest(array)
            )
        lesional = pathology != "none"
        sidecar = Sidecar(
            request=GenerateRequest(model="gone", pathology=pathology, position_mm=position_mm, first=index),
            bundle=BundleIdentity(name="gone", digest="0" * 64),
            environment=Environment(versions={}, cpu="", instructions="", device="cpu", threads=1),
            geometry=Geometry(
                space=grid.space,
                affine=tuple(tuple(row) for row in affine_of(grid, position_mm).tolist()),
                positions_mm=(position_mm,),
                intensity_range=(-1.0, 1.0),
            ),
            attempts=(
                Delivery(
                    finite=True, lesion_asked=lesional, lesion_mm2=100.0 * lesional, lesion_found=lesional,
                    contrast=None, as_asked=True,
                ),
            ),
            files=files,
        )  # fmt: skip
        (folder / f"sample-{index:06d}.json").write_bytes(sidecar.to_bytes())
    return folder


def write_sources(folder: Path, of_each: int) -> tuple[Path, list[Path]]:
    """A cache of `4 * of_each` people and as many results: two pathologies at two positions."""
    cache = folder / "cache"
    write_real_cache(cache, 4 * of_each)
    results = [
        write_results(folder / f"results-{number}", of_each, pathology, position, seed=50 + number)
        for number, (pathology, position) in enumerate(
            (pathology, position) for pathology in ("none", "infarct") for position in POSITIONS
        )
    ]
    return cache, results


def design_of(cache: Path, results: list[Path], count: int, **more: Any) -> StudyDesign:
    """A design of so many cases in each arm."""
    tree = {
        "title": "Real or not",
        "items": [{"kind": "real"}],
        "real": {"count": count, "cache": str(cache)},
        "synthetic": {"count": count, "results": [str(folder) for folder in results]},
        "pathologies": ["none", "infarct"],
        "slots": 2,
    }
    return parse_design({**tree, **more})
