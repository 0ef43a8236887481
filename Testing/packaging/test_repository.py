"""What a person finds after cloning: nothing of the machine it was made on, and documents that tell the truth."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from cmake_lists import PROJECT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import jsddpm_core

MEGABYTE = 1_000_000
HEAVY_PLACES = ("Resources/Models/", "Resources/Templates/", "Resources/Screenshots/")
BUNDLE_LIMIT = 35 * MEGABYTE
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".cmake", ".json", ".sh", ".ui", ".tsv", ".csv", ""}

# Spelled in halves, so that this file does not find itself.
LEFTOVERS = {
    "a path of some machine": re.compile(r"(?<![\w.~/-])/(?:" + "wo" + r"rk|ro" + r"ot|ho" + r"me|Us" + r"ers)/\w"),
    "a path of some Windows machine": re.compile(r"\b[A-Z]:\\(?:Us" + r"ers|wo" + r"rk)\\"),
    "an unfinished place": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK|lorem ip" + r"sum)\b"),
    "a debugger": re.compile(r"\b(?:break" + r"point\(\)|pdb\.set_tr" + r"ace)"),
    "a merge conflict": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
}


@cache
def tracked() -> list[str]:
    """Paths of the files under version control; without git, of all files but caches and environments."""
    git = shutil.which("git")
    if git is not None:
        listing = subprocess.run([git, "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
        if listing.returncode == 0:
            return [name for name in listing.stdout.split("\0") if name and (PROJECT / name).is_file()]
    hidden = {".git", ".venv", "__pycache__", "build", "cache", "runs", "demo-output"}
    files = (path.relative_to(PROJECT) for path in PROJECT.rglob("*") if path.is_file())
    return [path.as_posix() for path in files if not hidden & set(path.parts) and "cache" not in path.parts[0]]


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", LEFTOVERS)
def test_no_file_holds_leftovers(kind: str) -> None:
    found = []
    for name in tracked():
        if Path(name).suffix in TEXT:
            found += [f"{name}: {match.group()}" for match in LEFTOVERS[kind].finditer(read(name))]
    assert not found, f"{kind}: {found}"


def test_leftovers_would_be_found() -> None:
    bad = {
        "a path of some machine": "open('/ro" + "ot/x')",
        "a path of some Windows machine": "C:\\Us" + "ers\\me",
        "an unfinished place": "# TO" + "DO: later",
        "a debugger": "break" + "point()",
        "a merge conflict": "<" * 7 + " HEAD",
    }
    assert all(LEFTOVERS[kind].search(text) for kind, text in bad.items())
    assert not LEFTOVERS["a path of some machine"].search("https://example.org/ho" + "me/page and ../ro" + "ot/x")


def test_only_models_and_pictures_are_large() -> None:
    sizes = {name: (PROJECT / name).stat().st_size for name in tracked()}
    large = {name: size for name, size in sizes.items() if size > 2 * MEGABYTE and not name.startswith(HEAVY_PLACES)}
    assert not large
    bundles: dict[str, int] = {}
    for name, size in sizes.items():
        if name.startswith("Resources/Models/"):
            bundle = name.split("/")[2]
            bundles[bundle] = bundles.get(bundle, 0) + size
    assert all(size <= BUNDLE_LIMIT for size in bundles.values()), bundles


def test_no_image_of_a_patient_and_no_pickle_is_tracked() -> None:
    refused = (".nii", ".nii.gz", ".dcm", ".nrrd", ".pt", ".pth", ".ckpt", ".pkl", ".npy", ".ipynb")
    exceptions = ("Resources/Templates/",)
    assert [name for name in tracked() if name.endswith(refused) and not name.startswith(exceptions)] == []


def test_no_package_is_an_empty_placeholder() -> None:
    inits = [name for name in tracked() if name.endswith("__init__.py")]
    lonely = [
        name for name in inits if not [o for o in tracked() if o != name and Path(name).parent in Path(o).parents]
    ]
    assert lonely == []


# ---------------------------------------------------------------- documents


def code_of(document: str) -> str:
    """Fenced blocks and inline code of a page."""
    text = read(document)
    return "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", read("Makefile"), re.MULTILINE))


def test_each_make_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of("README.md")))
    assert {"demo", "test"} <= named
    assert named <= make_targets()


def test_the_help_of_make_names_every_target() -> None:
    shown = set(re.findall(r'echo "make ([a-z-]+)', read("Makefile")))
    assert make_targets() - {"help", "setup"} == shown


def test_each_program_that_make_runs_exists() -> None:
    programs = re.findall(r"\$\(RUN\) (-m )?([\w./]+)", read("Makefile"))
    assert programs
    for module, name in programs:
        if not module:
            assert (PROJECT / name).is_file(), name
        elif name.startswith("jsddpm_core"):
            assert (PROJECT / name.replace(".", "/")).with_suffix(".py").is_file(), name


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    script = PROJECT / ".ci" / "run"
    assert re.search(r"^exec make test$", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert os.access(script, os.X_OK)


def test_each_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", read("README.md"))
    assert [link for link in links if "://" not in link and not (PROJECT / link).exists()] == []


@pytest.fixture(scope="module")
def command_line():
    """The commands of `jsddpm`, those of a group with the group's name, with the options of each."""
    import typer.main

    from jsddpm_core.cli import app

    def options(group, before: str = "") -> dict[str, set[str]]:
        found = {}
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                found |= options(command, f"{before}{name} ")
            else:
                found[before + name] = {
                    option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
                }
        return found

    return options(typer.main.get_command(app))


@pytest.mark.parametrize("document", ["README.md", "Makefile", "docs/making-a-study.md"])
def test_each_jsddpm_command_that_is_shown_exists_with_its_options(document: str, command_line) -> None:
    text = read(document) if document == "Makefile" else code_of(document)
    text = re.sub(r"\\\n\s*", " ", text).replace("$(JSDDPM)", "jsddpm")
    groups = {command.split()[0] for command in command_line if " " in command}
    shown = re.findall(r"^\s*(?:\.venv/bin/)?jsddpm ([a-z][a-z-]*)( [a-z]+)?(.*)$", text, re.MULTILINE)
    assert shown
    for command, second, rest in shown:
        command = f"{command}{second}" if command in groups else command
        assert command in command_line, f"{document} shows jsddpm {command}"
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest))
        assert options <= command_line[command] | {"--help"}, f"{document}: jsddpm {command}"


def test_each_configuration_that_the_readme_trains_with_can_be_used() -> None:
    from jsddpm_core.config_file import load_config

    shown = re.findall(r"^\s*jsddpm train (\w+)(.*)$", code_of("README.md"), re.MULTILINE)
    assert shown
    for name, rest in shown:
        load_config(name, tuple(re.findall(r"--set (\S+)", rest)))


# ---------------------------------------------------------------- package and versions


def test_the_version_is_the_same_everywhere() -> None:
    latest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert latest is not None
    assert latest.group(1) == jsddpm_core.__version__ == version("jsddpm_core")


def requirements() -> list[Requirement]:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [Requirement(line) for line in lines]


def pins() -> dict[str, Requirement]:
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in map(Requirement, lines)}


def pinned_version(name: str) -> str:
    (specifier,) = pins()[canonicalize_name(name)].specifier
    return specifier.version


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    for requirement in requirements():
        assert canonicalize_name(requirement.name) in pins(), f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pinned_version(requirement.name)), str(requirement)


def test_a_pin_is_one_public_version() -> None:
    for pin in pins().values():
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert "+" not in specifier.version, f"{pin} would refuse every other build"


def test_known_traps_are_avoided() -> None:
    by_name = {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements()}
    assert pinned_version("torch") == "2.13.0"
    assert pinned_version("lightning") == pinned_version("pytorch-lightning") == "2.6.6"
    assert not any(by_name["lightning"].contains(malicious) for malicious in ("2.6.2", "2.6.3"))
    assert all(by_name["numpy"].contains(slicers_own) for slicers_own in ("2.0.0", "2.4.6"))
    assert "slicer" not in by_name  # the package of that name is another project


def test_the_wheel_holds_the_core_and_its_configurations_only(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "wheel"
    out.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(PROJECT / "jsddpm_core", source / "jsddpm_core", ignore=ignored)
    shutil.copytree(PROJECT / "Testing" / "packaging", source / "Testing" / "packaging", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})"
    built = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = out.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (path for path in (source / "jsddpm_core").rglob("*") if path.is_file())
    assert held == {path.relative_to(source).as_posix() for path in files}
    assert any(name.startswith("jsddpm_core/configs/") for name in held)


def test_the_readme_says_of_leaks_what_was_measured() -> None:
    measured = PROJECT / "Testing" / "benchmarks" / "results" / "study_leaks.json"
    leaks = json.loads(measured.read_text(encoding="utf-8"))["leaks"]
    study, injected = leaks["as the study is"], [leak["auc"] for leak in leaks["with a leak"].values()]
    said = (
        f"an AUC of {study['auc']:.2f} (one-sided 95 % upper bound {study['upper']:.2f}), and {min(injected):.2f} with "
        f"each of four leaks put in"
    )
    readme = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    assert said in readme and f"with {leaks['real people']} real scans" in readme


def test_the_readmes_tables_are_those_that_were_measured_last() -> None:
    sys.path.insert(0, str(PROJECT / "Testing" / "benchmarks"))
    try:
        from readme_tables import TABLES, with_tables
    finally:
        sys.path.pop(0)
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert with_tables(readme) == readme, "run python Testing/benchmarks/readme_tables.py"
    assert [name for name, path in TABLES.items() if not path.is_file()] == []
