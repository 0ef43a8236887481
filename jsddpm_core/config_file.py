"""Configuration files: YAML read safely, `key=value` overrides, and errors that name the nearest known key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from jsddpm_core.config import Config, FocalFrequencyTerm, FrequencyBandTerm, HuberTerm, LpTerm
from jsddpm_core.errors import ConfigError, nearest

CONFIGS = Path(__file__).parent / "configs"

def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {dotted}: '{parent}' is a value, not a section", "shorten the key")
    tree[leaf] = value


def _set_term(tree: dict[str, Any], dotted: str, value: Any) -> bool:
    """`losses.terms.NAME.key` reaches a term of the list by its name."""
    parts = dotted.split(".")
    if parts[:2] != ["losses", "terms"] or len(parts) != 4:
        return False
    terms = tree.get("losses", {}).get("terms", [])
    for term in terms:
        if term.get("name") == parts[2]:
            term[parts[3]] = value
            return True
    known = [str(term.get("name")) for term in terms]
    raise ConfigError(f"--set {dotted}: there is no loss term '{parts[2]}'", nearest(parts[2], known))


def _explain(error: ValidationError, source: str) -> ConfigError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(first["loc"])
        return ConfigError(f"{source}: unknown key '{where}'", nearest(str(first["loc"][-1]), known))
    said = first["msg"].removeprefix("Value error, ")
    place = f"'{where}' " if where else ""
    given = first.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    return ConfigError(f"{source}: {place}is not usable{shown}, {said[0].lower()}{said[1:]}", "correct it")


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that would have been known where an unknown one stood."""
    model: Any = Config
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        models = {"lp": LpTerm, "huber": HuberTerm, "focal_frequency": FocalFrequencyTerm}
        models["frequency_bands"] = FrequencyBandTerm
        if part in models:
            model = models[str(part)]
            continue
        field = model.model_fields.get(part) if isinstance(model, type) else None
        if field is None:
            return []
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return list(model.model_fields) if model is not None else []


def parse_config(tree: dict[str, Any], source: str = "configuration") -> Config:
    """Validates a plain tree of values.

    Raises:
        ConfigError: for an unknown key (with the nearest known one) or an unusable value.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, source) from error


def load_config(config: str | Path, overrides: tuple[str, ...] = ()) -> Config:
    """Reads a configuration file, or a shipped one by its name, and applies `key=value` overrides.

    Args:
        config: a YAML file, or the name of a shipped one such as `fast`.
        overrides: dotted keys with YAML values, `training.max_steps=100`; a loss term is reached by its
            name, `losses.terms.FLAIR.p=2`.

    Raises:
        ConfigError: for a missing or unreadable file, an unknown key or an unusable value.
    """
    path = Path(config)
    if not path.is_file():
        shipped = CONFIGS / f"{config}.yaml"
        if not shipped.is_file():
            known = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
            raise ConfigError(f"configuration '{config}' is no file", f"give a YAML file or {nearest(str(config), known)}")
        path = shipped
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} could not be read as YAML", "mend its syntax or choose another file") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds no keys", "start from one of the shipped configurations")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override} has no value", "write --set key=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override} is not a YAML value", "quote it") from error
        if not _set_term(tree, key, value):
            _set(tree, key, value)
    return parse_config(tree, str(path))
