"""What the panels remember in the scene, and what is wrong with it."""

from typing import Annotated, Any

from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper

ONE_SLICE, RANGE, WHOLE = "slice", "range", "volume"
EXTENTS = (ONE_SLICE, RANGE, WHOLE)

PRESETS = {"draft": 8, "standard": 20, "best": 50}
"""Steps of each preset."""

OWN = "own"
DDIM = ("ddim", "ddim-early-stopping")
"""Samplers that have an eta."""

SAMPLERS = ("", "dpm-solver++2m", "ddim", "ddpm", "ddim-early-stopping")
"""The empty one is the model's own."""

DEVICES = ("auto", "cpu", "cuda", "mps")

LARGEST_SEED = 2_147_483_647
LIMITS = {
    "samples": (1, 500), "steps": (1, 1000), "eta": (0, 1), "guidance": (0, 10), "seed": (0, LARGEST_SEED),
    "correlation": (0, 0.99),
}  # fmt: skip
"""Lowest and highest value that the panel offers; a scene that was written elsewhere may hold others."""

NUMBERS = {
    "samples": 1, "steps": 20, "eta": 0.0, "guidance": 1.0, "seed": 1, "correlation": 0.95, "positionMm": 0.0,
    "lowestMm": 0.0, "highestMm": 0.0,
}  # fmt: skip
"""What they are at first."""

SLACK_MM = 0.01
"""Positions are shown with two decimals."""


@parameterNodeWrapper
class GenerateParameters:
    """Of the Generate panel.

    Positions are millimetres of the model's space; `sampler` empty means the model's default. `model` is the name that
    stands in a model's manifest, and after an `@` the begin of its digest; older scenes hold the name alone.
    """

    model: str
    pathology: str
    extent: Annotated[str, Default("slice")]
    positionMm: float
    lowestMm: float
    highestMm: float
    samples: Annotated[int, WithinRange(*LIMITS["samples"]), Default(NUMBERS["samples"])]
    preset: Annotated[str, Default("standard")]
    sampler: str
    steps: Annotated[int, WithinRange(*LIMITS["steps"]), Default(NUMBERS["steps"])]
    eta: Annotated[float, WithinRange(*LIMITS["eta"]), Default(NUMBERS["eta"])]
    guidance: Annotated[float, WithinRange(*LIMITS["guidance"]), Default(NUMBERS["guidance"])]
    seed: Annotated[int, WithinRange(*LIMITS["seed"]), Default(NUMBERS["seed"])]
    device: Annotated[str, Default("auto")]
    correlation: Annotated[float, WithinRange(*LIMITS["correlation"]), Default(NUMBERS["correlation"])]
    reference: vtkMRMLScalarVolumeNode
    referenceIsAligned: bool


def mendNumbers(node: Any) -> None:
    """What a scene from elsewhere holds for a number and is none gives way to the default: reading it would fail."""
    for name, default in NUMBERS.items():
        written = node.GetParameter(name)
        try:
            type(default)(written)
        except ValueError:
            node.SetParameter(name, str(default))
    if node.GetParameter("referenceIsAligned") not in ("", "True", "False"):
        node.SetParameter("referenceIsAligned", "False")


def parametersOf(node: Any) -> GenerateParameters:
    """Wraps a scene's parameter node."""
    mendNumbers(node)
    return GenerateParameters(node)


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


def problems(parameters: GenerateParameters, manifest: Any) -> list[str]:
    """Why Apply cannot start, one sentence each, the most basic first.

    Args:
        parameters: of the panel.
        manifest: of the chosen model; None where none is chosen.
    """
    if manifest is None:
        return [_("Choose a model.")]
    known = {entry.name: entry for entry in manifest.pathologies}
    if not parameters.pathology:
        return [_("Choose a pathology.")]
    if parameters.pathology not in known:
        told = _("This scene asks for the pathology '{name}', which the model does not know: choose another.")
        return [told.format(name=parameters.pathology)]
    found = [*_unknown(parameters), *_tooLargeOrSmall(parameters)]
    found += _misplaced(parameters, manifest, *known[parameters.pathology].position_range_mm)
    if parameters.guidance != 1 and manifest.conditioning.dropout == 0:
        found.append(_("This model was trained without condition dropout: leave guidance at 1."))
    return found or _refused(parameters, manifest)


def _unknown(parameters: GenerateParameters) -> list[str]:
    """What a scene asks for that no list of the panel holds."""
    choices = (
        (_("extent"), parameters.extent, EXTENTS), (_("sampler"), parameters.sampler, SAMPLERS),
        (_("device"), parameters.device, DEVICES),
    )  # fmt: skip
    told = _("This scene asks for the {what} '{value}', which is not known here: choose another.")
    return [told.format(what=what, value=value) for what, value, known in choices if value not in known]


def _tooLargeOrSmall(parameters: GenerateParameters) -> list[str]:
    """Numbers of a scene that the panel cannot show; those that change nothing may be what they like."""
    single = parameters.extent == ONE_SLICE
    numbers = {
        "samples": (_("Samples"), single), "steps": (_("Steps"), True), "eta": (_("Eta"), parameters.sampler in DDIM),
        "guidance": (_("Guidance"), True), "seed": (_("Seed"), True),
        "correlation": (_("Through-plane correlation"), not single),
    }  # fmt: skip
    told = _("{what} is {value} in this scene, outside {low} to {high}: change it.")
    found = []
    for name, (what, counts) in numbers.items():
        (low, high), value = LIMITS[name], getattr(parameters, name)
        if counts and not low <= value <= high:
            found.append(told.format(what=what, value=value, low=low, high=high))
    return found


def _misplaced(parameters: GenerateParameters, manifest: Any, low: float, high: float) -> list[str]:
    """What is wrong with the position or the range."""

    def outside(position: float) -> bool:
        return not low - SLACK_MM <= position <= high + SLACK_MM

    if parameters.extent == ONE_SLICE:
        told = _("The model learned this pathology from {low:.2f} to {high:.2f} mm: move the position there.")
        return [told.format(low=low, high=high)] if outside(parameters.positionMm) else []
    if levels(parameters.pathology, manifest) < 2:
        return [_("The model learned this pathology at one level only: choose one slice under Extent.")]
    if parameters.extent != RANGE:
        return []
    if outside(parameters.lowestMm) or outside(parameters.highestMm):
        told = _("The model learned this pathology from {low:.2f} to {high:.2f} mm: move the range there.")
        return [told.format(low=low, high=high)]
    if parameters.lowestMm > parameters.highestMm:
        return [_("The range runs downwards: give the lower position first.")]
    if sliceCount(parameters, manifest) == 0:
        told = _("No slice of the model lies in this range: widen it, slices are {spacing:g} mm apart.")
        return [told.format(spacing=manifest.grid.spacing_mm)]
    return []


def _refused(parameters: GenerateParameters, manifest: Any) -> list[str]:
    """What the core has against the request; it has the last word."""
    from jsddpm_core.errors import RequestError
    from jsddpm_core.generation.request import parse_request

    try:
        parse_request(requestOf(parameters, "model")).check(manifest)
    except RequestError as error:
        return [f"{str(error)[:1].upper()}{str(error)[1:]}"]
    return []


def sliceCount(parameters: GenerateParameters, manifest: Any) -> int:
    """Slices that a run draws, redraws not counted."""
    if parameters.extent == ONE_SLICE:
        return int(parameters.samples)
    return _slicesOf(requestOf(parameters, "model"), manifest)


def levels(pathology: str, manifest: Any) -> int:
    """Slices of the model that lie where it learned a pathology."""
    return _slicesOf({"task": "volume", "model": "model", "pathology": pathology}, manifest)


def _slicesOf(request: dict, manifest: Any) -> int:
    """How many slices a request for a volume is for; none where it cannot be served."""
    from jsddpm_core.errors import RequestError
    from jsddpm_core.generation.request import parse_request

    try:
        return len(parse_request(request).slices(manifest))
    except RequestError:
        return 0


def drawsAtMost() -> int:
    """How often an image is drawn that does not show what was asked for."""
    from jsddpm_core.generation.request import RequestBase

    return RequestBase.model_fields["attempts"].default
