"""From a request to a study's folder: balanced, unblinding nobody, whole or not there, and checked."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from generation_fixtures import write_small_bundle
from phantom import make_phantom
from study_fixtures import PASSPHRASE, SECRET, design_of, write_real_cache, write_sources

from jsddpm_core.bundle import read_bundle
from jsddpm_core.cli import run
from jsddpm_core.errors import OutputError, StudyError
from jsddpm_core.progress import Progress
from jsddpm_core.reading_study.check import check_study
from jsddpm_core.reading_study.design import parse_design
from jsddpm_core.reading_study.key import ENCRYPTED_KEY, read_key
from jsddpm_core.reading_study.make import StudyReport, make_study
from jsddpm_core.reading_study.manifest import MANIFEST, NOTICE, AnswerKey, StudyManifest, read_manifest
from jsddpm_core.reading_study.pool import Candidate, Wanted, choose_real, choose_synthetic, quotas
from jsddpm_core.reading_study.real_pool import real_candidates

Sources = tuple[Path, list[Path]]
COUNT = 8


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """24 people, 24 results."""
    return write_sources(tmp_path_factory.mktemp("sources"), 6)


@pytest.fixture(scope="module")
def made(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> StudyReport:
    """A study of 8 cases an arm with everything that a request can ask for; do not write into its folder."""
    design = design_of(*sources, COUNT, training=4, repeats=0.25, slots=3, matched=True, display={"mask_overlay": True})
    out = tmp_path_factory.mktemp("study") / "study"
    return make_study(design, out, passphrase=PASSPHRASE, secret=SECRET)


@pytest.fixture(scope="module")
def manifest(made: StudyReport) -> StudyManifest:
    return read_manifest(made.folder)


@pytest.fixture(scope="module")
def key(made: StudyReport) -> AnswerKey:
    return read_key(made.key, PASSPHRASE)


def test_both_arms_have_equal_numbers_at_equal_positions(made: StudyReport, key: AnswerKey) -> None:
    kinds = Counter((truth.arm, truth.pathology) for truth in key.cases.values())
    assert set(kinds.values()) == {COUNT // 2}
    assert len(kinds) == 4
    assert made.farthest_mm == 0
    rows = {(row.arm, row.pathology): row for row in made.balance}
    assert rows["real", "infarct"].mean_mm == pytest.approx(rows["synthetic", "infarct"].mean_mm)
    assert (rows["real", "infarct"].lesional, rows["synthetic", "none"].lesional) == (1, 0)


def test_matched_cases_share_a_label_a_pathology_and_a_position(key: AnswerKey) -> None:
    labels: dict[str | None, list[Any]] = {}
    for truth in key.cases.values():
        labels.setdefault(truth.pair, []).append(truth)
    assert None not in labels
    for one, two in labels.values():
        assert {one.arm, two.arm} == {"real", "synthetic"}
        assert one.pathology == two.pathology
        assert abs(one.position_mm - two.position_mm) <= 5


def test_no_person_is_shown_twice_training_included(made: StudyReport, key: AnswerKey) -> None:
    training = read_key(made.folder / "training_key.json")
    people = [truth.subject for truth in (*key.cases.values(), *training.cases.values()) if truth.arm == "real"]
    assert len(set(people)) == len(people) == COUNT + 2
    assert all(truth.subject is None for truth in key.cases.values() if truth.arm == "synthetic")


def test_the_open_folder_says_nothing_of_arms(made: StudyReport, manifest: StudyManifest, key: AnswerKey) -> None:
    text = (made.folder / MANIFEST).read_text(encoding="utf-8")
    assert not any(word in text for word in ("infarct", 'none"', "pair-", "scans", "sub-", "sample", "gone"))
    assert text.count("synthetic") == 1  # the notice
    assert manifest.notice == NOTICE
    training = (made.folder / "training_key.json").read_text(encoding="utf-8")
    assert not any(word in training for word in ("scans", "sub-", "gone", key.order_secret or "-"))
    names = sorted(path.name for path in made.folder.rglob("*") if path.is_file())
    images = [f"{number:06d}{kind}.nii" for number in range(1, 2 * COUNT + 5) for kind in ("-mask", "")]
    assert names == sorted([*images, MANIFEST, "training_key.json", ENCRYPTED_KEY])


def test_all_files_of_a_kind_are_alike_but_for_their_voxels(made: StudyReport) -> None:
    for kind in ("[0-9].nii", "-mask.nii"):
        files = sorted((made.folder / "images").glob(f"*{kind}"))
        assert len(files) == 2 * COUNT + 4
        assert len({file.stat().st_size for file in files}) == 1
        assert len({file.stat().st_mtime_ns for file in files}) == 1
        assert len({file.read_bytes()[:352] for file in files}) == 1


def test_the_key_tells_where_the_lesion_is(made: StudyReport, manifest: StudyManifest, key: AnswerKey) -> None:
    for case in manifest.cases:
        truth, picture = key.cases[case.name], case.pictures[0]
        mask = np.asarray(nibabel.load(made.folder / str(picture.mask)).dataobj)
        again = np.zeros(mask.size, dtype=bool)
        for start, length in zip(truth.lesion_voxels[::2], truth.lesion_voxels[1::2], strict=True):
            again[start : start + length] = True
        assert np.array_equal(again.reshape(mask.shape), mask > 0)
        assert truth.lesion == bool(mask.any()) == (truth.pathology == "infarct")


def test_two_studies_of_one_request_have_nothing_in_common(sources: Sources, tmp_path: Path) -> None:
    design = design_of(*sources, 4, slots=1)
    studies = []
    for name in ("one", "two"):
        make_study(design, tmp_path / name, key_file=tmp_path / f"{name}.json")
        studies.append(read_manifest(tmp_path / name))
    assert studies[0].study != studies[1].study
    digests = [{picture.sha256 for case in study.cases for picture in case.pictures} for study in studies]
    assert not digests[0] & digests[1]


def test_what_follows_from_a_secret_is_made_again(sources: Sources, made: StudyReport, tmp_path: Path) -> None:
    design = design_of(*sources, COUNT, training=4, repeats=0.25, slots=3, matched=True, display={"mask_overlay": True})
    again = make_study(design, tmp_path / "again", key_file=tmp_path / "key.json", secret=SECRET)
    assert again.digest == made.digest


def test_two_side_by_side_are_of_both_arms(sources: Sources, tmp_path: Path) -> None:
    design = design_of(*sources, 8, items=[{"kind": "pair"}], training=2, slots=2)
    make_study(design, tmp_path / "study", key_file=tmp_path / "key.json")
    manifest, key = read_manifest(tmp_path / "study"), read_key(tmp_path / "key.json")
    assert all(len(case.pictures) == 2 for case in (*manifest.cases, *manifest.training))
    assert Counter(truth.arm for truth in key.cases.values()) == {"real": 4, "synthetic": 4}
    assert all(truth.pair and truth.subject for truth in key.cases.values())
    assert [f.text for f in check_study(tmp_path / "study", tmp_path / "key.json") if f.level == "problem"] == []


def test_a_made_study_is_found_to_be_right(made: StudyReport, tmp_path: Path) -> None:
    copied = shutil.copytree(made.folder, tmp_path / "elsewhere")  # another machine
    findings = check_study(copied, copied / ENCRYPTED_KEY, PASSPHRASE)
    assert [finding.text for finding in findings if finding.level == "problem"] == []
    assert any("3 slots follow from the secret" in finding.text for finding in findings)
    assert any("without the key" in finding.text for finding in check_study(copied))


def change_a_picture(folder: Path) -> None:
    file = folder / "images" / "000003.nii"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut_a_mask(folder: Path) -> None:
    file = folder / "images" / "000001-mask.nii"
    file.write_bytes(file.read_bytes()[:400])


def lose_a_picture(folder: Path) -> None:
    (folder / "images" / "000002.nii").unlink()


def add_a_picture(folder: Path) -> None:
    shutil.copy(folder / "images" / "000002.nii", folder / "images" / "000099.nii")


def take_another_training_key(folder: Path) -> None:
    file = folder / "training_key.json"
    tree = json.loads(file.read_text())
    file.write_text(json.dumps({**tree, "digest": "0" * 64}))


def give_the_secret_away(folder: Path) -> None:
    file = folder / "training_key.json"
    tree = json.loads(file.read_text())
    file.write_text(json.dumps({**tree, "order_secret": "0" * 64}))


def add_a_log_of_one_digit(folder: Path) -> None:
    (folder / "responses" / "slot-1.jsonl").write_bytes(b"")


def add_a_log_of_no_number(folder: Path) -> None:
    (folder / "responses" / "slot-\u00b2.jsonl").write_bytes(b"")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (change_a_picture, "images/000003.nii was changed or copied in part"),
        (cut_a_mask, "images/000001-mask.nii was changed or copied in part"),
        (lose_a_picture, "images/000002.nii could not be read"),
        (add_a_picture, "images/000099.nii is not named in the manifest"),
        (take_another_training_key, "the training key belongs to another version"),
        (give_the_secret_away, "holds the secret of the orders"),
        (add_a_log_of_one_digit, "responses/slot-1.jsonl is of no slot of this study"),
        (add_a_log_of_no_number, "responses/slot-\u00b2.jsonl is of no slot of this study"),
    ],
)
def test_a_fault_in_the_folder_is_named(made: StudyReport, tmp_path: Path, fault: Any, sentence: str) -> None:
    folder = shutil.copytree(made.folder, tmp_path / "study")
    fault(folder)
    problems = [finding.text for finding in check_study(folder) if finding.level == "problem"]
    assert len(problems) == 1
    assert sentence in problems[0]


def test_what_a_file_browser_left_is_noted_and_no_problem(made: StudyReport, tmp_path: Path) -> None:
    folder = shutil.copytree(made.folder, tmp_path / "study")
    for name in (".DS_Store", "._000001.nii", "Thumbs.db"):
        (folder / "images" / name).write_bytes(b"x")
    found = check_study(folder)
    assert not [finding for finding in found if finding.level == "problem"]
    notes = [finding.text for finding in found if finding.level == "note"]
    assert "images/.DS_Store is not named in the manifest" in notes


def test_a_key_of_another_study_is_named(sources: Sources, made: StudyReport, tmp_path: Path) -> None:
    make_study(design_of(*sources, 4, slots=1), tmp_path / "other", key_file=tmp_path / "key.json")
    problems = [f.text for f in check_study(made.folder, tmp_path / "key.json") if f.level == "problem"]
    assert problems == ["the key belongs to another study", "the key is not of the cases that count and of no others"]


@pytest.mark.parametrize("stage", ["writing pictures"])
def test_nothing_stays_of_a_study_that_was_stopped(sources: Sources, tmp_path: Path, stage: str) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == stage and progress.done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_study(design_of(*sources, 4), tmp_path / "study", key_file=tmp_path / "key.json", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        make_study(design_of(*sources, 4), tmp_path / "study", passphrase=PASSPHRASE)
    assert (tmp_path / "study" / "mine.txt").read_text() == "mine"


def test_the_key_is_never_left_where_readers_are(sources: Sources, tmp_path: Path) -> None:
    design, out = design_of(*sources, 4), tmp_path / "study"
    for wishes, sentence in (
        ({"key_file": out / "key.json"}, "would lie in the study's folder"),
        ({"key_file": tmp_path / "gone" / "key.json"}, "is not there: make it first"),
        ({}, "either a passphrase or a file"),
        ({"key_file": tmp_path / "k", "passphrase": PASSPHRASE}, "either a passphrase or a file"),
        ({"passphrase": "short"}, "at least 8"),
    ):
        with pytest.raises(StudyError, match=sentence):
            make_study(design, out, **wishes)
    assert list(tmp_path.iterdir()) == []


def test_too_few_people_are_told_with_their_numbers(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="12 with 'none' for 15, 12 with 'infarct' for 15"):
        make_study(design_of(*sources, 30), tmp_path / "study", passphrase=PASSPHRASE)


def test_too_few_results_are_told_with_their_numbers(sources: Sources, tmp_path: Path) -> None:
    cache, results = sources
    with pytest.raises(StudyError, match="within 2 mm of the real ones: 6 with 'none' for 8, 6 with 'infarct' for 8"):
        make_study(
            design_of(cache, results[::2], 16, matched=True, tolerance_mm=2),
            tmp_path / "study",
            passphrase=PASSPHRASE,
        )


def test_a_question_for_lesions_needs_cases_without(sources: Sources, tmp_path: Path) -> None:
    design = design_of(*sources, 4, items=[{"kind": "lesion"}], pathologies=["infarct"])
    with pytest.raises(StudyError, match="all cases of 'infarct' show one: add lesion-free cases"):
        make_study(design, tmp_path / "study", passphrase=PASSPHRASE)
    assert list(tmp_path.iterdir()) == []


def test_people_of_another_split_are_not_shown(sources: Sources, tmp_path: Path) -> None:
    write_real_cache(tmp_path / "cache", 8, split="train")
    with pytest.raises(StudyError, match="no real slice of test shows none or infarct"):
        make_study(design_of(tmp_path / "cache", sources[1], 4), tmp_path / "study", passphrase=PASSPHRASE)


def test_one_person_under_two_names_is_shown_once(sources: Sources, tmp_path: Path) -> None:
    write_real_cache(tmp_path / "cache", 8)
    images = np.load(tmp_path / "cache" / "images.npy", mmap_mode="r+")
    images[4] = images[0]  # both without a lesion
    images.flush()
    design = design_of(tmp_path / "cache", sources[1], 6)
    report = make_study(design, tmp_path / "study", key_file=tmp_path / "key.json")
    shown = {truth.source["case"] for truth in read_key(tmp_path / "key.json").cases.values() if truth.subject}
    assert len(shown) == 6 and "scans/sub-0004" not in shown
    assert "1 people were left out because a slice of theirs is a copy of somebody else's." in report.notes


@pytest.mark.parametrize(("value", "said"), [(-1.0, "a slice shows no brain"), (np.nan, "values that are no numbers")])
def test_a_slice_that_cannot_be_shown_is_named(sources: Sources, tmp_path: Path, value: float, said: str) -> None:
    write_real_cache(tmp_path / "cache", 8)
    images = np.load(tmp_path / "cache" / "images.npy", mmap_mode="r+")
    images[4] = value
    images.flush()
    with pytest.raises(StudyError, match=f"slice 80 of scans/sub-0004: .*{said}.*leave it out"):
        make_study(design_of(tmp_path / "cache", sources[1], 8), tmp_path / "study", passphrase=PASSPHRASE)


def test_people_whom_the_model_learned_from_are_left_out(
    sources: Sources, a_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jsddpm_core.data.slices import SliceCache
    from jsddpm_core.data.subjects import subject_digests
    from jsddpm_core.reading_study import synthetic_pool

    bundle = read_bundle(a_bundle)
    cache = SliceCache.open(sources[0])
    learned = write_real_cache(tmp_path / "learned", 4, split="train")  # the first four people, as the model saw them
    training = bundle.manifest.training.model_copy(update={"subject_digests": subject_digests(learned, "ab" * 8)})
    knowing = replace(bundle, manifest=bundle.manifest.model_copy(update={"training": training}))
    monkeypatch.setattr(synthetic_pool, "bundle_of", lambda _design, _sidecars: knowing)
    report = make_study(design_of(*sources, 20), tmp_path / "study", key_file=tmp_path / "key.json")
    shown = {truth.source["case"] for truth in read_key(tmp_path / "key.json").cases.values() if truth.subject}
    assert shown == {record.subject for record in cache.records} - {f"scans/sub-{n:04d}" for n in range(4)}
    assert report.notes == ("4 people were left out because the model 'small' learned from them.",)


def test_positions_are_spread_and_results_taken_where_they_lie_nearest() -> None:
    def candidate(subject: str | None, position: float) -> Candidate:
        return Candidate("ms", True, position, subject, lambda: (np.zeros(1), np.zeros(1)))

    numbers = np.random.default_rng(0)
    people = [candidate(f"s{n}", float(z)) for n in range(8) for z in (-15, 5, 25, 45)]
    wanted = quotas(8, 0, ["ms"])
    chosen = [people[index] for index in choose_real(wanted, people, numbers)]
    assert len({one.subject for one in chosen}) == 8
    assert Counter(one.position_mm for one in chosen) == {-15.0: 2, 5.0: 2, 25.0: 2, 45.0: 2}
    results = [candidate(None, z) for z in (44.0, 6.0, -15.0, 26.0, 90.0)]
    places = [Wanted("ms", False, z) for z in (-15.0, 5.0, 25.0, 45.0)]
    near = choose_synthetic(places, results, 2.0, numbers)
    assert [results[index].position_mm for index in near] == [-15.0, 6.0, 26.0, 44.0]


def test_the_command_line_makes_and_checks_a_study(
    sources: Sources, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, results = sources
    request, out = tmp_path / "request.yaml", tmp_path / "study"
    tree = {
        "title": "A", "items": [{"kind": "real"}], "pathologies": ["none", "infarct"], "slots": 1,
        "real": {"count": 4, "cache": str(cache)},
        "synthetic": {"count": 4, "results": [str(folder) for folder in results]},
    }  # fmt: skip
    request.write_text(json.dumps(tree))
    (tmp_path / "words").write_text(PASSPHRASE + "\n")
    words = ["--passphrase-file", str(tmp_path / "words")]
    assert run(["study", "new", str(request), "--out", str(out), *words, "--json"]) == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (done["event"], done["folder"], len(done["balance"])) == ("done", str(out), 4)
    monkeypatch.setenv("JSDDPM_STUDY_PASSPHRASE", PASSPHRASE)
    assert run(["study", "check", str(out), "--key", str(out / ENCRYPTED_KEY)]) == 0
    assert "Nothing is wrong." in capsys.readouterr().out
    monkeypatch.setenv("JSDDPM_STUDY_PASSPHRASE", "another phrase")
    assert run(["study", "check", str(out), "--key", str(out / ENCRYPTED_KEY)]) == 2
    assert "the passphrase does not open" in capsys.readouterr().err
    lose_a_picture(out)
    assert run(["study", "check", str(out), "--json"]) == 2
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (said[-1]["event"], said[-1]["problems"]) == ("done", 1)
    monkeypatch.delenv("JSDDPM_STUDY_PASSPHRASE")
    assert run(["study", "new", str(request), "--out", str(tmp_path / "two")]) == 2
    assert "the key's passphrase was not given" in capsys.readouterr().err


@pytest.fixture(scope="module")
def a_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights: what it draws is all lesion, so it can be asked for lesions only."""
    return write_small_bundle(tmp_path_factory.mktemp("model") / "bundle", "data.grid.shape=[64,64,160]").folder


def scans(folder: Path) -> Path:
    """Three people, one of them learned from."""
    lines = ["participant_id\tsplit"]
    for number, split in enumerate(("train", "test", "test"), start=1):
        make_phantom(seed=number, spacing_mm=(2.5, 2.5, 2.5)).write(folder, f"sub-{number}")
        lines.append(f"sub-{number}\t{split}")
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_folder_of_cases_and_a_model_are_enough(a_bundle: Path, tmp_path: Path) -> None:
    tree = {
        "title": "A", "items": [{"kind": "real"}], "pathologies": ["infarct"], "slots": 1, "matched": True,
        "real": {"count": 2, "folder": str(scans(tmp_path / "scans")), "lesions": "infarct"},
        "synthetic": {"count": 2, "model": str(a_bundle), "threads": 1, "device": "cpu"},
    }  # fmt: skip
    stages: list[str] = []
    report = make_study(
        parse_design(tree),
        tmp_path / "study",
        key_file=tmp_path / "key.json",
        on_progress=lambda progress: stages.append(progress.stage),
    )
    key = read_key(tmp_path / "key.json")
    shown = {truth.source["case"] for truth in key.cases.values() if truth.arm == "real"}
    assert shown == {"scans/sub-2", "scans/sub-3"}
    assert {truth.position_mm for truth in key.cases.values()} <= {18.0, 19.25, 16.75}
    assert report.farthest_mm == 0
    assert list(dict.fromkeys(stages)) == ["preparing real cases", "drawing synthetic cases", "writing pictures"]
    assert "does not say whom it learned from" in report.notes[0]
    assert not (tmp_path / "study" / "work").exists()


def test_cases_of_a_list_are_shown_with_and_without_lesions(a_bundle: Path, tmp_path: Path) -> None:
    scans(tmp_path / "scans")
    people = [
        {
            "name": f"scene/{number}", "subject": f"scene/{number}", "dataset": "scene", "pathology": "infarct",
            "image": str(anat / f"sub-{number}_FLAIR.nii.gz"), "lesion_free": number == 1,
            "mask": None if number == 1 else str(anat / f"sub-{number}_FLAIR_roi.nii.gz"),
        }
        for number in (1, 2) for anat in [tmp_path / "scans" / f"sub-{number}" / "anat"]
    ]  # fmt: skip
    design = parse_design(
        {
            "title": "A", "items": [{"kind": "lesion"}], "pathologies": ["none", "infarct"],
            "real": {"count": 2, "cases": people}, "synthetic": {"count": 2, "model": str(a_bundle)},
        }
    )  # fmt: skip
    lesional = design.model_copy(update={"pathologies": ("infarct",)})
    with pytest.raises(StudyError, match="add lesion-free cases"):
        make_study(lesional, tmp_path / "study", passphrase=PASSPHRASE, on_progress=lambda _: pytest.fail("too late"))
    found, _, _ = real_candidates(design, read_bundle(a_bundle).manifest, tmp_path / "work")
    assert {one.pathology for one in found if one.subject == "scene/1"} == {"none"}
    assert {one.pathology for one in found if one.subject == "scene/2"} >= {"infarct"}
    assert all(one.lesional == (one.pathology == "infarct") for one in found)


def test_a_model_that_does_not_deliver_is_told(a_bundle: Path, sources: Sources, tmp_path: Path) -> None:
    tree = {
        "title": "A", "items": [{"kind": "real"}], "pathologies": ["none"], "slots": 1,
        "real": {"count": 2, "cache": str(sources[0])},
        "synthetic": {"count": 2, "model": str(a_bundle), "threads": 1, "attempts": 2, "device": "cpu"},
    }  # fmt: skip
    with pytest.raises(StudyError, match="made no slice of 'none' at z = .* that is as asked, in 2 draws"):
        make_study(parse_design(tree), tmp_path / "study", passphrase=PASSPHRASE)
    assert list(tmp_path.iterdir()) == []
