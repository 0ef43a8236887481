"""What can go wrong, said in the user's terms: what happened, with which file or value, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


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

    @property
    def kind(self) -> str:
        """What programs tell errors apart by."""
        return type(self).__name__


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


class StudyError(JsddpmError):
    """A reading study that cannot be made, read or analysed."""


class ReproductionError(JsddpmError):
    """A sidecar whose result could not be regenerated."""


class PackageError(JsddpmError):
    """A package that is missing or cannot be loaded."""


class DeviceMemoryError(JsddpmError):
    """The memory of the device that is used up."""

    kind = "MemoryError"


class UnforeseenError(JsddpmError):
    """A fault of the program that nobody foresaw."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says, in whosever words, that no memory is left."""
    # torch has a class for a GPU that is full; for the processor's memory it has a plain RuntimeError, as ITK has.
    if isinstance(error, MemoryError | DeviceMemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = {
        # The last words are oneDNN's, which says so of nothing else that a network's layers can meet.
        RuntimeError: ("out of memory", "can't allocate memory", "failed to allocate memory", "create a primitive"),
        ImportError: ("cannot allocate memory", "failed to map segment"),  # of a library that did not fit
    }
    text = str(error).lower()
    return any(isinstance(error, kind) and any(words in text for words in phrases) for kind, phrases in said.items())


def unforeseen(error: Exception, remedy: str) -> JsddpmError:
    """An exception that no code expected, in one sentence.

    Args:
        error: not one of ours.
        remedy: what the user can do about a fault of the program.

    Returns:
        A DeviceMemoryError, a PackageError or an UnforeseenError.
    """
    if is_out_of_memory(error):
        return DeviceMemoryError(
            "the memory of the device is used up", "close other programs, or choose a smaller batch or another device"
        )
    if isinstance(error, ImportError) and error.name and not error.name.startswith("jsddpm_core"):
        return PackageError(f"package '{_package(error)}' is missing or cannot be loaded", "install it again")
    said = " ".join(str(error).split())[:300]
    return UnforeseenError(f"an unforeseen fault in the program ({type(error).__name__}: {said})", remedy)


def _package(error: ImportError) -> str | None:
    """What to install again: a package's compiled part is found by its file, for its own name says little."""
    parts = Path(error.path or "").parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].partition(".")[0]
    return error.name


def nearest(name: str, known: Iterable[str]) -> str:
    """Says which known name is meant, or lists them all: the tail of an error's remedy."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'" if close else f"choose one of {', '.join(names)}"
