"""Which slices are asked for, and what they are held against."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from evaluation_fixtures import write_evaluation_cache

from jsddpm_core.data.slices import SliceCache, SliceCacheWriter
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.plan import can_be_asked, held_out, make_plan, other_real_set, reference_set
from jsddpm_core.evaluation.unseen import counted_as_training


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> SliceCache:
    return write_evaluation_cache(tmp_path_factory.mktemp("cache") / "slices", subjects=32)


def test_requests_stand_evenly_at_the_positions_of_test_slices(cache):
    plan = make_plan(cache, [("infarct", None)], 20)
    rows = [request.reference for request in plan.requests]
    assert {cache.records[row].split for row in rows} == {"test"}
    assert {cache.records[row].pathology for row in rows} == {"infarct"}
    assert all(cache.records[request.reference].position_mm == request.position_mm for request in plan.requests)
    counts = Counter(rows).values()
    assert max(counts) - min(counts) <= 1
    reference = reference_set(cache, plan.of("infarct"))
    assert reference.weights.sum() == 20
    assert len(reference) == len(set(rows))


def test_every_request_has_a_noise_of_its_own(cache):
    plan = make_plan(cache, [("infarct", None), ("none", None)], 7)
    assert sorted(request.sample for request in plan.requests) == list(range(14))
    assert len({request.name for request in plan.requests}) == 14


def test_positions_outside_the_models_range_are_not_asked_for(cache):
    plan = make_plan(cache, [("infarct", (18.0, 19.0))], 6)
    assert {request.position_mm for request in plan.requests} == {18.25}


def test_a_pathology_that_nobody_has_is_named(cache):
    with pytest.raises(MeasureError, match="'tumour'"):
        make_plan(cache, [("tumour", None)], 3)
    with pytest.raises(MeasureError, match="'infarct'"):
        make_plan(cache, [("infarct", (60.0, 70.0))], 3)


def test_with_one_held_out_subject_all_subjects_take_turns_and_the_held_out_one_is_told_apart(cache):
    plan = make_plan(cache, [("ms", None)], 16)
    owners = Counter(cache.records[request.reference].subject for request in plan.requests)
    assert owners == {f"rare/sub-{n:02d}": 4 for n in range(4)}
    unseen = held_out(cache, plan.requests)
    assert {cache.records[request.reference].subject for request in unseen} == {"rare/sub-03"}


def test_real_against_real_is_of_other_subjects_at_the_same_positions(cache):
    plan = make_plan(cache, [("none", None)], 12)
    reference, other = reference_set(cache, plan.requests), other_real_set(cache, plan.requests)
    assert other is not None
    assert not set(other.groups) & set(reference.groups)
    assert other.weights.sum() == 12
    for position in np.unique(reference.positions_mm):
        asked = reference.weights[reference.positions_mm == position].sum()
        assert other.weights[other.positions_mm == position].sum() == asked


def test_without_another_subject_there_is_no_real_against_real(cache):
    plan = make_plan(cache, [("ms", None)], 16)
    assert other_real_set(cache, plan.requests) is None


def test_the_same_seed_gives_the_same_plan(cache):
    ranges = [("infarct", None), ("ms", None)]
    assert make_plan(cache, ranges, 9, seed=3) == make_plan(cache, ranges, 9, seed=3)
    assert make_plan(cache, ranges, 9, seed=3) != make_plan(cache, ranges, 9, seed=4)


def test_what_a_model_drew_stands_for_no_real_slice(cache, tmp_path):
    drawn = [row for row, record in enumerate(cache.records) if record.subject in ("set/sub-06", "set/sub-07")]
    with SliceCacheWriter(tmp_path / "cache", cache.grid) as writer:
        for row, record in enumerate(cache.records):
            entry = replace(record, synthetic=row in drawn)
            writer.add(entry, cache.images[row], cache.masks[row])
        marked = writer.finish("test")
    plan = make_plan(marked, [("infarct", None), ("none", None)], 40)
    assert not {request.reference for request in plan.requests} & set(drawn)


def test_only_what_real_slices_show_in_range_can_be_asked_for(cache):
    assert can_be_asked(cache, "ms", None)
    assert can_be_asked(cache, "infarct", (18.0, 19.0))
    assert not can_be_asked(cache, "infarct", (60.0, 70.0))
    assert not can_be_asked(cache, "tumour", None)


def test_people_who_count_as_training_are_not_asked_about(cache):
    test = {record.subject for record in cache.records if record.split == "test" and record.pathology == "infarct"}
    first = sorted(test)[0]
    moved = counted_as_training(cache, {first})
    plan = make_plan(moved, [("infarct", None)], 20)
    assert first not in {moved.records[request.reference].subject for request in plan.requests}
    assert {record.split for record in moved.records if record.subject == first} == {"train"}
    assert first in {
        cache.records[request.reference].subject for request in make_plan(cache, [("infarct", None)], 20).requests
    }
