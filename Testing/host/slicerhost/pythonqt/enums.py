"""Enumerators as PythonQt shows them: unscoped, compared with enumerators only."""

from __future__ import annotations

import enum
from typing import Any


class EnumType:
    """What PythonQt hands out for `QMessageBox.StandardButton`: a type that has no enumerators of its own."""

    def __init__(self, native: enum.EnumMeta) -> None:
        self.native = native
        self.__name__ = native.__name__

    def __call__(self, value: int) -> enum.Enum:
        return self.native(value)

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, self.native)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"type object '{self.__name__}' has no attribute '{name}': in PythonQt enumerators belong to the class "
            "around the enumeration, as in qt.QMessageBox.Ok"
        )

    def __repr__(self) -> str:
        return f"<enum type {self.__name__}>"


def nestedEnums(native: type) -> dict[str, enum.EnumMeta]:
    """Enumerations declared in a Qt class or one of its bases, by name."""
    found: dict[str, enum.EnumMeta] = {}
    for base in reversed(native.__mro__):
        found.update({name: value for name, value in vars(base).items() if isinstance(value, enum.EnumMeta)})
    return found


def unscoped(native: type) -> dict[str, Any]:
    """Attributes that a Qt class gets for its enumerations: every enumerator, and an `EnumType` for each."""
    attributes: dict[str, Any] = {}
    for name, enumeration in nestedEnums(native).items():
        refuseIntegers(enumeration)
        attributes.update(enumeration.__members__)
        attributes[name] = EnumType(enumeration)
    return attributes


def refuseIntegers(enumeration: enum.EnumMeta) -> None:
    """
    Make `enumerator == 0` an error where Qt for Python would silently say False.

    PythonQt's enumerators are integers, so that the comparison means something there: code that holds such a
    comparison would take another way in the host than in Slicer. Flags that are integers in both are left alone.
    """
    if issubclass(enumeration, int) or "__eq__" in vars(enumeration):
        return

    def equal(self: enum.Enum, other: object) -> Any:
        if isinstance(other, int):
            raise TypeError(f"{self!r} is compared with the integer {other}: compare enumerators with enumerators")
        return self is other or (type(self) is type(other) and self._value_ == other._value_)

    enumeration.__eq__ = equal
    enumeration.__hash__ = lambda self: hash(self._name_)
