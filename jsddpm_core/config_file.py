"""Configuration files: YAML read safely, and `key=value` overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from jsddpm_core.config import Config
from jsddpm_core.config_tree import parse_config, set_key
from jsddpm_core.errors import ConfigError, nearest

CONFIGS = Path(__file__).parent / "configs"


def load_config(config: str | Path, overrides: tuple[str, ...] = ()) -> Config:
    """Reads a configuration file, or a shipped one by its name, and applies `key=value` overrides.

    Args:
        config: a YAML file, or the name of a shipped one such as `fast`.
        overrides: dotted keys with YAML values, `training.max_steps=100`; an item of a list is reached by its
            name, `losses.terms.FLAIR.p=2`.

    Raises:
        ConfigError: for a missing or unreadable file, an unknown key or an unusable value.
    """
    path = find_config(config)
    tree = read_tree(path)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"--set {override} is not of the form key=value", "write for example training.seed=1")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override} is not a YAML value", "quote it") from error
        set_key(tree, key, value)
    return parse_config(tree, " ".join([str(path), *(f"--set {override}" for override in overrides)]))


def read_tree(path: Path) -> dict[str, Any]:
    """The plain values of a configuration file.

    Raises:
        ConfigError: if it cannot be read or holds no keys.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} could not be read as YAML", "mend its syntax or choose another file") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds no keys", "start from one of the shipped configurations")
    return tree


def find_config(config: str | Path) -> Path:
    """The file of a configuration that is given as one, or by the name of a shipped one.

    Raises:
        ConfigError: if there is none.
    """
    path = Path(config)
    if path.is_file():
        return path
    shipped = CONFIGS / f"{config}.yaml"
    if shipped.is_file():
        return shipped
    known = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
    raise ConfigError(f"configuration '{config}' is no file", f"give a YAML file, or {nearest(str(config), known)}")
