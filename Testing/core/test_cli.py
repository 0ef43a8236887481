"""The command line as a user and as a script meet it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from generation_fixtures import SMALL, small_config, write_small_bundle

import jsddpm_core
from jsddpm_core.bundle import Bundle
from jsddpm_core.cli import run
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.sidecar import read_sidecar

COMMAND = [sys.executable, "-m", "jsddpm_core.cli"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("bundles") / "small")


def sample_arguments(bundle: Bundle, out: Path, *more: str) -> list[str]:
    asked = ["--model", str(bundle.folder), "--pathology", "infarct", "--position", "18", "--threads", "1"]
    return ["sample", *asked, "--out", str(out), *more]


def json_lines(text: str) -> list[dict]:
    """Every line must be an object of its own."""
    return [json.loads(line) for line in text.splitlines()]


# ---------------------------------------------------------------- sample, volume, reproduce


def test_sample_writes_the_files_and_closes_with_a_table(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sample_arguments(bundle, tmp_path / "out", "--count", "2")) == 0
    assert len(list((tmp_path / "out").iterdir())) == 7
    said = capsys.readouterr().out
    assert "infarct" in said
    assert "samples 2, of these there already 0, as asked 2, as asked at the first draw 2, re-draws 0" in said


def test_every_option_of_sample_reaches_the_request(bundle: Bundle, tmp_path: Path) -> None:
    options = (
        "--count 3 --first 4 --shard 1/3 --steps 3 --sampler ddim --grid uniform --eta 0.5 --guidance 1.5 --seed 7 "
        "--attempts 1 --device cpu --precision fp32 --batch 2 --deterministic"
    )
    assert run(sample_arguments(bundle, tmp_path, *options.split())) == 0
    (sidecar,) = tmp_path.glob("*.json")
    asked = read_sidecar(sidecar).request
    assert sidecar.name == "sample-000004.json"
    expected = {
        "first": 4, "count": 1, "steps": 3, "sampler": "ddim", "grid": "uniform", "eta": 0.5, "guidance": 1.5,
        "seed": 7, "attempts": 1, "device": "cpu", "precision": "fp32", "batch": 2, "deterministic": True,
        "position_mm": 18.0, "pathology": "infarct", "threads": 1,
    }  # fmt: skip
    said = asked.model_dump(mode="json")
    assert {key: said[key] for key in expected} == expected


def test_json_lines_tell_start_progress_samples_and_end(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sample_arguments(bundle, tmp_path, "--count", "2", "--json")) == 0
    lines = json_lines(capsys.readouterr().out)
    assert lines[0]["event"] == "start"
    assert lines[0]["total"] == 2
    assert [line["index"] for line in lines if line["event"] == "sample"] == [0, 1]
    progress = [line for line in lines if line["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == 2
    assert set(progress[-1]) == {"event", "stage", "done", "total", "eta_s"}
    assert lines[-1]["event"] == "done"
    assert all(Path(file).is_file() for line in lines if line["event"] == "sample" for file in line["files"])


def test_a_second_run_resumes(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(sample_arguments(bundle, tmp_path, "--count", "1"))
    run(sample_arguments(bundle, tmp_path, "--count", "2"))
    assert "samples 2, of these there already 1" in capsys.readouterr().out


def test_a_request_file_gives_the_same_as_its_options(bundle: Bundle, tmp_path: Path) -> None:
    asked = GenerateRequest(model=str(bundle.folder), pathology="infarct", position_mm=18, threads=1)
    (tmp_path / "request.json").write_text(asked.model_dump_json())
    run(["sample", "--request", str(tmp_path / "request.json"), "--out", str(tmp_path / "one")])
    run(sample_arguments(bundle, tmp_path / "two"))
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_volume_writes_one_and_reproduce_makes_it_again(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--model", str(bundle.folder), "--pathology", "ms", "--from", "0", "--to", "3", "--threads", "1"]
    assert run(["volume", *asked, "--out", str(tmp_path), "--json"]) == 0
    done = json_lines(capsys.readouterr().out)[-1]
    assert done["inter_slice_correlation"] > 0
    assert len(done["slice_lesion_mm2"]) == 3
    assert done["lesion_mm2"] == max(done["slice_lesion_mm2"])
    assert run(["reproduce", str(tmp_path / "volume-000000.json")]) == 0
    assert "every voxel is equal" in capsys.readouterr().out


def test_an_image_that_is_not_reproduced_is_an_error(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(sample_arguments(bundle, tmp_path))
    path = tmp_path / "sample-000000.json"
    tree = json.loads(path.read_text())
    tree["files"]["FLAIR"]["voxels_sha256"] = "0" * 64
    path.write_text(json.dumps(tree))
    capsys.readouterr()
    assert run(["reproduce", str(path)]) == 2
    assert "was not reproduced" in capsys.readouterr().err


# ---------------------------------------------------------------- models


def test_models_lists_pathologies_with_their_ranges(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", str(bundle.folder.parent), "--json"]) == 0
    (line,) = json_lines(capsys.readouterr().out)
    assert line["name"] == "small"
    assert line["digest"] == bundle.digest
    assert line["pathologies"] == {"none": [-40, 40], "infarct": [17, 19], "ms": [-30, 30]}


def test_models_shows_a_table_to_people(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", str(bundle.folder.parent)]) == 0
    said = capsys.readouterr().out
    assert "small" in said
    assert "infarct" in said


def test_check_bundle_says_that_a_sound_one_is_sound(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check-bundle", str(bundle.folder)]) == 0
    assert "is sound" in capsys.readouterr().out


# ---------------------------------------------------------------- prepare, train, export


def test_from_cases_to_a_bundle_that_samples(
    phantom_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightning", reason="training needs the extra 'train'")
    cache, trained, bundle = tmp_path / "cache", tmp_path / "run", tmp_path / "trained"
    sets = [
        *SMALL[1:], "data.grid.shape=[48,56,40]", "data.grid.spacing_mm=4", "data.grid.first_slice=8",
        "data.grid.last_slice=30", "training.max_steps=2", "training.batch_size=4", "training.precision=fp32",
        "training.warmup_steps=0", "training.validation_every=1000",
    ]  # fmt: skip
    override = [part for value in sets for part in ("--set", value)]
    config = tmp_path / "phantoms.yaml"
    config.write_text(
        "pathologies:\n"
        "  - {name: none, label: No lesion, lesional: false}\n"
        "  - {name: ms, label: Multiple sclerosis lesion}\n"
        "losses:\n  terms:\n    - {name: all, kind: lp, channels: [FLAIR, lesion]}\n"
        "training: {max_steps: 2}\n"
    )
    prepared = ["prepare", str(phantom_cases), "--out", str(cache), "--config", str(config), *override, "--json"]
    assert run(prepared) == 0
    lines = json_lines(capsys.readouterr().out)
    assert sum(line["event"] == "case" for line in lines) == 6
    assert lines[-1]["used"] == 6
    assert lines[-1]["slices"] > 0

    assert run(["train", str(config), "--cache", str(cache), "--out", str(trained), *override, "--accelerator", "cpu",
                "--json"]) == 0  # fmt: skip
    done = json_lines(capsys.readouterr().out)[-1]
    assert done["steps"] == 2

    described = tmp_path / "described"
    described.mkdir()
    (described / "dataset_description.json").write_text(
        json.dumps({"Name": "phantoms", "License": "CC0-1.0", "HowToAcknowledge": "Nobody was scanned."})
    )
    exported = ["export", done["last"], "--cache", str(cache), "--out", str(bundle), "--data", str(described),
                "--title", "Phantoms", "--licence", "CC0-1.0", "--limit", "It knows no brains."]  # fmt: skip
    assert run(exported) == 0
    card = (bundle / "MODEL_CARD.md").read_text()
    for stated in ("Nobody was scanned.", "It knows no brains.", "CC0-1.0", "| train |"):
        assert stated in card
    assert "sub-0" not in card + (bundle / "bundle.json").read_text(), "no subject is named"
    assert run(["check-bundle", str(bundle)]) == 0
    asked = ["--pathology", "ms", "--position", "18", "--steps", "1", "--attempts", "1"]
    assert run(["sample", "--model", str(bundle), *asked, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "overview.png").is_file()


def test_the_averaged_weights_are_what_is_exported() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("lightning", reason="training needs the extra 'train'")
    from jsddpm_core.training.export import averaged_weights

    checkpoint = {
        "state_dict": {"network.a": torch.ones(1), "losses.log_variances": torch.zeros(1)},
        "current_model_state": {"network.a": torch.zeros(1)},
    }
    weights = averaged_weights(checkpoint)
    assert list(weights) == ["a"]
    assert float(weights["a"]) == 1


def test_a_training_that_was_interrupted_counts_as_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = pytest.importorskip("jsddpm_core.training.fit", reason="training needs the extra 'train'")

    def stopped(*_given: object, **_more: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)  # what Lightning does after its orderly end

    monkeypatch.setattr(fit, "fit", stopped)
    monkeypatch.setattr("jsddpm_core.commands.training._cache_and_priors", lambda *_given: (None, None))
    assert run(["train", "fast", "--cache", str(tmp_path), "--out", str(tmp_path / "run")]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "speaks"), [("0", True), ("1", False)])
def test_of_many_training_processes_the_first_speaks(
    rank: str, speaks: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = pytest.importorskip("jsddpm_core.training.fit", reason="training needs the extra 'train'")
    result = fit.FitResult(last=tmp_path / "last.ckpt", best=None, steps=3, finished=True)
    monkeypatch.setattr(fit, "fit", lambda *_given, **_more: result)
    monkeypatch.setattr("jsddpm_core.commands.training._cache_and_priors", lambda *_given: (None, None))
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert run(["train", "fast", "--cache", str(tmp_path), "--out", str(tmp_path / "run"), "--json"]) == 0
    assert bool(capsys.readouterr().out) is speaks


# ---------------------------------------------------------------- help, usage, faults


def test_help_and_errors_come_without_torch() -> None:
    code = (
        "import sys; from jsddpm_core.cli import run\n"
        "run(['sample', '--help']); run(['sample', '--model', 'nowhere', '--pathology', 'ms', '--position', '0',"
        " '--out', 'x']); run(['models'])\n"
        "heavy = {'torch', 'monai', 'lightning', 'nibabel', 'scipy'} & set(sys.modules)\n"
        "sys.stdout.write('HEAVY ' + str(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("HEAVY []")


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"jsddpm {jsddpm_core.__version__}\n"


@pytest.mark.parametrize(
    "command", ["prepare", "train", "export", "sample", "volume", "reproduce", "models", "check-bundle"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["smaple"],
        ["sample"],
        ["sample", "--out", "x", "--count", "many"],
        ["sample", "--out", "x", "--sampler", "euler"],
        ["sample", "--modle", "x"],
        ["reproduce"],
    ],
)
def test_a_command_that_is_mistyped_gets_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert "--help" in said


def test_a_wrong_choice_is_told_in_the_users_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sample", "--out", "x", "--sampler", "euler"]) == 2
    said = capsys.readouterr().err
    assert "'euler' is not one of" in said
    assert "Value error" not in said


@pytest.mark.parametrize("devices", ["0", "-1", "abc"])
def test_a_number_of_devices_that_cannot_be_is_refused(devices: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "fast", "--cache", "x", "--out", "y", "--devices", devices]) == 2
    assert f"--devices {devices} cannot be used: give a number from 1, or auto." in capsys.readouterr().err


def test_an_error_is_also_a_json_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", str(tmp_path / "none.json"), "--json"]) == 2
    (line,) = json_lines(capsys.readouterr().out)
    assert line["event"] == "error"
    assert line["kind"] == "ReproductionError"
    assert "none.json" in line["message"]
    assert line["remedy"]


def test_a_fault_of_the_program_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(_folder: Path) -> list:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("jsddpm_core.commands.models.list_bundles", broken)
    assert run(["models", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: an unforeseen fault in the program (ZeroDivisionError: by nothing)")
    assert said.count("\n") == 1


# ---------------------------------------------------------------- interruptions and full disks, in real processes


def test_ctrl_c_keeps_whole_samples_and_nothing_else(bundle: Bundle, tmp_path: Path) -> None:
    arguments = sample_arguments(bundle, tmp_path / "out", "--count", "5000", "--steps", "20", "--json")
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line)["event"] == "sample":
                process.send_signal(signal.SIGINT)
                break
        out, error = process.communicate(timeout=300)
    assert process.returncode == 130
    assert error == "Error: interrupted; what was half-written has been removed.\n"
    assert json.loads(out.splitlines()[-1])["event"] == "interrupted"
    left = {path.name for path in (tmp_path / "out").iterdir()}
    whole = {path.stem for path in (tmp_path / "out").glob("*.json")}
    assert whole
    endings = (".json", "_desc-synthetic_FLAIR.nii.gz", "_desc-synthetic_mask.nii.gz")
    assert left == {stem + ending for stem in whole for ending in endings}


def test_a_terminated_volume_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    asked = ["volume", "--model", str(bundle.folder), "--pathology", "ms", "--threads", "1", "--steps", "1000"]
    command = [*COMMAND, *asked, "--out", str(tmp_path / "new" / "out"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line)["event"] == "progress":
                assert (tmp_path / "new" / "out").is_dir()
                process.send_signal(signal.SIGTERM)
                break
        process.communicate(timeout=300)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_one_sentence_and_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    # A limit on file sizes fails a write half-way, as a disk that fills up does.
    done = subprocess.run(
        [*COMMAND, *sample_arguments(bundle, tmp_path / "out")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    sentence = done.stderr.strip().splitlines()[-1]
    assert "sample-000000_desc-synthetic_FLAIR.nii.gz could not be written" in sentence
    assert "free disk space or choose another folder" in sentence
    assert not (tmp_path / "out").exists()


def test_the_small_network_is_what_the_fixtures_say() -> None:
    assert small_config().network.channels == (8, 16)
