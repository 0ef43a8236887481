"""Designs as files that people write: YAML or JSON, with paths relative to the file."""

from __future__ import annotations

from pathlib import Path

import yaml

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.design import StudyDesign, parse_design, with_absolute_paths


def read_design(path: Path) -> StudyDesign:
    """Reads a design.

    Raises:
        StudyError: if the file cannot be read, or for the first thing that is wrong with what it says.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path} could not be read ({error.strerror})", "name a request's file") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise StudyError(f"{path} is neither YAML nor JSON", "mend its syntax") from error
    if not isinstance(tree, dict):
        raise StudyError(f"{path} holds no keys", "write a request's keys, such as title, items, real and synthetic")
    return parse_design(with_absolute_paths(tree, path.resolve().parent))
