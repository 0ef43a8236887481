"""Reading images at the edge: what enters is a finite 3-D array with an affine, or an error says why it is not.

NIfTI files are read by nibabel, NRRD files by SimpleITK.
"""

from __future__ import annotations

import logging
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from jsddpm_core.errors import ImageError

AFFINE_TOLERANCE_MM = 0.05
MOST_VOXELS = 2**29  # of a single image: 800 voxels along each axis
MOST_MM = 1000.0  # along an axis

# It tells of every header that it mends, on standard error; what cannot be mended is told by the error.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Volume:
    """An image in its own grid.

    Attributes:
        data: (I, J, K) float32, every value finite.
        affine: (4, 4) float64, from voxel indices to RAS millimetres.
        declared_template: whether the header says that the affine in use leads to MNI152 (code 4).
    """

    data: np.ndarray
    affine: np.ndarray
    declared_template: bool = False

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return tuple(float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))


def read_volume(path: Path) -> Volume:
    """Reads a file of one 3-D image, NIfTI or NRRD (trailing axes of length 1 are dropped, a plane gets a third axis).

    Raises:
        ImageError: if the file is missing, locked or damaged, or holds a 4-D, colour, empty, non-finite or immense
            image, or an affine that cannot be inverted.
    """
    path = Path(path)
    try:
        there = path.is_file()
        if there:
            path.open("rb").close()  # nibabel calls what it may not open damaged
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise ImageError(f"{path} cannot be opened ({said})", "check the path, and who may read it") from error
    if not there:
        said = "is a link to a file that is not there" if path.is_symlink() else "does not exist"
        raise ImageError(f"{path} {said}", "fetch the file or check the path")
    data, affine, declared_template = _read_nrrd(path) if path.suffix.lower() == ".nrrd" else _read_nifti(path)
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim == 2:
        data = data[..., None]
    if data.ndim != 3:
        raise ImageError(f"{path} has {data.ndim} axes of sizes {data.shape}", "give one 3-D image")
    if data.size == 0:
        raise ImageError(f"{path} has no voxels (sizes {data.shape})", "export it again")
    bad = int(data.size - np.isfinite(data).sum())
    if bad:
        raise ImageError(f"{path} has {bad} voxels that are NaN or infinite", "replace them by the background value")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise ImageError(f"{path} has an affine that cannot be inverted", "export it again with its geometry")
    volume = Volume(data=data, affine=affine, declared_template=declared_template)
    longest = max(size * length for size, length in zip(data.shape, volume.spacing_mm, strict=True))
    if longest > MOST_MM:
        raise ImageError(f"{path} is {longest:.4g} mm long", "export it again with its geometry in millimetres")
    return volume


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    """Values, affine, and whether the header says that the affine in use leads to MNI152."""
    try:
        image = nib.load(path)
        kind = image.get_data_dtype().kind
        if kind not in "iuf":
            raise ImageError(f"{path} holds values of the type {image.get_data_dtype()}", "give one number a voxel")
        if math.prod(image.shape) > MOST_VOXELS:
            raise ImageError(f"{path} has the sizes {image.shape}", "give one 3-D image of a head")
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is counted below
            data = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, MemoryError, zlib.error) as error:
        raise ImageError(f"{path} could not be read as NIfTI", "copy or convert the file again") from error
    header = image.header
    codes = [int(header[key]) for key in ("sform_code", "qform_code") if key in header]
    # The affine is the sform's where there is one, so the qform's code counts only where it is in use.
    in_use = next((code for code in codes if code > 0), 0)
    return data, np.asarray(image.affine, dtype=np.float64), in_use == 4


def _read_nrrd(path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    """Values and affine; NRRD has no word for MNI152."""
    try:
        image = sitk.ReadImage(str(path), imageIO="NrrdImageIO")
    except RuntimeError as error:
        raise ImageError(f"{path} could not be read as NRRD", "copy or convert the file again") from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(f"{path} holds several numbers a voxel", "give one number a voxel")
    if image.GetDimension() != 3:
        raise ImageError(f"{path} has {image.GetDimension()} axes of sizes {image.GetSize()}", "give one 3-D image")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    values = sitk.GetArrayFromImage(image).T.astype(np.float32)
    return np.ascontiguousarray(values), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, False


def read_mask(path: Path, image: Volume, image_path: Path) -> np.ndarray:
    """Reads the lesion mask of an image.

    Returns:
        (I, J, K) uint8 of 0 and 1: values above one half are lesion.

    Raises:
        ImageError: as `read_volume` and `lesion_of`, and if shape or affine differ from the image's.
    """
    return binary_mask(read_volume(path), image, path, image_path)


def binary_mask(mask: Volume, image: Volume, path: Path, image_path: Path) -> np.ndarray:
    """The mask of an image, read already; see `read_mask`."""
    if mask.data.shape != image.data.shape:
        raise ImageError(
            f"{path} has the sizes {mask.data.shape} but its image {image_path.name} has {image.data.shape}",
            "resample the mask to its image",
        )
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in mask.data.shape], indexing="ij")).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = float(np.linalg.norm(((mask.affine - image.affine) @ corners)[:3], axis=0).max())
    if apart > AFFINE_TOLERANCE_MM:
        raise ImageError(
            f"{path} lies up to {apart:.2f} mm from its image {image_path.name} (affines differ)",
            "resample the mask to its image",
        )
    return lesion_of(mask, path)


def lesion_of(mask: Volume, path: Path) -> np.ndarray:
    """(I, J, K) uint8 of 0 and 1: values of a mask above one half are lesion.

    Raises:
        ImageError: if values are negative, or all of them lie between nothing and a lesion.
    """
    least, most = float(mask.data.min()), float(mask.data.max())
    if least < 0:
        raise ImageError(f"{path} has the value {least:g}", "give a mask of 0 and 1")
    if 0 < most <= 0.5:
        raise ImageError(f"{path} has no value above {most:.3g}", "give a mask of 0 and 1")
    return (mask.data > 0.5).astype(np.uint8)
