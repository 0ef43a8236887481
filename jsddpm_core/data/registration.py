"""Rigid, and on request affine, alignment of native scans to the template, by correlation (SimpleITK).

Scan and template are both FLAIR, so correlation serves; it has one clear optimum where mutual information of so few
coarse voxels is flat, and puts two sessions of a person within 1.5 mm of each other.

A scan in template space needs none; a scan that neither is there nor can be brought there is refused, with the measured
similarity. Transforms are plain 4 x 4 matrices between RAS spaces, kept as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, TypeVar

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from jsddpm_core.data.cases import TEMPLATE_SPACES
from jsddpm_core.data.preprocess import foreground, resample, to_ras
from jsddpm_core.data.volumes import Volume
from jsddpm_core.errors import ImageError
from jsddpm_core.progress import OnProgress, Progress

LEAST_SIMILARITY = 0.35
LEAST_DECLARED = 0.1
GOOD_SIMILARITY = 0.5  # above it no second start is tried
WORKING_SPACING_MM = 2.0
MINIMUM_EXTENT_MM = 60.0
SAMPLED_SHARES = [1.0, 0.5, 0.1]  # of the voxels at a quarter, at half and at full resolution
LEAST_COMPARED = 1000  # voxels of the template
BRAIN_MARGIN = 3  # voxels of the template around its brain that the scan is compared on
RIGID, AFFINE = "rigid alignment", "affine alignment"
SHRINKS = [4, 2, 1]
MOST_ITERATIONS = 100  # at each of these resolutions
STRETCHES = (0.7, 1.4)  # least and largest that an affine transform may scale a head by

AnyTransform = TypeVar("AnyTransform", sitk.Euler3DTransform, sitk.AffineTransform)


@dataclass(frozen=True)
class Alignment:
    """How a scan lies in template space.

    Attributes:
        matrix: (4, 4) from native RAS to template RAS.
        similarity: correlation with the template over both foregrounds, -1 to 1.
        how: `header` where the file says so, `rigid` or `rigid+affine` where it was registered.
    """

    matrix: np.ndarray
    similarity: float
    how: Literal["header", "rigid", "rigid+affine"]

    def to_json(self) -> str:
        """The transform as the text of a JSON file."""
        tree = {
            "from": "native RAS, mm",
            "to": "template RAS, mm",
            "matrix": np.asarray(self.matrix).tolist(),
            "similarity": self.similarity,
            "how": self.how,
        }
        return json.dumps(tree, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Alignment:
        """Reads what `to_json` made."""
        tree = json.loads(text)
        return cls(matrix=np.array(tree["matrix"]), similarity=tree["similarity"], how=tree["how"])


class _Spaced(Protocol):
    @property
    def space(self) -> str | None: ...


def in_template_space(case: _Spaced, volume: Volume) -> bool:
    """Whether the file's name (`space-MNI152...`) or header (code 4 of the affine in use) says so; the name decides."""
    if case.space is not None:
        return case.space.startswith(TEMPLATE_SPACES)
    return volume.declared_template


def _isotropic(volume: Volume, spacing: float = WORKING_SPACING_MM) -> tuple[np.ndarray, np.ndarray]:
    """The volume on a coarse grid along the RAS axes: values with background 0, and the grid's origin (mm)."""
    ras, _ = to_ras(volume)
    inside = foreground(ras.data)
    values = np.where(inside, ras.data - ras.data.min(), 0)
    top = np.percentile(values[inside], 99.5) if inside.any() else 1.0
    values = np.clip(values / max(float(top), 1e-6), 0, 1).astype(np.float32)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in values.shape], indexing="ij")).reshape(3, -1)
    points = (ras.affine @ np.vstack([corners, np.ones(8)]))[:3]
    low, high = points.min(axis=1), points.max(axis=1)
    shape = tuple(int(np.ceil(extent / spacing)) + 1 for extent in high - low)
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = low
    return resample(values, np.linalg.inv(ras.affine) @ affine, shape, "linear"), low


def _image(values: np.ndarray, origin: np.ndarray, spacing: float) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetOrigin([float(x) for x in origin])
    image.SetSpacing([float(spacing)] * 3)
    return image


def _matrix(transform: sitk.Euler3DTransform | sitk.AffineTransform) -> np.ndarray:
    """(4, 4) of a linear transform about a centre."""
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift + centre - linear @ centre
    return matrix


class _Iterations:
    """Tells how far a registration is; what the listener raises ends it and is kept, for SimpleITK would lose it."""

    def __init__(
        self, method: sitk.ImageRegistrationMethod, stage: str, on_progress: Callable[[Progress], None]
    ) -> None:
        self.method, self.stage, self.on_progress = method, stage, on_progress
        self.raised: BaseException | None = None

    def __call__(self) -> None:
        level = self.method.GetCurrentLevel()
        share = min(self.method.GetOptimizerIteration() / MOST_ITERATIONS, 0.999)
        try:
            if self.raised is None:
                self.on_progress(Progress(self.stage, level + share, len(SHRINKS)))
        except BaseException as error:
            self.raised = error
        if self.raised is not None:
            self.method.StopRegistration()  # of this resolution; the next one begins, and is stopped too


def _register(
    fixed: sitk.Image,
    moving: sitk.Image,
    brain: sitk.Image,
    start: AnyTransform,
    stage: str,
    on_progress: OnProgress,
) -> AnyTransform:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in one order: the same transform on every machine
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel(SAMPLED_SHARES, seed=1)
    method.SetMetricFixedMask(brain)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0,
        minStep=0.01,
        numberOfIterations=MOST_ITERATIONS,
        relaxationFactor=0.7,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(SHRINKS)
    method.SetSmoothingSigmasPerLevel([4.0, 2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    moved = type(start)(start)
    method.SetInitialTransform(moved, inPlace=True)
    if on_progress is None:
        method.Execute(fixed, moving)
        return moved
    iterations = _Iterations(method, stage, on_progress)
    method.AddCommand(sitk.sitkIterationEvent, iterations)
    try:
        method.Execute(fixed, moving)
    finally:
        method.RemoveAllCommands()
        if iterations.raised is not None:
            raise iterations.raised
    return moved


def _refined(search: Callable[..., sitk.AffineTransform], rigid: sitk.Euler3DTransform) -> np.ndarray | None:
    """(4, 4) of the affine transform near a rigid one, from moving to fixed; None where there is no plausible one.

    Args:
        search: `_register` for certain images; takes the start and the stage's name.
        rigid: from fixed to moving.
    """
    start = sitk.AffineTransform(rigid.GetMatrix(), rigid.GetTranslation(), rigid.GetCenter())
    try:
        matrix = np.linalg.inv(_matrix(search(start, AFFINE)))
    except RuntimeError:
        return None
    stretches = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    return matrix if STRETCHES[0] < stretches.min() and stretches.max() < STRETCHES[1] else None


def similarity(volume: Volume, to_template: np.ndarray, template: Volume) -> float:
    """Correlation of an image with the template, over the template's brain and the image's own foreground.

    Args:
        volume: the image; one slice is compared in its own plane.
        to_template: (4, 4) from its RAS to the template's.
        template: average image, background 0, axes in RAS order.
    """
    ras, _ = to_ras(volume)
    values = np.where(foreground(ras.data), ras.data - ras.data.min(), 0)
    affine, shape = template.affine, template.data.shape
    if ras.data.shape[2] == 1:
        affine, shape = affine.copy(), (*shape[:2], 1)
        affine[2, 3] = (to_template @ ras.affine @ np.append((np.array(ras.data.shape) - 1) / 2, 1.0))[2]
    back = np.linalg.inv(to_template @ ras.affine) @ affine
    moved = resample(values, back, shape, "linear")
    seen = resample(np.ones_like(values), back, shape, "nearest") > 0.5
    expected = resample(template.data, np.linalg.inv(template.affine) @ affine, shape, "linear")
    over = seen & ((moved > 0) | (expected > 0))
    if over.sum() < LEAST_COMPARED or moved[over].std() == 0 or expected[over].std() == 0:
        return 0.0
    top = np.percentile(moved[over], 99)
    return float(np.corrcoef(np.clip(moved[over], 0, top), expected[over])[0, 1])


def as_declared(volume: Volume, template: Volume, name: str) -> Alignment:
    """The identity, for an image that is said to be in template space, provided that it looks at all like it.

    Raises:
        ImageError: if it does not.
    """
    alike = similarity(volume, np.eye(4), template)
    if alike < LEAST_DECLARED:
        raise ImageError(
            f"{name} says that it is in template space but does not look like it (similarity {alike:.2f})",
            "correct its name or its sform code, so that it is aligned",
        )
    return Alignment(matrix=np.eye(4), similarity=alike, how="header")


def require_extent(extent_mm: Sequence[float], name: str) -> None:
    """Makes sure that a scan outside template space covers enough of the head to be aligned.

    Raises:
        ImageError: if it does not.
    """
    if min(extent_mm) < MINIMUM_EXTENT_MM:
        raise ImageError(
            f"{name} is not in template space and covers only {min(extent_mm):.0f} mm, too little to be aligned",
            "give a whole volume, or one in MNI152 space",
        )


def align(
    volume: Volume, template: Volume, name: str, *, affine: bool = False, on_progress: OnProgress = None
) -> Alignment:
    """Finds the transform that takes a native scan to the template.

    Args:
        volume: the scan; at least 60 mm in each direction.
        template: average image, background 0, affine axis-aligned RAS and isotropic.
        name: how errors call the scan.
        affine: whether the rigid transform is refined to an affine one; where that makes the scan no more similar,
            or stretches it as no head is, the rigid one stays.
        on_progress: told after each iteration; what it raises ends the search, unless it is a RuntimeError.

    Raises:
        ImageError: if the scan covers too little, or does not look like the template after alignment.
    """
    values, origin = _isotropic(volume)
    require_extent([size * WORKING_SPACING_MM for size in values.shape], name)
    fixed = _image(template.data, template.affine[:3, 3], template.spacing_mm[0])
    around = ndimage.binary_dilation(template.data > 0, iterations=BRAIN_MARGIN)
    brain = sitk.Cast(_image(around.astype(np.float32), template.affine[:3, 3], template.spacing_mm[0]), sitk.sitkUInt8)
    moving = _image(values, origin, WORKING_SPACING_MM)
    best: Alignment | None = None
    turned = sitk.Euler3DTransform()
    starts = sitk.CenteredTransformInitializerFilter
    search = partial(_register, fixed, moving, brain, on_progress=on_progress)
    for stage, start_at in ((RIGID, starts.MOMENTS), (f"{RIGID}, second start", starts.GEOMETRY)):
        start = sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), start_at)
        try:
            moved = search(sitk.Euler3DTransform(start), stage)
        except RuntimeError:  # ITK's word for images that no longer overlap: this start led nowhere
            continue
        matrix = np.linalg.inv(_matrix(moved))
        alike = similarity(volume, matrix, template)
        if best is None or alike > best.similarity:
            best, turned = Alignment(matrix, alike, "rigid"), moved
        if best.similarity > GOOD_SIMILARITY:
            break
    if best is None or best.similarity < LEAST_SIMILARITY:
        found = "no overlap" if best is None else f"similarity {best.similarity:.2f}, needed {LEAST_SIMILARITY}"
        raise ImageError(f"{name} could not be aligned to the template ({found})", "give it in MNI152 space")
    refined = _refined(search, turned) if affine else None
    if refined is not None and (alike := similarity(volume, refined, template)) > best.similarity:
        return Alignment(refined, alike, "rigid+affine")
    return best
