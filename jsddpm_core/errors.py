"""What can go wrong, said in the user's terms: what happened, with which file or value, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class JsddpmError(Exception):
    """Base of every error that a user may see: one sentence with the remedy in it.

    Args:
        message: what happened, naming the file or the value.
        remedy: what the user can do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        self.message = message.rstrip(". ")
        self.remedy = remedy.rstrip(". ")
        super().__init__(f"{self.message}: {self.remedy}.")


class ConfigError(JsddpmError):
    """A configuration key or value that cannot be used."""


class ImageError(JsddpmError):
    """An image file that is missing, damaged or not what is needed."""


class CaseError(JsddpmError):
    """A folder of cases that cannot be used."""


class CacheError(JsddpmError):
    """A slice cache that is missing, damaged or made from other data."""


class BundleError(JsddpmError):
    """A model bundle that is missing, damaged or not what its manifest says."""


class RequestError(JsddpmError):
    """A request that the chosen model cannot serve."""


class OutputError(JsddpmError):
    """A folder or disk that results cannot be written to."""


class TrainingError(JsddpmError):
    """A training run that cannot start, go on or be resumed."""


class ReproductionError(JsddpmError):
    """A sidecar whose result could not be regenerated."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Says which known name is meant, or lists them all: the tail of an error's remedy."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'" if close else f"choose one of {', '.join(names)}"
