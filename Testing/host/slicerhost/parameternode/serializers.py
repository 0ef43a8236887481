"""Typed parameters as texts and node references of a vtkMRMLScriptedModuleNode, written as Slicer writes them."""

from __future__ import annotations

import enum
import pathlib
from typing import Annotated, Any, get_args, get_origin

import slicer

from .validators import Default, IsInstance, NotNone, Validator

PATHS = (
    pathlib.Path,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)


def splitAnnotations(hint: Any) -> tuple[Any, list[Any]]:
    """The type of a parameter and its annotations."""
    if get_origin(hint) is Annotated:
        kind, *annotations = get_args(hint)
        return kind, annotations
    return hint, []


class Parameter:
    """One typed parameter of a wrapper class."""

    def __init__(self, name: str, hint: Any, default: Default | None) -> None:
        self.name = name
        self.hint = hint
        self.kind, self.annotations = splitAnnotations(hint)
        self.isNode = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        if not self.isNode and not self._known():
            raise NotImplementedError(f"the host does not know the type {self.kind} of the parameter {name}")
        self.validators = self._validators()
        own = next((entry for entry in self.annotations if isinstance(entry, Default)), None)
        self.default = default or own or Default(self._unspecified())

    def _known(self) -> bool:
        isEnum = isinstance(self.kind, type) and issubclass(self.kind, enum.Enum)
        return isEnum or self.kind in (bool, int, float, str, *PATHS)

    def _validators(self) -> list[Validator]:
        own = [entry for entry in self.annotations if isinstance(entry, Validator)]
        if self.isNode:
            return [IsInstance(self.kind), *own]
        return [NotNone(), IsInstance((int, float) if self.kind is float else self.kind), *own]

    def _unspecified(self) -> Any:
        """Slicer's default where none is given; whether it is in range is not looked at."""
        if self.isNode:
            return None
        if issubclass(self.kind, enum.Enum):
            return next(iter(self.kind))
        return self.kind()

    def isIn(self, node: Any) -> bool:
        return bool(node.HasParameter(self.name))

    def write(self, node: Any, value: Any) -> None:
        """
        Set the parameter.

        :raises ValueError: a validator refuses the value.
        :raises TypeError: it is of another type.
        """
        for validator in self.validators:
            validator.validate(value)
        if self.isNode:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
        elif isinstance(value, enum.Enum):
            node.SetParameter(self.name, value.name)
        else:
            node.SetParameter(self.name, str(value))

    def read(self, node: Any) -> Any:
        if not self.isIn(node):
            self.write(node, self.default.value)
        if self.isNode:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return self.kind(text)
