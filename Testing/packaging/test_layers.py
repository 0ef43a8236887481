"""The layers of the project: the core knows nothing of Slicer, and its light part nothing of torch."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from cmake_lists import PROJECT, scripts_on_disk

# Slicer's GUI process imports these before anything is installed but pydantic and safetensors.
LIGHT = (
    "errors",
    "config",
    "bundle",
    "generation.request",
    "reading_study.design",
    "reading_study.manifest",
    "settings",
    "training.request",
    "training.events",
    "training.runs",
    "reading_study.manifest",
    "reading_study.session",
    "reading_study.pictures",
)
HEAVY = ("torch", "monai", "lightning", "yaml", "typer", "scipy", "nibabel", "SimpleITK", "skimage")
LIGHT_MAY_USE = {"numpy", "pydantic", "pydantic_core", "safetensors", "jsddpm_core"}
SLICER = {"slicer", "qt", "ctk", "vtk", "mrml", "PythonQt", "PySide6", "vtkmodules"}


def module_name(script: str) -> str:
    parts = Path(script).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(script): PROJECT / script for script in scripts_on_disk()}


def named(node: ast.AST, module: str) -> set[str]:
    """Dotted names that an import statement of a module names; none for other statements."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    base = node.module or ""
    if node.level:
        package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
    return {base} | {name for alias in node.names if (name := f"{base}.{alias.name}") in MODULES}


@cache
def imports(module: str) -> frozenset[str]:
    """Dotted names of all that a module's source imports, at any depth of the code."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return frozenset().union(*(named(node, module) for node in ast.walk(tree)))


def top_level(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_core_never_imports_slicer(module: str) -> None:
    assert not top_level(module) & SLICER


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_module_imports_where_only_the_light_packages_exist(name: str) -> None:
    module = f"jsddpm_core.{name}"
    assert module in MODULES, f"{module} is part of the contract with the interface in Slicer"
    told = python(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {HEAVY!r}:\n"
        "            raise ImportError(name + ' was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"import {module}\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    assert told.strip() == "[]"


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_module_asks_for_light_packages_only(name: str) -> None:
    waiting, seen = [f"jsddpm_core.{name}"], set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        outside = top_level(module) - set(sys.stdlib_module_names) - LIGHT_MAY_USE
        assert not outside, f"{module}, needed by jsddpm_core.{name}, imports {sorted(outside)}"
        waiting += [used for used in imports(module) if used in MODULES and used not in seen]


def needed_at_import(module: str) -> set[str]:
    """Own modules that a module's source imports while it is itself being imported."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        found |= named(node, module)
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        never = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not later and not never:
            waiting += ast.iter_child_nodes(node)
    return found & set(MODULES) - {module}


def test_no_import_runs_in_a_circle() -> None:
    """A circular import shows only when the wrong module happens to be imported first."""
    TopologicalSorter({module: needed_at_import(module) for module in MODULES}).prepare()


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).prepare()
    assert "jsddpm_core.errors" in needed_at_import("jsddpm_core.config_file")


def test_every_module_imports() -> None:
    python(f"import importlib\nfor name in {sorted(MODULES)!r}: importlib.import_module(name)")


def declared(*extras: str) -> set[str]:
    """Distributions that pyproject names, for the core and some extras, in lower case."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {"".join(c for c in entry.partition(">")[0].partition("=")[0] if c not in " ").lower() for entry in wanted}


providers_of_imports = cache(packages_distributions)


def third_party(module: str) -> set[str]:
    """Distributions that provide what a module imports, in lower case."""
    providers = providers_of_imports()
    outside = top_level(module) - set(sys.stdlib_module_names) - {"jsddpm_core", "__future__"}
    unknown = {name for name in outside if name not in providers}
    assert not unknown, f"{module} imports {sorted(unknown)}, which nothing installed provides"
    return {providers[name][0].lower() for name in outside}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_what_a_module_imports_is_declared(module: str) -> None:
    room = module.split(".")[1] if "." in module else ""
    extras = {"training": ("train",), "evaluation": ("evaluate",), "reading_study": ("study",)}.get(room, ())
    missing = third_party(module) - declared(*extras)
    assert not missing, f"{module} imports {sorted(missing)}: declare it in pyproject.toml or import it elsewhere"


def test_no_declared_package_goes_unused() -> None:
    used = set().union(*(third_party(module) for module in MODULES))
    used.add("einops")  # MONAI's attention blocks import it
    used.add("tensorboard")  # Lightning's logger imports it
    assert declared("train", "evaluate", "study") - used == set()
