"""The check of system libraries says what to install."""

from __future__ import annotations

import pytest
from system_libraries import DRAWING, DRIVERS, SCREEN, command, main, missing


def test_nothing_is_missing_where_all_can_be_loaded() -> None:
    assert missing(True, lambda file: True, lambda patterns: True) == []


def test_each_missing_library_is_named_by_its_package() -> None:
    lacking = missing(False, lambda file: file != "libEGL.so.1", lambda patterns: True)
    assert lacking == ["libegl1"]
    assert command(lacking) == "sudo apt-get install --no-install-recommends libegl1"


def test_those_of_a_screen_are_asked_for_only_with_it() -> None:
    def nothing(_: object) -> bool:
        return False

    assert set(missing(False, nothing, nothing)) == {*DRAWING, *DRIVERS}
    assert set(missing(True, nothing, nothing)) == {*DRAWING, *DRIVERS, *SCREEN}


def test_a_missing_library_ends_with_an_error_only_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("system_libraries.missing", lambda screen: ["libegl1"])
    monkeypatch.setattr("system_libraries.shutil.which", lambda name: None)
    monkeypatch.setattr("system_libraries.sys.platform", "linux")
    assert main([]) == 0
    assert main(["--required"]) == 1
    assert "apt-get install --no-install-recommends libegl1" in capsys.readouterr().out
