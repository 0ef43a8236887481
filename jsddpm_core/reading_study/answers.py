"""What can be answered to an item, and whether an answer was right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.manifest import CaseTruth, Item
from jsddpm_core.reading_study.responses import Answer

SCALE: Final = 6
"""Points of a rating; its upper half leans to what stands last."""


def points(item: Item) -> int:
    """How many answers an item has; they are the digits from 1."""
    if item.kind == "likert":
        return item.points
    return 2 if item.kind == "pair" or item.scale == "forced" else SCALE


def positive(item: Item, value: int) -> bool:
    """Whether an answer leans to synthetic, to the right one, or to a lesion."""
    return value > points(item) / 2


def takes_mark(item: Item, value: int | None) -> bool:
    """Whether the place of a lesion belongs to an answer: wherever one is thought possible."""
    return item.kind == "lesion" and value is not None and value > 1


def needs_mark(item: Item, value: int | None) -> bool:
    """Whether an answer is not complete without the place: wherever a lesion is thought more likely than not."""
    return item.kind == "lesion" and value is not None and positive(item, value)


def check_answers(items: tuple[Item, ...], answers: tuple[Answer, ...], timed_out: bool) -> None:
    """Holds the answers to a case against what was asked.

    Raises:
        StudyError: naming the first that does not fit.
    """
    if [answer.item for answer in answers] != [item.name for item in items]:
        raise StudyError("the answers are not those of this study's questions", "open the study again")
    for item, answer in zip(items, answers, strict=True):
        if answer.value is None:
            if not timed_out:
                raise StudyError(f"'{item.name}' has no answer", f"choose 1 to {points(item)}")
        elif not 1 <= answer.value <= points(item):
            raise StudyError(f"{answer.value} is no answer to '{item.name}'", f"choose 1 to {points(item)}")
        if answer.mark_mm is None and needs_mark(item, answer.value) and not timed_out:
            raise StudyError("the place of the lesion is missing", "click on it")
        if answer.mark_mm is not None and not takes_mark(item, answer.value):
            raise StudyError("a place was given although no lesion was", "take the place away")


@dataclass(frozen=True)
class Feedback:
    """What a training case says after it was answered.

    Attributes:
        item: its name.
        right: the answer that leans to the truth: the end of the scale.
        correct: whether the reader leant to the same side.
        hit: whether the mark lies within the radius; None where no mark was asked for or there is no lesion.
    """

    item: str
    right: int
    correct: bool
    hit: bool | None = None


def feedback(
    items: tuple[Item, ...], answers: tuple[Answer, ...], truth: CaseTruth, shape: tuple[int, ...], affine: np.ndarray
) -> tuple[Feedback, ...]:
    """What is said of each item that has a truth; a question of the designer's own has none.

    Args:
        items: of the manifest.
        answers: in the same order.
        truth: of the case.
        shape: `(I, J, K)` of the picture's array.
        affine: 4 x 4, from its indices to RAS millimetres.
    """
    said = []
    for item, answer in zip(items, answers, strict=True):
        if item.kind == "likert":
            continue
        if item.kind == "pair":
            synthetic_last = truth.arm == "synthetic"  # on the left, so that the right one is real
        else:
            synthetic_last = truth.lesion if item.kind == "lesion" else truth.arm == "synthetic"
        right = points(item) if synthetic_last else 1
        correct = answer.value is not None and positive(item, answer.value) == synthetic_last
        hit = None
        if item.kind == "lesion" and truth.lesion and answer.value is not None and positive(item, answer.value):
            hit = mark_hits(answer.mark_mm, truth, item.radius_mm, shape, affine)
        said.append(Feedback(item.name, right, correct, hit))
    return tuple(said)


def lesion_mask(truth: CaseTruth, shape: tuple[int, ...]) -> np.ndarray:
    """The lesion that a key tells, bool of the given shape `(I, J, K)`."""
    flat = np.zeros(int(np.prod(shape)), bool)
    for start, length in zip(truth.lesion_voxels[::2], truth.lesion_voxels[1::2], strict=True):
        flat[start : start + length] = True
    return flat.reshape(shape)


def mark_hits(
    mark_mm: tuple[float, float, float] | None,
    truth: CaseTruth,
    radius_mm: float,
    shape: tuple[int, ...],
    affine: np.ndarray,
) -> bool:
    """Whether a mark lies within a radius of the middle of any voxel of the lesion."""
    voxels = np.argwhere(lesion_mask(truth, shape))
    if mark_mm is None or not len(voxels):
        return False
    places = voxels @ affine[:3, :3].T + affine[:3, 3]
    return bool((np.linalg.norm(places - np.asarray(mark_mm), axis=1) <= radius_mm).any())
