"""What a study's request may say, and the sentence for what it may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.design import LEVELS, check_lesions, parse_design
from jsddpm_core.reading_study.design_file import read_design

TREE: dict[str, Any] = {
    "title": "Real or not",
    "items": [{"kind": "real"}],
    "real": {"count": 20, "folder": "/cases"},
    "synthetic": {"count": 20, "model": "demo"},
    "pathologies": ["none", "infarct"],
}
PAIR = [{"kind": "pair"}]


def test_a_short_request_is_enough() -> None:
    design = parse_design(TREE)
    assert (design.shown, design.repeat_count, design.pairs, design.slots) == (40, 0, False, 10)
    assert (design.display.window, design.display.level) == (LEVELS, LEVELS / 2)
    assert design.real.splits == ("test",)


def test_repeats_are_a_number_or_a_share() -> None:
    assert parse_design({**TREE, "repeats": 6}).repeat_count == 6
    assert parse_design({**TREE, "repeats": 0.2}).repeat_count == 8
    assert parse_design({**TREE, "items": PAIR, "repeats": 0.2}).repeat_count == 4  # of 20 pairs


def test_a_display_that_says_nothing_of_the_window_shows_all_grey_values() -> None:
    design = parse_design({**TREE, "display": {"mask_overlay": True, "time_limit_s": 30}})
    assert (design.display.window, design.display.time_limit_s) == (LEVELS, 30)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"titel": "x"}, r"unknown key 'titel' in the study's request: did you mean 'title'"),
        ({"title": None}, r"title"),
        ({"title": "  "}, r"title = '  ' cannot be used, it is blank"),
        ({"items": []}, r"items"),
        ({"items": [{"kind": "likert", "name": "q", "text": "?", "low": "bad", "high": "good", "pints": 4}]}, "points"),
        ({"real": {"count": 20}}, r"from a folder, from a cache or from a list"),
        ({"real": {"count": 20, "folder": "/a", "cache": "/b"}}, r"give one of them"),
        ({"real": {"count": 20, "folder": "cases"}}, r"not an absolute path"),
        ({"real": {"count": 20, "cache": "/b", "lesions": "ms"}}, r"there is no folder"),
        ({"synthetic": {"count": 20}}, r"folders of results or a model"),
        ({"real": {"count": 19, "folder": "/a"}, "matched": True}, r"as many real as synthetic"),
        ({"real": {"count": 19, "folder": "/a"}, "items": PAIR}, r"as many real as synthetic"),
        ({"training": 3}, r"an even number"),
        ({"repeats": 41}, r"41 repeats are more than the 40 cases"),
        ({"repeats": 1.5}, r"neither a whole number nor a share"),
        ({"pathologies": ["none", "none"]}, r"named twice"),
        ({"position_range_mm": [20, 10]}, r"runs downwards"),
        ({"slots": 0}, r"slots = 0 cannot be used"),
        ({"version": 2}, r"version = 2 cannot be used"),
        ({"items": [{"kind": "real"}, {"kind": "lesion", "name": "real"}]}, r"two items have the name 'real'"),
        ({"items": [{"kind": "pair"}, {"kind": "lesion"}]}, r"asked about as a pair"),
        ({"real": {**TREE["real"], "count": 1000}, "slots": 999}, r"ask for fewer slots"),
        ({"title": "x" * 201}, r"title = 'x{79}\.\.\. cannot be used"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(change: dict[str, Any], sentence: str) -> None:
    tree = {key: value for key, value in {**TREE, **change}.items() if value is not None}
    with pytest.raises(StudyError, match=sentence):
        parse_design(tree)


LESIONAL = {"none": False, "infarct": True, "ms": True}


@pytest.mark.parametrize(
    ("pathologies", "count", "sentence"),
    [
        (["infarct", "ms"], 20, "all cases of 'infarct', 'ms' show one: add lesion-free cases"),
        (["none"], 20, "no cases of 'none' show one: add a pathology with lesions"),
        (["infarct", "none"], 1, "all cases of 'infarct' show one"),
    ],
)
def test_whoever_asks_for_lesions_shows_both(pathologies: list[str], count: int, sentence: str) -> None:
    arms = {"real": {**TREE["real"], "count": count}, "synthetic": {**TREE["synthetic"], "count": count}}
    design = parse_design({**TREE, **arms, "pathologies": pathologies, "items": [{"kind": "real"}, {"kind": "lesion"}]})
    with pytest.raises(StudyError, match=sentence):
        check_lesions(design, LESIONAL)
    check_lesions(design.model_copy(update={"items": design.items[:1]}), LESIONAL)


def test_nothing_is_held_against_pathologies_that_nobody_knows() -> None:
    design = parse_design({**TREE, "pathologies": ["tumour", "infarct"], "items": [{"kind": "lesion"}]})
    check_lesions(design, LESIONAL)


def test_paths_of_a_file_are_found_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "study.yaml").write_text(
        "title: A\nitems: [{kind: real}]\npathologies: [none]\n"
        "real: {count: 2, cases: [{name: d/s, subject: d/s, dataset: d, image: scans/s.nii}]}\n"
        "synthetic: {count: 2, results: [one, two], model: model}\n",
        encoding="utf-8",
    )
    design = read_design(tmp_path / "study.yaml")
    assert design.real.cases[0].image == tmp_path / "scans" / "s.nii"
    assert design.synthetic.results == (tmp_path / "one", tmp_path / "two")
    assert design.synthetic.model == str(tmp_path / "model")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[1, 2]", "holds no keys"),
        (b"a: [", "neither YAML nor JSON"),
        (b"\xff\xfe\x00", "neither YAML nor JSON"),
        (b"!!python/object/apply:os.system [true]", "neither YAML nor JSON"),
        (b"title: x", "lacks 'items'"),
        (b"real: 3\nsynthetic: [1]\n", "study's request"),
    ],
)
def test_a_file_that_is_no_request_is_told(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(StudyError, match=sentence):
        read_design(tmp_path / "r.yaml")


def test_pairs_are_trained_in_any_number() -> None:
    assert parse_design({**TREE, "items": [{"kind": "pair"}], "training": 3}).training_of_each_arm == 3


def test_a_title_that_yaml_takes_for_a_date_stays_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(json.dumps(TREE)[:-1] + ', "title": 2026-11-21}', encoding="utf-8")
    assert read_design(tmp_path / "r.yaml").title == "2026-11-21"


def test_letters_that_no_file_can_hold_are_told_without_the_whole_request() -> None:
    with pytest.raises(StudyError) as refused:
        parse_design(json.dumps({**TREE, "title": "a\ud800"}))
    assert len(str(refused.value)) < 200


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="could not be read"):
        read_design(tmp_path / "gone.yaml")
