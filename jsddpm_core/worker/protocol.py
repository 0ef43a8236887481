"""JSON-RPC 2.0: what a message must look like, and how an error is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from jsddpm_core.errors import DeviceMemoryError, JsddpmError, UnforeseenError, unforeseen
from jsddpm_core.files import is_disk_full, output_error

PROTOCOL_VERSION = 1

PARSE_ERROR, INVALID_MESSAGE, UNKNOWN_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
FAULT, REFUSED, OUT_OF_MEMORY, DISK_FULL, CANCELLED = -32603, -32000, -32010, -32011, -32800

LONGEST_SENTENCE = 1000

Id: TypeAlias = int | str
"""What a client calls a request by."""


class ProtocolError(JsddpmError):
    """A message that cannot be served.

    Args:
        code: of JSON-RPC.
        message: what is wrong with it.
        remedy: what to send in its place.
        about: the request, where its id could be read.
    """

    kind = "RequestError"

    def __init__(self, code: int, message: str, remedy: str, about: Id | None = None) -> None:
        super().__init__(message, remedy)
        self.code, self.about = code, about


class Cancelled(Exception):  # noqa: N818 - an outcome, not an error
    """Ends a job that the client no longer wants."""

    def __init__(self) -> None:
        super().__init__("cancelled")


@dataclass(frozen=True)
class Call:
    """A request; without an id, a notification, which is not answered.

    Attributes:
        method: by name.
        params: by name; not looked at yet.
        id: of the request.
    """

    method: str
    params: dict[str, Any]
    id: Id | None


def read_call(line: bytes) -> Call:
    """Reads one message.

    Raises:
        ProtocolError: if it is not JSON, or not a request by JSON-RPC 2.0.
    """
    try:
        tree = json.loads(line.decode(), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(PARSE_ERROR, "the message is not JSON", "send one object in UTF-8 on one line") from error
    if not isinstance(tree, dict):
        raise ProtocolError(INVALID_MESSAGE, "the message is not an object", "send one request a line")
    about = tree.get("id")
    if about is not None and (isinstance(about, bool) or not isinstance(about, int | str)):
        raise ProtocolError(INVALID_MESSAGE, "the id is neither a whole number nor a text", "number the requests")
    method, params = tree.get("method"), tree.get("params", {})
    if tree.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise ProtocolError(INVALID_MESSAGE, "the message is not a request", "send jsonrpc 2.0 with a method", about)
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, "the params are not an object", "send them by name", about)
    return Call(method, params, about)


def to_line(**members: Any) -> bytes:
    """A message as it is sent.

    Raises:
        ValueError, TypeError: if a member cannot stand in JSON.
    """
    return json.dumps({"jsonrpc": "2.0", **members}, allow_nan=False).encode() + b"\n"


def error_object(error: Exception) -> dict[str, Any]:
    """The `error` of an answer: a code, one sentence, and its parts."""
    if isinstance(error, Cancelled):
        return {"code": CANCELLED, "message": str(error), "data": _parts("Cancelled", str(error), "")}
    said = in_words(error)
    if isinstance(said, ProtocolError):
        code = said.code
    elif isinstance(said, DeviceMemoryError):
        code = OUT_OF_MEMORY
    elif is_disk_full(said):
        code = DISK_FULL
    else:
        code = FAULT if isinstance(said, UnforeseenError) else REFUSED
    return {
        "code": code,
        "message": str(said)[:LONGEST_SENTENCE],
        "data": _parts(said.kind, said.message[:LONGEST_SENTENCE], said.remedy),
    }


def in_words(error: Exception) -> JsddpmError:
    """Any exception as one that a user can read."""
    if isinstance(error, JsddpmError):
        return error
    if isinstance(error, OSError):
        said = output_error(Path(str(error.filename or "a file")), error)
        said.__cause__ = error
        return said
    return unforeseen(error, "please report it, with the log")


def _parts(kind: str, message: str, remedy: str) -> dict[str, str]:
    return {"kind": kind, "message": message, "remedy": remedy}


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
