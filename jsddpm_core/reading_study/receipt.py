"""How far a slot's log had come, kept apart from it: what shows that a tail was removed.

The reader sees the receipt's code and may write it down. It is no signature: somebody who can write both the log and
the receipt can forge them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from jsddpm_core.errors import OutputError, StudyError
from jsddpm_core.files import make_folder, write_file
from jsddpm_core.reading_study.manifest import SCHEMA, Digest
from jsddpm_core.reading_study.responses import Chain, Reading
from jsddpm_core.strict import Strict


class Receipt(Strict):
    """What a slot's log held at some moment.

    Attributes:
        study: the manifest's identifier.
        slot: whose log it is.
        lines: of the log.
        readings: cases read, training included.
        head: hash of the last line.
    """

    schema_version: Literal[1] = SCHEMA
    study: str
    slot: int
    lines: int = Field(ge=0)
    readings: int = Field(ge=0)
    head: Digest

    @property
    def code(self) -> str:
        """What a reader can write down: the number of answers and 16 of the head's digits."""
        return f"{self.readings}-" + "-".join(self.head[start : start + 4] for start in range(0, 16, 4))


def receipt_of(chain: Chain, study: str, slot: int, digest: str) -> Receipt:
    """The receipt of a log as it is now; of an empty one the head is the manifest's digest."""
    readings = sum(isinstance(body, Reading) for body in chain.bodies)
    head = chain.hashes[-1] if chain.hashes else digest
    return Receipt(study=study, slot=slot, lines=len(chain.bodies), readings=readings, head=head)


def receipt_file(folder: Path, study: str, slot: int) -> Path:
    """Where a receipt lies in the folder of receipts."""
    return folder / f"{study}-slot-{slot:02d}.json"


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Keeps a receipt.

    Raises:
        StudyError: if the folder cannot be written to.
    """
    try:
        make_folder(folder)
        content = json.dumps(receipt.model_dump(), indent=1).encode()
        write_file(receipt_file(folder, receipt.study, receipt.slot), content)
    except OutputError as error:
        raise StudyError(error.message, error.remedy) from error


def read_receipt(folder: Path, study: str, slot: int) -> Receipt | None:
    """The receipt that was kept of a slot; None where there is none.

    Raises:
        StudyError: if it is damaged.
    """
    file = receipt_file(folder, study, slot)
    try:
        return Receipt.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError):
        raise StudyError(f"{file} is no receipt", "remove it if you know why it is damaged") from None


def held_against(chain: Chain, receipt: Receipt, file: Path) -> str:
    """What a receipt reveals of a log; empty where they agree. A log that has grown since agrees."""
    if len(chain.bodies) < receipt.lines:
        readings = sum(isinstance(body, Reading) for body in chain.bodies)
        return f"{file} holds {readings} answers, and the receipt {receipt.code} was given for {receipt.readings}"
    if receipt.lines and chain.hashes[receipt.lines - 1] != receipt.head:
        return f"{file} is not the log that the receipt {receipt.code} was given for"
    return ""
