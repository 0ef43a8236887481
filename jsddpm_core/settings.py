"""Every key of a configuration as a form shows it, and what is wrong with a value that is being typed."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, TypedDict, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from jsddpm_core.config import (
    ConditioningConfig,
    Config,
    DataConfig,
    DiffusionConfig,
    NetworkConfig,
    SamplingConfig,
    TrainingConfig,
)
from jsddpm_core.config_losses import LossConfig, Term
from jsddpm_core.config_tree import parse_config, set_key
from jsddpm_core.errors import ConfigError, nearest

SECTIONS: dict[str, type[BaseModel]] = {
    "training": TrainingConfig,
    "losses": LossConfig,
    "sampling": SamplingConfig,
    "diffusion": DiffusionConfig,
    "conditioning": ConditioningConfig,
    "data": DataConfig,
    "network": NetworkConfig,
}
"""The parts of a configuration that have settings, those first that are changed most often."""

_LENGTHS = {"training.max_steps": "training.epochs", "training.epochs": "training.max_steps"}


class Setting(TypedDict):
    """One key as a form shows it.

    Attributes:
        key: dotted; an item of a list goes by its name.
        value: as it stands, plain.
        type: `integer`, `number`, `switch`, `choice`, `text`, or `values` for a list or table in JSON.
        optional: whether it may be left empty (`null`).
        choices: of a choice.
        low: least value, where there is one.
        low_open: whether the least value itself is excluded.
        high: greatest value, where there is one.
        high_open: whether the greatest value itself is excluded.
        explanation: what it does.
    """

    key: str
    value: Any
    type: str
    optional: bool
    choices: list[str] | None
    low: float | None
    low_open: bool
    high: float | None
    high_open: bool
    explanation: str


def describe_settings(config: Config) -> list[Setting]:
    """Every key of a configuration, section by section, in the order of its definition."""
    return [setting for name in SECTIONS for setting in _settings_of(getattr(config, name), name)]


def check_setting(key: str, text: str, config: Config | None = None) -> str | None:
    """What is wrong with a value as it is typed; None where nothing is.

    Args:
        key: dotted.
        text: what stands in the field: a number, a word, or JSON.
        config: that the key shall be set in; without one, only the key's own type and range are looked at.
    """
    try:
        if config is None:
            _check_alone(key, text)
        else:
            with_setting(config, key, parse_text(text))
    except ConfigError as error:
        return str(error)
    return None


def with_setting(config: Config, key: str, value: Any) -> Config:
    """A configuration with one key set; a length in steps takes back one in epochs, and the other way round.

    Raises:
        ConfigError: if the key is unknown, or the value cannot be used.
    """
    return with_settings(config.model_dump(mode="json"), {key: value})


def with_settings(tree: dict[str, Any], settings: dict[str, Any], source: str = "") -> Config:
    """A configuration from plain values with some keys set over them; see `with_setting`.

    Raises:
        ConfigError: if a key is unknown, or a value cannot be used.
    """
    merged = json.loads(json.dumps(tree))
    for key, value in settings.items():
        set_key(merged, key, value, source)
        other = _LENGTHS.get(key)
        if other is not None and value is not None and settings.get(other) is None:
            set_key(merged, other, None, source)
    return parse_config(merged, source.strip() or "the settings")


def parse_text(text: str) -> Any:
    """A plain value from what was typed: JSON where it is JSON, nothing where it is empty, else the words."""
    text = text.strip()
    if not text or text.lower() == "none":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_alone(key: str, text: str) -> None:
    fields = _known_fields()
    value = parse_text(text)
    found = _fields_of_terms(key) if key.startswith("losses.terms.") else [fields[key]] if key in fields else []
    if not found:
        raise ConfigError(f"unknown key '{key}'", nearest(key, fields))
    said = ""
    for info in found:
        try:
            TypeAdapter(Annotated[info.annotation, info]).validate_python(value)
            return
        except ValidationError as error:
            said = error.errors()[0]["msg"].replace("Input should", "it should", 1)
    raise ConfigError(f"'{key}' is {value!r}", said)


def _fields_of_terms(key: str) -> list[FieldInfo]:
    """The fields that a key such as `losses.terms.FLAIR.p` may mean, whatever kind of term that is."""
    kinds: tuple[type[BaseModel], ...] = get_args(get_args(Term)[0])
    leaf = key.split(".", 3)[-1]
    return [kind.model_fields[leaf] for kind in kinds if leaf in kind.model_fields]


@cache
def _known_fields() -> dict[str, FieldInfo]:
    """The fields of every key that does not stand in a list."""

    def walk(model: type[BaseModel], place: str) -> Iterator[tuple[str, FieldInfo]]:
        for name, info in model.model_fields.items():
            kinds, optional = _kinds(info.annotation)
            inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
            if optional or not inner:
                yield f"{place}{name}", info
            for part in inner:
                yield from walk(part, f"{place}{name}.")

    return {key: info for name, model in SECTIONS.items() for key, info in walk(model, f"{name}.")}


def _settings_of(part: BaseModel, place: str) -> Iterator[Setting]:
    for name, info in type(part).model_fields.items():
        key, value = f"{place}.{name}", getattr(part, name)
        if isinstance(value, BaseModel):
            yield from _settings_of(value, key)
        elif isinstance(value, tuple) and value and all(isinstance(item, BaseModel) for item in value):
            for item in value:
                yield from (entry for entry in _settings_of(item, f"{key}.{item.name}") if _can_change(entry["key"]))
        else:
            yield _setting(key, value, info)


def _can_change(key: str) -> bool:
    """A term's kind and name are what it is known by."""
    return key.rpartition(".")[2] not in ("kind", "name")


def _setting(key: str, value: Any, info: FieldInfo) -> Setting:
    kinds, optional = _kinds(info.annotation)
    choices = _choices(kinds)
    bounds = {
        name: getattr(rule, name) for rule in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)
    }
    return Setting(
        key=key,
        value=json.loads(json.dumps(value)),
        type="choice" if choices else _type_name(kinds),
        optional=optional,
        choices=choices,
        low=bounds.get("ge", bounds.get("gt")),
        low_open="gt" in bounds,
        high=bounds.get("le", bounds.get("lt")),
        high_open="lt" in bounds,
        explanation=info.description or "",
    )


def _kinds(annotation: Any) -> tuple[list[Any], bool]:
    """What a value may be, and whether it may be nothing."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = list(get_args(annotation))
        return [kind for kind in inner if kind is not type(None)], type(None) in inner
    return [annotation], False


def _choices(kinds: list[Any]) -> list[str] | None:
    found: list[str] = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            found += [str(choice) for choice in get_args(kind)]
        elif isinstance(kind, type) and issubclass(kind, StrEnum):
            found += [choice.value for choice in kind]
        else:
            return None
    return found


def _type_name(kinds: list[Any]) -> str:
    names = {bool: "switch", int: "integer", float: "number", str: "text"}
    return names.get(kinds[0], "values") if len(kinds) == 1 else "values"
