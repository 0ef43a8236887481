"""Optional corrections of an image in its own grid: skull stripping by HD-BET and N4 bias correction by SimpleITK.

Their order, and that of the whole way to the model's grid (`on_grid`): the skull goes first, for HD-BET was made for
scans as they come; then N4, which is to see the brain only; then the alignment, which finds its place best on a brain
of even brightness; then the model's grid and intensities. Neither step here moves a voxel, so that a mask stays as it
is; the alignment takes image and mask through one transform.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813

from jsddpm_core.data.preprocess import foreground
from jsddpm_core.data.volumes import Volume, read_volume
from jsddpm_core.errors import ImageError, PackageError

N4_SPACING_MM = 4.0
N4_ITERATIONS = (50, 50, 50, 50)
N4_LEAST_VOXELS = 8  # along an axis that is shrunk

HD_BET = "hd-bet"
INSTALL_HD_BET = "install it with pip install hd-bet, and run it once: it fetches its weights then"
WEIGHTS = Path("fold_all") / "checkpoint_final.pth"
LOOK_EVERY_S = 0.5


def n4_corrected(volume: Volume, name: str) -> Volume:
    """Divides the foreground by the bias field that N4 (Tustison et al. 2010) finds at some 4 mm.

    Args:
        volume: an image, or one slice, which gets a field of its own plane.
        name: how errors call it.

    Raises:
        ImageError: if nothing in it is above zero.
    """
    inside = foreground(volume.data) & (volume.data > 0)
    if not inside.any():
        raise ImageError(f"{name} has no foreground above zero", "leave out the bias correction")
    flat = [axis for axis, size in enumerate(volume.data.shape) if size == 1]
    take = tuple(0 if axis in flat[:1] else slice(None) for axis in range(3))
    spacing = [length for axis, length in enumerate(volume.spacing_mm) if axis not in flat[:1]]
    image, mask = _image(volume.data[take], spacing), _image(inside[take].astype(np.uint8), spacing)
    shrink = [
        max(1, min(round(N4_SPACING_MM / length), size // N4_LEAST_VOXELS))
        for length, size in zip(spacing, image.GetSize(), strict=True)
    ]
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)  # sums in one order: the same field on every machine
    corrector.SetMaximumNumberOfIterations(N4_ITERATIONS)
    corrector.Execute(sitk.Shrink(image, shrink), sitk.Shrink(mask, shrink))
    field = np.exp(sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).T).reshape(volume.data.shape)
    return replace(volume, data=np.where(inside, volume.data / field, volume.data).astype(np.float32))


def _image(values: np.ndarray, spacing: Sequence[float]) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing([float(length) for length in spacing])
    return image


@dataclass(frozen=True)
class HdBet:
    """HD-BET (Isensee et al. 2019) as it is installed here.

    Attributes:
        command: the program.
        device: that it computes on.
    """

    command: str
    device: str

    def strip(
        self, volume: Volume, name: str, mask: np.ndarray | None, on_wait: Callable[[], None] | None = None
    ) -> Volume:
        """The brain alone, around it 0; what the lesion mask holds counts as brain.

        HD-BET runs on a copy in a temporary folder.

        Args:
            volume: a whole scan.
            name: how errors call it.
            mask: (I, J, K) of 0 and 1, or None.
            on_wait: called twice a second; what it raises ends HD-BET.

        Raises:
            ImageError: if the image is one slice, or HD-BET fails or finds no brain.
        """
        if 1 in volume.data.shape:
            raise ImageError(f"{name} is one slice, HD-BET strips volumes", "leave out the skull stripping")
        with tempfile.TemporaryDirectory(prefix="jsddpm-") as place:
            scan, out = Path(place) / "scan.nii.gz", Path(place) / "brain.nii.gz"
            nib.save(nib.Nifti1Image(volume.data, volume.affine), scan)
            options = ["-i", scan.name, "-o", out.name, "-device", self.device, "--save_bet_mask", "--no_bet_image"]
            if self.device == "cpu":
                options.append("--disable_tta")  # as its authors advise for a processor
            said = _run([self.command, *options], Path(place), on_wait)
            found = Path(place) / "brain_bet.nii.gz"
            if not found.is_file():
                raise ImageError(
                    f"HD-BET could not strip {name} ({said or 'it left no mask'})", "leave out the skull stripping"
                )
            brain = read_volume(found).data > 0.5
        if brain.shape != volume.data.shape or not brain.any():
            raise ImageError(f"HD-BET found no brain in {name}", "leave the case or the skull stripping out")
        if mask is not None:
            brain |= mask > 0
        return replace(volume, data=np.where(brain, volume.data - min(0.0, float(volume.data.min())), 0))


def _run(command: Sequence[str], folder: Path, on_wait: Callable[[], None] | None) -> str:
    """Runs a program to its end; what it said last, empty where it was content."""
    with (folder / "said.txt").open("w+b") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while True:
                try:
                    code = process.wait(LOOK_EVERY_S)
                    break
                except subprocess.TimeoutExpired:
                    if on_wait is not None:
                        on_wait()
        except BaseException:
            _end(process)
            raise
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
    return " ".join((lines or [f"exit code {code}"])[-1].split())[:200] if code else ""


def _end(process: subprocess.Popen) -> None:
    """Ends a program and what it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def find_hd_bet() -> HdBet:
    """HD-BET as it is installed, with its weights: it would download them unasked.

    Raises:
        PackageError: if it is not installed, or its weights are not on this machine.
    """
    command = shutil.which(HD_BET)
    if command is None:
        raise PackageError("HD-BET is not installed, which strips the skull", INSTALL_HD_BET)
    places = [Path.home() / "hd-bet_params" / "release_2.0.0"]  # where version 2.0 has them
    package = importlib.util.find_spec("HD_BET")
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "parameters")  # later versions
    around = Path(command).resolve().parent.parent
    places += sorted(around.glob("lib/python*/site-packages/HD_BET/parameters"))
    if not any((place / WEIGHTS).is_file() for place in places):
        raise PackageError(
            f"HD-BET's weights are not on this machine ({places[0]})",
            "run hd-bet once by hand on any scan, it fetches them (from zenodo.org)",
        )
    return HdBet(command, _device())


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
