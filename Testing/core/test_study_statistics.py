"""The statistics of a reading study, held against published worked examples and against other people's code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from jsddpm_core.reading_study.agreement import cohen, fleiss, krippendorff
from jsddpm_core.reading_study.detection import detection, pair_d_prime
from jsddpm_core.reading_study.equivalence import margin_of_d_prime, two_one_sided, verdict
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.localisation import afroc_area, distance_mm, lesion_points_mm, mark_ratings
from jsddpm_core.reading_study.multireader import (
    auc_figures,
    d_prime_figures,
    pooled,
    proportion_figures,
    single_modality,
    t_estimate,
)
from jsddpm_core.reading_study.proportions import clopper_pearson, exact_test, wilson
from jsddpm_core.reading_study.roc import auc, roc_points

NOTHING = float("nan")
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section D: four observers, twelve units.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NOTHING, NOTHING, NOTHING],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NOTHING, 3],
        [NOTHING, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NOTHING],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NOTHING],
    ]
)


@pytest.fixture(scope="module")
def tomography() -> tuple[np.ndarray, np.ndarray]:
    """Ratings of 58 normal and 51 abnormal scans: Hanley & McNeil 1982 (Radiology 143:29), table I."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    ratings = np.repeat([1.0, 2, 3, 4, 5] * 2, normal + abnormal)
    return ratings, np.repeat([False, True], [58, 51])


# ---------------------------------------------------------------- proportions and detection


def test_intervals_of_81_in_263_are_those_of_newcombe_1998():
    score, exact = wilson(81, 263), clopper_pearson(81, 263)
    assert (score.low, score.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert (exact.low, exact.high) == (pytest.approx(0.2527, abs=5e-5), pytest.approx(0.3676, abs=5e-5))


def test_the_exact_test_takes_a_half_answer_towards_guessing():
    assert exact_test(9, 10) == pytest.approx(22 / 1024)
    assert exact_test(8.5, 10) == exact_test(8, 10)
    assert exact_test(1.5, 10) == exact_test(2, 10)
    assert exact_test(0, 0) is None


def test_d_prime_and_criterion_are_the_formulas_of_the_corrected_rates():
    found = detection(hits=20, signals=25, false_alarms=10, others=25)
    high, low = norm.ppf(20.5 / 26), norm.ppf(10.5 / 26)
    assert found.d_prime.value == pytest.approx(high - low)
    assert found.criterion.value == pytest.approx(-(high + low) / 2)
    assert found.sensitivity.value == 0.8
    assert found.specificity.value == 0.6


def test_a_reader_without_an_error_has_a_finite_d_prime():
    found = detection(40, 40, 0, 40).d_prime
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(2 * norm.ppf(40.5 / 41))
    assert 2 < found.low < found.value < found.high < 8


def test_who_always_says_yes_has_no_d_prime_and_a_low_criterion():
    found = detection(40, 40, 40, 40)
    assert found.d_prime.value == pytest.approx(0)
    assert found.d_prime.p == pytest.approx(1)
    assert found.criterion.value is not None and found.criterion.value < -2


def test_76_percent_of_pairs_are_a_d_prime_of_one():
    """Macmillan & Creelman 2005: a proportion correct of 0.76 in two alternatives is d' = 1."""
    assert pair_d_prime(760_000, 1_000_000).value == pytest.approx(1.0, abs=0.002)
    assert pair_d_prime(0, 0).value is None


# ---------------------------------------------------------------- ROC


def test_the_area_of_hanley_and_mcneils_scans_is_0_893(tomography):
    ratings, signal = tomography
    found = auc(ratings, signal)
    assert found.value == pytest.approx(0.893, abs=5e-4)
    assert found.value == pytest.approx(roc_auc_score(signal, ratings))
    assert found.se == pytest.approx(0.032, abs=0.002)  # theirs, by their formula
    x, y, _ = roc_points(ratings, signal)
    assert np.trapezoid(y, x) == pytest.approx(found.value)


def test_delongs_variance_is_that_of_the_definition(tomography):
    ratings, signal = tomography
    wins = np.sign(ratings[signal][:, None] - ratings[~signal][None, :]) / 2 + 0.5
    variance = wins.mean(axis=1).var(ddof=1) / 51 + wins.mean(axis=0).var(ddof=1) / 58
    found = auc(ratings, signal)
    assert found.se == pytest.approx(math.sqrt(variance))
    reach = 1.959964 * found.se / (found.value * (1 - found.value))  # type: ignore[operator]
    assert found.low == pytest.approx(1 / (1 + math.exp(reach - math.log(found.value / (1 - found.value)))))  # type: ignore[operator]


@pytest.mark.parametrize(("ratings", "area"), [([1, 1, 1, 6, 6, 6], 1.0), ([6, 6, 6, 1, 1, 1], 0.0), ([3] * 6, 0.5)])
def test_an_area_without_variance_has_an_interval_all_the_same(ratings, area):
    found = auc(np.array(ratings, float), np.array([False] * 3 + [True] * 3))
    assert found.value == area
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= area <= found.high <= 1
    assert found.high - found.low > 0.3


def test_newcombes_interval_at_one_rejects_what_it_leaves_out():
    signal = np.repeat([False, True], 40)
    found = auc(np.where(signal, 6.0, 1.0), signal)
    low = found.low or 0.0
    variance = low * (1 - low) / 1600 * (1 + 39 * ((1 - low) / (2 - low) + low / (1 + low)))
    assert (1 - low) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-6)


def test_one_case_of_a_class_has_an_area_and_no_interval():
    found = auc(np.array([1.0, 2, 3]), np.array([False, False, True]))
    assert found.value == 1.0
    assert not found.has_interval


def test_many_pictures_of_one_subject_do_not_narrow_the_interval(tomography):
    ratings, signal = tomography
    once = auc(ratings, signal)
    clusters = np.repeat(np.arange(len(ratings)), 4)
    repeated = auc(np.repeat(ratings, 4), np.repeat(signal, 4), clusters)
    counted = auc(np.repeat(ratings, 4), np.repeat(signal, 4))
    assert repeated.se == pytest.approx(once.se)
    assert counted.se == pytest.approx(once.se / 2, rel=0.02)  # type: ignore[operator]


# ---------------------------------------------------------------- all readers


def test_van_dykes_numbers_are_those_of_or_dbm_2_51():
    """MRI of aortic dissection (Van Dyke 1993), five readers, one modality, as OR-DBM MRMC 2.51 prints it."""
    variance, df = single_modality(0.00308263, 0.00048396, 5)
    assert math.sqrt(variance) == pytest.approx(0.03317360, abs=5e-8)  # of inputs to six figures
    assert df == pytest.approx(12.74, abs=0.005)
    mean = (0.82522360 + 0.96885048) / 2
    found = t_estimate(mean, variance, df, 0.5, 114, "identity")
    assert found.low == pytest.approx(0.82522360, abs=2e-6)
    assert found.high == pytest.approx(0.96885048, abs=2e-6)


def readers_ratings(seed: int = 1, readers: int = 4, cases: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    signal = np.arange(cases) % 2 == 0
    latent = signal + rng.standard_normal(cases) + rng.standard_normal((readers, cases))
    return np.digitize(latent, [-1, 0, 0.5, 1, 2]) + 1.0, signal


def jackknifed(statistic, values: np.ndarray) -> np.ndarray:
    """Covariance of readers' figures by leaving one case out at a time."""
    n = values.shape[1]
    left = np.array([statistic(np.arange(n) != out) for out in range(n)])
    left -= left.mean(axis=0)
    return (n - 1) / n * left.T @ left


def test_covariances_of_areas_agree_with_the_jackknife():
    ratings, signal = readers_ratings()
    found = auc_figures(ratings, signal, np.arange(60))
    other = jackknifed(lambda keep: [roc_auc_score(signal[keep], row[keep]) for row in ratings], ratings)
    assert found.covariance == pytest.approx(other, rel=0.06, abs=1e-4)
    assert np.abs(found.covariance[0, 1:]).min() > 1e-3  # type: ignore[index]


def test_covariances_of_proportions_and_d_prime_agree_with_the_jackknife():
    ratings, signal = readers_ratings()
    called = (ratings > 3).astype(float)
    correct = np.where(signal, called, 1 - called)
    share = proportion_figures(correct, (~signal).astype(int), np.arange(60))
    assert share.values == pytest.approx(correct.mean(axis=1))
    other = jackknifed(lambda keep: correct[:, keep].mean(axis=1), correct)
    assert share.covariance == pytest.approx(other, rel=0.1, abs=3e-4)

    def d_prime(keep: np.ndarray) -> list[float]:
        yes, no = keep & signal, keep & ~signal
        found = [detection(row[yes].sum(), yes.sum(), row[no].sum(), no.sum()).d_prime.value for row in called]
        return [value or 0.0 for value in found]

    found = d_prime_figures(called, signal, np.arange(60))
    assert found.values == pytest.approx(d_prime(np.ones(60, bool)))
    assert found.covariance == pytest.approx(jackknifed(d_prime, called), rel=0.12, abs=0.01)


def test_unequal_classes_count_alike_where_leaning_would_move_the_proportion():
    signal = np.array([True] * 30 + [False] * 10)
    always_yes = np.where(signal, 1.0, 0.0)[None]
    strata = (~signal).astype(int)
    assert proportion_figures(always_yes, strata, np.arange(40)).values[0] == 0.75
    assert proportion_figures(always_yes, strata, np.arange(40), equal_weights=True).values[0] == 0.5


def test_an_answer_that_is_missing_leaves_the_other_readers_alone():
    ratings, signal = readers_ratings()
    whole = auc_figures(ratings, signal, np.arange(60))
    ratings = ratings.copy()
    ratings[0, :10] = np.nan
    part = auc_figures(ratings, signal, np.arange(60))
    assert part.values[1:] == pytest.approx(whole.values[1:])
    assert part.values[0] == pytest.approx(roc_auc_score(signal[10:], ratings[0, 10:]))
    assert part.covariance is not None and part.covariance[0, 0] > 0


def test_readers_who_agree_by_luck_are_not_taken_for_certain():
    ratings, signal = readers_ratings(readers=1)
    twice = np.vstack([ratings, np.roll(ratings.reshape(1, -1, 2), 1, axis=1).reshape(1, -1)])
    found = pooled(auc_figures(twice, signal, np.arange(60)))
    assert found.ms_readers == pytest.approx(0)
    assert found.published is not None and found.published.se is not None and found.estimate.se is not None
    fixed = math.sqrt((found.error_variance + max(found.cov2, 0.0)) / 2)  # type: ignore[operator, type-var]
    assert found.estimate.se == pytest.approx(fixed)
    alone = math.sqrt((found.error_variance + found.cov2) / 2)  # type: ignore[operator]
    assert found.these_readers.se == pytest.approx(alone)
    assert found.published.se < 0.8 * fixed


def test_one_reader_has_the_interval_of_one_reader(tomography):
    ratings, signal = tomography
    found = pooled(auc_figures(ratings[None], signal, np.arange(len(signal))))
    alone = auc(ratings, signal)
    assert (found.estimate.low, found.estimate.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    assert found.published is None


def test_readers_without_any_error_have_no_interval_rather_than_a_narrow_one():
    signal = np.arange(20) % 2 == 0
    found = pooled(auc_figures(np.where(signal, 6.0, 1.0)[None].repeat(3, axis=0), signal, np.arange(20)))
    assert found.estimate.value == 1.0
    assert not found.estimate.has_interval
    assert found.estimate.p is None


# ---------------------------------------------------------------- equivalence


def near(value: float, se: float, df: float | None = 12.0) -> Estimate:
    return t_estimate(value, se**2, df, 0.5, 80, "logit")


def test_two_one_sided_tests_reject_when_the_90_percent_interval_lies_within():
    inside, outside = (two_one_sided(near(0.52, se), 0.5, 0.1) for se in (0.03, 0.05))
    assert inside is not None and outside is not None
    assert inside.p < 0.05 and inside.interval[0] > 0.4 and inside.interval[1] < 0.6
    assert outside.p > 0.05 and outside.interval[1] > 0.6


def test_two_one_sided_tests_on_the_plain_scale_are_two_t_tests():
    """(0.52 - 0.40) / 0.04 = 3 and (0.60 - 0.52) / 0.04 = 2 on 12 degrees of freedom: tables give 0.0055 and 0.0343."""
    found = two_one_sided(near(0.52, 0.04), 0.5, 0.1, scale="identity")
    assert found is not None
    assert found.p_low == pytest.approx(0.0055, abs=1e-4)
    assert found.p_high == found.p == pytest.approx(0.0343, abs=1e-4)


def test_a_margin_of_the_area_is_one_of_d_prime():
    assert norm.cdf(margin_of_d_prime(0.1) / math.sqrt(2)) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("value", "se", "margin", "start"),
    [
        (0.51, 0.02, 0.1, "Indistinguishable within the margin"),
        (0.55, 0.015, 0.1, "Readers told the classes apart better than by guessing, but by less"),
        (0.75, 0.03, 0.1, "Readers told the classes apart better than by guessing, and not shown"),
        (0.25, 0.03, 0.1, "Readers told the classes apart worse than by guessing"),
        (0.52, 0.08, 0.1, "Undecided"),
        (0.52, 0.08, None, "No difference from guessing was shown"),
        (0.75, 0.03, None, "Readers told the classes apart better"),
    ],
)
def test_the_verdict_says_what_was_shown_and_no_more(value, se, margin, start):
    estimate = near(value, se)
    found = None if margin is None else two_one_sided(estimate, 0.5, margin)
    said = verdict("the AUC", estimate, 0.5, found, estimate.p, None if found is None else found.p, 0.05)
    assert said.startswith(start)
    if not start.startswith("Indistinguishable"):
        assert (
            "indistinguishable" not in said.replace("not evidence that the classes are indistinguishable", "").lower()
        )


def test_nothing_is_concluded_from_answers_without_spread():
    said = verdict("the AUC", Estimate(0.5), 0.5, None, None, None, 0.05)
    assert said.startswith("Nothing can be said")


@pytest.mark.parametrize(("value", "how"), [(1.0, "without an error"), (0.0, "took one for the other")])
def test_readers_who_all_tell_the_classes_apart_are_said_to(value, how):
    said = verdict("the AUC", Estimate(value), 0.5, None, None, None, 0.05)
    assert said.startswith("Readers told the classes apart") and how in said and f"{value:.3f}" in said


# ---------------------------------------------------------------- agreement


@pytest.mark.parametrize(
    ("metric", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_of_krippendorffs_own_example(metric, alpha):
    found = krippendorff(KRIPPENDORFF, metric, np.arange(12), resamples=100)
    assert found.value == pytest.approx(alpha, abs=5e-4)
    assert found.n == 11  # the twelfth unit has one observer only
    assert found.low is not None and found.high is not None and found.low < alpha < found.high


def test_fleiss_kappa_of_fourteen_raters_and_ten_subjects():
    """The worked example that goes with Fleiss' kappa in many textbooks: kappa 0.210."""
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    answers = np.array([np.repeat(np.arange(1, 6), row) for row in table], dtype=float).T
    found = fleiss(answers, 5, np.arange(10), resamples=100)
    assert found.value == pytest.approx(0.210, abs=5e-4)
    answers[0, 0] = np.nan
    assert fleiss(answers, 5, np.arange(10), resamples=100).n == 9


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohens_kappa_is_that_of_another_library(weights):
    rng = np.random.default_rng(5)
    first = rng.integers(1, 7, 40)
    second = np.clip(first + rng.integers(-1, 2, 40), 1, 6)
    found = cohen(first.astype(float), second.astype(float), 6, np.arange(40), weights, resamples=100)
    other = cohen_kappa_score(first, second, weights=None if weights == "none" else weights)
    assert found.value == pytest.approx(other)
    assert found.low is not None and found.high is not None and found.low < other < found.high


def test_one_answer_throughout_is_no_agreement_to_speak_of():
    same = np.full(10, 2.0)
    assert cohen(same, same, 6, np.arange(10), resamples=100).value is None
    assert fleiss(np.stack([same, same]), 6, np.arange(10), resamples=100).value is None
    assert krippendorff(np.stack([same, same]), "ordinal", np.arange(10), resamples=100).value is None


# ---------------------------------------------------------------- marks


def test_a_mark_hits_within_the_radius_of_the_nearest_voxel():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [-10, -20, 30]
    lesion = lesion_points_mm((6, 2, 13, 1), (4, 5, 1), affine)  # C order: voxels (1, 1), (1, 2), (2, 3)
    assert lesion.tolist() == [[-8, -17, 30], [-8, -14, 30], [-6, -11, 30]]
    assert distance_mm(np.array([-6.0, -11.0, 33.0]), lesion) == pytest.approx(3)
    with pytest.raises(ValueError, match="leave the array"):
        lesion_points_mm((19, 2), (4, 5, 1), affine)


def test_hits_misses_and_false_marks_enter_the_curve_as_they_should():
    signal = np.array([True, True, True, False, False, True])
    ratings = np.array([6.0, 5, 4, 5, 2, NOTHING])
    distances = np.array([3.0, 30.0, NOTHING, math.inf, NOTHING, NOTHING])
    marked = mark_ratings(ratings, distances, signal, 10)
    assert marked[:5].tolist() == [6, 0, 0, 5, 0]
    assert math.isnan(marked[5])
    # A hit above both, two misses tied with the unmarked case and below the false mark: (2 + 0.5 + 0.5) / 6.
    assert afroc_area(marked, signal, np.arange(6), resamples=100).value == pytest.approx(0.5)


def test_marks_that_all_hit_have_an_area_of_one_and_none_at_all_a_half():
    signal = np.arange(20) % 2 == 0
    assert afroc_area(np.where(signal, 5.0, 0.0), signal, np.arange(20), resamples=100).value == 1
    nothing = afroc_area(np.zeros(20), signal, np.arange(20), resamples=100)
    assert (nothing.value, nothing.low, nothing.high) == (0.5, 0.5, 0.5)
