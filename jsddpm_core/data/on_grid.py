"""One case from its files to the model's grid: read, corrected, aligned, resampled. Training and gallery share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from jsddpm_core.config import DataConfig
from jsddpm_core.data.correct import HdBet, find_hd_bet, n4_corrected
from jsddpm_core.data.looks import has_skull
from jsddpm_core.data.mask_grid import mask_on_image
from jsddpm_core.data.preprocess import Prepared, resample, smoothed, to_grid
from jsddpm_core.data.registration import (
    LEAST_SIMILARITY,
    Alignment,
    align,
    as_declared,
    in_template_space,
    similarity,
)
from jsddpm_core.data.template import SHAPE, default_template, load_template, template_affine
from jsddpm_core.data.volumes import Volume, read_volume
from jsddpm_core.errors import CaseError, ImageError
from jsddpm_core.training.request import CaseEntry, Corrections


@dataclass(frozen=True)
class OnGrid:
    """A case on the model's grid.

    Attributes:
        prepared: image and mask there, and the way back.
        alignment: how it came into template space.
        steps: what was done to it besides, in words.
    """

    prepared: Prepared
    alignment: Alignment
    steps: tuple[str, ...]


class ToGrid:
    """Brings cases to the model's grid; the template is read when the first case needs it.

    Args:
        data: grid and intensities.
        corrections: optional steps; see `correct` for their order.

    Raises:
        PackageError: if skull stripping is wanted and HD-BET is not there.
        CaseError: if the template is not there.
    """

    def __init__(self, data: DataConfig, corrections: Corrections) -> None:
        self.data, self.corrections = data, corrections
        self.template_file = corrections.template or default_template()
        if not self.template_file.is_file():
            raise CaseError(f"the template {self.template_file} is no file", "name a NIfTI file in MNI152 space")
        self._hd_bet: HdBet | None = find_hd_bet() if corrections.skull_strip else None

    @cached_property
    def template(self) -> Volume:
        """What native scans are aligned to.

        Raises:
            ImageError, CaseError: if it cannot be read or lies in another space.
        """
        return registrable(load_template(self.template_file), self.template_file)

    def __call__(self, entry: CaseEntry, on_wait: Callable[[], None] | None = None) -> OnGrid:
        """Brings a case to the grid.

        Args:
            entry: its files and what is known of its lesions.
            on_wait: called now and then while another program works; what it raises ends it.

        Raises:
            ImageError: if a file cannot be read or used, or the image cannot be aligned.
        """
        volume = read_volume(entry.image)
        if volume.data.min() == volume.data.max():  # nothing can be compared with the template
            raise ImageError(f"{entry.image} is empty: every voxel is {volume.data.flat[0]:g}", "choose another file")
        mask, steps = known_mask(entry, volume)
        if self._hd_bet is not None and has_skull(volume):
            volume = self._hd_bet.strip(volume, entry.image.name, mask, on_wait)
            steps.append("skull stripped by HD-BET")
        if self.corrections.n4:
            volume = n4_corrected(volume, entry.image.name)
            steps.append("N4 bias correction")
        if in_template_space(entry, volume):
            alignment = as_declared(volume, self.template, entry.image.name)
        else:
            affine = self.corrections.alignment == "affine"
            alignment = align(volume, self.template, entry.image.name, affine=affine)
        prepared = to_grid(volume, mask, self.data, entry.image.name, alignment.matrix)
        return OnGrid(prepared, alignment, tuple(steps))


def known_mask(entry: CaseEntry, image: Volume) -> tuple[np.ndarray | None, list[str]]:
    """The mask that a case teaches, and what was done to it; None where its lesions are unknown.

    Raises:
        ImageError: if the mask cannot be used, or gainsays what is said of the case.
    """
    if entry.mask is None:
        return (np.zeros(image.data.shape, dtype=np.uint8) if entry.lesion_free else None), []
    if entry.pathology is None and not entry.lesion_free:
        return None, []
    found = mask_on_image(entry.mask, image, entry.image)
    if entry.lesion_free and found.data.any():
        raise ImageError(
            f"{entry.name} is said to be free of lesions but {entry.mask.name} has {int(found.data.sum())} voxels",
            "correct one of the two",
        )
    return found.data, [] if found.differed is None else [f"mask resampled: {found.differed}"]


def registrable(template: Volume, path: Path) -> Volume:
    """A template as the alignment needs it: isotropic, along the axes, in the model's space.

    Raises:
        CaseError: if it does not lie where the template does that ships with the project.
    """
    lengths, matrix = np.array(template.spacing_mm), template.affine[:3, :3]
    if np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-4) and np.ptp(lengths) < 1e-3:
        ready = template
    else:
        back = np.linalg.inv(template.affine) @ template_affine()
        values = resample(smoothed(template.data, back), back, SHAPE, "linear")
        ready = Volume(values, template_affine(), template.declared_template)
    if path.resolve() != default_template().resolve():
        alike = similarity(ready, np.eye(4), load_template())
        if alike < LEAST_SIMILARITY:
            raise CaseError(
                f"the template {path} does not lie where MNI152 does (similarity {alike:.2f}, needed "
                f"{LEAST_SIMILARITY})",
                "give one in MNI152 space",
            )
    return ready
