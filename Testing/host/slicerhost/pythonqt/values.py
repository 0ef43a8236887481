"""Classes of Qt that are no QObject: colours, images, sizes, events, and the namespace `Qt`."""

from __future__ import annotations

from typing import Any

from .calls import Method, refuseKeywords, toQt
from .enums import unscoped

_values: dict[type, Any] = {}


class ValueClass:
    """
    A class of Qt for Python with the manners of PythonQt.

    Its instances are those of Qt for Python: only making one, static methods and enumerators go through here.
    """

    def __init__(self, native: type) -> None:
        self.native = native
        self.__name__ = native.__name__
        self.__dict__.update(unscoped(native))

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        refuseKeywords(self.__name__, keywords)
        return self.native(*toQt(self.__name__, arguments))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.native, name)
        if callable(value) and not isinstance(value, type) and not name.startswith("__"):
            return Method(self.native, name, value)
        return value

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, self.native)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self.native,)

    def __repr__(self) -> str:
        return f"<class 'qt.{self.__name__}'>"


def valueClass(native: type) -> Any:
    """What stands for a class of Qt for Python that is no QObject."""
    if native not in _values:
        _values[native] = ValueClass(native)
    return _values[native]
