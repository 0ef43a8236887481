"""Requests to fine-tune: what they say, what they may not say, and the configuration that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jsddpm_core.config_file import CONFIGS, load_config
from jsddpm_core.errors import RequestError, TrainingError
from jsddpm_core.settings import check_setting, describe_settings
from jsddpm_core.training.plan import plan_of, same_run
from jsddpm_core.training.request import PRESETS, parse_fine_tune_request
from jsddpm_core.training.request_file import read_request

CASE = {"name": "set/sub-1", "subject": "set/sub-1", "dataset": "set", "image": "/scans/sub-1.nii.gz"}
TREE: dict[str, Any] = {"name": "mine", "title": "Mine", "cases": [CASE]}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("start", [None, "demo"])
def test_every_preset_gives_a_configuration(preset: str, start: str | None) -> None:
    config = plan_of(parse_fine_tune_request({**TREE, "preset": preset, "start": start})).config
    said = {f"training.{key}": value for key, value in config.training.model_dump().items()}
    assert all(said[key] == value for key, value in PRESETS[preset].items())
    assert config.training.replay_share == (0.25 if start else 0.0)


def test_settings_go_before_the_preset_and_one_length_takes_back_the_other() -> None:
    asked = {**TREE, "preset": "paper", "settings": {"training.max_steps": 40, "losses.terms.FLAIR.p": 1.5}}
    config = plan_of(parse_fine_tune_request(asked)).config
    assert (config.training.max_steps, config.training.epochs) == (40, None)
    assert config.losses.terms[0].p == 1.5
    asked = {**TREE, "preset": "standard", "settings": {"training.epochs": 3}}
    config = plan_of(parse_fine_tune_request(asked)).config
    assert (config.training.max_steps, config.training.epochs) == (None, 3)


def test_a_start_model_brings_its_own_network() -> None:
    plan = plan_of(parse_fine_tune_request({**TREE, "start": "demo", "config": "paper", "train": "last-levels"}))
    assert plan.start is not None
    assert plan.config.network == plan.start.manifest.network
    assert plan.config.data == plan.start.manifest.training.data
    assert plan.config.training.trainable == "last-levels"


def test_a_setting_that_does_not_fit_the_start_model_is_refused_before_anything_is_made() -> None:
    asked = {**TREE, "start": "demo", "settings": {"network.residual_blocks": 3}}
    with pytest.raises(TrainingError, match="demo has other settings under network: start with its own configuration"):
        plan_of(parse_fine_tune_request(asked))


def test_simulated_lesions_are_a_pathology_of_their_own() -> None:
    config = plan_of(parse_fine_tune_request({**TREE, "simulation": {"share": 0.5}})).config
    assert "fcd-simulated" in [entry.name for entry in config.pathologies]


def test_a_file_may_name_its_scans_from_where_it_lies(tmp_path: Path) -> None:
    case = {**CASE, "image": "scans/a.nii.gz", "mask": "/masks/a.nii.gz"}
    tree = {**TREE, "cases": [case], "settings": {"training.learning_rate": "1e-5"}}
    for name, text in (("request.json", json.dumps(tree)), ("request.yaml", json.dumps(tree, indent=1))):
        (tmp_path / name).write_text(text)
        request = read_request(tmp_path / name)
        assert request.cases[0].image == tmp_path / "scans" / "a.nii.gz"
        assert request.cases[0].mask == Path("/masks/a.nii.gz")
        assert plan_of(request).config.training.learning_rate == 1e-5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "holds no keys"),
        ("a: [", "neither YAML nor JSON"),
        ("!!python/object/apply:os.mkdir [sprung]", "neither YAML nor JSON"),
        ("name: mine", "lacks 'title'"),
        ("{name: mine, title: Mine, cases: 3}", "cases = 3 cannot be used"),
    ],
)
def test_a_file_that_is_no_request_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "request.yaml").write_text(text)
    with pytest.raises(RequestError, match=message):
        read_request(tmp_path / "request.yaml")
    assert not Path("sprung").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere.yaml could not be read \(No such file"):
        read_request(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cases": []}, "cases"),
        ({"cases": [CASE, CASE]}, "two cases share the name set/sub-1"),
        ({"cases": [{**CASE, "image": "here.nii"}]}, "not an absolute path"),
        ({"settings": {"pathologies": []}}, "follows from the cases"),
        ({"settings": {"training.max_steps": 3, "training.epochs": 3}}, "either training.epochs or training.max_steps"),
        ({"replay_share": 1.0}, "replay_share = 1.0 cannot be used"),
        ({"preset": "fast"}, "preset = 'fast' cannot be used"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_a_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        parse_fine_tune_request({**TREE, **change})
    assert str(caught.value).count("\n") == 0


def test_a_resumed_run_may_change_its_words_and_length_only() -> None:
    request = parse_fine_tune_request({**TREE, "start": "demo"})
    other = parse_fine_tune_request({**TREE, "start": "demo", "title": "Other", "settings": {"training.max_steps": 5}})
    assert same_run(request, other) is None
    assert same_run(request, parse_fine_tune_request(TREE)) == "start"


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_setting_has_an_explanation_and_accepts_its_own_value(name: str) -> None:
    config = load_config(name)
    settings = describe_settings(config)
    assert len({setting["key"] for setting in settings}) == len(settings) > 70
    for setting in settings:
        assert setting["explanation"], setting["key"]
        text = "" if setting["value"] is None else json.dumps(setting["value"])
        assert check_setting(setting["key"], text, config) is None, setting["key"]
        assert check_setting(setting["key"], text) is None, setting["key"]


@pytest.mark.parametrize(
    ("key", "text", "problem"),
    [
        ("training.learning_rate", "1e-4", None),
        ("training.learning_rate", "-1", "greater than 0"),
        ("training.learning_rate", "fast", "valid number"),
        ("training.max_step", "3", "did you mean 'training.max_steps'"),
        ("training.precision", "fp15", "'fp32', 'bf16' or 'fp16'"),
        ("training.patience", "", None),
        ("losses.terms.FLAIR.p", "0", "greater than 0"),
        ("losses.terms.anything.q", "0", "unknown key"),
        ("diffusion.self_conditioning.probability", "1.5", "less than or equal to 1"),
    ],
)
def test_a_value_is_checked_as_it_is_typed(key: str, text: str, problem: str | None) -> None:
    said = check_setting(key, text)
    assert (said is None) if problem is None else (said is not None and problem in said)


def test_a_value_is_checked_against_the_others() -> None:
    config = load_config("fast")
    said = check_setting("training.minimum_learning_rate", "1", config)
    assert said is not None and "is above learning_rate" in said
    said = check_setting("network.channels", "[48, 96]", config)
    assert said is not None and "2 levels" in said
    assert check_setting("training.epochs", "3", config) is None, "it takes back max_steps"


@pytest.mark.parametrize("key", ["title", "licence"])
def test_a_title_is_one_line(key: str) -> None:
    with pytest.raises(RequestError, match="more than one line"):
        parse_fine_tune_request({**TREE, key: "Mine\n# A heading"})
    assert getattr(parse_fine_tune_request({**TREE, key: "Epilepsie\u00a0: un modèle <b>"}), key)


def test_a_date_that_there_is_not_is_bad_yaml(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: mine\nseed: 2024-13-45\n", encoding="utf-8")
    with pytest.raises(RequestError, match="is neither YAML nor JSON: mend its syntax"):
        read_request(tmp_path / "r.yaml")
