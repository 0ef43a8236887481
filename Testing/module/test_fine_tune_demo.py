"""The demo model fine-tuned on real cases for a few steps: through the whole panel, and the same from the shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fixtures import until
from JSDDPMSlicerLib import Bundles

from jsddpm_core.bundle import check_bundle, read_bundle
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.tensor_file import file_digest
from jsddpm_core.training.runs import REQUEST

PATIENCE = 300
PEOPLE = ("sub-ljub07", "sub-ljub19")
STEPS = 4
FEW = {
    "training.max_steps": STEPS, "training.batch_size": 4, "training.warmup_steps": 2, "training.validation_samples": 2,
    "training.validation_steps": 2, "sampling.steps": 2,
}  # fmt: skip


@pytest.fixture
def cases(shared_data: Path, tmp_path: Path) -> Path:
    """Two people with multiple sclerosis, in a folder of their own."""
    for person in PEOPLE:
        shutil.copytree(shared_data / "ms-volumes" / person, tmp_path / "clinic" / person)
    return tmp_path / "clinic"


def choose(combo: Any, value: Any) -> None:
    combo.setCurrentIndex(combo.findData(value))


def test_panel_and_shell_fine_tune_the_demo_model_alike(
    module: Any, warm_python: Path, cases: Path, tmp_path: Path
) -> None:
    module.tabs.setCurrentIndex(1)
    panel, ui = module.fineTune, module.fineTune.ui
    panel.cases.look(cases)
    assert until(lambda: panel.cases.job is None, PATIENCE)
    assert [(row.taken, row.problems(panel.cases.vocabulary)) for row in panel.cases.rows] == [
        (True, ["no pathology named: its mask is not learned until one is"])
    ] * 2
    ui.pathologyCombo.setEditText("Multiple sclerosis")
    ui.pathologyButton.click()
    assert "if you mean Multiple sclerosis lesion, choose that" in ui.casesSummary.text
    ui.pathologyCombo.setEditText("multiple sclerosis lesion")
    ui.pathologyButton.click()
    assert [row.request(panel.cases.vocabulary)["pathology"] for row in panel.cases.rows] == ["ms", "ms"]

    choose(ui.presetCombo, "quick-check")
    choose(ui.trainDeviceCombo, "cpu")
    ui.titleEdit.text = "MS of our clinic"
    panel.training.settings.set(FEW)
    ui.replaySpin.value = 2
    assert until(lambda: panel.whyNot() == "", PATIENCE), panel.whyNot()
    ui.startButton.click()
    folder = panel.run.folder
    assert until(lambda: not panel.run.busy and not panel.newModel.busy, PATIENCE)
    assert "is among your models" in ui.runDetail.text, ui.runDetail.text

    model = Bundles.modelsFolder() / "ms-of-our-clinic"
    assert check_bundle(model) == []
    record = read_bundle(model).manifest.training
    assert record.start is not None
    assert (record.start.name, record.steps) == ("demo", STEPS)
    cache = SliceCache.open(folder / "cache", verify=True)
    assert {entry.subject for entry in cache.records if not entry.synthetic} == {f"clinic/{name}" for name in PEOPLE}
    assert any(entry.synthetic for entry in cache.records)
    for path in model.iterdir():
        assert not any(name[4:].encode() in path.read_bytes() for name in PEOPLE), f"{path.name} names a patient"

    shell = tmp_path / "shell"
    command = [str(warm_python), "-m", "jsddpm_core", "fine-tune", str(folder / REQUEST), "--out", str(shell)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    weights = "denoiser.safetensors"
    assert file_digest(shell / "bundle" / weights) == file_digest(model / weights)
