"""Designing and analysing in the Reading study panel; a stand-in answers for the command, which is tested elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from fixtures import shown_plots, until
from JSDDPMSlicerLib.RealSource import CACHE, SCENE
from reading_fixtures import answers_to, write_study
from study_reader import open_panel, settle

from jsddpm_core.reading_study.design import parse_design
from jsddpm_core.reading_study.responses import ViewState
from jsddpm_core.reading_study.session import Session

PASSPHRASE = "nine sparrows under the old bridge"
VIEW = ViewState(window=1, level=0.5, zoom=1, pan=(0, 0), scrolls=0, changes=0)


@pytest.fixture
def panel(app: Any, scene: Any, tmp_path: Path) -> Iterator[Any]:
    """The panel with a form that is filled in."""
    made = open_panel()
    ui = made.ui
    ui.studyTitleEdit.text = "Infarcts, Real or not?"
    ui.realFolderEdit.currentPath = str(tmp_path)
    ui.studyParentEdit.currentPath = str(tmp_path)
    for edit in (ui.passphraseEdit, ui.passphraseAgainEdit):
        edit.text = PASSPHRASE
    yield made
    made.close()
    made.widget.close()
    made.widget.deleteLater()
    for key in ("LastStudyFolder", "Interpreter"):
        app.userSettings().remove(f"JSDDPMSlicer/{key}")
    settle()


def stand_in(tmp_path: Path, script: str) -> Path:
    """A Python that does something else; what it is asked for is written down beside it."""
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\nfrom pathlib import Path\n"
        "asked = [sys.argv, os.environ.get('JSDDPM_STUDY_PASSPHRASE')]\n"
        f"Path({str(tmp_path / 'asked.json')!r}).write_text(json.dumps(asked))\n"
        f"say = lambda **event: print(json.dumps(event), flush=True)\n{script}"
    )
    python.chmod(0o755)
    slicer.app.userSettings().setValue("JSDDPMSlicer/Interpreter", str(python))
    return python


def asked(tmp_path: Path) -> tuple[list[str], str]:
    arguments, passphrase = json.loads((tmp_path / "asked.json").read_text())
    return arguments[1:], passphrase


def tick(panel: Any, *names: str) -> None:
    rows = panel.ui.pathologyList
    for row in range(rows.count):
        item = rows.item(row)
        item.setCheckState(qt.Qt.Checked if item.data(qt.Qt.UserRole) in names else qt.Qt.Unchecked)


def test_the_form_says_what_a_design_takes(panel: Any, tmp_path: Path) -> None:
    ui, form = panel.ui, panel.design.form
    tick(panel, "infarct", "none")
    ui.taskCombo.setCurrentIndex(3)
    form.addQuestion()
    ui.likertTable.item(0, 3).setText("7")
    ui.limitSpin.value, ui.breakSpin.value, ui.freeCheck.checked = 30, 0, True
    ui.positionCheck.checked = True
    ui.timeoutsCombo.setCurrentIndex(2)
    design = parse_design(form.request())
    assert [item.kind for item in design.items] == ["real", "lesion", "likert"]
    assert (design.items[1].radius_mm, design.items[2].points) == (10.0, 7)
    assert set(design.pathologies) == {"infarct", "none"}
    assert (design.display.time_limit_s, design.display.break_every, design.display.window_level) == (30, None, "free")
    assert (design.plan.timeouts, design.plan.margin) == ("left-out", 0.1)
    assert design.position_range_mm == (-20.0, 60.0)
    assert (design.real.count, design.synthetic.count, design.training, design.slots) == (20, 20, 4, 4)
    assert Path(design.synthetic.model).name == "demo"
    ui.taskCombo.setCurrentIndex(1)
    ui.realSpin.value = 7
    paired = parse_design(form.request())
    assert paired.pairs and paired.synthetic.count == 7
    form.removeQuestion()
    ui.sourceCombo.setCurrentIndex(ui.sourceCombo.count - 1)
    ui.resultsEdit.currentPath = str(tmp_path)
    assert [str(path) for path in parse_design(form.request()).synthetic.results] == [str(tmp_path)]


def test_the_real_arm_is_a_folder_a_cache_or_volumes_of_the_scene(panel: Any, tmp_path: Path) -> None:
    ui, form, button = panel.ui, panel.design.form, panel.ui.designButton
    ui.designSection.collapsed = False
    ui.trainCheck.checked, ui.lesionsCombo.currentIndex = True, ui.lesionsCombo.findData("ms")
    real = parse_design(form.request()).real
    assert (real.folder, real.lesions, real.splits) == (tmp_path, "ms", ("test", "train"))
    ui.trainCheck.checked = ui.testCheck.checked = False
    assert button.toolTip == "Tick at least one split whose people may be shown."
    ui.testCheck.checked = True
    ui.realSourceCombo.setCurrentIndex(CACHE)
    assert button.toolTip == "Choose the folder of the prepared cache."
    assert (ui.realCacheEdit.visible, ui.realFolderEdit.visible, ui.lesionsCombo.visible) == (True, False, False)
    ui.realCacheEdit.currentPath = str(tmp_path)
    real = parse_design(form.request()).real
    assert (real.folder, real.cache, real.lesions, real.splits) == (None, tmp_path, None, ("test",))
    assert button.enabled and ui.saveDesignButton.enabled


def test_volumes_of_the_scene_are_copied_and_the_copies_go_with_the_panel(panel: Any) -> None:
    ui, form, button = panel.ui, panel.design.form, panel.ui.designButton
    ui.designSection.collapsed = False
    for name in ("Ill", "Sound"):
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(volume, np.ones((4, 5, 6), np.float32))
        volume.CreateDefaultDisplayNodes()
    ill = slicer.util.getNode("Ill")
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    drawn.CreateDefaultDisplayNodes()
    drawn.SetReferenceImageGeometryParameterFromVolumeNode(ill)
    drawn.GetSegmentation().AddEmptySegment("lesion", "lesion")
    slicer.util.updateSegmentBinaryLabelmapFromArray(np.ones((4, 5, 6), np.uint8), drawn, "lesion", ill)
    ui.realSourceCombo.setCurrentIndex(SCENE)
    assert button.toolTip == "Take volumes of the scene for the real images."
    assert not ui.saveDesignButton.enabled and "choose a folder" in ui.saveDesignButton.toolTip
    ui.sceneButton.click()
    table = ui.sceneTable
    for row, label in enumerate(("drawn: lesion", "No lesion")):
        table.item(row, 0).setCheckState(qt.Qt.Checked)
        combo = table.cellWidget(row, 1)
        combo.setCurrentIndex(combo.findText(label))
    ui.addSceneButton.click()
    assert until(lambda: ui.sceneButton.text == "2 taken; choose anew...", 30), ui.sceneStatus.text
    assert button.toolTip == "Choose what the lesions of the volumes are."
    ui.lesionsCombo.setCurrentIndex(ui.lesionsCombo.findData("infarct"))
    assert button.enabled, button.toolTip
    cases = parse_design(form.request()).real.cases
    assert [(case.name, case.pathology, case.lesion_free) for case in cases] == [
        ("scene/Ill", "infarct", False), ("scene/Sound", "infarct", True),
    ]  # fmt: skip
    assert cases[0].mask.is_file() and cases[1].mask is None
    slicer.mrmlScene.Clear(False)
    panel.sceneClosed()
    assert button.enabled, "the copies stay"
    panel.close()
    assert not cases[0].image.exists()


def test_how_synthetic_images_are_made_can_be_said(panel: Any) -> None:
    ui, form = panel.ui, panel.design.form
    made = parse_design(form.request()).synthetic
    assert (made.attempts, made.seed, made.steps) == (10, 0, None)
    ui.studyAttemptsSpin.value, ui.studySeedSpin.value, ui.studyStepsSpin.value = 30, 7, 20
    made = parse_design(form.request()).synthetic
    assert (made.attempts, made.seed, made.steps) == (30, 7, 20)


def test_the_panel_says_why_no_study_can_be_made(panel: Any, tmp_path: Path) -> None:
    ui = panel.ui
    button = ui.designButton
    assert button.enabled and button.toolTip == f"Writes {tmp_path / 'infarcts-real-or-not'}."
    for change, restore, said in (
        (lambda: setattr(ui.studyTitleEdit, "text", " "),
         lambda: setattr(ui.studyTitleEdit, "text", "Infarcts, Real or not?"), "Give the study a title."),
        (lambda: setattr(ui.passphraseEdit, "text", "short"), lambda: setattr(ui.passphraseEdit, "text", PASSPHRASE),
         "Type a passphrase of 12 letters or more"),
        (lambda: setattr(ui.passphraseAgainEdit, "text", "b" * 20),
         lambda: setattr(ui.passphraseAgainEdit, "text", PASSPHRASE), "The two passphrases differ."),
        (lambda: setattr(ui.trainingSpin, "value", 3), lambda: setattr(ui.trainingSpin, "value", 4),
         "half of the training cases are real: give an even number."),
        (lambda: (setattr(ui.matchedCheck, "checked", True), setattr(ui.syntheticSpin, "value", 19)),
         lambda: setattr(ui.syntheticSpin, "value", 20), "matched pairs need as many real as synthetic cases"),
        (lambda: (panel.design.form.addQuestion(), ui.likertTable.item(0, 3).setText("ten")),
         lambda: ui.likertTable.item(0, 3).setText("7"), "Give question 1 between 2 and 9 points."),
        (lambda: ui.likertTable.item(0, 0).setText(" "), panel.design.form.removeQuestion,
         "Say in question 1 what is asked"),
        (lambda: tick(panel), lambda: tick(panel, "ms"), "Tick at least one pathology."),
        (lambda: (ui.taskCombo.setCurrentIndex(2), tick(panel, "infarct", "ms")), lambda: tick(panel, "none", "ms"),
         "all cases of 'infarct', 'ms' show one: add lesion-free cases"),
        (lambda: tick(panel, "none"), lambda: ui.taskCombo.setCurrentIndex(0),
         "no cases of 'none' show one: add a pathology with lesions"),
        (lambda: (tmp_path / "infarcts-real-or-not").mkdir(), lambda: (tmp_path / "infarcts-real-or-not").rmdir(),
         "is there already"),
    ):  # fmt: skip
        change()
        panel.refresh()
        assert said in button.toolTip and not button.enabled
        assert ui.designStatus.text == button.toolTip
        restore()
        panel.refresh()
        assert button.enabled


def test_any_title_makes_a_folder_of_its_own(panel: Any, tmp_path: Path) -> None:
    for title, name in (("Bild " * 40, "bild-bild-bild-bild-bild-bild-bild-bild-bild-bild"), ("図" * 200, "図" * 50),
                        ("?!", "study"), ("../x", "x")):  # fmt: skip
        panel.ui.studyTitleEdit.text = title
        assert panel.ui.designButton.toolTip == f"Writes {tmp_path / name}."


def test_the_form_says_what_its_numbers_can_show(panel: Any) -> None:
    """With the command itself."""
    ui = panel.ui
    ui.designSection.collapsed = False
    ui.realSpin.value, ui.syntheticSpin.value, ui.slotsSpin.value = 80, 90, 8
    ui.sizeButton.click()
    assert not ui.sizeButton.enabled
    assert until(lambda: ui.sizeLabel.text, 60)
    assert ui.sizeLabel.text == (
        "80 cases an arm, readers: 8. Where they guess, the 95 % interval of the AUC is about 0.5 ± 0.07, and "
        "equivalence within ± 0.1 is shown with a chance of 71 %."
    )
    ui.correctionCombo.setCurrentIndex(2)
    ui.sizeButton.click()
    assert until(lambda: ui.sizeLabel.text, 60)
    assert ui.sizeLabel.text.endswith("with a chance of 84 %."), "none"
    ui.marginSpin.value = 0
    assert ui.sizeLabel.text == "", "it was about other numbers"
    ui.sizeButton.click()
    assert until(lambda: ui.sizeLabel.text, 60)
    assert ui.sizeLabel.text.endswith("the AUC is about 0.5 ± 0.07.")
    ui.taskCombo.setCurrentIndex(1)
    ui.sizeButton.click()
    assert until(lambda: ui.sizeLabel.text, 60)
    assert ui.sizeLabel.text == (
        "80 pairs. Where a reader guesses, the 95 % interval of the proportion correct is about 0.5 ± 0.11."
    )
    ui.taskCombo.setCurrentIndex(2)
    assert (ui.sizeButton.enabled, ui.sizeLabel.text) == (False, "")
    assert ui.sizeButton.toolTip == "Readers are not asked which images are real."


def test_a_failure_of_the_size_is_said(panel: Any, tmp_path: Path) -> None:
    stand_in(tmp_path, "say(event='error', kind='PackageError', message='scipy is missing', remedy='install it')\n")
    panel.ui.sizeButton.click()
    assert until(lambda: panel.ui.sizeLabel.text, 30)
    assert panel.ui.sizeLabel.text == "scipy is missing: install it."
    assert asked(tmp_path)[0][2:] == [
        "study", "size", "--endpoint", "auc", "--cases", "20", "--readers", "4", "--margin", "0.1", "--json",
    ]  # fmt: skip


def test_a_study_is_made_by_the_command_and_chosen_to_be_read(panel: Any, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    write_study(folder)
    done = {"event": "done", "folder": str(folder), "key": str(folder / "key.json.encrypted")}
    stand_in(
        tmp_path, "say(event='progress', stage='writing pictures', done=1, total=4)\n"
        f"say(event='note', text='2 people were left out.')\nprint(json.dumps({done!r}))\n",
    )  # fmt: skip
    panel.ui.designButton.click()
    assert panel.ui.designButton.text == "Cancel"
    assert until(lambda: not panel.design.command.busy, 30)
    arguments, passphrase = asked(tmp_path)
    assert arguments[:4] == ["-m", "jsddpm_core", "study", "new"] and arguments[-1] == "--json"
    assert arguments[5:7] == ["--out", str(tmp_path / "infarcts-real-or-not")]
    assert passphrase == PASSPHRASE and PASSPHRASE not in " ".join(arguments)
    assert not Path(arguments[4]).exists(), "the request's copy goes"
    assert f"The study is in {folder}." in panel.ui.designStatus.text
    assert "2 people were left out." in panel.ui.designStatus.text
    assert panel.ui.passphraseEdit.text == ""
    assert panel.read.folder == folder


def test_a_failure_is_said_in_the_commands_sentence(panel: Any, tmp_path: Path) -> None:
    stand_in(
        tmp_path, "say(event='error', kind='StudyError', message='7 people are too few', remedy='ask for fewer')\n"
        "sys.exit(2)\n",
    )  # fmt: skip
    panel.ui.designButton.click()
    assert until(lambda: not panel.design.command.busy, 30)
    assert panel.ui.designStatus.text == "7 people are too few: ask for fewer."
    assert panel.ui.passphraseEdit.text == PASSPHRASE


def test_making_can_be_cancelled(panel: Any, tmp_path: Path) -> None:
    stand_in(tmp_path, "say(event='progress', stage='drawing', done=1, total=4)\ntime.sleep(60)\n")
    panel.ui.designButton.click()
    assert until(lambda: "Drawing" in panel.ui.designStatus.text, 30)
    panel.ui.designButton.click()
    assert until(lambda: not panel.design.command.busy, 30)
    assert panel.ui.designStatus.text == "Cancelled. Nothing was kept."
    assert panel.ui.designButton.text == "Make the study"


def test_what_was_read_is_analysed_and_shown(panel: Any, tmp_path: Path) -> None:
    folder, ui = tmp_path / "study", panel.ui
    write_study(folder, training=0)
    ui.studyFolderEdit.currentPath = str(folder)
    ui.analyseSection.collapsed = False
    panel.refresh()
    assert ui.analyseButton.toolTip == "Nobody has read a case of this study yet."
    session = Session.open(folder, 1, "A. Reader")
    session.record(answers_to(session.manifest), 1.0, VIEW)
    session.close()
    panel.refresh()
    table = tmp_path / "per_reader.tsv"
    table.write_text("reader\taccuracy\n1\t0.8333333\n2\t0.5\n")
    done = {"event": "done", "report": str(tmp_path / "report.html"), "verdict": "Not distinguishable.",
            "tables": [str(table)], "figures": []}  # fmt: skip
    stand_in(tmp_path, f"say(event='problem', slot=1, text='clock went back')\nprint(json.dumps({done!r}))\n")
    ui.keyPassphraseEdit.text = PASSPHRASE
    ui.analyseButton.click()
    assert until(lambda: not panel.analyse.command.busy, 30)
    arguments, passphrase = asked(tmp_path)
    assert arguments == ["-m", "jsddpm_core", "study", "analyse", str(folder), "--overwrite", "--json"]
    assert passphrase == PASSPHRASE and ui.keyPassphraseEdit.text == ""
    assert ui.analyseStatus.text == "Not distinguishable.\nSlot 1: clock went back."
    assert ui.resultCombo.currentText == "Per reader"
    shown = [[ui.resultTable.item(row, column).text() for column in range(2)] for row in range(2)]
    assert shown == [["1", "0.8333"], ["2", "0.5"]]
    assert ui.openReportButton.visible
    panel.read.choose(None)
    assert not ui.openReportButton.visible, "what is shown belongs to the former study"


def test_roc_curves_are_plots_that_come_and_go(panel: Any, tmp_path: Path) -> None:
    folder, ui, roc = tmp_path / "study", panel.ui, panel.analyse.roc
    write_study(folder, training=0)
    ui.studyFolderEdit.currentPath, ui.analyseSection.collapsed = str(folder), False
    session = Session.open(folder, 1, "A. Reader")
    session.record(answers_to(session.manifest), 1.0, VIEW)
    session.close()
    points = [(0, 0), (0.25, 0.5), (1, 1)]
    lines = ["reader\titem\tthreshold\tfalse_positive_rate\ttrue_positive_rate"]
    lines += [f"reader-{n}\t{item}\tinf\t{x}\t{y}" for item in ("real", "lesion") for n in (1, 2) for x, y in points]
    (tmp_path / "roc_points.tsv").write_text("\n".join(lines) + "\n")
    done = {"event": "done", "report": str(tmp_path / "report.html"), "verdict": "Undecided.",
            "tables": [str(tmp_path / "roc_points.tsv")], "figures": []}  # fmt: skip
    stand_in(tmp_path, f"print(json.dumps({done!r}))\n")
    panel.refresh()
    assert not ui.rocButton.visible and ui.analyseButton.toolTip == "Type the passphrase of the answer key."
    ui.keyPassphraseEdit.text = PASSPHRASE
    ui.analyseButton.click()
    assert until(lambda: not panel.analyse.command.busy, 30)
    manager = slicer.app.layoutManager()
    before, nodes = manager.layout, slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode")
    for _ in range(2):
        ui.rocButton.click()
        assert (ui.rocButton.text, shown_plots()) == ("Hide ROC curves", ["ReadingStudyRoc1", "ReadingStudyRoc2"])
        assert [chart.GetTitle() for chart in roc.charts] == ["ROC curves: real", "ROC curves: lesion"]
        view = slicer.mrmlScene.GetSingletonNode("ReadingStudyRoc2", "vtkMRMLPlotViewNode")
        assert view.GetPlotChartNode() is roc.charts[1]
        series = [roc.charts[0].GetNthPlotSeriesNode(n) for n in range(3)]
        assert [one.GetName() for one in series] == ["guessing", "reader-1", "reader-2"]
        drawn = slicer.util.arrayFromTableColumn(series[1].GetTableNode(), "true_positive_rate")
        assert drawn.tolist() == [0, 0.5, 1]
        ui.rocButton.click()
        assert manager.layout == before and not roc.charts
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == nodes
    ui.rocButton.click()
    slicer.mrmlScene.Clear(False)
    panel.sceneClosed()
    assert not ui.rocButton.checked and ui.rocButton.text == "Show ROC curves"
    ui.rocButton.click()
    assert len(roc.charts) == 2
    panel.read.choose(None)
    assert not roc.there and not ui.rocButton.visible, "what is shown belongs to the former study"
