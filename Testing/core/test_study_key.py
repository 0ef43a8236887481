"""The answer key: locked with a passphrase, and what a reader of it is told when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jsddpm_core.commands.passphrase import passphrase_of
from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.key import decrypted, encrypted, is_encrypted, read_key, write_key
from jsddpm_core.reading_study.manifest import AnswerKey, CaseTruth

PASSPHRASE = "four plain words here"


@pytest.fixture(scope="module")
def a_key() -> AnswerKey:
    truth = CaseTruth(arm="real", pathology="infarct", position_mm=18.0, subject="real-0001", lesion=True)
    return AnswerKey(study="a" * 32, digest="b" * 64, cases={"case-0001": truth}, order_secret="c" * 64)


@pytest.fixture(scope="module")
def locked(a_key: AnswerKey) -> bytes:
    return encrypted(a_key, PASSPHRASE)


def test_the_passphrase_opens_the_key(a_key: AnswerKey, locked: bytes) -> None:
    assert decrypted(locked, PASSPHRASE) == a_key


def test_a_passphrase_with_accents_opens_the_key_from_any_keyboard(a_key: AnswerKey) -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    assert decrypted(encrypted(a_key, composed), decomposed) == a_key


def test_nothing_of_the_truth_stands_in_the_locked_file(locked: bytes) -> None:
    assert not any(word in locked for word in (b"infarct", b"real", b"case-0001", b"c" * 64))


def test_two_keys_locked_with_one_passphrase_have_nothing_in_common(a_key: AnswerKey, locked: bytes) -> None:
    one, two = (json.loads(content) for content in (locked, encrypted(a_key, PASSPHRASE)))
    assert all(one["header"][part] != two["header"][part] for part in ("salt", "nonce"))
    assert one["text"][:32] != two["text"][:32]


def test_another_passphrase_is_told_in_a_sentence(locked: bytes) -> None:
    with pytest.raises(StudyError, match="passphrase does not open key"):
        decrypted(locked, PASSPHRASE + "!", "key")


@pytest.mark.parametrize("part", ["text", "salt", "n", "study"])
def test_a_changed_file_is_told_from_a_wrong_passphrase(locked: bytes, part: str) -> None:
    tree = json.loads(locked)
    if part == "text":
        tree["text"] = ("A" if tree["text"][0] != "A" else "B") + tree["text"][1:]
    else:
        tree["header"][part] = {"salt": "0" * 32, "n": 32768, "study": "0" * 32}[part]
    with pytest.raises(StudyError, match="changed or copied in part"):
        decrypted(json.dumps(tree).encode(), PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"header": 1, "text": "", "sha256": ""}'])
def test_a_file_that_is_no_key_is_told(content: bytes) -> None:
    with pytest.raises(StudyError, match="no encrypted key"):
        decrypted(content, PASSPHRASE)


def test_costs_that_would_fill_the_memory_are_refused(locked: bytes) -> None:
    tree = json.loads(locked)
    tree["header"]["n"] = 2**30
    with pytest.raises(StudyError, match="no encrypted key"):
        decrypted(json.dumps(tree).encode(), PASSPHRASE)


def test_a_short_passphrase_is_refused(a_key: AnswerKey) -> None:
    with pytest.raises(StudyError, match="5 characters: choose one of at least 8"):
        encrypted(a_key, "short")


def test_a_key_on_disk_is_known_for_what_it_is(a_key: AnswerKey, locked: bytes, tmp_path: Path) -> None:
    (tmp_path / "locked").write_bytes(locked)
    write_key(a_key, tmp_path / "plain")
    assert is_encrypted(tmp_path / "locked")
    assert not is_encrypted(tmp_path / "plain")
    assert read_key(tmp_path / "plain") == read_key(tmp_path / "locked", PASSPHRASE) == a_key
    with pytest.raises(StudyError, match="is encrypted: give its passphrase"):
        read_key(tmp_path / "locked")
    with pytest.raises(StudyError, match="could not be read"):
        read_key(tmp_path / "gone")


def test_a_passphrase_is_a_files_first_line_whichever_editor_wrote_it(tmp_path: Path):
    (tmp_path / "words").write_bytes(b"\xef\xbb\xbffour plain words\r\nand a note\r\n")
    assert passphrase_of(tmp_path / "words") == "four plain words"
