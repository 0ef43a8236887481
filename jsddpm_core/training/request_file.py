"""Requests to fine-tune as files that people write: YAML or JSON, with paths relative to the file."""

from __future__ import annotations

import re
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
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise RequestError(f"{path} could not be read ({error.strerror})", "name a request's file") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise RequestError(f"{path} is neither YAML nor JSON", "mend its syntax") from error
    if not isinstance(tree, dict):
        raise RequestError(f"{path} holds no keys", "write a request's keys, such as name, title and cases")
    return parse_fine_tune_request(_with_absolute_paths(tree, path.resolve().parent))


class _Loader(yaml.SafeLoader):
    """The safe loader, for which 1e-4 is a number, as it is in JSON and for people."""


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


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
    return {key: str(folder / value) if key in keys and isinstance(value, str) else value for key, value in part.items()}
