"""The extension as Slicer builds it: the lists, a configure with stand-in macros, and the installed tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cmake_lists import CORE_SCRIPTS, LISTS, PROJECT, List, listed, updated

REMEDY = "run python Testing/packaging/cmake_lists.py --write"
STUB = Path(__file__).parent / "slicer_stub"


@pytest.mark.parametrize("of", LISTS, ids=lambda of: of.name)
def test_every_file_is_handed_to_slicer(of: List) -> None:
    assert of.entries == of.on_disk(), REMEDY
    assert of.entries


def test_a_forgotten_script_would_be_noticed() -> None:
    text = CORE_SCRIPTS.file.read_text(encoding="utf-8").replace("  jsddpm_core/errors.py\n", "")
    assert "jsddpm_core/errors.py" not in listed(CORE_SCRIPTS.name, text)
    assert "jsddpm_core/errors.py" in listed(CORE_SCRIPTS.name, updated(text, CORE_SCRIPTS))


@pytest.mark.parametrize("of", LISTS, ids=lambda of: of.name)
def test_paths_in_the_lists_survive_cmake(of: List) -> None:
    for entry in of.entries:
        assert re.fullmatch(r"[\w./-]+", entry), f"{entry} needs quoting in CMake"
        assert not entry.startswith(("/", "../")), f"{entry} would be installed elsewhere"


def test_subfolders_are_packages_or_nothing_of_them_is_installed() -> None:
    packages = {Path(script).parent for script in CORE_SCRIPTS.on_disk()}
    assert all((PROJECT / package / "__init__.py").is_file() for package in packages)


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The build tree and the install tree of the extension."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed; the lists are checked without it")
    if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        pytest.skip("cmake needs a C compiler to configure a project; the lists are checked without it")
    folder = tmp_path_factory.mktemp("extension")
    build, install = folder / "build", folder / "install"
    run(cmake, "-S", PROJECT, "-B", build, f"-DSlicer_DIR={STUB}", f"-DCMAKE_INSTALL_PREFIX={install}")
    run(cmake, "--build", build)
    run(cmake, "--install", build)
    return build, install


def test_the_installed_extension_holds_core_and_module_and_nothing_else(trees: tuple[Path, Path]) -> None:
    modules = trees[1] / "lib" / "Slicer-5.10" / "qt-scripted-modules"
    installed = {path.relative_to(modules).as_posix() for path in modules.rglob("*") if path.is_file()}
    assert installed == {entry for of in LISTS for entry in of.on_disk()}
    assert [path.name for path in trees[1].iterdir()] == ["lib"]


def test_the_installed_core_finds_its_configurations(trees: tuple[Path, Path], tmp_path: Path) -> None:
    modules = trees[1] / "lib" / "Slicer-5.10" / "qt-scripted-modules"
    code = (
        "import jsddpm_core, jsddpm_core.config_file as files;"
        "print(jsddpm_core.__file__);"
        "[files.load_config(path.stem) for path in files.CONFIGS.glob('*.yaml')]"
    )
    told = run(sys.executable, "-P", "-c", code, PYTHONPATH=str(modules), PYTHONDONTWRITEBYTECODE="1")
    assert Path(told.strip()) == modules / "jsddpm_core" / "__init__.py"


def test_the_description_says_what_the_extensions_manager_shows(trees: tuple[Path, Path]) -> None:
    lines = (trees[0] / "JSDDPMSlicer.s4ext").read_text(encoding="utf-8").splitlines()
    description = dict(line.split(" ", 1) for line in lines)
    assert description["name"] == "JSDDPMSlicer"
    assert description["category"] == "Image Synthesis"
    assert description["depends"] == "PyTorch"
    assert "not for clinical use" in description["description"]
