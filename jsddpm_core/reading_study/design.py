"""The request for a reading study: what is shown, to how many, and what is asked; light enough for an interface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from jsddpm_core.errors import StudyError, nearest
from jsddpm_core.reading_study.manifest import (
    AnalysisPlan,
    Display,
    Item,
    LesionItem,
    LikertItem,
    PairItem,
    RealItem,
    check_items,
)
from jsddpm_core.strict import Strict
from jsddpm_core.training.request import AbsolutePath, CaseEntry

LEVELS: Final = 1000
"""Grey values of a study's pictures run from 0, the background, to this."""

FULL_WINDOW: Final = {"window": float(LEVELS), "level": LEVELS / 2}

MOST_CASES: Final = 2000

LONGEST_SHOWN: Final = 80
"""Letters of a value that is repeated in an error."""

MOST_READINGS: Final = 400_000
"""Of all slots together: the manifest names each of them, and has to stay small enough to be read."""

Split = Literal["train", "validation", "test"]


class RealArm(Strict):
    """Where real slices come from: a folder, a cache or cases, one of them.

    Attributes:
        count: cases that count.
        folder: of cases, BIDS-like or flat.
        lesions: the pathology that the folder's lesions are of; None where its `participants.tsv` says so.
        cache: made by `jsddpm prepare`.
        cases: examinations, as for fine-tuning.
        splits: a person of another split is never shown; people without a split are.
    """

    count: int = Field(ge=1, le=MOST_CASES)
    folder: AbsolutePath | None = None
    lesions: str | None = Field(None, min_length=1)
    cache: AbsolutePath | None = None
    cases: tuple[CaseEntry, ...] = ()
    splits: tuple[Split, ...] = Field(("test",), min_length=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum((self.folder is not None, self.cache is not None, bool(self.cases))) != 1:
            raise ValueError("real cases come from a folder, from a cache or from a list of cases: give one of them")
        if self.lesions is not None and self.folder is None:
            raise ValueError("'lesions' says what the lesions of a folder are, and there is no folder")
        return self


class SyntheticArm(Strict):
    """Where synthetic slices come from: results that are there, or a bundle that makes them.

    Attributes:
        count: cases that count.
        results: folders that `jsddpm sample` wrote.
        model: name or folder of the bundle that makes what is wanted; with `results`, the one that made them.
        steps: network evaluations a slice; None for the bundle's own number.
        guidance: classifier-free; None for the bundle's own.
        attempts: draws of a slice, until it is as asked.
        seed: of the noise.
        device: that is drawn on.
        threads: of the processor; None for as many as there are.
    """

    count: int = Field(ge=1, le=MOST_CASES)
    results: tuple[AbsolutePath, ...] = ()
    model: str | None = Field(None, min_length=1)
    steps: int | None = Field(None, ge=1, le=1000)
    guidance: float | None = Field(None, ge=0, le=100)
    attempts: int = Field(10, ge=1, le=100)
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(None, ge=1, le=1024)

    @model_validator(mode="after")
    def _some_source(self) -> Self:
        if not self.results and self.model is None:
            raise ValueError("synthetic cases need folders of results or a model that makes them")
        return self


class StudyDesign(Strict):
    """A study that is to be made.

    Attributes:
        title: what the organiser calls it; readers see it.
        instructions: what a reader is told first.
        items: asked of every case, in this order.
        display: how cases are shown; window and level may be left out, then all grey values are.
        plan: of the analysis, frozen with the study.
        real: arm.
        synthetic: arm.
        pathologies: that are drawn from, in equal numbers in each arm.
        position_range_mm: MNI152 z that is drawn from; None for all.
        matched: whether a synthetic case has a real one of its pathology near its position.
        tolerance_mm: how near.
        training: cases with feedback, half of them of each arm.
        repeats: cases that a reader sees twice: a number, or a share below 1.
        slots: numbered readers whose orders are made.
    """

    version: Literal[1] = 1
    task: Literal["study"] = "study"
    title: str = Field(min_length=1, max_length=200)
    instructions: str = Field("", max_length=10_000)
    items: tuple[Item, ...] = Field(min_length=1, max_length=20)
    display: Display = Display(**FULL_WINDOW)
    plan: AnalysisPlan = AnalysisPlan()
    real: RealArm
    synthetic: SyntheticArm
    pathologies: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    position_range_mm: tuple[float, float] | None = None
    matched: bool = False
    tolerance_mm: float = Field(5.0, ge=0, le=100)
    training: int = Field(0, ge=0, le=100)
    repeats: int | float = Field(0, ge=0, le=MOST_CASES)
    slots: int = Field(10, ge=1, le=999)

    @field_validator("display", mode="before")
    @classmethod
    def _all_grey_values(cls, display: Any) -> Any:
        return {**FULL_WINDOW, **display} if isinstance(display, dict) else display

    @field_validator("title")
    @classmethod
    def _some_letters(cls, title: str) -> str:
        if not title.strip():
            raise ValueError("it is blank")
        return title

    @field_validator("repeats")
    @classmethod
    def _a_share_or_a_number(cls, repeats: int | float) -> int | float:
        if isinstance(repeats, float) and not repeats.is_integer():
            if repeats > 1:
                raise ValueError("it is neither a whole number nor a share below 1")
            return repeats
        return int(repeats)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        check_items(self.items)
        if self.slots * (self.shown + self.repeat_count) > MOST_READINGS:
            raise ValueError(
                f"{self.slots} slots of {self.shown + self.repeat_count} readings are more than a manifest holds "
                f"({MOST_READINGS}): ask for fewer slots"
            )
        if len(set(self.pathologies)) != len(self.pathologies):
            raise ValueError("a pathology is named twice")
        if (self.matched or self.pairs) and self.real.count != self.synthetic.count:
            raise ValueError("matched pairs need as many real as synthetic cases")
        if self.training % 2 and not self.pairs:
            raise ValueError("half of the training cases are real: give an even number")
        if self.repeat_count > self.shown:
            raise ValueError(f"{self.repeat_count} repeats are more than the {self.shown} cases")
        low, high = self.position_range_mm or (0.0, 0.0)
        if low > high:
            raise ValueError(f"the range from {low:g} to {high:g} mm runs downwards")
        return self

    @property
    def pairs(self) -> bool:
        """Whether two images are shown side by side."""
        return any(item.kind == "pair" for item in self.items)

    @property
    def shown(self) -> int:
        """Cases that count; two side by side are one."""
        return self.real.count if self.pairs else self.real.count + self.synthetic.count

    @property
    def repeat_count(self) -> int:
        """Cases that a reader sees twice."""
        return round(self.repeats * self.shown) if isinstance(self.repeats, float) else self.repeats

    @property
    def training_of_each_arm(self) -> int:
        """Pictures of the training cases in each arm."""
        return self.training if self.pairs else self.training // 2


_PARTS = (StudyDesign, RealArm, SyntheticArm, Display, AnalysisPlan, CaseEntry)
_ITEMS = (RealItem, PairItem, LesionItem, LikertItem)


def parse_design(tree: dict[str, Any] | str | bytes) -> StudyDesign:
    """Validates a design given as plain values or as JSON.

    Raises:
        StudyError: for an unknown key or an unusable value.
    """
    try:
        return StudyDesign.model_validate_json(
            tree if isinstance(tree, str | bytes) else json.dumps(tree, default=_said)
        )
    except (TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise StudyError(f"the study's request cannot be used ({error})", "write plain keys and values") from None
        raise explain_design(error) from None


def _said(value: Any) -> str:
    """What YAML takes for a date, as it was written."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} is neither text, number, list nor keys")


def check_lesions(design: StudyDesign, lesional: Mapping[str, bool]) -> None:
    """Holds the question for lesions against what is going to be shown: it needs cases with and without.

    Args:
        design: the study.
        lesional: whether a pathology shows lesions, by its name; where one is not in there, nothing is said.

    Raises:
        StudyError: if every case that counts shows a lesion, or none does.
    """
    if not any(item.kind == "lesion" for item in design.items):
        return
    shown = design.pathologies[: max(design.real.count, design.synthetic.count)]
    found = {lesional.get(name) for name in shown}
    if found in ({True}, {False}):
        named = ", ".join(f"'{name}'" for name in shown)
        how_many, more = ("all", "lesion-free cases") if True in found else ("no", "a pathology with lesions")
        raise StudyError(
            f"the study asks whether there is a lesion, and {how_many} cases of {named} show one",
            f"add {more} or leave the question out",
        )


def explain_design(error: ValidationError) -> StudyError:
    """One sentence for the first thing that is wrong with a design."""
    problem: Any = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    loc = [str(part) for part in problem["loc"]]
    where = ".".join(loc)
    if problem["type"] == "extra_forbidden":
        known = {name for part in (*_PARTS, *_ITEMS) for name in part.model_fields}
        return StudyError(f"unknown key '{where}' in the study's request", nearest(loc[-1], known))
    if problem["type"] == "missing":
        return StudyError(f"the study's request lacks '{where}'", "add it")
    said = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    if problem["type"] == "value_error" and isinstance(given, dict):  # of several values together
        what, _, remedy = said.partition(": ")
        return StudyError(what, remedy or "correct one of the two")
    plain = isinstance(given, str | int | float | bool) and loc
    shown = f"{where} = {_short(repr(given))}" if plain else where or "the study's request"
    return StudyError(f"{shown} cannot be used, {said[:1].lower()}{said[1:]}", "correct the value")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def with_absolute_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A design whose files are found from its own folder; what is no path is left for the validation."""

    def joined(part: Any, *keys: str) -> Any:
        if not isinstance(part, dict):
            return part
        return {key: _joined(folder, said) if key in keys else said for key, said in part.items()}

    tree = {**tree, "real": joined(tree.get("real"), "folder", "cache")}
    real = tree["real"]
    if isinstance(real, dict) and isinstance(real.get("cases"), list):
        real["cases"] = [joined(case, "image", "mask", "t1w") for case in real["cases"]]
    tree["synthetic"] = joined(tree.get("synthetic"), "results")
    model = tree["synthetic"].get("model") if isinstance(tree["synthetic"], dict) else None
    if isinstance(model, str) and (folder / model).is_dir():
        tree["synthetic"]["model"] = str(folder / model)
    return {key: value for key, value in tree.items() if value is not None}


def _joined(folder: Path, said: Any) -> Any:
    if isinstance(said, list):
        return [_joined(folder, one) for one in said]
    return str(folder / said) if isinstance(said, str) else said
