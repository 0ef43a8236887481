"""`slicer.parameterNodeWrapper`, as far as module code may use it here; other types are refused."""

from __future__ import annotations

import sys
from types import ModuleType

import slicer

from .validators import (
    Choice,
    Decimals,
    Default,
    IsInstance,
    Maximum,
    Minimum,
    NotNone,
    SingleStep,
    Validator,
    WithinRange,
)
from .wrapper import parameterNodeWrapper


def install() -> None:
    """Make `from slicer.parameterNodeWrapper import parameterNodeWrapper` work."""
    module = ModuleType("slicer.parameterNodeWrapper")
    offered = (
        Choice,
        Decimals,
        Default,
        IsInstance,
        Maximum,
        Minimum,
        NotNone,
        SingleStep,
        Validator,
        WithinRange,
        parameterNodeWrapper,
    )
    for entry in offered:
        setattr(module, entry.__name__, entry)
    module.__all__ = [entry.__name__ for entry in offered]
    sys.modules["slicer.parameterNodeWrapper"] = slicer.parameterNodeWrapper = module
