"""What a study's manifest says: everything that a reader's machine needs, and nothing that unblinds it.

No arm, pair or pathology stands here; those are in the answer key. A manifest is frozen when it is written: its digest
is over all of it, every response log names the digest, and a changed manifest is refused.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from jsddpm_core.errors import StudyError
from jsddpm_core.strict import Strict

SCHEMA: Final = 1
MANIFEST = "study.json"
IMAGES = "images"
RESPONSES = "responses"
TRAINING_KEY = "training_key.json"
NOTICE = "may be synthetic, not for clinical use"
"""Both arms carry it, word for word."""

LARGEST = 10_000_000  # bytes of a manifest

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
CaseName = Annotated[str, Field(pattern=r"^(case|training)-\d{4}$")]
ImageFile = Annotated[str, Field(pattern=r"^images/\d{6}(-mask)?\.nii$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RealItem(Strict):
    """Real or synthetic.

    Attributes:
        scale: `forced`: 1 is real, 2 is synthetic; `rating`: 1 is surely real, 6 is surely synthetic.
    """

    kind: Literal["real"] = "real"
    name: Name = "real"
    scale: Literal["forced", "rating"] = "rating"


class PairItem(Strict):
    """Two images side by side: which is real? 1 is the left one, 2 the right one."""

    kind: Literal["pair"] = "pair"
    name: Name = "pair"


class LesionItem(Strict):
    """Is there a lesion, and where.

    Attributes:
        scale: `forced`: 1 is no, 2 is yes; `rating`: 1 is surely none, 6 is surely one.
        radius_mm: a mark this near to the lesion hits it.
    """

    kind: Literal["lesion"] = "lesion"
    name: Name = "lesion"
    scale: Literal["forced", "rating"] = "rating"
    radius_mm: float = Field(10.0, gt=0, le=100)


class LikertItem(Strict):
    """A question in the designer's own words, with 2 to 9 points."""

    kind: Literal["likert"] = "likert"
    name: Name
    text: str = Field(min_length=1, max_length=500)
    low: str = Field(max_length=80)
    high: str = Field(max_length=80)
    points: int = Field(5, ge=2, le=9)


Item = Annotated[RealItem | PairItem | LesionItem | LikertItem, Field(discriminator="kind")]


def check_items(items: tuple[Item, ...]) -> None:
    """Holds the questions of a study against one another.

    Raises:
        ValueError: if they cannot be asked together.
    """
    names = [item.name for item in items]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two items have the name '{twice}': give each a 'name' of its own")
    if "pair" in {item.kind for item in items} and {item.kind for item in items} & {"real", "lesion"}:
        raise ValueError("two images side by side are asked about as a pair, and with questions of one's own")


class Display(Strict):
    """How cases are shown.

    Attributes:
        mask_overlay: whether the mask of either arm is outlined.
        window: and `level`, at which every case opens (in the images' own units).
        window_level: `locked`, or `free` for the reader to change.
        time_limit_s: for a case; None for none.
        break_every: readings after which a break is offered; None for none.
    """

    mask_overlay: bool = False
    window: float = Field(gt=0)
    level: float
    window_level: Literal["locked", "free"] = "locked"
    time_limit_s: float | None = Field(None, ge=1, le=3600)
    break_every: int | None = Field(None, ge=1)


class Picture(Strict):
    """An image file, and its mask's.

    Attributes:
        file: below the study's folder.
        sha256: of the file.
        mask: there for either arm where the overlay is shown; empty where there is no lesion.
    """

    file: ImageFile
    sha256: Digest
    mask: ImageFile | None = None
    mask_sha256: Digest | None = None

    @model_validator(mode="after")
    def _mask_and_digest(self) -> Self:
        if (self.mask is None) != (self.mask_sha256 is None):
            raise ValueError("a mask needs its digest")
        return self


class StudyCase(Strict):
    """What is shown at once: one picture, or two side by side (left, right)."""

    name: CaseName
    pictures: tuple[Picture, ...] = Field(min_length=1, max_length=2)


class Slot(Strict):
    """A numbered reader's order.

    Attributes:
        number: from 1.
        order: names of cases; one that comes twice is repeated.
    """

    number: int = Field(ge=1, le=999)
    order: tuple[CaseName, ...] = Field(min_length=1)


class AnalysisPlan(Strict):
    """What is decided before the first reading.

    Attributes:
        primary: the endpoint.
        margin: of equivalence: "indistinguishable" means that the AUC (or the proportion correct) lies within 0.5 plus
            and minus this; None where equivalence is not asked.
        alpha: two-sided.
        family: the tests that the correction for multiplicity is over.
        correction: of that family.
        timeouts: what an answer that did not come in time counts as: an error, a rating in the middle of the scale
            (with `forced`: half right), or nothing (left out and counted).
        bootstrap: resamples.
        seed: of the resampling.
    """

    primary: Literal["auc", "accuracy", "d-prime"] = "auc"
    margin: float | None = Field(0.1, gt=0, lt=0.5)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    family: tuple[Literal["primary", "equivalence", "by-pathology", "by-position", "per-reader"], ...] = (
        "primary",
        "equivalence",
    )
    correction: Literal["holm", "bonferroni", "none"] = "holm"
    timeouts: Literal["wrong", "middle", "left-out"] = "wrong"
    bootstrap: int = Field(2000, ge=100, le=100_000)
    seed: int = Field(0, ge=0)


class StudyManifest(Strict):
    """A study.

    Attributes:
        study: random identifier, on which the orders hang.
        title: what the organiser calls it.
        made_with: version of jsddpm.
        notice: shown with every case.
        instructions: what a reader is told first.
        items: asked of every case, in this order.
        balanced: whether as many cases are real as synthetic, and readers know it.
        harmonisation: in words, what was done to the images of both arms alike.
        training: cases with feedback, shown to everybody first, in this order.
        cases: those that count, in the order of their names.
        slots: orders of the cases that count.
        plan: of the analysis.
        digest: SHA-256 of all of the above, as `digest_of` takes it.
    """

    schema_version: Literal[1] = SCHEMA
    study: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    title: str = Field(min_length=1, max_length=200)
    made_with: str
    notice: Literal["may be synthetic, not for clinical use"] = NOTICE
    instructions: str = Field("", max_length=10_000)
    items: tuple[Item, ...] = Field(min_length=1, max_length=20)
    display: Display
    balanced: bool
    harmonisation: tuple[str, ...] = ()
    training: tuple[StudyCase, ...] = ()
    cases: tuple[StudyCase, ...] = Field(min_length=1)
    slots: tuple[Slot, ...] = Field(min_length=1)
    plan: AnalysisPlan
    digest: Digest

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [case.name for case in (*self.training, *self.cases)]
        if len(set(names)) != len(names):
            raise ValueError("two cases have one name")
        if any(not case.name.startswith("case-") for case in self.cases):
            raise ValueError("a case that counts is called case-NNNN")
        if any(not case.name.startswith("training-") for case in self.training):
            raise ValueError("a training case is called training-NNNN")
        if [slot.number for slot in self.slots] != list(range(1, len(self.slots) + 1)):
            raise ValueError("the slots are numbered from 1")
        counted = {case.name for case in self.cases}
        if any(set(slot.order) != counted for slot in self.slots):
            raise ValueError("every reader sees every case that counts")
        check_items(self.items)
        pair = any(item.kind == "pair" for item in self.items)
        if any(len(case.pictures) != 1 + pair for case in (*self.training, *self.cases)):
            raise ValueError("a case has two pictures where pairs are asked about, and one where not")
        return self


class CaseTruth(Strict):
    """What the key says of a case.

    Attributes:
        arm: of the picture; of a pair, of the left one (the right one is of the other arm).
        pathology: of the picture; of a pair, of both.
        position_mm: MNI152 z; of a pair, of both on average.
        subject: the person that a real picture shows, as a label of the study (`real-0007`); None of a synthetic one.
        pair: label that matched cases share.
        lesion: whether the picture shows one.
        lesion_voxels: runs (start, length, ...) of the lesion in the picture's array, flattened in C order.
        source: where it comes from, for the organiser: file digests, or the sidecar of a synthetic one.
    """

    arm: Literal["real", "synthetic"]
    pathology: str
    position_mm: float
    subject: str | None = None
    pair: str | None = None
    lesion: bool
    lesion_voxels: tuple[int, ...] = ()
    source: dict[str, Any] = Field(default_factory=dict)


class AnswerKey(Strict):
    """The truth of every case that counts, or of the training cases.

    Attributes:
        study: the manifest's identifier.
        digest: the manifest's.
        cases: by the names of cases.
        order_secret: hexadecimal; the orders of the slots and the dither of the pictures follow from it. None in the
            key of the training cases.
    """

    schema_version: Literal[1] = SCHEMA
    study: str
    digest: Digest
    cases: dict[str, CaseTruth]
    order_secret: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


def canonical(tree: Any) -> bytes:
    """JSON with sorted keys and no spaces, as digests are taken of it."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest_of(tree: dict[str, Any]) -> str:
    """SHA-256 of a manifest's tree without its own `digest`."""
    return hashlib.sha256(canonical({key: value for key, value in tree.items() if key != "digest"})).hexdigest()


def read_manifest(folder: Path) -> StudyManifest:
    """The manifest of a study's folder, its digest held against its content.

    Raises:
        StudyError: if it is missing, no manifest, of another schema, or changed since it was frozen.
    """
    file = folder / MANIFEST
    try:
        if file.stat().st_size > LARGEST:
            raise StudyError(f"{file} is larger than any manifest", "choose the folder of a study")
        tree = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(
            f"{file} could not be read ({error.strerror or error})", "choose the folder of a study, copied whole"
        ) from None
    except (ValueError, RecursionError):
        raise StudyError(f"{file} is no JSON", "copy the study again") from None
    version = tree.get("schema_version") if isinstance(tree, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise StudyError(f"{file} has schema {version}, this program knows {SCHEMA}", "update the extension")
    try:
        manifest = StudyManifest.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StudyError(f"{file} is no study manifest ({where or 'all'}: {first['msg']})", "copy it again") from None
    if digest_of(tree) != manifest.digest:
        raise StudyError(f"{file} was changed after the study was frozen", "copy the original again")
    return manifest
