"""The answer key: encrypted with a passphrase and laid beside the study, or kept plain by the organiser elsewhere.

scrypt (RFC 7914) makes a key of the passphrase, AES-256 in Galois counter mode (NIST SP 800-38D) encrypts and
authenticates; both are those of the `cryptography` package. What decryption needs besides the passphrase stands in the
file, and is authenticated with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import unicodedata
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from jsddpm_core.errors import StudyError
from jsddpm_core.files import write_file
from jsddpm_core.reading_study.manifest import AnswerKey, Digest, canonical
from jsddpm_core.strict import Strict

ENCRYPTED_KEY: Final = "key.json.encrypted"
PLAIN_KEY: Final = "key.json"
LEAST_PASSPHRASE: Final = 8
LARGEST: Final = 50_000_000  # bytes of a key

Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hex12 = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


class Header(Strict):
    """What decryption needs besides the passphrase.

    Attributes:
        n: cost of scrypt, a power of two; with r = 8 it takes 1024 n bytes of memory.
        salt: of scrypt.
        nonce: of AES-GCM.
    """

    schema_version: Literal[1] = 1
    study: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    kdf: Literal["scrypt"] = "scrypt"
    n: Literal[16384, 32768, 65536, 131072, 262144] = 65536
    r: Literal[8] = 8
    p: Literal[1] = 1
    salt: Hex16
    cipher: Literal["AES-256-GCM"] = "AES-256-GCM"
    nonce: Hex12


class EncryptedKey(Strict):
    """The file. `sha256` is of header and text, so that a damaged file is told from a wrong passphrase."""

    header: Header
    text: str
    sha256: Digest


def _digest(header: Header, text: str) -> str:
    return hashlib.sha256(canonical(header.model_dump(mode="json")) + text.encode()).hexdigest()


def _cipher(passphrase: str, header: Header):
    """Letters with accents count alike however a keyboard or a file writes them (RFC 8265, section 4)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    kdf = Scrypt(salt=bytes.fromhex(header.salt), length=32, n=header.n, r=header.r, p=header.p)
    return AESGCM(kdf.derive(unicodedata.normalize("NFC", passphrase).encode()))


def check_passphrase(passphrase: str) -> None:
    """Refuses what is too short.

    Raises:
        StudyError: below `LEAST_PASSPHRASE` characters.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise StudyError(
            f"the passphrase has {len(passphrase)} characters", f"choose one of at least {LEAST_PASSPHRASE}"
        )


def encrypted(key: AnswerKey, passphrase: str) -> bytes:
    """The key as the content of an encrypted file.

    Raises:
        StudyError: if the passphrase is too short.
    """
    check_passphrase(passphrase)
    header = Header(study=key.study, salt=os.urandom(16).hex(), nonce=os.urandom(12).hex())
    plain = canonical(key.model_dump(mode="json"))
    sealed = _cipher(passphrase, header).encrypt(
        bytes.fromhex(header.nonce), plain, canonical(header.model_dump(mode="json"))
    )
    text = base64.b64encode(sealed).decode()
    file = EncryptedKey(header=header, text=text, sha256=_digest(header, text))
    return (json.dumps(file.model_dump(mode="json"), indent=1) + "\n").encode()


def decrypted(content: bytes, passphrase: str, name: str = "the key") -> AnswerKey:
    """The key in the content of an encrypted file.

    Args:
        content: of the file.
        passphrase: that it was encrypted with.
        name: of the file, for errors.

    Raises:
        StudyError: if the file is none or damaged, or the passphrase is another one.
    """
    from cryptography.exceptions import InvalidTag

    try:
        file = EncryptedKey.model_validate_json(content)
        sealed = base64.b64decode(file.text, validate=True)
    except (ValidationError, binascii.Error):
        raise StudyError(f"{name} is no encrypted key", "copy the original again") from None
    if _digest(file.header, file.text) != file.sha256:
        raise StudyError(f"{name} was changed or copied in part", "copy the original again")
    associated = canonical(file.header.model_dump(mode="json"))
    try:
        plain = _cipher(passphrase, file.header).decrypt(bytes.fromhex(file.header.nonce), sealed, associated)
    except InvalidTag:
        raise StudyError(f"the passphrase does not open {name}", "type it again, as it was chosen") from None
    return _parsed(plain, name)


def plain_bytes(key: AnswerKey) -> bytes:
    """The key as the content of a plain file."""
    return (json.dumps(key.model_dump(mode="json"), indent=1) + "\n").encode()


def write_key(key: AnswerKey, file: Path, passphrase: str | None = None) -> None:
    """Writes a key, plain where there is no passphrase, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
        StudyError: if the passphrase is too short.
    """
    write_file(file, plain_bytes(key) if passphrase is None else encrypted(key, passphrase))


def is_encrypted(file: Path) -> bool:
    """Whether reading a key's file needs a passphrase.

    Raises:
        StudyError: if it cannot be read.
    """
    try:
        tree = json.loads(_content(file))
    except (ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and "header" in tree


def read_key(file: Path, passphrase: str | None = None) -> AnswerKey:
    """Reads a key, encrypted or plain.

    Raises:
        StudyError: if it is missing, none, damaged, or encrypted with another passphrase.
    """
    content = _content(file)
    if not is_encrypted(file):
        return _parsed(content, str(file))
    if passphrase is None:
        raise StudyError(f"{file} is encrypted", "give its passphrase")
    return decrypted(content, passphrase, str(file))


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST:
            raise StudyError(f"{file} is larger than any key", "choose the key of the study")
        return file.read_bytes()
    except OSError as error:
        raise StudyError(f"{file} could not be read ({error.strerror or error})", "choose the key's file") from None


def _parsed(content: bytes, name: str) -> AnswerKey:
    try:
        return AnswerKey.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "all"
        raise StudyError(f"{name} is no answer key ({where}: {first['msg']})", "copy the original again") from None
