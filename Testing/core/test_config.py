"""Shipped configurations, overrides, and what a wrong key or value is told."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import jsddpm_core
from jsddpm_core.config import Config
from jsddpm_core.config_file import CONFIGS, load_config
from jsddpm_core.errors import ConfigError

SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def value_at(config: Config, dotted: str) -> Any:
    node: Any = config
    for part in dotted.split("."):
        named = isinstance(node, tuple) and next(item for item in node if item.name == part)
        node = named or getattr(node, part)
    return node


FULL_SIZE = {
    "network.channels": (64, 128, 256, 256),
    "network.attention": (False, False, True, True),
    "network.residual_blocks": 2,
    "network.groups": 32,
    "network.head_channels": 32,
    "network.patch_size": 1,
    "network.bottleneck": "shared",
    "diffusion.prediction": "sample",
    "diffusion.schedule.name": "cosine",
    "diffusion.schedule.steps": 1000,
    "conditioning.bins": 30,
    "training.learning_rate": 1e-4,
    "sampling.sampler": "ddim",
    "sampling.grid": "uniform",
}
TOKENS = {
    "conditioning.prior.kind": "cross_attention",
    "conditioning.prior.encoder_channels": (32, 64, 128),
    "conditioning.prior.token_dim": 256,
}
STATED: dict[str, dict[str, Any]] = {
    "fast": {
        "network.channels": (48, 96, 192, 192),
        "network.groups": 16,
        "network.patch_size": 2,
        "network.residual_blocks": 1,
    },
    "paper": FULL_SIZE
    | TOKENS
    | {
        "losses.terms.FLAIR.p": 2.25,
        "losses.terms.lesion.p": 2.25,
        "losses.terms.FLAIR.lesion_weight": 2,
        "losses.terms.lesion.lesion_weight": 2,
        "losses.terms.FLAIR-spectrum.kind": "focal_frequency",
        "losses.terms.FLAIR-spectrum.target": "x0_hat",
        "losses.terms.FLAIR-spectrum.alpha": 1.2,
        "losses.terms.FLAIR-spectrum.patch_factor": 2,
        "losses.terms.FLAIR-spectrum.log_matrix": True,
        "losses.kendall.initial_log_variances": {"spatial": 0.0, "frequency": 0.5},
        "losses.kendall.learnable": True,
        "diffusion.self_conditioning.enabled": True,
        "diffusion.self_conditioning.probability": 0.5,
        "training.batch_size": 32,
        "training.epochs": 1000,
        "training.ema_decay": 0.999,
        "sampling.steps": 400,
        "sampling.eta": 0.2,
    },
    "published": FULL_SIZE
    | {
        "losses.terms.FLAIR.p": 1.5,
        "losses.terms.lesion.p": 1.5,
        "losses.kendall": None,
        "conditioning.prior.kind": "none",
        "training.batch_size": 16,
        "sampling.steps": 300,
    },
    "proposal": FULL_SIZE
    | TOKENS
    | {
        "losses.terms.FLAIR.p": 1.5,
        "losses.terms.lesion.p": 1.5,
        "losses.terms.FLAIR.lesion_weight": 2,
        "losses.terms.lesion.lesion_weight": 2,
        "losses.terms.FLAIR-spectrum.alpha": 1.0,
        "losses.terms.FLAIR-spectrum.patch_factor": 4,
        "losses.kendall.learnable": True,
        "training.ema_decay": 0.9995,
        "diffusion.self_conditioning.probability": 0.7,
        "sampling.steps": 500,
        "sampling.eta": 0.1,
    },
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_says_what_it_is_said_to_say(name: str) -> None:
    config = load_config(name)
    assert {key: value_at(config, key) for key in STATED[name]} == STATED[name]


def test_the_published_run_has_no_frequency_loss() -> None:
    assert {term.kind for term in load_config("published").losses.terms} == {"lp"}


@pytest.mark.parametrize("prediction", ["sample", "epsilon", "velocity"])
@pytest.mark.parametrize("p", [1.5, 2, 2.5])
def test_the_published_grid_is_reached_by_overrides(prediction: str, p: float) -> None:
    sets = (f"diffusion.prediction={prediction}", f"losses.terms.FLAIR.p={p}", f"losses.terms.lesion.p={p}")
    config = load_config("published", sets)
    assert config.diffusion.prediction == prediction
    assert [term.p for term in config.losses.terms] == [p, p]


# ---------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.learning_rate=3e-4", 3e-4),
        ("training.patience=7", 7),
        ("network.channels=[32,64,64,64]", (32, 64, 64, 64)),
        ("losses.terms.FLAIR-spectrum.alpha=0.7", 0.7),
        ("losses.terms.lesion.weight=4", 4),
        ("losses.kendall.learnable=false", False),
        ("losses.kendall=null", None),
        ("diffusion.schedule.zero_terminal_snr=true", True),
        ("pathologies.fcd.label=FCD", "FCD"),
    ],
)
def test_any_key_can_be_overridden(override: str, value: Any) -> None:
    assert value_at(load_config("paper", (override,)), override.partition("=")[0]) == value


def test_later_overrides_win() -> None:
    assert load_config("fast", ("training.seed=1", "training.seed=2")).training.seed == 2


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text((CONFIGS / "fast.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert load_config(file) == load_config("fast")


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("override", "known"),
    [
        ("traning.seed=1", "training"),
        ("training.sed=1", "seed"),
        ("diffusion.schedule.stps=10", "steps"),
        ("diffusion.self_conditioning.probabilty=1", "probability"),
        ("conditioning.prior.token_dims=8", "token_dim"),
        ("data.grid.spacing=1", "spacing_mm"),
        ("losses.terms.FLAIR.lesion_wieght=1", "lesion_weight"),
        ("losses.terms.FLAIR-spectrum.alhpa=1", "alpha"),
        ("losses.terms.FLIAR.p=1", "FLAIR"),
        ("losses.kendall.learnble=false", "learnable"),
        ("pathologies.fcd.labl=x", "label"),
        ("pathologies.fdc.label=x", "fcd"),
        ("channels=[{name: a, role: image, kind: continuous, rnge: [0, 1]}]", "range"),
    ],
)
def test_an_unknown_key_suggests_the_nearest_at_every_level(override: str, known: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{known}'"):
        load_config("paper", (override,))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.batch_size=0", "'training.batch_size' is 0: it should be greater than or equal to 1."),
        ("training.batch_size=many", "'training.batch_size' is 'many': it should be a valid integer"),
        ("training=3", "'training' is 3: it should be a section of keys."),
        ("training.max_steps=5", "'training' cannot be used: give either epochs or max_steps, and not both."),
        ("training.minimum_learning_rate=1", "minimum_learning_rate 1.0 is above learning_rate 0.0001."),
        ("diffusion.prediction=smple", "'diffusion.prediction' is 'smple': did you mean 'sample'."),
        ("losses.terms.FLAIR.kind=lpp", "'losses.terms.FLAIR.kind' is 'lpp': did you mean 'lp'."),
        ("losses.terms.FLAIR.p=-1", "'losses.terms.FLAIR.p' is -1: it should be greater than 0."),
        ("losses.terms.FLAIR.p=.nan", "'losses.terms.FLAIR.p' is nan: it should be a finite number."),
        ("losses.terms.FLAIR.channels=[FLIAR]", "names channel 'FLIAR': did you mean 'FLAIR'."),
        ("losses.terms.FLAIR.group=other", "kendall.initial_log_variances names ['frequency', 'spatial']"),
        ("losses.terms.FLAIR-spectrum.patch_factor=3", "patch_factor 3 does not divide (160, 160)."),
        ("losses.terms=[{name: a, channels: [FLAIR]}]", "'losses.terms.a.kind' is missing: add it."),
        ("network.channels=[50,64,64,64]", "channels: 50 is not a multiple of groups = 32."),
        ("data.grid.shape=[100,100,160]", "data.grid.shape (100, 100) is not a multiple of 8"),
        ("data.percentiles=[99,1]", "percentiles: 99.0 and 1.0 must ascend within 0 to 100."),
        ("pathologies.fcd.colour=[1,2,999]", "'pathologies.fcd.colour.2' is 999: it should be less than or equal"),
        ("training.seed.deep=1", "'training.seed' is a section: it should be a valid integer."),
        ("training.epochs.deep=1", "'epochs' is a value, not a section: shorten the key."),
        ("losses.terms.FLAIR=1", "'FLAIR' is an item of a list: name one of its keys behind it."),
        ("training.seed", "is not of the form key=value"),
        ("training.seed=[", "is not a YAML value: quote it."),
    ],
)
def test_a_wrong_value_is_explained_in_one_sentence(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("paper", (override,))
    message = str(caught.value)
    assert said in message
    assert override.partition("=")[0] in message
    assert "\n" not in message


def test_zero_terminal_snr_forbids_epsilon() -> None:
    sets = ("diffusion.schedule.zero_terminal_snr=true", "diffusion.prediction=epsilon")
    with pytest.raises(ConfigError, match="choose sample or velocity"):
        load_config("paper", sets)


def test_a_misspelt_shipped_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        load_config("papr")


@pytest.mark.parametrize("text", ["a: [", "just words", "", "- a list"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_config(file)


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text("training: !!python/object/apply:os.getcwd []", encoding="utf-8")
    with pytest.raises(ConfigError, match="could not be read as YAML"):
        load_config(file)


# ---------------------------------------------------------------- the schema itself


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if inner := get_args(annotation):
        return [model for argument in inner for model in models_in(argument)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def every_key(model: type[BaseModel]) -> set[str]:
    below = [inner for field in model.model_fields.values() for inner in models_in(field.annotation)]
    return set(model.model_fields).union(*(every_key(inner) for inner in below))


def names_read(tree: ast.AST) -> set[str]:
    """Attributes that are read, and keys of tables, by which an attribute may be read."""
    tables = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    keys = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
    return keys | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def is_property(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in node.decorator_list
    )


def test_every_key_is_read_by_the_program() -> None:
    read: set[str] = set()
    for file in Path(jsddpm_core.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        # A check of a value is no use of it: of the schema only its derived properties count.
        schema = file.stem in {"config", "config_file", "config_losses", "strict"}
        parts = [node for node in ast.walk(tree) if is_property(node)] if schema else [tree]
        read = read.union(*(names_read(part) for part in parts))
    # `kind` chooses a term's class while the file is read.
    assert every_key(Config) - {"kind"} <= read


def test_the_schema_needs_neither_torch_nor_yaml() -> None:
    script = "import sys, jsddpm_core.config; sys.exit(bool({'torch', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
