"""Configuration files: YAML read safely, `key=value` overrides, and errors that name the nearest known key."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from jsddpm_core.config import Config
from jsddpm_core.errors import ConfigError, nearest

CONFIGS = Path(__file__).parent / "configs"


def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Sets one key; an item of a list is reached by its name, as in `losses.terms.FLAIR.p`."""
    *parents, leaf = dotted.split(".")
    node: Any = tree
    for depth, parent in enumerate(parents):
        if isinstance(node, list):
            node = _named(node, parent, dotted)
            continue
        if node.get(parent) is None:
            node[parent] = {}
        node = node[parent]
        if not isinstance(node, dict | list):
            raise ConfigError(f"--set {dotted}: '{parent}' is a value, not a section", "shorten the key")
        if isinstance(node, list) and depth == len(parents) - 1:
            raise ConfigError(f"--set {dotted}: '{leaf}' is an item of a list", "name one of its keys behind it")
    node[leaf] = value


def _named(items: list[Any], name: str, dotted: str) -> dict[str, Any]:
    known = [str(item["name"]) for item in items if isinstance(item, dict) and "name" in item]
    for item in items:
        if isinstance(item, dict) and item.get("name") == name:
            return item
    remedy = nearest(name, known) if known else "give the whole list"
    raise ConfigError(f"--set {dotted}: the list has no item named '{name}'", remedy)


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


def load_config(config: str | Path, overrides: tuple[str, ...] = ()) -> Config:
    """Reads a configuration file, or a shipped one by its name, and applies `key=value` overrides.

    Args:
        config: a YAML file, or the name of a shipped one such as `fast`.
        overrides: dotted keys with YAML values, `training.max_steps=100`; an item of a list is reached by its
            name, `losses.terms.FLAIR.p=2`.

    Raises:
        ConfigError: for a missing or unreadable file, an unknown key or an unusable value.
    """
    path = _find(config)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} could not be read as YAML", "mend its syntax or choose another file") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds no keys", "start from one of the shipped configurations")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"--set {override} is not of the form key=value", "write for example training.seed=1")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override} is not a YAML value", "quote it") from error
        _set(tree, key, value)
    return parse_config(tree, " ".join([str(path), *(f"--set {override}" for override in overrides)]))


def _find(config: str | Path) -> Path:
    path = Path(config)
    if path.is_file():
        return path
    shipped = CONFIGS / f"{config}.yaml"
    if shipped.is_file():
        return shipped
    known = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
    raise ConfigError(f"configuration '{config}' is no file", f"give a YAML file, or {nearest(str(config), known)}")
