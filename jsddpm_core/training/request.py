"""The request to fine-tune: what is learned, from which cases and how; light enough for an interface to import."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from jsddpm_core.config import Pathology
from jsddpm_core.errors import RequestError, nearest
from jsddpm_core.strict import Strict

SIMULATED: Final = Pathology(name="fcd-simulated", label="Simulated cortical dysplasia", colour=(0, 160, 135))
"""What painted lesions are called, wherever they appear."""

NO_LESION: Final = Pathology(name="none", label="No lesion", lesional=False)

Preset: TypeAlias = Literal["quick-check", "standard", "paper"]

PRESETS: Final[dict[Preset, dict[str, Any]]] = {
    "quick-check": {
        "training.max_steps": 60,
        "training.learning_rate": 1e-4,
        "training.minimum_learning_rate": 1e-6,
        "training.warmup_steps": 10,
        "training.validation_samples": 4,
        "training.ema_decay": 0.95,
    },
    "standard": {
        "training.max_steps": 3000,
        "training.learning_rate": 1e-4,
        "training.minimum_learning_rate": 1e-6,
        "training.warmup_steps": 100,
        "training.ema_decay": 0.995,
    },
    "paper": {
        "training.epochs": 1000,
        "training.learning_rate": 1e-4,
        "training.minimum_learning_rate": 1e-6,
        "training.warmup_steps": 0,
        "training.batch_size": 32,
        "training.weight_decay": 1e-4,
        "training.ema_decay": 0.999,
    },
}
"""Lengths and rates: to see that all fits together, to learn from some dozens of cases, and as published."""

PRESET_DRAWS: Final[dict[Preset, int]] = {"quick-check": 8, "standard": 48, "paper": 192}
"""Images that the finished model is measured by, in all."""

PRESET_LABELS: Final[dict[Preset, str]] = {"quick-check": "Quick check", "standard": "Standard", "paper": "Paper"}

LENGTH_KEYS: Final = {"training.max_steps": "training.epochs", "training.epochs": "training.max_steps"}
"""A run is as long as one of these says; whoever gives one takes the other back."""


ELSEWHERE: Final = {
    "training.seed": "seed",
    "training.trainable": "train",
    "training.replay_share": "replay_share",
}
"""Configuration keys that the request has words of its own for."""


MOST_OF_A_TITLE: Final = 200


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError("it is not an absolute path")
    return path


AbsolutePath: TypeAlias = Annotated[Path, AfterValidator(_absolute)]


class CaseEntry(Strict):
    """One examination, as a row of the table of cases.

    Attributes:
        name: unique, `DATASET/sub-X[_ses-Y]`.
        subject: the person, `DATASET/sub-X`; no person stands in two splits.
        dataset: the folder that it came from.
        image: the FLAIR volume.
        mask: of its lesions, on the same grid; None where there is none.
        t1w: a T1-weighted volume of the same examination.
        pathology: name of the one that the lesions are of; None where lesions are unknown: such an image teaches only
            the image.
        lesion_free: known to be free of lesions.
        space: that the image declares to be in.
        split: where it must go; None to be drawn.
    """

    name: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    image: AbsolutePath
    mask: AbsolutePath | None = None
    t1w: AbsolutePath | None = None
    pathology: str | None = Field(None, min_length=1)
    lesion_free: bool = False
    space: str | None = None
    split: Literal["train", "validation", "test"] | None = None


class Corrections(Strict):
    """Optional steps between the scan and the model's grid; nothing is changed in the source folder.

    Attributes:
        n4: N4 bias correction.
        skull_strip: with HD-BET.
        alignment: to the template, of images that are not in its space.
        template: what they are aligned to; None for the one that ships.
    """

    n4: bool = False
    skull_strip: bool = False
    alignment: Literal["rigid", "affine"] = "rigid"
    template: AbsolutePath | None = None


class Simulation(Strict):
    """Focal cortical dysplasia painted into lesion-free slices, labelled as simulated wherever it appears.

    Attributes:
        share: painted copies for each lesion-free slice.
    """

    share: float = Field(0.0, ge=0, le=1)


class FineTuneRequest(Strict):
    """A training run from cases to bundle.

    Attributes:
        name: of the new bundle.
        title: of its model card.
        licence: of the new weights; to be filled in by whoever passes them on.
        cases: examinations, each once.
        pathologies: those that the cases use and neither the start model nor the configuration has.
        corrections: of the images.
        simulation: of lesions.
        start: name or folder of the bundle that training begins with; None for fresh weights.
        config: a shipped configuration or a file, for training from scratch; a start model brings its own.
        preset: lengths and rates.
        settings: dotted configuration keys over the preset.
        train: which weights learn; fewer for few cases.
        replay_share: share of each batch that shows the start model's own pathologies, as it draws them.
        replay_slices: number of slices that it draws for that.
        seed: of everything that is drawn.
        device: that is trained on.
    """

    version: Literal[1] = 1
    task: Literal["fine-tune"] = "fine-tune"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)
    title: str = Field(min_length=1, max_length=MOST_OF_A_TITLE)
    licence: str = ""
    cases: tuple[CaseEntry, ...] = Field(min_length=1)
    pathologies: tuple[Pathology, ...] = ()
    corrections: Corrections = Corrections()
    simulation: Simulation = Simulation()
    start: str | None = Field(None, min_length=1)
    config: str = Field("fast", min_length=1)
    preset: Preset = "standard"
    settings: dict[str, Any] = Field(default_factory=dict)
    train: Literal["all", "last-levels", "low-rank"] = "all"
    replay_share: float = Field(0.25, ge=0, le=0.9)
    replay_slices: int = Field(64, ge=0, le=100_000)
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @field_validator("title", "licence")
    @classmethod
    def _is_one_line(cls, said: str) -> str:
        if said and said.splitlines() != [said]:
            raise ValueError("it has more than one line")
        return said

    @field_validator("cases")
    @classmethod
    def _every_case_has_its_name(cls, cases: tuple[CaseEntry, ...]) -> tuple[CaseEntry, ...]:
        twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
        if twice:
            raise ValueError(f"two cases share the name {twice[0]}")
        return cases

    @field_validator("settings")
    @classmethod
    def _settings_are_about_the_model(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for key in settings:
            if not all(key.split(".")):
                raise ValueError(f"'{key}' is no dotted key such as training.max_steps")
            if key.partition(".")[0] in ("pathologies", "channels"):
                raise ValueError(f"'{key}' follows from the cases and the start model")
            if key in ELSEWHERE:
                raise ValueError(f"'{key}' is said by the request's own '{ELSEWHERE[key]}'")
        if settings.keys() >= LENGTH_KEYS.keys() and None not in (settings[key] for key in LENGTH_KEYS):
            raise ValueError("give either training.epochs or training.max_steps, and not both")
        return settings

    @model_validator(mode="after")
    def _weights_to_start_from_are_there(self) -> Self:
        if self.start is None and self.train != "all":
            raise ValueError(f"train = '{self.train}' keeps weights of a start model, and there is none")
        return self

    @property
    def replays(self) -> float:
        """Share of a batch that the start model's own images make up; 0 without one."""
        return self.replay_share if self.start is not None and self.replay_slices else 0.0

    def wishes(self) -> dict[str, Any]:
        """The preset's keys, the request's own over them, and what it says of weights, replay and seed elsewhere."""
        merged = {**PRESETS[self.preset], **self.settings}
        for key, other in LENGTH_KEYS.items():
            if self.settings.get(key) is not None or (key in PRESETS[self.preset] and other not in self.settings):
                merged[other] = self.settings.get(other)
        return {
            **merged,
            "training.seed": self.seed,
            "training.trainable": self.train,
            "training.replay_share": self.replays,
        }


def parse_fine_tune_request(tree: dict[str, Any] | str | bytes) -> FineTuneRequest:
    """Validates a request given as plain values or as JSON.

    Raises:
        RequestError: for an unknown key or an unusable value.
    """
    try:
        if isinstance(tree, dict):
            return FineTuneRequest.model_validate(tree)
        return FineTuneRequest.model_validate_json(tree)
    except ValidationError as error:
        raise explain_fine_tune(error, FineTuneRequest.model_fields) from error


def explain_fine_tune(error: ValidationError, known: Any = ()) -> RequestError:
    """One sentence for the first thing that is wrong with a request.

    Args:
        error: of its validation.
        known: further keys, to choose from where one was mistyped.
    """
    # A mistyped key often explains why another is missing, so it goes first.
    problem: Any = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    loc = [str(part) for part in problem["loc"]]
    where = ".".join(loc)
    if problem["type"] == "extra_forbidden":
        parts = (FineTuneRequest, CaseEntry, Corrections, Simulation, Pathology)
        fields = {name for part in parts for name in part.model_fields}
        return RequestError(f"unknown key '{where}' in the request", nearest(loc[-1], {*fields, *known}))
    if problem["type"] == "missing":
        return RequestError(f"the request lacks '{where}'", "add it")
    given = problem.get("input")
    shown = f"{where} = {given!r}" if isinstance(given, str | int | float | bool) else where or "the request"
    said = problem["msg"].removeprefix("Value error, ")
    return RequestError(f"{shown} cannot be used, {said[:1].lower()}{said[1:]}", "correct the value")
