"""Configurations as plain trees of values: one key set, the whole validated, and errors that name the nearest key.

Light: what a file format needs is in `config_file`.
"""

from __future__ import annotations

import inspect
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from jsddpm_core.config import Config
from jsddpm_core.errors import ConfigError, nearest


def set_key(tree: dict[str, Any], dotted: str, value: Any, source: str = "--set ") -> None:
    """Sets one key in place; an item of a list is reached by its name, as in `losses.terms.FLAIR.p`.

    Args:
        tree: of plain values.
        dotted: the key.
        value: plain.
        source: where the key was given, as errors say it.

    Raises:
        ConfigError: if the key leads through a value, or to an item that is not there.
    """
    *parents, leaf = dotted.split(".")
    node: Any = tree
    for depth, parent in enumerate(parents):
        if isinstance(node, list):
            node = _named(node, parent, f"{source}{dotted}")
            continue
        if node.get(parent) is None:
            node[parent] = {}
        node = node[parent]
        if not isinstance(node, dict | list):
            raise ConfigError(f"{source}{dotted}: '{parent}' is a value, not a section", "shorten the key")
        if isinstance(node, list) and depth == len(parents) - 1:
            raise ConfigError(f"{source}{dotted}: '{leaf}' is an item of a list", "name one of its keys behind it")
    node[leaf] = value


def _named(items: list[Any], name: str, said: str) -> dict[str, Any]:
    known = [str(item["name"]) for item in items if isinstance(item, dict) and "name" in item]
    for item in items:
        if isinstance(item, dict) and item.get("name") == name:
            return item
    remedy = nearest(name, known) if known else "give the whole list"
    raise ConfigError(f"{said}: the list has no item named '{name}'", remedy)


def _explain(error: ValidationError, tree: Any, source: str) -> ConfigError:
    problems = error.errors()
    # A misspelt key also shows as a missing one; the misspelling is what to tell.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    where, said, context = _place(first["loc"], tree), first["msg"], first.get("ctx", {})
    given = first.get("input")
    if first["type"] == "extra_forbidden":
        return ConfigError(
            f"{source}: unknown key '{where}'", nearest(str(first["loc"][-1]), _keys_beside(first["loc"]))
        )
    if first["type"] in {"missing", "union_tag_not_found"}:
        missing = where if first["type"] == "missing" else f"{where}.kind"
        return ConfigError(f"{source}: '{missing}' is missing", "add it")
    if first["type"] == "union_tag_invalid":
        known = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
        return ConfigError(f"{source}: '{where}.kind' is {context['tag']!r}", nearest(str(context["tag"]), known))
    if first["type"] == "value_error":
        place = f"'{where}' " if where else ""
        return ConfigError(f"{source}: {place}cannot be used", said.removeprefix("Value error, "))
    if first["type"] in {"enum", "literal_error"} and isinstance(given, str) and "'" in context["expected"]:
        known = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return ConfigError(f"{source}: '{where}' is {given!r}", nearest(given, known))
    shown = "a section" if isinstance(given, dict) else "a list" if isinstance(given, list) else repr(given)
    if first["type"] == "model_type":
        return ConfigError(f"{source}: '{where}' is {shown}", "it should be a section of keys")
    return ConfigError(f"{source}: '{where}' is {shown}", said.replace("Input should", "it should", 1))


def _place(loc: tuple[int | str, ...], tree: Any) -> str:
    """The dotted key as a person would write it: items by their names, without the tags of unions."""
    parts: list[str] = []
    node = tree
    for depth, part in enumerate(loc):
        if isinstance(node, dict) and part not in node and node.get("kind") == part and depth < len(loc) - 1:
            continue
        if isinstance(part, int):
            node = node[part] if isinstance(node, list | tuple) and part < len(node) else None
            parts.append(str(node["name"]) if isinstance(node, dict) and "name" in node else str(part))
        else:
            node = node.get(part) if isinstance(node, dict) else None
            parts.append(part)
    return ".".join(parts)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The configuration parts that an annotation is made of."""
    inner = get_args(annotation)
    if inner:
        return [model for argument in inner for model in _models_in(argument)]
    return [annotation] if inspect.isclass(annotation) and issubclass(annotation, BaseModel) else []


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that would have been known where an unknown one stood."""
    models: list[type[BaseModel]] = [Config]
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        # Beside a field, a location may name the member of a union by its `kind`.
        tagged = [m for m in models if "kind" in m.model_fields and m.model_fields["kind"].default == part]
        models = tagged or [
            inner for m in models if part in m.model_fields for inner in _models_in(m.model_fields[part].annotation)
        ]
    return sorted({key for model in models for key in model.model_fields})


def parse_config(tree: dict[str, Any], source: str = "configuration") -> Config:
    """Validates a plain tree of values.

    Raises:
        ConfigError: for an unknown key (with the nearest known one) or an unusable value.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, tree, source) from error
