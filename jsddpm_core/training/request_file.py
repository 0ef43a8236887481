"""Requests to fine-tune as files that people write: YAML or JSON, with paths relative to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from jsddpm_core.errors import RequestError
from jsddpm_core.training.request import FineTuneRequest, parse_fine_tune_request

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
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise RequestError(f"{path} is neither YAML nor JSON", "mend its syntax") from error
    if not isinstance(tree, dict):
        raise RequestError(f"{path} holds no keys", "write a request's keys, such as name, title and cases")
    return parse_fine_tune_request(_with_absolute_paths(tree, path.resolve().parent))


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
