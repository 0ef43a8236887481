"""Orders of readers' slots: what they keep to, whatever the seed, and that they tell nobody what comes next."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.order import (
    Limits,
    Trial,
    arm_sequence,
    broken_limits,
    feasible_run,
    foreknowledge,
    longest_run,
    slot_order,
)
from jsddpm_core.reading_study.stimuli import stream


def trials(of_each: int, pathologies: int = 2, paired: bool = True) -> list[Trial]:
    return [
        Trial(f"case-{2 * pair + side + 1:04d}", arm, f"p{pair % pathologies}", f"pair-{pair:04d}" if paired else None)
        for pair in range(of_each)
        for side, arm in enumerate(("real", "synthetic"))
    ]


def test_an_order_keeps_all_limits_whatever_the_seed() -> None:
    cases = trials(20)
    of_name = {trial.name: trial for trial in cases}
    repeated = [trial.name for trial in cases[:8]]
    for seed in range(60):
        order, limits = slot_order(cases, repeated, np.random.default_rng(seed))
        assert broken_limits(order, of_name, limits) == []
        assert limits == Limits(arm_run=3, pathology_run=3, repeat_gap=16, pair_gap=9)
        assert Counter(order) == Counter([*of_name, *repeated])


def test_what_an_order_breaks_is_named() -> None:
    cases = [Trial(f"case-{n:04d}", "real" if n < 4 else "synthetic", "p", "pair-1" if n in (3, 4) else None)
             for n in range(8)]  # fmt: skip
    order = [trial.name for trial in cases] + ["case-0007"]
    said = broken_limits(order, {trial.name: trial for trial in cases}, Limits(3, 3, 3, 2))
    assert len(said) == 4
    assert any("one arm" in text for text in said)
    assert any("pathology" in text for text in said)
    assert any("case-0007 is repeated after 1" in text for text in said)
    assert any("match" in text for text in said)


def test_the_same_slot_of_the_same_study_has_the_same_order_and_another_slot_another() -> None:
    cases = trials(12)
    order = [slot_order(cases, [], stream(b"secret", "order", "a" * 32, slot))[0] for slot in (1, 1, 2)]
    assert order[0] == order[1] != order[2]
    assert slot_order(cases, [], stream(b"other", "order", "a" * 32, 1))[0] != order[0]


def test_every_sequence_of_arms_that_is_allowed_is_as_likely() -> None:
    allowed = {arms for arms in set(permutations((0, 0, 0, 0, 1, 1, 1, 1))) if longest_run([str(a) for a in arms]) <= 3}
    numbers = np.random.default_rng(0)
    drawn = Counter(tuple(arm_sequence((4, 4), 3, numbers)) for _ in range(100 * len(allowed)))
    assert set(drawn) == allowed
    chi_square = sum((count - 100) ** 2 / 100 for count in drawn.values())
    assert chi_square < 100  # 99.9 % of a chi-square with 61 degrees of freedom lie below


def test_no_place_in_the_list_favours_an_arm() -> None:
    """What a reader knows who is told nothing of earlier cases: each place is as often real as synthetic."""
    cases = trials(10)
    arm = {trial.name: trial.arm == "real" for trial in cases}
    real = np.array([[arm[name] for name in slot_order(cases, [], np.random.default_rng(s))[0]] for s in range(800)])
    deviation = np.abs(real.mean(axis=0) - 0.5) / (0.5 / np.sqrt(800))
    assert deviation.max() < 3.5


def test_a_guesser_who_was_told_all_earlier_arms_gains_little_by_the_limit_on_runs() -> None:
    with_limit = foreknowledge((20, 20), runs=400)
    without = foreknowledge((20, 20), 40, runs=400)
    assert 0.55 < without < 0.62 < with_limit < 0.68


def test_arms_of_unequal_size_get_the_shortest_run_that_can_be_had() -> None:
    assert feasible_run((20, 20)) == 3
    assert feasible_run((20, 2)) == 7
    assert longest_run([str(arm) for arm in arm_sequence((20, 2), 7, np.random.default_rng(0))]) <= 7
    with pytest.raises(StudyError, match="cannot be ordered"):
        arm_sequence((20, 2), 3, np.random.default_rng(0))


def test_every_case_may_be_repeated_once_and_no_case_twice() -> None:
    cases = trials(6, paired=False)
    order, limits = slot_order(cases, [trial.name for trial in cases], np.random.default_rng(0))
    assert broken_limits(order, {trial.name: trial for trial in cases}, limits) == []
    assert limits.repeat_gap == 8
    with pytest.raises(StudyError, match="more than once"):
        slot_order(cases, [cases[0].name] * 2, np.random.default_rng(0))
