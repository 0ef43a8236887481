"""The template: an average of people, written with its attribution."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from phantom import make_phantom

from jsddpm_core.data.template import NAME, load_template, main, template_affine, write_template
from jsddpm_core.errors import CaseError

SHAPE, SPACING = (32, 38, 28), (5.0, 5.0, 5.0)


def write_people(folder: Path, people: int, sessions: int = 1) -> Path:
    folder.mkdir()
    (folder / "dataset_description.json").write_text(
        json.dumps({"Name": "phantoms", "License": "CC-BY-4.0", "HowToAcknowledge": "Phantom A, 2024"})
    )
    for number in range(people):
        for session in range(sessions if number == 0 else 1):
            head = make_phantom(seed=number, shape=SHAPE, spacing_mm=SPACING, lesion_centre_mm=None)
            head.write(folder, f"sub-{number}", mask=False, session=f"ses-{session}")
    return folder


def test_the_template_says_whose_work_it_stands_on(tmp_path: Path) -> None:
    path = write_template(write_people(tmp_path / "mni", 3), tmp_path / "out")
    said = json.loads((tmp_path / "out" / f"{NAME}.json").read_text())
    assert said["license"] == "CC-BY-4.0"
    assert said["how_to_acknowledge"] == "Phantom A, 2024"
    assert "3 people" in said["description"]
    template = load_template(path)
    assert template.data.shape == (91, 109, 91)
    assert np.array_equal(template.affine, template_affine())
    assert template.declared_template


def test_the_same_people_give_the_same_file(tmp_path: Path) -> None:
    folder = write_people(tmp_path / "mni", 3)
    first, second = (write_template(folder, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second


def test_a_person_with_many_sessions_counts_once(tmp_path: Path) -> None:
    once = load_template(write_template(write_people(tmp_path / "once", 3), tmp_path / "a"))
    often = load_template(write_template(write_people(tmp_path / "often", 3, sessions=3), tmp_path / "b"))
    assert np.allclose(once.data, often.data, atol=1.0)


def test_two_people_are_no_average(tmp_path: Path) -> None:
    folder = write_people(tmp_path / "mni", 2)
    with pytest.raises(CaseError, match="2 people have a volume in MNI152 space, an average needs 3"):
        write_template(folder, tmp_path / "out")


def test_the_command_says_one_sentence_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent"), "--out", str(tmp_path / "out")]) == 2
    assert "absent is no folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
