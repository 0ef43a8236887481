"""Safetensors files, read without trust: header first, nothing executed, every surprise an error.

The format is 8 bytes of little-endian header length, a JSON header of names, types, shapes and byte ranges, and
the bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from jsddpm_core.errors import BundleError
from jsddpm_core.manifest import TensorSpec

HEADER_LIMIT = 16 * 1024 * 1024
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


def read_header(path: Path) -> dict[str, TensorSpec]:
    """Names, shapes and types of the tensors of a file, without reading them.

    Raises:
        BundleError: if the file is missing, a pickle, damaged, or of a type that bundles do not hold.
    """
    specs, _ = _read_table(path)
    return specs


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file, in their stored type.

    Raises:
        BundleError: as `read_header`, and where a value is not finite.
    """
    specs, places = _read_table(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} could not be read ({error.strerror})", "check the file's rights") from error
    arrays = {}
    for name, spec in specs.items():
        start, end = places[name]
        arrays[name] = np.frombuffer(content[start:end], dtype=_DTYPES[spec.dtype]).reshape(spec.shape)
        if not np.isfinite(arrays[name]).all():
            raise BundleError(f"{path}: tensor '{name}' holds values that are not finite", "get the bundle again")
    return arrays


def half_precision(weights: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, TensorSpec]]:
    """The content of a safetensors file with all weights as float16, and its table of tensors.

    Raises:
        BundleError: if a weight is not finite or too large for half precision.
    """
    halves = {}
    for name, array in weights.items():
        with np.errstate(over="ignore"):
            half = np.ascontiguousarray(array, dtype=np.float16)
        if not np.isfinite(half).all():
            raise BundleError(
                f"weight '{name}' is not finite or beyond half precision", "train on with a smaller learning rate"
            )
        halves[name] = half
    return save(halves), {name: TensorSpec(shape=half.shape, dtype="F16") for name, half in sorted(halves.items())}


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_table(path: Path) -> tuple[dict[str, TensorSpec], dict[str, tuple[int, int]]]:
    damaged = BundleError(f"{path} is not a whole safetensors file", "get the bundle again")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(8)
            if start.startswith(_PICKLE_STARTS):
                raise BundleError(
                    f"{path} is a pickle in place of safetensors and was refused, because reading one can run code",
                    "ask for the weights as safetensors",
                )
            length = int.from_bytes(start, "little")
            if len(start) < 8 or not 0 < length <= min(size - 8, HEADER_LIMIT):
                raise damaged
            header = json.loads(stream.read(length).decode("utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{path} is missing", "get the bundle again") from error
    except OSError as error:
        raise BundleError(f"{path} could not be read ({error.strerror})", "check the file's rights") from error
    except ValueError as error:
        raise damaged from error
    if not isinstance(header, dict):
        raise damaged
    header.pop("__metadata__", None)
    specs: dict[str, TensorSpec] = {}
    places: dict[str, tuple[int, int]] = {}
    expected = 0
    try:
        entries = sorted(header.items(), key=lambda entry: tuple(entry[1]["data_offsets"]))
        for name, entry in entries:
            if entry["dtype"] not in _DTYPES:
                raise BundleError(
                    f"{path}: tensor '{name}' is of type {entry['dtype']}", "store the weights as F16 or F32"
                )
            specs[name] = TensorSpec(shape=tuple(entry["shape"]), dtype=entry["dtype"])
            begin, end = (int(offset) for offset in entry["data_offsets"])
            items = math.prod(specs[name].shape)
            if begin != expected or end - begin != items * _DTYPES[entry["dtype"]].itemsize:
                raise damaged
            places[name] = (8 + length + begin, 8 + length + end)
            expected = end
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged from error
    if 8 + length + expected != size:
        raise damaged
    return specs, places
