"""The Setup panel and what it stands on: packages, models in and out, diagnostics without paths."""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import qt
import slicer
from fixtures import until
from JSDDPMSlicerLib import Bundles, Estimates, Installation, Interpreter


@pytest.fixture
def own_models(settings: Any, small_models: Path, tmp_path: Path) -> Path:
    """A models folder that a test may change."""
    folder = tmp_path / "models"
    settings.setValue("JSDDPMSlicer/ModelsFolder", str(folder))
    return folder


def imported(module: Any, source: Path) -> str:
    """What the panel says after an import."""
    module.settings.importModel(source)
    assert until(lambda: not module.settings.modelJobs.busy, 20)
    return module.settings.ui.modelsStatus.text


def zipped(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"{prefix}{path.name}")
    return target


def test_everything_that_is_needed_is_listed_with_its_version(module: Any) -> None:
    table = module.settings.ui.packagesTable
    rows = {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}
    assert {"torch", "monai", "pydantic", "safetensors"} <= rows.keys()
    assert rows["torch"].startswith("2.")
    assert not module.settings.ui.installButton.enabled
    assert module.settings.ui.installButton.toolTip == "Nothing is missing."


def test_requirements_have_lower_bounds_and_leave_slicers_own_packages_alone() -> None:
    lines = Installation.requirements()
    names = {line.partition(">=")[0] for line in lines}
    assert all(">=" in line and "<" not in line and "==" not in line for line in lines)
    assert not names & {"numpy", "scipy", "SimpleITK", "vtk", "torch"}


@pytest.mark.parametrize(
    ("found", "least", "serves"),
    [
        ("2.13.0+cpu", "2.8", True),
        ("2.7.9", "2.8", False),
        ("2.8", "2.8", True),
        (None, "1", False),
        ("10.0", "9.9", True),
    ],
)
def test_a_version_serves_from_its_lower_bound_on(found: str | None, least: str, serves: bool) -> None:
    assert Installation.Package("some", least, found).serves is serves


def test_what_is_missing_is_named_and_installed_only_after_a_yes(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, installed = [], []
    lacking = [Installation.Package("torch", "2.8", None), Installation.Package("monai", "1.5", "1.0")]
    monkeypatch.setattr(Installation, "packages", lambda: lacking)
    monkeypatch.setattr(Installation, "install", lambda: installed.append(True))
    module.settings.refresh()
    assert module.settings.ui.packagesLabel.text == "Missing: torch, monai."
    module.settings.ui.installButton.click()
    assert not installed, "in testing mode the question is answered with no"
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, **_: (asked.append(text), True)[1])
    module.settings.ui.installButton.click()
    assert installed
    assert "PyTorch by the PyTorch extension and monai by pip" in asked[0]


def test_gpus_are_read_from_the_drivers_answer() -> None:
    answer = "NVIDIA GeForce RTX 4090, 24564\nNVIDIA A100, 40960\nnonsense\n"
    assert Installation.gpusOf(answer) == ["NVIDIA GeForce RTX 4090, 24 GB", "NVIDIA A100, 40 GB"]


def test_the_machine_is_described(module: Any) -> None:
    module.tabs.setCurrentIndex(3)
    assert until(lambda: module.settings._probe.answered, 10)
    assert module.settings.ui.gpuLabel.text
    assert "GB" in module.settings.ui.memoryLabel.text


@pytest.mark.parametrize("prefix", ["", "some model/"])
def test_a_model_is_imported_from_a_zip_file(
    module: Any, own_models: Path, small_models: Path, tmp_path: Path, prefix: str
) -> None:
    assert imported(module, zipped(small_models / "small", tmp_path / "mine.zip", prefix)) == "small was imported."
    assert {path.name for path in (own_models / "mine").iterdir()} == {
        path.name for path in (small_models / "small").iterdir()
    }
    combo = module.generate.ui.modelCombo
    assert combo.findText("Random weights") >= 0


def test_a_model_is_imported_from_a_folder_and_deleted_after_a_yes(
    module: Any, own_models: Path, small_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(module, small_models / "small")
    table = module.settings.ui.modelsTable
    row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == "small")
    table.setCurrentCell(row, 0)
    assert module.settings.ui.deleteButton.enabled
    module.settings.ui.deleteButton.click()
    assert (own_models / "small").is_dir()
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    module.settings.ui.deleteButton.click()
    assert not (own_models / "small").exists()
    assert module.generate.ui.modelCombo.findText("Random weights") < 0


def test_a_model_that_came_with_the_extension_cannot_be_deleted(module: Any) -> None:
    table = module.settings.ui.modelsTable
    table.setCurrentCell(0, 0)
    assert module.settings.chosen.shipped
    assert not module.settings.ui.deleteButton.enabled
    assert module.settings.ui.deleteButton.toolTip == "It came with the extension and stays."
    with pytest.raises(ValueError, match="came with the extension"):
        Bundles.deleteModel(module.settings.chosen)


def test_a_damaged_model_is_refused_and_leaves_nothing(
    module: Any, own_models: Path, small_models: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small_models / "small", copy)
    weights = next(copy.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-7])
    assert weights.name in imported(module, copy)
    assert not own_models.exists() or not list(own_models.iterdir())


def test_a_second_model_of_one_name_is_refused(module: Any, own_models: Path, small_models: Path) -> None:
    assert imported(module, small_models / "small") == "small was imported."
    assert "is there already" in imported(module, small_models / "small")


def test_nothing_else_can_be_started_while_a_model_is_imported_and_a_cancelled_one_leaves_nothing(
    module: Any, own_models: Path, small_models: Path
) -> None:
    ui = module.settings.ui
    module.tabs.setCurrentIndex(3)
    module.settings.importModel(small_models / "small")
    assert not ui.importFileButton.enabled
    assert not ui.importFolderButton.enabled
    assert ui.cancelButton.visible
    ui.cancelButton.click()
    assert until(lambda: not module.settings.modelJobs.busy, 20)
    assert ui.modelsStatus.text == "Cancelled. Nothing was kept."
    assert ui.importFileButton.enabled
    assert not ui.cancelButton.visible
    assert not own_models.exists() or not list(own_models.iterdir())


def test_a_check_finds_a_changed_file(module: Any, own_models: Path, small_models: Path) -> None:
    imported(module, small_models / "small")
    table = module.settings.ui.modelsTable
    row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == "small")
    table.setCurrentCell(row, 0)
    module.settings.ui.checkButton.click()
    assert until(lambda: not module.settings.modelJobs.busy, 20)
    assert module.settings.ui.modelsStatus.text == "small is sound: all files are as recorded."
    table.setCurrentCell(row, 0)
    weights = next((own_models / "small").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    module.settings.ui.checkButton.click()
    assert until(lambda: not module.settings.modelJobs.busy, 20)
    assert weights.name in module.settings.ui.modelsStatus.text


def test_diagnostics_name_versions_and_no_folder(module: Any) -> None:
    log = [
        "info: read /data/someone/patients/Miller^Anna/flair.nii.gz",
        r"error: D:\someone\Patient 7\scan.dcm could not be read",
        'File "/opt/Slicer/lib/python3.12/site-packages/torch/nn.py", line 3',
    ]
    text = Installation.diagnostics(log, ["NVIDIA A100, 40 GB"])
    assert "torch 2." in text
    assert "NVIDIA A100, 40 GB" in text
    for secret in ("someone", "Miller", "Anna", "patients", "flair", "scan.dcm", "/opt"):
        assert secret not in text, secret
    assert 'File ".../nn.py", line 3' in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shape 3/4 and/or https://example.org/simple", "shape 3/4 and/or https://example.org/simple"),
        ("path=/data/Jane Doe/scan.nii failed", "path=(path)"),
        (r"on \\server\share\Jane Doe\x.dcm", "on (path)"),
        ("cannot open 'D:/Jane Doe/x.nrrd': no", 'cannot open "(path)": no'),
        ("(/data/jane/x.py)", "((path)"),
        ("DOE_JOHN_1970.nii.gz of patient Doe^John", "(name) of patient (name)"),
        ("scans/doe.nii, file:///home/doe/x.nii and doe.DCM", "(name), (name) and (name)"),
    ],
)
def test_a_path_is_cut_where_it_begins(line: str, said: str) -> None:
    assert Installation.withoutPaths(line) == said


def test_another_python_is_chosen_and_slicers_own_again(module: Any, tmp_path: Path) -> None:
    module.settings._useInterpreter("/usr/bin/python3")
    chosen = Interpreter.currentInterpreter()
    assert chosen.foreign
    assert chosen.path == Path("/usr/bin/python3")
    assert chosen.environment(tmp_path).value("PYTHONPATH") == str(tmp_path)
    module.settings.ui.ownInterpreterButton.click()
    assert not Interpreter.currentInterpreter().foreign


def test_a_python_that_is_not_there_is_said(module: Any, settings: Any) -> None:
    from JSDDPMSlicerLib.Jobs import Job, JobState

    settings.setValue("JSDDPMSlicer/Interpreter", "/nowhere/python")
    module.worker.stop()
    job = Job("describe", {})
    module.worker.submit(job)
    assert until(lambda: job.ended, 10)
    assert job.state is JobState.FAILED
    assert "could not be started with /nowhere/python: choose another Python in Setup" in job.error.message


def python_that(tmp_path: Path, script: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_cannot_compute_is_said_where_it_is_chosen(module: Any, settings: Any, tmp_path: Path) -> None:
    status = module.settings.ui.interpreterStatus
    module.settings._useInterpreter(python_that(tmp_path, "exit 3"))
    assert until(lambda: status.text, 20)
    assert "cannot compute (exit code 3)" in status.text
    module.settings.ui.ownInterpreterButton.click()
    assert until(lambda: "serves" in status.text, 20), status.text


def test_a_python_that_says_nothing_is_not_waited_for_for_ever(
    module: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from JSDDPMSlicerLib import Worker

    monkeypatch.setattr(Worker, "START_PATIENCE_MS", 500)
    module.settings._useInterpreter(python_that(tmp_path, "echo hello; exec sleep 60"))
    status = module.settings.ui.interpreterStatus
    assert until(lambda: "does not answer" in status.text, 20), status.text
    assert not module.worker.running


@pytest.mark.parametrize(
    "line",
    ['{"id": [1]}', '{"method": "progress", "params": [1]}', '{"id": 1, "error": 3}', '{"params": {"id": {}}}', "7"],
)
def test_a_message_of_another_kind_is_noted_and_passed_over(module: Any, line: str) -> None:
    from JSDDPMSlicerLib.Jobs import Job

    job = Job("describe", {})
    module.worker.submit(job)
    module.worker._unread = line.encode() + b"\n" + module.worker._unread
    assert until(lambda: job.ended, 20)
    assert job.result["pid"]
    assert any("not a message of ours" in text for text in module.worker.log)


def test_the_results_folder_is_shown_and_can_be_changed(
    module: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from JSDDPMSlicerLib import Runs

    ui = module.settings.ui
    assert ui.resultsStatus.text == f".../{tmp_path.name}/results"
    assert ui.resultsStatus.toolTip == str(tmp_path / "results")
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "elsewhere"))
    ui.resultsButton.click()
    assert ui.resultsStatus.toolTip == str(tmp_path / "elsewhere")
    assert Runs.newRunFolder("ms").parent == tmp_path / "elsewhere"
    settings.setValue("JSDDPMSlicer/ResultsFolder", "/proc/x")
    ui.openResultsButton.click()
    assert "The results folder /proc/x cannot be made" in ui.resultsStatus.text


def test_a_model_that_is_drawing_is_not_deleted(
    module: Any, panel: Any, small_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda *_, **__: True)
    panel.parameters.steps = 1000
    panel.ui.applyButton.click()
    module.settings.refresh()
    table = module.settings.ui.modelsTable
    row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == "small")
    table.setCurrentCell(row, 0)
    module.settings.ui.deleteButton.click()
    assert "small is drawing" in module.settings.ui.modelsStatus.text
    assert (small_models / "small").is_dir()
    panel.run.cancel()
    assert until(lambda: not panel.busy, 20)


def test_speeds_are_remembered_and_a_damaged_memory_is_none(settings: Any) -> None:
    settings.remove(Estimates.SETTING)
    Estimates.remember("model cpu", Estimates.Speed(0.5, 10**9))
    assert Estimates.readSpeeds() == {"model cpu": Estimates.Speed(0.5, 10**9)}
    for damaged in ("{", "[]", '{"model cpu": 3}', '{"model cpu": {"seconds": "x"}}'):
        settings.setValue(Estimates.SETTING, damaged)
        assert Estimates.readSpeeds() == {}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (59.6, "60 s"), (120, "2 min"), (5000, "83 min"), (7300, "2.0 h")]
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert Estimates.duration(seconds) == said


def test_the_average_flair_is_offered_as_sample_data(module: Any) -> None:
    slicer.app.startupCompleted.emit()
    source = slicer.modules.sampleDataSources["JSDDPMSlicer"][0]
    path = Path(source.uris[0].removeprefix("file://"))
    assert source.checksums[0] == f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert path.name == source.fileNames[0] == "flair-mni152-2mm.nii.gz"
    assert Path(source.thumbnailFileName).is_file()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip installs from, without a network, and another that it installs into."""
    folder, target = tmp_path / "wheels", tmp_path / "installed"
    for path in (folder, target):
        path.mkdir()
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(folder)), ("TARGET", str(target))):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.syspath_prepend(str(target))
    return folder


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """The least that pip takes for a wheel."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr(f"{name}.py", f"version = {version!r}\n")


def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One package more is needed."""
    path = tmp_path / "requirements.txt"
    path.write_text(f"# needed\n{name}>=1.5\npydantic>=2.7\n")
    monkeypatch.setattr(Installation, "REQUIREMENTS", path)


@pytest.mark.parametrize("packaging", [True, False], ids=["Slicer 5.12", "Slicer 5.10"])
def test_what_is_missing_is_installed_by_pip(
    app: Any, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packaging: bool
) -> None:
    lacking(tmp_path, monkeypatch, "jsddpmprobe")
    wheel(wheels, "jsddpmprobe", "1.6")
    monkeypatch.setattr(app, "_testing", False)
    if not packaging:
        install = slicer.packaging.pip_install
        monkeypatch.setattr(slicer.util, "pip_install", install)
        monkeypatch.delattr(slicer, "packaging")
        monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    assert [package.name for package in Installation.missing()] == ["jsddpmprobe"]
    Installation.install()
    assert not Installation.missing()


def test_an_installation_leaves_slicers_own_packages_alone(
    app: Any, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking(tmp_path, monkeypatch, "jsddpmgreedy")
    wheel(wheels, "jsddpmgreedy", "1.5", requires="numpy>=99")
    wheel(wheels, "numpy", "99.0")
    monkeypatch.setattr(app, "_testing", False)
    with pytest.raises(RuntimeError, match="pip could not install jsddpmgreedy: the Python console shows why"):
        Installation.install()
    assert not list((tmp_path / "installed").iterdir())


def test_in_testing_mode_nothing_is_installed_and_what_is_missing_is_said(
    app: Any, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking(tmp_path, monkeypatch, "jsddpmprobe")
    wheel(wheels, "jsddpmprobe", "1.6")
    with pytest.raises(RuntimeError, match="jsddpmprobe could not be installed"):
        Installation.install()
    assert not list((tmp_path / "installed").iterdir())
