"""What each method takes; anything else is refused before a job begins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from jsddpm_core.generation.request import Request, explain
from jsddpm_core.strict import Strict
from jsddpm_core.training.request import CaseEntry, Corrections, FineTuneRequest, explain_fine_tune
from jsddpm_core.worker.protocol import INVALID_PARAMS, Id, ProtocolError


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or not path.name or "\0" in str(path):
        raise ValueError("it is not an absolute path")
    return path


AbsolutePath: TypeAlias = Annotated[Path, AfterValidator(_absolute)]


class NoParams(Strict):
    """Of a method that takes none."""


class CancelParams(Strict):
    """Of `cancel`.

    Attributes:
        id: of the request that is no longer wanted.
    """

    id: Id


class MeasureParams(Strict):
    """Of `measure`.

    Attributes:
        model: folder of a bundle, or the name of a shipped one.
        threads: of a forward pass on the CPU; None for as many as the process may use.
    """

    model: str = Field(min_length=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(None, ge=1, le=1024)


class GenerateParams(Strict):
    """Of `generate`.

    Attributes:
        request: for samples or for a volume.
        out: the run folder, which must not be there yet.
        preview: folder that the emerging images are written to; None for no previews.
        preview_interval_s: least time between two of them, but for the last of a sample.
    """

    request: Request
    out: AbsolutePath
    preview: AbsolutePath | None = None
    preview_interval_s: float = Field(0.2, ge=0, le=3600)


class RegisterParams(Strict):
    """Of `register`.

    Attributes:
        image: NIfTI or NRRD file of a whole head.
        out: the folder of the result, which must not be there yet.
    """

    image: AbsolutePath
    out: AbsolutePath


class CheckModelParams(Strict):
    """Of `check_model`.

    Attributes:
        folder: of the bundle.
    """

    folder: AbsolutePath


class ImportModelParams(Strict):
    """Of `import_model`.

    Attributes:
        source: folder or zip file of a bundle.
        out: where it is to be, which must not be there yet.
    """

    source: AbsolutePath
    out: AbsolutePath


class SurveyParams(Strict):
    """Of `survey`: one of both.

    Attributes:
        folder: of cases, BIDS-like or flat.
        cases: examinations to be looked at, wherever they lie.
    """

    folder: AbsolutePath | None = None
    cases: tuple[CaseEntry, ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> SurveyParams:
        if (self.folder is None) == (not self.cases):
            raise ValueError("give either a folder or cases")
        return self


class GalleryParams(Strict):
    """Of `gallery`.

    Attributes:
        cases: examinations.
        out: the folder of the pictures, which must not be there yet.
        corrections: as a run would make them.
        start: bundle whose grid is shown; None for the configuration's.
        config: a shipped configuration or a file.
    """

    cases: tuple[CaseEntry, ...] = Field(min_length=1)
    out: AbsolutePath
    corrections: Corrections = Corrections()
    start: str | None = Field(None, min_length=1)
    config: str = Field("fast", min_length=1)


class SettingsParams(Strict):
    """Of `settings`.

    Attributes:
        request: to fine-tune.
    """

    request: FineTuneRequest


class ProbeParams(Strict):
    """Of `probe`.

    Attributes:
        request: to fine-tune.
        out: the run's folder, where there is one: prepared slices in it are counted.
    """

    request: FineTuneRequest
    out: AbsolutePath | None = None


class FineTuneParams(Strict):
    """Of `fine_tune`.

    Attributes:
        request: to fine-tune.
        out: the run's folder; it stays whatever happens, and holds no run yet unless `resume` is set.
        resume: go on where the run in the folder ended.
    """

    request: FineTuneRequest
    out: AbsolutePath
    resume: bool = False


AnyParams = TypeVar("AnyParams", bound=Strict)


def read_params(kind: type[AnyParams], given: dict[str, Any], about: Id | None) -> AnyParams:
    """Validates the params of a request.

    Raises:
        ProtocolError: for the first thing that is wrong with them.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        of_training = issubclass(kind, SurveyParams | GalleryParams | SettingsParams | ProbeParams | FineTuneParams)
        said = (explain_fine_tune if of_training else explain)(error, kind.model_fields)
        raise ProtocolError(INVALID_PARAMS, said.message, said.remedy, about) from error
