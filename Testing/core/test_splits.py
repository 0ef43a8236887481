"""Who is trained on and who is kept for the test: always whole people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from jsddpm_core.config import DataConfig
from jsddpm_core.data.cases import Case, discover
from jsddpm_core.data.entries import given_splits, kinds_of
from jsddpm_core.data.split import Kind, assign_splits, draw_splits, read_split_file
from jsddpm_core.errors import CaseError
from jsddpm_core.training.request import CaseEntry

DATA = DataConfig(test_share=0.2, validation_share=0.1)


def people(count: int, dataset: str = "d", mask: bool = True, **row: str) -> list[Case]:
    return [
        Case(
            name=f"{dataset}/sub-{number:03d}",
            subject=f"{dataset}/sub-{number:03d}",
            dataset=dataset,
            image=Path("image.nii.gz"),
            mask=Path("mask.nii.gz") if mask else None,
            row=row,
        )
        for number in range(count)
    ]


def counts(splits: dict[str, str], dataset: str = "d") -> Counter:
    return Counter(split for subject, split in splits.items() if subject.startswith(f"{dataset}/"))


def test_shares_hold_within_each_dataset_and_with_or_without_mask() -> None:
    cases = people(50, "a") + people(20, "b") + people(10, "c", mask=False)
    splits = assign_splits(cases, DATA, seed=0)
    assert counts(splits, "a") == {"train": 35, "validation": 5, "test": 10}
    assert counts(splits, "b") == {"train": 14, "validation": 2, "test": 4}
    assert counts(splits, "c") == {"train": 7, "validation": 1, "test": 2}


def test_the_sessions_of_a_person_stay_together() -> None:
    once = people(12)
    twice = [Case(f"{case.name}_ses-2", case.subject, "d", case.image, case.mask) for case in once]
    assert assign_splits(once + twice, DATA, seed=3) == assign_splits(once, DATA, seed=3)


def test_the_seed_decides_and_nothing_else_does() -> None:
    cases = people(40)
    assert assign_splits(cases, DATA, seed=1) == assign_splits(list(reversed(cases)), DATA, seed=1)
    assert assign_splits(cases, DATA, seed=1) != assign_splits(cases, DATA, seed=2)


def test_one_more_person_does_not_reshuffle_the_others() -> None:
    before, after = (assign_splits(people(count), DATA, seed=1) for count in (40, 41))
    assert sum(before[subject] != after[subject] for subject in before) <= 3


def test_few_people_give_one_to_the_test_and_keep_two_for_training() -> None:
    assert counts(assign_splits(people(4), DATA, seed=0)) == {"train": 3, "test": 1}
    assert counts(assign_splits(people(2), DATA, seed=0)) == {"train": 2}
    assert counts(assign_splits(people(6), DATA, seed=0)) == {"train": 4, "validation": 1, "test": 1}


def test_the_split_column_is_kept() -> None:
    cases = people(3, split="val") + people(5, "e", split="n/a")
    splits = assign_splits(cases, DATA, seed=0)
    assert counts(splits) == {"validation": 3}
    assert counts(splits, "e")["train"] >= 3


def test_a_split_file_goes_before_everything(tmp_path: Path) -> None:
    table = tmp_path / "splits.tsv"
    table.write_text("subject\tsplit\nsub-001\ttest\nd/sub-002\tvalidation\n", encoding="utf-8")
    splits = assign_splits(people(3, split="train"), DATA, seed=0, given=read_split_file(table))
    assert [splits[f"d/sub-00{n}"] for n in range(3)] == ["train", "test", "validation"]


def test_unknown_splits_and_subjects_are_named(tmp_path: Path) -> None:
    table = tmp_path / "splits.tsv"
    table.write_text("subject\tsplit\nsub-001\ttraning\n", encoding="utf-8")
    with pytest.raises(CaseError, match="unknown split 'traning': did you mean 'train'"):
        read_split_file(table)
    with pytest.raises(CaseError, match="names 'sub-01', which is no subject here: did you mean 'sub-00"):
        assign_splits(people(3), DATA, seed=0, given={"sub-01": "test"})
    table.write_text("who\twhere\na\tb\n", encoding="utf-8")
    with pytest.raises(CaseError, match="needs the columns 'subject' and 'split'"):
        read_split_file(table)
    with pytest.raises(CaseError, match=r"absent\.tsv could not be read"):
        read_split_file(tmp_path / "absent.tsv")


def test_the_real_split_tests_on_an_annotated_person_of_each_disease(shared_data: Path) -> None:
    cases = discover(shared_data / "soop-axial") + discover(shared_data / "ms-volumes")
    splits = assign_splits(cases, DataConfig(), seed=0)
    assert counts(splits, "soop-axial") == {"train": 637, "validation": 60, "test": 139}
    annotated = Counter(splits[case.subject] for case in cases if case.mask and case.dataset == "ms-volumes")
    assert annotated == {"train": 5, "test": 1}
    assert splits["ms-volumes/sub-mls18"] == "test"


# ---------------------------------------------------------------- by pathology and lesion size


def kinds(count: int, stratum: str = "lesion fcd", first: int = 0) -> dict[str, Kind]:
    """Subjects whose lesions grow with their number."""
    return {f"d/sub-{first + n:03d}": Kind(("d", stratum), float(n + 1)) for n in range(count)}


def thirds(splits: dict[str, str], split: str, count: int) -> Counter:
    return Counter(3 * int(name[-3:]) // count for name, said in splits.items() if said == split)


@pytest.mark.parametrize(
    ("count", "test", "validation"), [(2, 0, 0), (3, 1, 0), (5, 1, 1), (10, 2, 1), (30, 4, 3), (100, 15, 10)]
)
def test_few_subjects_of_a_pathology_are_split_as_the_page_says(count: int, test: int, validation: int) -> None:
    for seed in range(5):
        splits = Counter(draw_splits(kinds(count), DataConfig(), seed).values())
        assert (splits["test"], splits["validation"]) == (test, validation)


def test_small_medium_and_large_lesions_are_all_tested_on() -> None:
    for seed in range(20):
        splits = draw_splits(kinds(30), DataConfig(), seed)
        assert set(thirds(splits, "test", 30)) == {0, 1, 2}
        assert set(thirds(splits, "validation", 30)) == {0, 1, 2}
        ten = draw_splits(kinds(10), DataConfig(), seed)
        held = [n for n in ten if ten[n] != "train"]
        assert {0 if int(n[-3:]) < 4 else 1 if int(n[-3:]) < 7 else 2 for n in held} == {0, 1, 2}


def test_each_pathology_has_its_share_of_the_test() -> None:
    both = kinds(20, "lesion fcd") | kinds(20, "lesion ms", first=20) | kinds(10, "free", first=40)
    splits = draw_splits(both, DataConfig(), seed=4)
    tested = Counter(int(name[-3:]) // 20 for name, split in splits.items() if split == "test")
    assert tested == {0: 3, 1: 3, 2: 2}


def test_without_sizes_the_draw_is_the_one_of_before() -> None:
    cases = people(40)
    plain = {case.subject: Kind(("d", "masked")) for case in cases}
    even = {case.subject: Kind(("d", "masked"), 2.5) for case in cases}
    assert draw_splits(plain, DATA, 3) == draw_splits(even, DATA, 3) == assign_splits(cases, DATA, 3)


def test_the_order_of_the_subjects_does_not_matter() -> None:
    forward = kinds(30)
    backward = dict(reversed(forward.items()))
    assert draw_splits(forward, DATA, 1) == draw_splits(backward, DATA, 1)
    assert draw_splits(forward, DATA, 1) != draw_splits(forward, DATA, 2)


def an_entry(name: str, subject: str | None = None, **more: object) -> CaseEntry:
    known = {"pathology": "fcd", "mask": Path("/mask.nii.gz")} | more
    return CaseEntry(name=name, subject=subject or name, dataset="d", image=Path("/image.nii.gz"), **known)


def test_a_person_counts_with_the_largest_lesion_of_all_sessions() -> None:
    sessions = [an_entry("d/a_ses-1", "d/a"), an_entry("d/a_ses-2", "d/a"), an_entry("d/b"), an_entry("d/c")]
    found = kinds_of(sessions, {"d/a_ses-1": 0.0, "d/a_ses-2": 7.0, "d/b": 1.0, "d/c": 2.0})
    assert found["d/a"] == Kind(("d", "lesion fcd"), 7.0)


def test_kinds_with_too_few_people_for_a_test_are_drawn_together() -> None:
    entries = [an_entry("d/a"), an_entry("d/b", pathology="ms"), an_entry("d/c", mask=None, lesion_free=True)]
    found = kinds_of(entries, {"d/a": 1.0, "d/b": 2.0, "d/c": 0.0})
    assert {kind.stratum for kind in found.values()} == {("d", "few")}
    assert Counter(draw_splits(found, DATA, 0).values()) == {"train": 2, "test": 1}


def test_a_split_in_the_table_is_kept() -> None:
    assert given_splits([an_entry("d/a", split="test"), an_entry("d/b")]) == {"d/a": "test"}
    with pytest.raises(CaseError, match="'d/a' is to go to test and to train"):
        given_splits([an_entry("d/a_1", "d/a", split="test"), an_entry("d/a_2", "d/a", split="train")])
