"""A patient's image brought to the template by the worker."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from worker_fixtures import CANCELLED, Client, a_worker, names, the_error

from jsddpm_core.cli import run
from jsddpm_core.data.preprocess import resample
from jsddpm_core.data.registration import Alignment
from jsddpm_core.data.template import load_template


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with a_worker(tmp_path_factory.mktemp("worker") / "log") as client:
        yield client


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def oblique_scan() -> tuple[sitk.Image, np.ndarray, np.ndarray]:
    """The template as the head of someone else, with a bright mark on the left, in an oblique grid.

    Returns:
        The scan, the affine transform from its RAS to the template's, and the mark's place in the template's RAS.
    """
    template = load_template()
    mark = np.array([-44.0, -20.0, 24.0])
    centre = np.rint(np.linalg.inv(template.affine) @ [*mark, 1.0])[:3].astype(int)
    data = template.data.copy()
    data[tuple(slice(place - 2, place + 3) for place in centre)] = 3 * data.max()
    a, b = np.deg2rad(8), np.deg2rad(12)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    to_template = np.eye(4)
    to_template[:3, :3] = about_z @ np.array([[1.08, 0.03, 0.0], [0.0, 0.94, 0.02], [0.0, 0.0, 1.05]])
    to_template[:3, 3] = 9.0, -14.0, 18.0
    shape, spacing = (84, 100, 48), np.array([2.5, 2.5, 4.0])
    direction = about_y @ np.diag([-1.0, -1.0, 1.0])
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    middle = np.linalg.inv(to_template) @ [0.0, -18.0, 10.0, 1.0]
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    values = resample(data, np.linalg.inv(template.affine) @ to_template @ affine, shape, "linear")
    scan = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    to_lps = np.diag([-1.0, -1.0, 1.0])
    scan.SetSpacing(spacing.tolist())
    scan.SetDirection((to_lps @ direction).ravel().tolist())
    scan.SetOrigin((to_lps @ affine[:3, 3]).tolist())
    return scan, to_template, mark


def test_a_patient_is_brought_to_the_template_and_left_stays_left(worker: Client, place: Path, tmp_path: Path) -> None:
    scan, truth, mark = oblique_scan()
    sitk.WriteImage(scan, str(tmp_path / "patient.nrrd"))
    number = worker.ask("register", image=str(tmp_path / "patient.nrrd"), out=str(place / "out"))
    said = worker.answer(number)["result"]
    head = np.array([[60, -18, 20], [-60, -18, 20], [0, 55, 20], [0, -95, 10], [0, -18, 70], [0, -18, -40]], float)
    head = np.c_[head, np.ones(len(head))].T
    apart = np.linalg.norm(((np.array(said["matrix"]) @ np.linalg.inv(truth) - np.eye(4)) @ head)[:3], axis=0)
    assert apart.max() < 2.0
    assert said["similarity"] > 0.9
    assert said["stage"] == "rigid+affine"
    image = nibabel.load(Path(said["folder"]) / said["resampled"])
    template = load_template()
    assert image.shape == template.data.shape
    assert image.get_data_dtype() == np.float32
    assert np.array_equal(image.affine, template.affine)
    brightest = np.unravel_index(np.argmax(image.get_fdata()), image.shape)
    assert np.linalg.norm((image.affine @ [*brightest, 1.0])[:3] - mark) < 8.0, "at the mark, 10 mm wide"
    assert Alignment.from_json((place / "out" / "patient-to-template.json").read_text()).how == "rigid+affine"
    stages = [stage for stage, _ in itertools.groupby(worker.told("progress", number), lambda told: told["stage"])]
    assert stages == ["loading", "rigid alignment", "affine alignment", "resampling"]


def test_a_registration_can_be_cancelled_between_its_iterations(worker: Client, place: Path, tmp_path: Path) -> None:
    scan, _, _ = oblique_scan()
    sitk.WriteImage(scan, str(tmp_path / "patient.nii.gz"))
    number = worker.ask("register", image=str(tmp_path / "patient.nii.gz"), out=str(place / "out"))
    worker.wait(lambda message: "rigid alignment" in json.dumps(message) and message["params"]["id"] == number)
    worker.notify("cancel", id=number)
    assert the_error(worker.answer(number)) == CANCELLED
    assert names(place) == set()
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.parametrize("name", ["gone.nii.gz", "text.nrrd", "text.nii"])
def test_an_image_that_cannot_be_read_is_named(worker: Client, place: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "text.nrrd").write_text("this is no image")
    (tmp_path / "text.nii").write_text("this is no image")
    error = worker.refusal("register", image=str(tmp_path / name), out=str(place / "out"))
    assert (error["code"], error["data"]["kind"]) == (-32000, "ImageError")
    assert name in error["message"]
    assert names(place) == set()


def test_register_is_a_command_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(_image: Path, folder: Path) -> Alignment:
        (folder / "made").touch()
        return Alignment(np.eye(4), 0.9, "rigid+affine")

    monkeypatch.setattr("jsddpm_core.data.align.align_to_template", found)
    assert run(["register", str(tmp_path / "patient.nii.gz"), "--out", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["matrix"] == np.eye(4).tolist()
    assert names(tmp_path / "out") == {"made"}
