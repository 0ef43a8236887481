"""What the module imports: Slicer's own at load, and the packages it installs later only inside functions."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "JSDDPMSlicer"
FILES = sorted(MODULE.rglob("*.py"))
AT_LOAD = {"numpy", "qt", "ctk", "slicer", "vtk", "DICOMLib", "JSDDPMSlicerLib"}
INSTALLED_BEFORE_USE = {"jsddpm_core", "PyTorchUtils", "SampleData"}
WITHOUT_WINDOW = ("Core.py", "Geometry.py", "Jobs.py", "__init__.py")


def imported(tree: ast.AST, inside_functions: bool) -> set[str]:
    """Top-level names of what is imported at load, or inside functions."""
    found: set[str] = set()
    waiting = [(node, False) for node in ast.iter_child_nodes(tree)]
    while waiting:
        node, inside = waiting.pop()
        if inside == inside_functions:
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
        deeper = inside or isinstance(node, ast.FunctionDef | ast.Lambda)
        waiting += [(child, deeper) for child in ast.iter_child_nodes(node)]
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_third_party_is_imported_at_load(file: Path) -> None:
    assert imported(ast.parse(file.read_text(encoding="utf-8")), inside_functions=False) <= AT_LOAD


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_window_never_imports_what_computes(file: Path) -> None:
    inside = imported(ast.parse(file.read_text(encoding="utf-8")), inside_functions=True)
    assert inside <= AT_LOAD | INSTALLED_BEFORE_USE


@pytest.mark.parametrize("name", WITHOUT_WINDOW)
def test_what_needs_no_window_imports_none(name: str) -> None:
    tree = ast.parse((MODULE / "JSDDPMSlicerLib" / name).read_text(encoding="utf-8"))
    for inside in (False, True):
        assert not imported(tree, inside) & {"qt", "ctk", "slicer", "vtk"}


def test_the_check_would_notice() -> None:
    tree = ast.parse("import torch\ndef f():\n    import monai.networks\n")
    assert imported(tree, inside_functions=False) == {"torch"}
    assert imported(tree, inside_functions=True) == {"monai"}
