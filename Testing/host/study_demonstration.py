"""A reading study from end to end (`make study-demonstration`): 20 real slices, 20 of the demo model, two readers.

The study is designed and made by the panel, read by keys and clicks in the real window, each reader killed once in the
middle and gone on with by a new process, and analysed by the panel. The readers are simulated: they are given the
organiser's key, and see as much of the truth as their d' allows; how quickly they press keys means nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import qt

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicerhost

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path += [str(PROJECT / folder) for folder in ("JSDDPMSlicer", "Testing/core", "Testing/module")]
PASSPHRASE = "nine sparrows under the old bridge"
SEED = 20
READERS = {1: ("A. Reader", 1.2, 0.0), 2: ("B. Reader", 0.5, 0.3)}
"""Name, d' and criterion of the reader of each slot."""

KILLED_AFTER = 13
"""Cases that a reader reads before the process is killed."""

KEPT = ("report.html", "responses.tsv", "figures/real-readers.png", "figures/real-roc.png")
"""Of the results, in the documents."""

CASES = 20
PATIENCE_S = 900


# ---------------------------------------------------------------- the process of a reader


def read(study: Path, slot: int, receipts: Path, stop_after: int | None) -> None:
    """Reads a slot from where it stands, by keys and clicks; kills this process after some cases where asked to."""
    from fixtures import until
    from JSDDPMSlicerLib.ReadingRun import ReadingRun, State
    from study_reader import click, press, ready

    from jsddpm_core.reading_study.key import ENCRYPTED_KEY, read_key
    from jsddpm_core.reading_study.localisation import lesion_points_mm
    from jsddpm_core.reading_study.picture_grids import picture_grids
    from jsddpm_core.reading_study.session import Session
    from jsddpm_core.reading_study.simulated_reader import SimulatedReader, Trait

    name, d_prime, criterion = READERS[slot]
    key = read_key(study / ENCRYPTED_KEY, PASSPHRASE)
    session = Session.open(study, slot, name, receipts=receipts)
    grids = picture_grids(study, session.manifest)
    simulated = SimulatedReader(Trait(d_prime, criterion), slot, SEED)
    run = ReadingRun(session, lambda: None)
    run.start()
    window = run.window.widget
    while run.state != State.OVER:
        ready(run, State.CASE, State.FEEDBACK, State.TEXT)
        if run.state != State.CASE:
            press(window, " ")
            continue
        place = session.next
        if stop_after is not None and place.part == "cases" and place.index >= stop_after:
            os.kill(os.getpid(), signal.SIGKILL)
        case = place.case.name
        if place.part == "training":
            press(window, "31")
        else:
            truth, (shape, affine) = key.cases[case], grids[case]
            corners = affine[:3, 3], affine[:3, :3] @ (np.array(shape) - 1) + affine[:3, 3]
            answer = simulated.respond(
                session.manifest.items, case, truth, occasion=_seen(session, case),
                lesion_mm=lesion_points_mm(truth.lesion_voxels, shape, affine),
                extent_mm={"low": np.minimum(*corners), "high": np.maximum(*corners)},
            )  # fmt: skip
            press(window, "".join(str(each.value) for each in answer.answers))
            mark = next((each.mark_mm for each in answer.answers if each.mark_mm is not None), None)
            if mark is not None:
                view = run.window.views[0]
                x, y = np.round(view.overlay.inView(np.array([mark]))[0]).astype(int)
                click(view.view, int(x), int(y))
        done = session.done
        press(window, " ")
        if not until(lambda done=done: session.done > done, PATIENCE_S):
            raise RuntimeError(f"{case}: {run.window.ui.problemLabel.text}")


def _seen(session: Any, case: str) -> int:
    """How often this reader has read a case before."""
    before = [place.case.name for place in session.places[: session.done] if place.part == "cases"]
    return before.count(case)


# ---------------------------------------------------------------- the organiser


def design(panel: Any, cases: Path, folder: Path) -> Path:
    """The study that the panel makes from what is typed into it."""
    from fixtures import until

    ui = panel.ui
    ui.designSection.collapsed = False
    ui.studyTitleEdit.text = "Real or synthetic, with and without infarcts"
    ui.taskCombo.setCurrentIndex(3)
    ui.realFolderEdit.currentPath = str(cases)
    for row in range(ui.pathologyList.count):
        item = ui.pathologyList.item(row)
        wanted = item.data(qt.Qt.UserRole) in ("none", "infarct")
        item.setCheckState(qt.Qt.Checked if wanted else qt.Qt.Unchecked)
    ui.lesionsCombo.setCurrentIndex(ui.lesionsCombo.findData("infarct"))
    ui.realSpin.value = ui.syntheticSpin.value = CASES
    ui.trainingSpin.value, ui.repeatsSpin.value, ui.slotsSpin.value, ui.breakSpin.value = 4, 6, len(READERS), 15
    ui.studyParentEdit.currentPath = str(folder)
    for edit in (ui.passphraseEdit, ui.passphraseAgainEdit):
        edit.text = PASSPHRASE
    panel.refresh()
    if panel.design.whyNot():
        raise RuntimeError(panel.design.whyNot())
    ui.designButton.click()
    until(lambda: not panel.design.command.busy, PATIENCE_S)
    if panel.read.manifest is None:
        raise RuntimeError(ui.designStatus.text)
    return Path(panel.read.folder)


def analyse(panel: Any) -> Path:
    """The folder of results that the panel's button makes."""
    from fixtures import until

    panel.enter()  # sees what readers did elsewhere
    panel.ui.keyPassphraseEdit.text = PASSPHRASE
    panel.ui.analyseButton.click()
    until(lambda: not panel.analyse.command.busy, PATIENCE_S)
    if panel.analyse._report is None:
        raise RuntimeError(panel.ui.analyseStatus.text)
    return Path(panel.analyse._report).parent


def main(arguments: list[str]) -> int:
    """Makes, reads with kills, analyses, and keeps the report."""
    named = os.environ.get("JSDDPM_DATA")
    data = Path(named) if named else PROJECT.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description="A reading study from end to end, with simulated readers.")
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "study-demonstration")
    parser.add_argument("--cases", type=Path, default=data / "soop-axial", help="real cases with and without infarcts")
    parser.add_argument("--read", type=Path, metavar="STUDY", help="read a slot of this study; what main starts")
    parser.add_argument("--slot", type=int, default=1)
    parser.add_argument("--receipts", type=Path)
    parser.add_argument("--stop-after", type=int)
    options = parser.parse_args(arguments)
    app = slicerhost.start()
    if options.read is not None:
        read(options.read, options.slot, options.receipts, options.stop_after)
        return 1 if app.slotErrors else 0
    if not options.cases.is_dir():
        print(f"{options.cases} is not there: give the folder of real cases by --cases", file=sys.stderr)
        return 1

    from study_reader import open_panel

    from jsddpm_core.reading_study.session import read_log

    with tempfile.TemporaryDirectory() as folder:
        panel = open_panel()
        study = design(panel, options.cases.resolve(), Path(folder))
        for slot, (name, _d_prime, _criterion) in READERS.items():
            for stop_after in (KILLED_AFTER, None):
                stop = [] if stop_after is None else ["--stop-after", str(stop_after)]
                receipts = Path(folder) / "receipts"
                command = [sys.executable, __file__, "--read", str(study), "--slot", str(slot), *stop]
                code = subprocess.run([*command, "--receipts", str(receipts)], check=False).returncode
                if code != (0 if stop_after is None else -signal.SIGKILL):
                    raise RuntimeError(f"{name} ended with {code}")
                log = read_log(study, slot, panel.read.manifest)
                print(f"{name}: {len(log.readings)} answers on the disk, {len(log.problems)} problems")
        found = analyse(panel)
        options.out.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            print(shutil.copyfile(found / name, options.out / Path(name).name))
        print(panel.ui.analyseStatus.text)
        panel.close()
    return 1 if app.slotErrors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
