"""From a request to what a run needs: the whole configuration and the start model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jsddpm_core.bundle import Bundle, find_bundle, read_bundle
from jsddpm_core.config import Config, Pathology
from jsddpm_core.config_file import find_config, read_tree
from jsddpm_core.config_tree import parse_config
from jsddpm_core.errors import RequestError, nearest
from jsddpm_core.settings import with_settings
from jsddpm_core.training.request import NO_LESION, SIMULATED, FineTuneRequest
from jsddpm_core.training.start import check_fits


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes:
        request: that it follows from.
        config: the whole configuration, with the pathologies that the cases may show.
        start: the bundle that it begins with.
    """

    request: FineTuneRequest
    config: Config
    start: Bundle | None


def plan_of(request: FineTuneRequest) -> Plan:
    """The plan of a request.

    A start model brings its network, diffusion, grid and losses; from scratch they are the named configuration's.

    Raises:
        BundleError: if the start model is missing or damaged.
        ConfigError: if the configuration is, or a setting cannot be used.
        RequestError: if a case names a pathology that nobody describes.
        TrainingError: if a setting does not fit the start model.
    """
    start = None if request.start is None else read_bundle(find_bundle(request.start))
    base = _base(request, start)
    base["pathologies"] = [entry.model_dump(mode="json") for entry in pathologies_of(request, base["pathologies"])]
    config = with_settings(base, request.wishes(), "setting ")
    if start is not None:
        check_fits(config, start)
    return Plan(request, config, start)


def _base(request: FineTuneRequest, start: Bundle | None) -> dict[str, Any]:
    if start is not None:
        return start.manifest.config().model_dump(mode="json")
    path = find_config(request.config)
    return parse_config(read_tree(path), str(path)).model_dump(mode="json")


def pathologies_of(request: FineTuneRequest, known: list[dict[str, Any]]) -> list[Pathology]:
    """The pathologies that a run may learn: those that are known, then the request's own.

    Raises:
        RequestError: if a case names another one.
    """
    found = {entry["name"]: Pathology.model_validate(entry) for entry in known}
    for entry in request.pathologies:
        found.setdefault(entry.name, entry)
    if request.simulation.share:
        found.setdefault(SIMULATED.name, SIMULATED)
    if all(entry.lesional for entry in found.values()):
        found[NO_LESION.name] = NO_LESION
    lesional = [name for name, entry in found.items() if entry.lesional]
    for case in request.cases:
        if case.pathology is not None and case.pathology not in lesional:
            raise RequestError(
                f"case {case.name} shows the pathology '{case.pathology}', which nobody describes",
                f"add it under pathologies, or {nearest(case.pathology, lesional) if lesional else 'name another'}",
            )
    return list(found.values())


def accelerator_of(device: str) -> str:
    """Lightning's name of a request's device."""
    return {"cuda": "gpu"}.get(device, device)


def same_run(request: FineTuneRequest, earlier: FineTuneRequest) -> str | None:
    """The first thing in which a request differs from the one that a run was started with; None where it may resume.

    Its words, its length and where it runs may change.
    """
    free = {"title", "licence", "name", "device", "preset", "settings"}
    for key in type(request).model_fields:
        if key not in free and getattr(request, key) != getattr(earlier, key):
            return key
    return None
