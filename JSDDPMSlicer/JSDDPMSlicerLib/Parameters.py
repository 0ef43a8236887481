"""What the panels remember in the scene, and what is wrong with it."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper

ONE_SLICE, RANGE = "slice", "range"

PRESETS = {"draft": 8, "standard": 20, "best": 50}
"""Steps of each preset."""

OWN = "own"
DDIM = ("ddim", "ddim-early-stopping")
"""Samplers that have an eta."""

LARGEST_SEED = 2_147_483_647


@parameterNodeWrapper
class GenerateParameters:
    """Of the Generate panel.

    Positions are millimetres of the model's space; `sampler` empty means the model's default.
    """

    model: str
    pathology: str
    extent: Annotated[str, Default("slice")]
    positionMm: float
    lowestMm: float
    highestMm: float
    samples: Annotated[int, WithinRange(1, 500), Default(1)]
    preset: Annotated[str, Default("standard")]
    sampler: str
    steps: Annotated[int, WithinRange(1, 1000), Default(20)]
    eta: Annotated[float, WithinRange(0, 1), Default(0.0)]
    guidance: Annotated[float, WithinRange(0, 10), Default(1.0)]
    seed: Annotated[int, WithinRange(0, 2147483647), Default(1)]
    device: Annotated[str, Default("auto")]
    correlation: Annotated[float, WithinRange(0, 0.99), Default(0.95)]
    reference: vtkMRMLScalarVolumeNode
    referenceIsAligned: bool


def requestOf(parameters: GenerateParameters, modelFolder: str) -> dict:
    """The worker's request, as plain values; the same as `jsddpm sample` and `jsddpm volume` take."""
    request = {
        "version": 1,
        "model": modelFolder,
        "pathology": parameters.pathology,
        "seed": int(parameters.seed),
        "steps": int(parameters.steps),
        "guidance": float(parameters.guidance),
        "device": parameters.device,
    }
    if parameters.sampler:
        request["sampler"] = parameters.sampler
    if parameters.sampler in DDIM:
        request["eta"] = float(parameters.eta)
    if parameters.extent == ONE_SLICE:
        return {
            **request, "task": "generate", "position_mm": round(float(parameters.positionMm), 4),
            "count": int(parameters.samples),
        }  # fmt: skip
    request = {**request, "task": "volume", "correlation": float(parameters.correlation)}
    if parameters.extent == RANGE:
        request["from_mm"] = round(float(parameters.lowestMm), 4)
        request["to_mm"] = round(float(parameters.highestMm), 4)
    return request


def problems(parameters: GenerateParameters, manifest: object | None) -> list[str]:
    """Why Apply cannot start, one sentence each, the most basic first.

    Args:
        parameters: of the panel.
        manifest: of the chosen model; None where none is chosen.
    """
    if manifest is None:
        return [_("Choose a model.")]
    known = {entry.name: entry for entry in manifest.pathologies}
    if parameters.pathology not in known:
        return [_("Choose a pathology.")]
    low, high = known[parameters.pathology].position_range_mm
    found = []
    if parameters.extent == ONE_SLICE and not low - 0.01 <= parameters.positionMm <= high + 0.01:
        found.append(
            _("The model learned this pathology from {low:g} to {high:g} mm: move the position there.").format(
                low=low, high=high
            )
        )
    if parameters.extent == RANGE and parameters.lowestMm > parameters.highestMm:
        found.append(_("The range runs downwards: give the lower position first."))
    if parameters.guidance != 1 and manifest.conditioning.dropout == 0:
        found.append(_("This model was trained without condition dropout: leave guidance at 1."))
    return found


def sliceCount(parameters: GenerateParameters, manifest: object) -> int:
    """Slices that a run draws, redraws not counted."""
    if parameters.extent == ONE_SLICE:
        return int(parameters.samples)
    from jsddpm_core.errors import RequestError
    from jsddpm_core.generation.request import parse_request

    try:
        return len(parse_request(requestOf(parameters, "model")).slices(manifest))
    except RequestError:
        return 0


def drawsAtMost() -> int:
    """How often an image is drawn that does not show what was asked for."""
    from jsddpm_core.generation.request import RequestBase

    return RequestBase.model_fields["attempts"].default
