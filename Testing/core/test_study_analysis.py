"""A study analysed from end to end: what enters what, what comes out, and that nobody is named."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from analysis_fixtures import AFFINE, SHAPE, a_key, a_log, a_manifest, grids
from typer.testing import CliRunner

from jsddpm_core.commands.passphrase import PASSPHRASE_VARIABLE
from jsddpm_core.errors import OutputError, StudyError
from jsddpm_core.reading_study import responses
from jsddpm_core.reading_study.analysis import Analysis, analyse_study
from jsddpm_core.reading_study.family import corrected
from jsddpm_core.reading_study.key import ENCRYPTED_KEY, write_key
from jsddpm_core.reading_study.manifest import AnswerKey, LesionItem, LikertItem, PairItem, RealItem, StudyManifest
from jsddpm_core.reading_study.methods import limitations
from jsddpm_core.reading_study.multireader import auc_figures, pooled
from jsddpm_core.reading_study.reader_results import reader_result
from jsddpm_core.reading_study.readings import Answer, ReaderLog, Reading, item_readings, reader_log
from jsddpm_core.reading_study.report import write_report
from jsddpm_core.reading_study.responses import ViewState
from jsddpm_core.reading_study.session import Session
from jsddpm_core.reading_study.simulated_reader import Trait
from jsddpm_core.reading_study.study_tables import tables_of

PASSPHRASE = "four plain words here"
QUALITY = LikertItem(name="quality", text="How good <is> it?", low="bad", high="good")
ALL = ("primary", "equivalence", "by-pathology", "by-position", "per-reader")


@dataclasses.dataclass(frozen=True)
class Study:
    manifest: StudyManifest
    key: AnswerKey
    logs: tuple[ReaderLog, ...]
    analysis: Analysis


@pytest.fixture(scope="module")
def study() -> Study:
    """Three readers, 48 cases, eight of them twice, 8 s a case; everything is asked."""
    manifest = a_manifest((RealItem(), LesionItem(), QUALITY), 48, 3, repeats=8, time_limit_s=8, family=ALL)
    key = a_key(manifest)
    logs = tuple(a_log(manifest, key, slot, Trait(0.6 * slot)) for slot in (1, 2, 3))
    return Study(manifest, key, logs, analyse_study(manifest, key, logs, grids(manifest)))


@pytest.fixture(scope="module")
def written(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "analysis"
    write_report(study.analysis, study.key, folder)
    return folder


def logs_of(manifest: StudyManifest, values: dict[str, int | None]) -> ReaderLog:
    """A log of slot 1 with these answers to the first item."""
    readings = tuple(
        Reading(index, name, (Answer(manifest.items[0].name, values[name]),), 3.0, values[name] is None)
        for index, name in enumerate(manifest.slots[0].order)
    )
    return ReaderLog(1, "A Name", "", None, readings)


# ---------------------------------------------------------------- what enters what


def test_the_primary_endpoint_is_that_of_first_readings(study: Study):
    main = study.analysis.main
    assert main is not None and study.analysis.conclusion is not None
    values = np.full((3, 48), np.nan)
    place = {case.name: number for number, case in enumerate(study.manifest.cases)}
    for row, log in enumerate(study.logs):
        for reading in reversed(log.readings):
            values[row, place[reading.case]] = reading.answers[0].value or np.nan
    signal = np.array([study.key.cases[name].arm == "synthetic" for name in place])
    late = np.isnan(values)
    values[late] = np.broadcast_to(np.where(signal, 1.0, 6.0), values.shape)[late]
    found = pooled(auc_figures(values, signal, np.arange(48)))
    assert found.estimate == study.analysis.conclusion.pooled.estimate


def test_repeats_enter_the_agreement_with_oneself_and_nothing_else(study: Study):
    def changed(log: ReaderLog) -> ReaderLog:
        seen: set[str] = set()
        readings = []
        for reading in log.readings:
            again, _ = reading.case in seen, seen.add(reading.case)
            answers = tuple(dataclasses.replace(answer, value=1) for answer in reading.answers)
            readings.append(dataclasses.replace(reading, answers=answers, timed_out=False) if again else reading)
        return dataclasses.replace(log, readings=tuple(readings))

    other = analyse_study(study.manifest, study.key, [changed(log) for log in study.logs], grids(study.manifest))
    assert other.conclusion is not None and study.analysis.conclusion is not None
    assert other.conclusion.tests == study.analysis.conclusion.tests
    assert [item.readers for item in other.items] == [item.readers for item in study.analysis.items]
    between = [a for a in study.analysis.agreements if a.who == "all readers"]
    assert between == [a for a in other.agreements if a.who == "all readers"]
    assert other.agreements != study.analysis.agreements
    assert all(a.estimate.n <= 8 for a in study.analysis.agreements if a.who != "all readers")


def test_training_cases_enter_nothing(study: Study):
    training = Reading(0, study.manifest.cases[0].name, study.logs[0].readings[0].answers, 1.0, part="training")
    first = dataclasses.replace(study.logs[0], readings=(training, *study.logs[0].readings))
    other = analyse_study(study.manifest, study.key, (first, *study.logs[1:]), grids(study.manifest))
    assert tables_of(other, study.key) == tables_of(study.analysis, study.key)


@pytest.mark.parametrize(
    ("timeouts", "correct", "answered", "area"),
    [("wrong", 7, 8, 0.75), ("middle", 7.5, 8, 1.0), ("left-out", 7, 7, 1.0)],
)
def test_a_time_out_counts_as_the_plan_says(timeouts, correct, answered, area):
    manifest = a_manifest((RealItem(),), 8, 1, timeouts=timeouts)
    key = a_key(manifest)
    values: dict[str, int | None] = {name: 6 if truth.arm == "synthetic" else 2 for name, truth in key.cases.items()}
    values["case-0002"] = None  # a synthetic one
    readings = item_readings(manifest.items[0], manifest, key, [logs_of(manifest, values)], manifest.plan.timeouts)
    reader = reader_result(readings, 0)
    assert (reader.correct, reader.answered, reader.timed_out) == (correct, answered, 1)
    assert reader.area.value == pytest.approx(area)
    assert reader.exact.p is None if timeouts == "left-out" else reader.exact.p is not None


def test_all_ways_with_time_outs_stand_side_by_side(study: Study):
    main = study.analysis.main
    assert main is not None and main.readings.timed_out.any()
    assert set(main.timeouts) == {"wrong", "middle", "left-out"}
    assert main.timeouts["wrong"].estimate == main.pooled["auc"].estimate
    assert main.timeouts["left-out"].estimate.value > main.timeouts["wrong"].estimate.value  # type: ignore[operator]


def test_forced_choices_and_pairs_are_scored_by_the_key():
    for item, right in (
        (RealItem(scale="forced"), {"real": 1, "synthetic": 2}),
        (PairItem(), {"real": 1, "synthetic": 2}),
    ):
        manifest = a_manifest((item,), 12, 1)
        key = a_key(manifest)
        values: dict[str, int | None] = {name: right[truth.arm] for name, truth in key.cases.items()}
        values["case-0001"] = 3 - (values["case-0001"] or 0)
        found = analyse_study(manifest, key, [logs_of(manifest, values)])
        reader = found.items[0].readers[0]
        assert (reader.correct, reader.answered) == (11, 12)
        assert reader.exact.p == pytest.approx(26 / 4096)
        assert found.conclusion is not None
        assert found.conclusion.endpoint == ("accuracy" if item.kind == "pair" else "auc")
        assert reader.detection.d_prime.value is not None and reader.detection.d_prime.value > 1


def test_marks_are_held_against_the_lesions_of_the_key():
    manifest = a_manifest((LesionItem(radius_mm=5.0),), 16, 1)
    key = a_key(manifest)
    readings = []
    for index, name in enumerate(manifest.slots[0].order):
        truth = key.cases[name]
        mark = None
        if truth.lesion:
            start = truth.lesion_voxels[0]
            voxel = [*np.unravel_index(start, SHAPE), 1]
            away = 30.0 if name == "case-0001" else 0.0
            place = AFFINE @ voxel
            mark = (float(place[0]) + away, float(place[1]), float(place[2]))
        readings.append(Reading(index, name, (Answer("lesion", 6 if truth.lesion else 1, mark),), 3.0))
    log = ReaderLog(1, "A Name", "", None, tuple(readings))
    found = analyse_study(manifest, key, [log], grids(manifest)).items[0].localisation
    assert found is not None
    reader = found.readers[0]
    assert (reader.hits.value, reader.false_marks.value) == (11 / 12, 0)
    assert reader.area.value == pytest.approx((11 + 0.5) / 12)


def test_a_study_of_questions_only_has_no_verdict_but_a_table():
    manifest = a_manifest((QUALITY,), 16, 2)
    key = a_key(manifest)
    found = analyse_study(manifest, key, [a_log(manifest, key, slot, Trait(2.0)) for slot in (1, 2)])
    assert found.conclusion is None
    table = next(table for table in tables_of(found, key) if table.name == "questions")
    assert [row[1] for row in table.rows] == ["real", "synthetic"]
    assert table.rows[0][3] > table.rows[1][3]


# ---------------------------------------------------------------- one class only


def with_lesions(study: Study, lesional: bool) -> AnswerKey:
    """The key of a study whose cases all show a lesion, or none of which does."""
    lesion = {"lesion": lesional, "lesion_voxels": (1000, 4) if lesional else ()}
    cases = {name: truth.model_copy(update=lesion) for name, truth in study.key.cases.items()}
    return study.key.model_copy(update={"cases": cases})


@pytest.mark.parametrize("lesional", [True, False])
def test_one_class_of_lesions_leaves_the_other_items_as_they_are(study: Study, lesional: bool, tmp_path: Path):
    key = with_lesions(study, lesional)
    found = analyse_study(study.manifest, key, study.logs, grids(study.manifest))
    assert found.conclusion == study.analysis.conclusion
    item = found.items[1]
    assert item.lacking == f"every case that counts shows {'a lesion' if lesional else 'none'}"
    assert all(pooled.estimate.value is None for pooled in item.pooled.values())
    reader, marks = item.readers[0], item.localisation.readers[0]  # type: ignore[union-attr]
    assert (reader.area.value, reader.detection.d_prime.value, reader.exact.p) == (None, None, None)
    assert reader.exact.value == (reader.detection.sensitivity if lesional else reader.detection.specificity).value
    assert (marks.hits.value is None, marks.false_marks.value is None) == (not lesional, lesional)
    assert marks.area.value is None
    written = write_report(found, key, tmp_path / "results")
    page = written.report.read_text(encoding="utf-8")
    assert f"Of “lesion”, neither AUC, d&#x27; nor a test could be worked out: {item.lacking}." in page
    assert json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))["notes"] == [*found.notes]
    assert (tmp_path / "results" / "localisation.tsv").is_file()


def test_a_primary_endpoint_that_cannot_be_worked_out_is_said():
    manifest = a_manifest((LesionItem(),), 16, 2, repeats=4, family=ALL)
    key = a_key(manifest)
    only = {name: truth.model_copy(update={"lesion": True, "lesion_voxels": (1000, 4)}) for name, truth in
            key.cases.items()}  # fmt: skip
    key = key.model_copy(update={"cases": only})
    found = analyse_study(manifest, key, [a_log(manifest, key, slot, Trait(2.0)) for slot in (1, 2)], grids(manifest))
    assert found.conclusion is not None and found.conclusion.equivalence is None
    assert found.conclusion.sentence == (
        "Nothing can be said about the AUC, the primary endpoint: every case that counts shows a lesion."
    )
    assert not any(test.rejects for test in found.conclusion.tests)
    assert {table.name for table in tables_of(found, key)} >= {"reader_results", "agreement", "localisation"}


def test_one_answer_is_analysed_and_said_to_be_too_little():
    manifest = a_manifest((RealItem(),), 8, 1)
    key = a_key(manifest)
    whole = a_log(manifest, key, 1, Trait(1.0))
    found = analyse_study(manifest, key, [dataclasses.replace(whole, readings=whole.readings[:1], complete=False)])
    assert found.items[0].lacking == "nobody has yet answered both a case that is synthetic and one that is real"
    assert found.conclusion is not None and found.items[0].lacking in found.conclusion.sentence


def test_groups_of_one_class_have_no_endpoint_and_break_nothing(study: Study):
    groups = {group.name: group for group in study.analysis.items[1].groups if group.kind == "pathology"}
    assert (groups["none"].signals, groups["none"].pooled.estimate.value) == (0, None)
    assert (groups["infarct"].others, groups["infarct"].pooled.estimate.value) == (0, None)
    arms = [group for group in study.analysis.items[1].groups if group.kind == "arm"]
    assert all(group.pooled.estimate.value is not None for group in arms)


# ---------------------------------------------------------------- the family


def test_the_family_is_the_plans_and_is_corrected_as_a_whole(study: Study):
    assert study.analysis.conclusion is not None
    tests = study.analysis.conclusion.tests
    kinds = [test.kind for test in tests]
    assert list(dict.fromkeys(kinds)) == list(ALL)
    assert kinds.count("by-pathology") == 3 and kinds.count("per-reader") == 3
    smallest = min(tests, key=lambda test: 1.0 if test.p is None else test.p)
    assert smallest.p is not None
    assert smallest.adjusted == pytest.approx(min(1, len(tests) * smallest.p))
    assert all(test.adjusted >= (test.p or 0) for test in tests)


def test_corrections_are_those_of_the_books():
    plan = a_manifest((RealItem(),), 4, 1).plan
    p = [0.01, 0.04, 0.03]
    assert corrected(p, plan) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected(p, plan.model_copy(update={"correction": "bonferroni"})) == pytest.approx([0.03, 0.12, 0.09])
    assert corrected(p, plan.model_copy(update={"correction": "none"})) == p


def test_without_a_margin_equivalence_is_neither_tested_nor_claimed(study: Study):
    manifest = a_manifest((RealItem(),), 48, 3, margin=None)
    key = a_key(manifest)
    found = analyse_study(manifest, key, [a_log(manifest, key, slot, Trait(0.0)) for slot in (1, 2, 3)])
    assert found.conclusion is not None and found.conclusion.equivalence is None
    assert [test.kind for test in found.conclusion.tests] == ["primary"]
    assert "not evidence that the classes are indistinguishable" in found.conclusion.sentence


# ---------------------------------------------------------------- bad input


def test_a_key_of_another_study_is_refused(study: Study):
    other = study.key.model_copy(update={"digest": "f" * 64})
    with pytest.raises(StudyError, match="of another study"):
        analyse_study(study.manifest, other, study.logs)


def test_a_key_that_lacks_a_case_is_refused(study: Study):
    cases = {name: truth for name, truth in study.key.cases.items() if name != "case-0007"}
    with pytest.raises(StudyError, match="says nothing of case-0007"):
        analyse_study(study.manifest, study.key.model_copy(update={"cases": cases}), study.logs)


def test_nobody_having_read_is_said(study: Study):
    with pytest.raises(StudyError, match="no reader has answered"):
        analyse_study(study.manifest, study.key, [ReaderLog(1, "A Name", "", None, ())])


def test_an_answer_off_the_scale_is_refused():
    manifest = a_manifest((RealItem(),), 4, 1)
    key = a_key(manifest)
    with pytest.raises(StudyError, match="answers 'real' with 7"):
        analyse_study(manifest, key, [logs_of(manifest, dict.fromkeys(key.cases, 7))])


def test_one_slot_in_two_logs_is_refused(study: Study):
    with pytest.raises(StudyError, match="two logs are of slot 1"):
        analyse_study(study.manifest, study.key, (study.logs[0], study.logs[0]))


def test_a_lesion_outside_of_its_picture_is_refused(study: Study):
    small = {name: ((4, 4, 1), affine) for name, (_, affine) in grids(study.manifest).items()}
    with pytest.raises(StudyError, match="lies outside its picture"):
        analyse_study(study.manifest, study.key, study.logs, small)


def test_a_reader_who_stopped_early_is_analysed_and_told(study: Study):
    short = dataclasses.replace(study.logs[2], readings=study.logs[2].readings[:20], complete=False, problems=("torn",))
    found = analyse_study(study.manifest, study.key, (*study.logs[:2], short), grids(study.manifest))
    item = item_readings(study.manifest.items[0], study.manifest, study.key, found.logs, "wrong")
    assert (~np.isnan(item.counted[2])).sum() == 20
    assert found.items[0].readers[2].answered == 20
    said = " ".join(limitations(found))
    assert "Not finished: reader-3." in said
    assert "when it ran): reader-3." in said


def test_a_reader_who_stopped_after_two_cases_takes_nothing_from_the_others(study: Study):
    short = dataclasses.replace(study.logs[2], readings=study.logs[2].readings[:2], complete=False)
    found = analyse_study(study.manifest, study.key, (*study.logs[:2], short), grids(study.manifest))
    two = analyse_study(study.manifest, study.key, study.logs[:2], grids(study.manifest))
    assert found.conclusion is not None and two.conclusion is not None
    assert found.conclusion.sentence == two.conclusion.sentence
    assert found.items[0].pooled == two.items[0].pooled and found.items[0].pooled["auc"].estimate.has_interval
    assert "enter the pooled figures: reader-3;" in " ".join(limitations(found))


def test_one_name_on_two_slots_is_said_and_not_told(study: Study):
    again = dataclasses.replace(study.logs[1], reader=study.logs[0].reader.upper())
    found = analyse_study(study.manifest, study.key, (study.logs[0], again, study.logs[2]), grids(study.manifest))
    (note,) = found.notes
    assert note.startswith("reader-1 and reader-2 gave one name") and again.reader not in note
    assert study.analysis.notes == ()


def test_readers_who_lean_guess_half_right_whichever_answers_are_missing():
    manifest = a_manifest((RealItem(scale="forced"),), 40, 1, timeouts="left-out")
    key = a_key(manifest)
    real = [name for name, truth in key.cases.items() if truth.arm == "real"]
    values = {name: None if name in real[5:] else 2 for name in key.cases}  # always "synthetic"
    found = analyse_study(manifest, key, [logs_of(manifest, values)])
    assert found.items[0].readers[0].exact.value == 20 / 25
    assert found.items[0].pooled["accuracy"].estimate.value == 0.5
    assert "the pooled proportion is the mean of both classes'" in " ".join(limitations(found))


def test_time_that_ran_out_for_all_on_every_case_is_no_agreement():
    manifest = a_manifest((RealItem(),), 8, 2)
    key = a_key(manifest)
    log = logs_of(manifest, dict.fromkeys(key.cases))
    found = analyse_study(manifest, key, [log, dataclasses.replace(log, slot=2)])
    assert {agreement.estimate.value for agreement in found.agreements} == {None}


# ---------------------------------------------------------------- what comes out


def test_nobody_is_named_in_any_file(written: Path, study: Study):
    files = [path for path in written.rglob("*") if path.is_file()]
    assert {"report.html", "results.json", "responses.tsv", "responses.json"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert study.logs[0].reader.encode() not in content, path
        assert study.logs[0].experience.encode() not in content, path
    assert "reader-1\t" in (written / "responses.tsv").read_text(encoding="utf-8")


def test_every_column_of_every_table_is_described(written: Path):
    tables = sorted(written.glob("*.tsv"))
    assert len(tables) >= 12
    for table in tables:
        lines = table.read_text(encoding="utf-8").splitlines()
        told = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
        names = lines[0].split("\t")
        assert list(told) == names
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
        assert all(column["Description"] for column in told.values())
        assert all(len(line.split("\t")) == len(names) for line in lines)
        assert not re.search(r"\b(?:nan|None)\b", "\n".join(lines))


def test_raw_responses_hold_every_answer(written: Path, study: Study):
    rows = (written / "responses.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == 3 * 56 * 3
    assert sum(row.split("\t")[3] == "2" for row in rows) == 3 * 8 * 3


def test_the_page_holds_everything_and_asks_nothing_of_a_network(written: Path, study: Study):
    page = (written / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:image/svg)""", page)
    assert "<script" not in page and "url(" not in page
    assert page.count("<img ") == len(list((written / "figures").glob("*.png"))) >= 8
    assert "Twenty &lt;synthetic&gt; slices &amp; as many real ones" in page
    assert "How good &lt;is&gt; it?" in page
    assert study.manifest.digest in page
    for heading in ("Endpoint", "Each reader", "Methods", "Limitations", "The plan as it was frozen", "Literature"):
        assert f"<h2>{heading}</h2>" in page
    for work in ("Obuchowski NA, Rockette HE", "Hautus MJ", "Krippendorff K", "Schuirmann DJ"):
        assert work in page


def test_results_for_programs_agree_with_the_analysis(written: Path, study: Study):
    tree = json.loads((written / "results.json").read_text(encoding="utf-8"))
    conclusion = study.analysis.conclusion
    assert conclusion is not None
    assert tree["pooled"]["value"] == conclusion.pooled.estimate.value
    assert tree["plan"]["margin"] == 0.1
    assert tree["verdict"].lower() == conclusion.sentence.lower()


def test_pictures_are_pictures(written: Path):
    pictures = list((written / "figures").glob("*.png"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert all(b"<svg" in path.with_suffix(".svg").read_bytes() for path in pictures)


def test_results_are_not_written_over_unasked(written: Path, study: Study):
    with pytest.raises(Exception, match="is there already"):
        write_report(study.analysis, study.key, written)


def test_nothing_but_an_earlier_analysis_is_replaced(written: Path, study: Study, tmp_path: Path):
    folder = Path(shutil.copytree(written, tmp_path / "analysis"))
    (folder / "notes.docx").write_bytes(b"a week's work")
    with pytest.raises(OutputError, match=r"holds notes\.docx, which is of no analysis"):
        write_report(study.analysis, study.key, folder, overwrite=True)
    assert (folder / "notes.docx").is_file()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "study.json").write_text("{}")
    with pytest.raises(OutputError, match="holds no earlier analysis"):
        write_report(study.analysis, study.key, tmp_path / "tree", overwrite=True)


# ---------------------------------------------------------------- the command


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, study: Study, tmp_path: Path) -> Path:
    """A study's folder on disk, with its locked key and the logs of three readers. No figures."""
    import nibabel

    folder = tmp_path / "study"
    (folder / "images").mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(study.manifest.model_dump(mode="json")), encoding="utf-8")
    for case in study.manifest.cases:
        nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), folder / case.pictures[0].file)
    write_key(study.key, folder / ENCRYPTED_KEY, PASSPHRASE)
    view = ViewState(window=100, level=50, zoom=1, pan=(0, 0), scrolls=0, changes=0)
    for log in study.logs:
        session = Session.open(folder, log.slot, log.reader, log.experience, log.years)
        for reading in log.readings:
            said = tuple(
                responses.Answer(item=answer.item, value=answer.value, mark_mm=answer.mark_mm)
                for answer in reading.answers
            )
            session.record(said, reading.response_s, view, timed_out=reading.timed_out, undone=reading.undone)
        session.end()
        session.close()
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    monkeypatch.setattr("jsddpm_core.reading_study.report.figures", lambda analysis: ())
    return folder


def run(*arguments: str):
    import typer

    from jsddpm_core.commands.study_analysis import analyse

    app = typer.Typer()
    app.command("analyse")(analyse)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_writes_beside_the_study_and_tells_the_verdict(command: Path, study: Study):
    done = run(str(command), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output.splitlines()[-1])
    assert told["event"] == "done"
    assert Path(told["report"]) == command.parent / "study-analysis" / "report.html"
    assert Path(told["report"]).is_file()
    assert told["verdict"].lower() == study.analysis.conclusion.sentence.lower()  # type: ignore[union-attr]


def test_a_second_copy_of_a_log_is_named(command: Path):
    copy = command / "responses" / "slot-01 (conflicted copy).jsonl"
    shutil.copy(command / "responses" / "slot-01.jsonl", copy)
    done = run(str(command), "--json")
    notes = [event["text"] for event in map(json.loads, done.output.splitlines()) if event["event"] == "note"]
    assert len(notes) == 1 and notes[0].startswith(f"{copy} is of no slot of this study and was left aside")


def test_results_never_replace_the_folder_that_the_study_lies_in(command: Path):
    done = run(str(command), "--out", str(command.parent), "--overwrite")
    assert isinstance(done.exception, OutputError) and "holds study, which is of no analysis" in str(done.exception)
    assert (command / "responses" / "slot-01.jsonl").is_file()


def test_results_of_a_study_that_is_still_read_are_to_be_kept_away(command: Path):
    log = command / "responses" / "slot-01.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-9]))
    assert "keep them from readers who have not finished" in run(str(command)).output


def test_results_never_go_into_the_folder_that_readers_see(command: Path):
    done = run(str(command), "--out", str(command / "analysis"))
    assert isinstance(done.exception, StudyError)
    assert "which readers see" in str(done.exception)
    assert not (command / "analysis").exists()


def test_a_missing_picture_is_named(command: Path, study: Study):
    (command / study.manifest.cases[3].pictures[0].file).unlink()
    done = run(str(command))
    assert isinstance(done.exception, StudyError)
    assert "000004.nii could not be read" in str(done.exception)


def test_a_log_of_the_session_is_taken_by_its_plain_values(study: Study):
    assert reader_log(study.logs[0]) == study.logs[0]
