"""The layers of the project: the core knows nothing of Slicer, and its light part nothing of torch."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from cmake_lists import PROJECT, scripts_on_disk

# Slicer's GUI process imports these before anything is installed but pydantic and safetensors.
LIGHT = ("errors", "config", "bundle", "generation.request")
HEAVY = ("torch", "monai", "lightning", "yaml", "typer", "scipy", "nibabel", "SimpleITK", "skimage", "matplotlib")
LIGHT_MAY_USE = {"numpy", "pydantic", "pydantic_core", "safetensors", "jsddpm_core"}
SLICER = {"slicer", "qt", "ctk", "vtk", "mrml", "PythonQt", "PySide6", "vtkmodules"}


def module_name(script: str) -> str:
    parts = Path(script).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(script): PROJECT / script for script in scripts_on_disk()}


@cache
def imports(module: str) -> frozenset[str]:
    """Dotted names of all that a module's source imports, at any depth of the code."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            found.add(base)
            found |= {name for alias in node.names if (name := f"{base}.{alias.name}") in MODULES}
    return frozenset(found)


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


def test_each_module_can_be_imported_first() -> None:
    """A circular import shows only in the module that happens to be imported first."""
    told = python(
        "import importlib, json, sys, traceback\n"
        f"names = {sorted(MODULES)!r}\n"
        "outside = {}\n"
        "for name in names:\n"
        "    for own in [key for key in sys.modules if key.partition('.')[0] == 'jsddpm_core']:\n"
        "        del sys.modules[own]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        outside[name] = ''.join(traceback.format_exception(error)[-2:])\n"
        "print(json.dumps(outside))\n"
    )
    assert json.loads(told.splitlines()[-1]) == {}


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
    extras = {"training": ("train",), "evaluation": ("evaluate",)}.get(room, ())
    missing = third_party(module) - declared(*extras)
    assert not missing, f"{module} imports {sorted(missing)}: declare it in pyproject.toml or import it elsewhere"


def test_no_declared_package_goes_unused() -> None:
    used = set().union(*(third_party(module) for module in MODULES))
    used.add("einops")  # MONAI's attention blocks import it
    used.add("tensorboard")  # Lightning's logger imports it
    assert declared("train", "evaluate") - used == set()
