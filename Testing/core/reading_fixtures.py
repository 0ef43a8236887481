"""Small studies, as the writer of studies leaves them: images of one slice, a manifest, the training's open key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from jsddpm_core.reading_study.manifest import (
    IMAGES,
    MANIFEST,
    TRAINING_KEY,
    AnalysisPlan,
    AnswerKey,
    CaseTruth,
    Display,
    Item,
    LesionItem,
    LikertItem,
    Picture,
    RealItem,
    Slot,
    StudyCase,
    StudyManifest,
    digest_of,
)
from jsddpm_core.reading_study.responses import Answer, ViewState

SHAPE = (48, 56, 1)
SPACING = 2.0
LESION = (slice(28, 33), slice(30, 36), 0)
VIEW = ViewState(window=1.0, level=0.5, zoom=1.0, pan=(0.0, 0.0), scrolls=0, changes=0)


def affine_of() -> np.ndarray:
    """Axial, the patient's left towards higher indices' opposite, the slice at z = 18 mm."""
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = -SPACING * (SHAPE[0] - 1) / 2, -SPACING * (SHAPE[1] - 1) / 2 - 10.0, 18.0
    return affine


def head(number: int, lesion: bool = False) -> np.ndarray:
    """A grey disc with a ring, float32 in [0, 1] of SHAPE, that differs by its number."""
    i, j = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = np.hypot((i - 23.5) / 20, (j - 27.5) / 25)
    image = np.where(radius < 1, 0.35 + 0.02 * (number % 8), 0.0) + 0.25 * ((radius > 0.88) & (radius < 1))
    image = image[..., None]
    if lesion:
        image[LESION] += 0.4
    return np.clip(image, 0, 1).astype(np.float32)


def write_study(
    folder: Path,
    cases: int = 4,
    training: int = 1,
    items: tuple[Item, ...] = (RealItem(),),
    repeats: tuple[int, ...] = (),
    masks: bool = False,
    slots: int = 2,
    display: dict[str, Any] | None = None,
    pictures: dict[str, np.ndarray] | None = None,
    **said: Any,
) -> StudyManifest:
    """Writes a study whose even cases are synthetic and whose every third case has a lesion.

    Args:
        folder: to make.
        cases: that count.
        training: before them.
        items: that are asked.
        repeats: numbers of cases (from 0) that come a second time.
        masks: whether masks lie beside the pictures.
        slots: the second one's order is the first one's backwards.
        display: settings other than window 1 and level 0.5.
        pictures: arrays for the cases by name, in place of the grey discs.
        said: fields of the manifest.
    """
    (folder / IMAGES).mkdir(parents=True)
    sides = 2 if any(item.kind == "pair" for item in items) else 1
    count = 0

    def picture(name: str, number: int) -> Picture:
        nonlocal count
        count += 1
        lesion = number % 3 == 0
        image = (pictures or {}).get(name, head(number, lesion))
        file = f"{IMAGES}/{count:06d}.nii"
        saved = {"file": file, "sha256": save(folder / file, image)}
        if masks:
            mask = np.zeros(image.shape, np.uint8)
            mask[LESION] = lesion
            saved |= {
                "mask": f"{IMAGES}/{count:06d}-mask.nii",
                "mask_sha256": save(folder / f"{IMAGES}/{count:06d}-mask.nii", mask),
            }
        return Picture(**saved)

    def made(kind: str, number: int) -> StudyCase:
        name = f"{kind}-{number:04d}"
        return StudyCase(name=name, pictures=tuple(picture(name, number) for _ in range(sides)))

    trained = [made("training", number) for number in range(1, training + 1)]
    counted = [made("case", number) for number in range(1, cases + 1)]
    names = [case.name for case in counted]
    order = [*names, *(names[number] for number in repeats)]
    tree = StudyManifest(
        study=hashlib.sha256(str(folder).encode()).hexdigest()[:32], title="A small study", made_with="0", items=items,
        balanced=True,
        display=Display(**{"window": 1.0, "level": 0.5, **(display or {})}),
        training=tuple(trained), cases=tuple(counted), plan=AnalysisPlan(), digest="0" * 64,
        slots=tuple(
            Slot(number=number, order=tuple(order if number % 2 else order[::-1])) for number in range(1, slots + 1)
        ),
        **said,
    ).model_dump(mode="json")  # fmt: skip
    tree["digest"] = digest_of(tree)
    (folder / MANIFEST).write_text(json.dumps(tree), encoding="utf-8")
    key = AnswerKey(
        study=tree["study"],
        digest=tree["digest"],
        cases={case.name: truth(number) for number, case in enumerate(trained, 1)},
    )
    (folder / TRAINING_KEY).write_text(key.model_dump_json(), encoding="utf-8")
    return StudyManifest.model_validate_json(json.dumps(tree))


def truth(number: int) -> CaseTruth:
    """Of the case of a number."""
    mask = np.zeros(SHAPE, bool)
    mask[LESION] = number % 3 == 0
    starts = np.flatnonzero(mask.ravel())
    runs = [value for start in starts for value in (int(start), 1)]
    return CaseTruth(
        arm="synthetic" if number % 2 == 0 else "real", pathology="infarct" if number % 3 == 0 else "none",
        position_mm=18.0, subject=None if number % 2 == 0 else f"real-{number:04d}", lesion=number % 3 == 0,
        lesion_voxels=tuple(runs),
    )  # fmt: skip


def save(file: Path, voxels: np.ndarray) -> str:
    """Writes voxels `(I, J, K)` as uncompressed NIfTI; the file's SHA-256."""
    image = nibabel.Nifti1Image(voxels, affine_of())
    file.write_bytes(image.to_bytes())
    return hashlib.sha256(file.read_bytes()).hexdigest()


def answers_to(manifest: StudyManifest, value: int = 1) -> tuple[Answer, ...]:
    """The same answer to every item, with a mark where one is needed."""
    from jsddpm_core.reading_study.answers import needs_mark

    return tuple(
        Answer(item=item.name, value=value, mark_mm=(0.0, 0.0, 18.0) if needs_mark(item, value) else None)
        for item in manifest.items
    )


ALL_ITEMS: tuple[Item, ...] = (
    RealItem(),
    LesionItem(),
    LikertItem(name="noise", text="How natural does the noise look?", low="artificial", high="natural", points=5),
)
