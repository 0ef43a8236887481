"""Intervals, the kernel distance, lesion shares, and the report that holds them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_fixtures import brain_images, image_set
from scipy import stats

from jsddpm_core.evaluation.background import level_of
from jsddpm_core.evaluation.kid import KernelDistance, kernel_distance, shared_levels
from jsddpm_core.evaluation.lesions import (
    area_comparison,
    areas_mm2,
    contrasts,
    lesion_contrast,
    share_with_lesion,
    wilson,
)
from jsddpm_core.evaluation.measure import Measure, MeasureError, Target
from jsddpm_core.evaluation.report import Report, Row
from jsddpm_core.evaluation.resampling import bootstrap, weighted_mean, weighted_quantile


def names(prefix: str, count: int) -> np.ndarray:
    return np.array([f"{prefix}-{i}" for i in range(count)])


def interval_of_mean(values, groups):
    found = bootstrap(lambda w: weighted_mean(values, w), [(groups, np.ones(len(values)))])
    assert found is not None
    return found


def test_repeated_slices_of_a_subject_do_not_narrow_the_interval():
    once = np.random.default_rng(0).standard_normal(20)
    repeated = np.repeat(once, 10)
    by_subject = interval_of_mean(repeated, np.repeat(names("sub", 20), 10))
    by_slice = interval_of_mean(repeated, names("slice", 200))
    subjects_only = interval_of_mean(once, names("sub", 20))
    width = by_subject[1] - by_subject[0]
    assert width > 2.5 * (by_slice[1] - by_slice[0])
    assert width == pytest.approx(subjects_only[1] - subjects_only[0], rel=0.1)


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(120):
        values = rng.standard_normal(40)
        low, high = bootstrap(lambda w, v=values: weighted_mean(v, w), [(names("s", 40), np.ones(40))], resamples=300)  # type: ignore[misc]
        hits += low < 0 < high
    assert 0.88 <= hits / 120 <= 0.99


def test_one_subject_gives_no_interval():
    assert bootstrap(lambda w: 0.0, [(np.array(["a", "a"]), np.ones(2))]) is None


def test_a_subject_in_two_sets_is_drawn_with_itself():
    values = np.random.default_rng(2).standard_normal(30)
    groups = names("sub", 30)
    low, high = bootstrap(
        lambda w, v: weighted_mean(values, w) - weighted_mean(values, v), [(groups, np.ones(30)), (groups, np.ones(30))]
    )  # type: ignore[misc]
    assert low == pytest.approx(0, abs=1e-12)
    assert high == pytest.approx(0, abs=1e-12)


def test_weights_count_like_repetitions():
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_mean(values, np.array([1.0, 2.0, 1.0])) == pytest.approx(1.75)
    assert weighted_quantile(values, np.array([1.0, 2.0, 1.0]), 0.5) == 1.0
    assert weighted_quantile(values, np.array([2.0, 1.0, 1.0]), 0.5) == 2.0


def test_kid_of_one_distribution_is_zero_on_average_and_not_always_positive():
    rng = np.random.default_rng(3)
    found = [
        KernelDistance(rng.standard_normal((30, 16)), rng.standard_normal((40, 16)), names("x", 30), names("y", 40))(
            np.ones(30), np.ones(40)
        )
        for _ in range(150)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(150)
    assert min(found) < 0 < max(found)


def test_kid_is_the_textbook_sum_over_pairs():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    within_x = np.mean([k(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    within_y = np.mean([k(y[i], y[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([k(a, b) for a in x for b in y])
    measure = kernel_distance(x, y, names("x", 5), names("y", 4))
    assert measure.value == pytest.approx(within_x + within_y - 2 * across)


def test_kid_leaves_out_pairs_of_one_subject_so_repeated_slices_change_nothing():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((12, 8)), rng.standard_normal((15, 8))
    once = kernel_distance(x, y, names("x", 12), names("y", 15))
    twice = kernel_distance(np.repeat(x, 2, axis=0), y, np.repeat(names("x", 12), 2), names("y", 15))
    assert twice.value == pytest.approx(once.value)


def test_kid_sees_a_shift_and_its_interval_excludes_zero():
    rng = np.random.default_rng(6)
    measure = kernel_distance(
        rng.standard_normal((80, 8)) + 0.8, rng.standard_normal((80, 8)), names("x", 80), names("y", 80)
    )
    assert measure.interval is not None
    assert measure.interval[0] > 0


def test_kid_refuses_integer_features():
    with pytest.raises(MeasureError, match="uint8"):
        kernel_distance(np.ones((3, 4), np.uint8), np.ones((3, 4)), names("x", 3), names("y", 3))


def lesion_masks(areas_px: list[int]) -> np.ndarray:
    masks = np.zeros((len(areas_px), 64, 64), dtype=bool)
    for mask, area in zip(masks, areas_px, strict=True):
        rows, rest = divmod(area, 20)
        mask[20 : 20 + rows, 20:40] = True
        mask[20 + rows, 20 : 20 + rest] = True
    return masks


def test_lesion_areas_are_in_square_millimetres():
    np.testing.assert_allclose(areas_mm2(lesion_masks([0, 16, 100]), 1.25), [0, 25, 156.25])


def test_a_lesion_counts_from_20_mm2_on():
    masks = lesion_masks([0, 12, 13, 50])  # 0, 18.75, 20.3 and 78 mm2
    images = image_set(brain_images(4), masks=masks)
    assert share_with_lesion(images, 1.25, wanted=True).value == 0.5
    assert share_with_lesion(images, 1.25, wanted=False).value == 0.5


def test_the_share_of_independent_draws_has_wilsons_interval():
    expected = stats.binomtest(9, 10).proportion_ci(method="wilson")
    assert wilson(9, 10) == pytest.approx((expected.low, expected.high))
    images = image_set(brain_images(10), masks=lesion_masks([50] * 9 + [0]))
    assert share_with_lesion(images, 1.25, wanted=True).interval == pytest.approx((expected.low, expected.high))


def test_lesion_areas_of_one_size_and_spread_are_told_from_larger_and_wider_ones():
    small = image_set(brain_images(10), masks=lesion_masks([20 + i for i in range(10)]))
    large = image_set(brain_images(10), masks=lesion_masks([200 + 10 * i for i in range(10)]), prefix="real")
    chance, spread = area_comparison(small, small, 1.25)
    assert (chance.value, spread.value) == (0.5, 1)
    chance, spread = area_comparison(large, small, 1.25)
    assert chance.value == 1
    logs = [np.log([200 + 10 * i for i in range(10)]).std(), np.log([20 + i for i in range(10)]).std()]
    assert spread.value == pytest.approx(logs[0] / logs[1])


def test_without_two_lesions_there_is_no_comparison_of_areas():
    images = image_set(brain_images(3), masks=lesion_masks([50, 0, 0]))
    assert area_comparison(images, images, 1.25) == []


def test_kid_is_measured_at_levels_that_enough_subjects_share():
    positions = np.array([18.0] * 10 + [30.0] * 10)
    assert shared_levels(positions, np.array([f"s{i}" for i in range(10)] + ["s0"] * 10)) == {level_of(18.0)}
    assert shared_levels(positions[:9], names("s", 9)) == set()


def test_a_mask_over_unchanged_tissue_has_no_contrast():
    images = np.full((2, 64, 64), 0.2, dtype=np.float32)
    masks = lesion_masks([100, 100])
    images[1, masks[1]] += 0.5
    np.testing.assert_allclose(contrasts(images, masks), [0, 0.5], atol=1e-6)
    assert lesion_contrast(image_set(images), 1.25) is None


def test_a_target_says_by_how_much_a_value_falls_short():
    target = Target(at_least=0.85, at_most=1.15)
    assert target.reached(1.0)
    assert not target.reached(0.35)
    assert target.shortfall(0.35) == pytest.approx(0.5)
    assert target.shortfall(1.25) == pytest.approx(0.1)
    assert target.shortfall(1.0) == 0


def test_the_report_shows_real_beside_synthetic_and_the_shortfall(tmp_path):
    ours = Measure("wavelet ratio", 0.35, (0.3, 0.4), 200, 100, "1")
    real = Measure("wavelet ratio", 1.02, (0.9, 1.1), 200, 70, "1")
    report = Report({"model": "demo"}, ["A note."], [Row("infarct", ours, real, Target(at_least=0.85, at_most=1.15))])
    path, table = report.write(tmp_path / "new" / "quality.json")
    text = table.read_text(encoding="utf-8")
    assert "0.35 (0.3 to 0.4)" in text
    assert "1.02 (0.9 to 1.1)" in text
    assert "no, by 0.5" in text
    assert "- A note." in text
    row = json.loads(path.read_text(encoding="utf-8"))["rows"][0]
    assert row["reached"] is False
    assert row["real"]["value"] == 1.02
    assert row["synthetic"]["interval_95"] == [0.3, 0.4]
    assert not list(tmp_path.rglob("*.partial"))
