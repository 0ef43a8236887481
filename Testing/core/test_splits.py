"""Who is trained on and who is kept for the test: always whole people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from jsddpm_core.config import DataConfig
from jsddpm_core.data.cases import Case, discover
from jsddpm_core.data.split import assign_splits, read_split_file
from jsddpm_core.errors import CaseError

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
