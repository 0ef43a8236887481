"""Requests to fine-tune as files that people read and write: YAML or JSON, with paths relative to the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from jsddpm_core.bundle import find_bundle, read_bundle
from jsddpm_core.errors import RequestError
from jsddpm_core.files import write_file
from jsddpm_core.training.request import MOST_OF_A_TITLE, CaseEntry, FineTuneRequest, parse_fine_tune_request

_PATHS = ("image", "mask", "t1w")


def read_request(path: Path) -> FineTuneRequest:
    """Reads a request.

    Raises:
        RequestError: if the file cannot be read, or for the first thing that is wrong with what it says.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} could not be read ({error.strerror})", "name a request's file") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # a date that there is not is a ValueError
        raise RequestError(f"{path} is neither YAML nor JSON", "mend its syntax") from error
    if not isinstance(tree, dict):
        raise RequestError(f"{path} holds no keys", "write a request's keys, such as name, title and cases")
    return parse_fine_tune_request(_with_absolute_paths(tree, path.resolve().parent))


def draft_request(cases: Sequence[CaseEntry], start: str, pathology: str | None = None) -> FineTuneRequest:
    """A request to go on from: these cases, the standard preset, and what the lesions of their masks are.

    Args:
        cases: usable ones of a survey.
        start: name or folder of the bundle that training begins with.
        pathology: of every mask whose case names none; one that the bundle does not know is new to it.

    Raises:
        BundleError: if there is no such bundle.
        RequestError: if there is no case, or the pathology's name cannot be one.
    """
    if not cases:
        raise RequestError("no case can be used, so there is nothing to request", "mend the cases first")
    told = {entry.name: entry for entry in read_bundle(find_bundle(start)).manifest.pathologies}
    if pathology in told and not told[pathology].lesional:
        raise RequestError(f"'{pathology}' is no pathology of a lesion", "name what the lesions are")
    known = set(told)
    named = [
        case.model_copy(update={"pathology": pathology})
        if pathology is not None and case.mask is not None and case.pathology is None and not case.lesion_free
        else case
        for case in cases
    ]
    new = {case.pathology for case in named if case.pathology is not None} - known
    datasets = list(dict.fromkeys(case.dataset for case in cases))
    return parse_fine_tune_request(
        {
            "name": re.sub(r"[^a-z0-9]+", "-", "-".join(datasets).lower()).strip("-")[:48] or "fine-tuned",
            "title": " ".join(f"Fine-tuned on {', '.join(datasets)}".split())[:MOST_OF_A_TITLE],
            "start": start,
            "preset": "standard",
            "pathologies": [{"name": name, "label": name.replace("-", " ").capitalize()} for name in sorted(new)],
            "cases": [case.model_dump(mode="json") for case in named],
        }
    )


def write_request(path: Path, request: FineTuneRequest) -> None:
    """Writes a request as YAML, without what is not said in it.

    Raises:
        RequestError: if the file is there already.
        OutputError: if it cannot be written.
    """
    if path.exists():
        raise RequestError(f"{path} is there already", "choose another name or remove it")
    said = request.model_dump(mode="json", exclude_unset=True)
    cases = said.pop("cases")
    said["cases"] = [{key: value for key, value in case.items() if value not in (None, False)} for case in cases]
    write_file(path, yaml.safe_dump(said, sort_keys=False, allow_unicode=True).encode())


def _with_absolute_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A request whose files are found from its own folder; what is no path is left for the validation."""
    tree = dict(tree)
    if isinstance(tree.get("cases"), list):
        tree["cases"] = [_joined(case, _PATHS, folder) for case in tree["cases"]]
    tree["corrections"] = _joined(tree.get("corrections", {}), ("template",), folder)
    start = tree.get("start")
    if isinstance(start, str) and (folder / start).is_dir():
        tree["start"] = str(folder / start)
    return tree


def _joined(part: Any, keys: tuple[str, ...], folder: Path) -> Any:
    if not isinstance(part, dict):
        return part
    return {key: str(folder / said) if key in keys and isinstance(said, str) else said for key, said in part.items()}
