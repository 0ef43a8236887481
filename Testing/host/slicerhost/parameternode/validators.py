"""Annotations of a typed parameter: what values it takes, its default, and how a widget steps."""

from __future__ import annotations

import dataclasses
from typing import Any


class Validator:
    """Base of those that refuse values."""

    def validate(self, value: Any) -> None:
        """
        Accept or refuse a value.

        :raises ValueError: it is refused.
        """
        raise NotImplementedError


@dataclasses.dataclass
class WithinRange(Validator):
    """Both ends included."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclasses.dataclass
class Minimum(Validator):
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclasses.dataclass
class Maximum(Validator):
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclasses.dataclass
class Choice(Validator):
    choices: list[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


@dataclasses.dataclass
class NotNone(Validator):
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("Value must not be None")


@dataclasses.dataclass
class IsInstance(Validator):
    classtype: Any

    def validate(self, value: Any) -> None:
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"Value must be of type '{self.classtype}', is type '{type(value)}' value '{value}'")


@dataclasses.dataclass
class Default:
    """The value of a parameter that was never set."""

    value: Any


@dataclasses.dataclass
class Decimals:
    """Decimals of the widget that a parameter is connected to."""

    value: int


@dataclasses.dataclass
class SingleStep:
    """Step of the widget that a parameter is connected to."""

    value: float
