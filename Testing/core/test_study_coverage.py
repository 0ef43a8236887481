"""Whether intervals hold the truth as often as they say: a short form of the benchmark, and simulated readers."""

from __future__ import annotations

import numpy as np
import pytest
from analysis_fixtures import a_key, a_manifest
from scipy.special import ndtr
from scipy.stats import binom, binomtest

from jsddpm_core.reading_study.detection import detection
from jsddpm_core.reading_study.family import conclude
from jsddpm_core.reading_study.manifest import AnalysisPlan, LesionItem, PairItem, RealItem
from jsddpm_core.reading_study.multireader import auc_figures, pooled
from jsddpm_core.reading_study.roc import auc
from jsddpm_core.reading_study.sample_size import (
    ReaderModel,
    answers_needed,
    cases_needed,
    expected,
    proportion_power,
    proportion_width,
)
from jsddpm_core.reading_study.simulated_reader import (
    SimulatedReader,
    Trait,
    category_probabilities,
    simulated_ratings,
    true_auc,
)

SIGNAL = np.arange(80) < 40


def test_the_d_prime_interval_covers_93_to_97_percent_at_40_and_40_cases():
    """Every outcome weighed by its probability: this is no simulation."""
    counts = np.arange(41)
    ends = np.array([[(d.low, d.high) for d in (detection(h, 40, f, 40).d_prime for f in counts)] for h in counts])
    for d_prime in (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2):
        for criterion in (0, 0.25, 0.5):
            hits = binom.pmf(counts, 40, ndtr(d_prime / 2 - criterion))
            alarms = binom.pmf(counts, 40, ndtr(-d_prime / 2 - criterion))
            covered = hits @ ((ends[..., 0] <= d_prime) & (d_prime <= ends[..., 1])) @ alarms
            assert 0.93 <= covered <= 0.97, (d_prime, criterion)


@pytest.mark.parametrize("d_prime", [0.0, 1.0, 2.0])
def test_the_area_of_ratings_lies_in_its_interval_as_often_as_it_says(d_prime):
    studies = 250
    of = np.full((studies, 1), d_prime), np.zeros((studies, 1))
    ratings = simulated_ratings(np.random.default_rng(7), SIGNAL, *of).astype(float)
    held = sum(auc(study[0], SIGNAL).covers(true_auc(d_prime)) for study in ratings)
    assert 0.91 <= held / studies <= 0.985


def test_readers_who_guess_are_not_told_apart_from_it_where_a_pooled_binomial_test_would():
    rng, studies = np.random.default_rng(3), 200
    d_primes = 0.3 * rng.standard_normal((studies, 8))
    ratings = simulated_ratings(rng, SIGNAL, d_primes, np.zeros((studies, 8)), case_share=0.3)
    rejected = wrongly = 0
    for study in ratings:
        p = pooled(auc_figures(study.astype(float), SIGNAL, np.arange(80))).estimate.p
        rejected += p is not None and p < 0.05
        wrongly += binomtest(int(((study > 3) == SIGNAL).sum()), study.size).pvalue < 0.05
    assert rejected / studies <= 0.09
    assert wrongly / studies >= 0.15


def test_the_true_area_of_six_categories_is_below_the_latent_one():
    assert true_auc(0) == pytest.approx(0.5)
    assert 0.9 < true_auc(2) < ndtr(2 / np.sqrt(2))
    for probabilities in category_probabilities(1.3, 0.4, 0.1):
        assert probabilities.sum() == pytest.approx(1)


# ---------------------------------------------------------------- the simulated reader


def answers(trait: Trait, items, cases: int = 300, reader: int = 1, occasion: int = 0) -> tuple[np.ndarray, np.ndarray]:
    manifest = a_manifest(items, cases, 1)
    key, simulated = a_key(manifest), SimulatedReader(trait, reader, seed=4)
    given = [
        simulated.respond(items, name, truth, occasion=occasion).answers[0].value for name, truth in key.cases.items()
    ]
    return np.array(given), np.array([truth.arm == "synthetic" for truth in key.cases.values()])


def test_a_simulated_reader_has_the_d_prime_and_the_criterion_that_were_asked_for():
    given, synthetic = answers(Trait(1.5, criterion=0.3), (RealItem(),), 800)
    called = given > 3
    found = detection(called[synthetic].sum(), 400, called[~synthetic].sum(), 400)
    assert found.d_prime.covers(1.5)
    assert found.criterion.covers(0.3)
    assert found.d_prime.value == pytest.approx(1.5, abs=0.3)


def test_a_simulated_reader_tells_pairs_apart_as_theory_has_it():
    given, left_is_synthetic = answers(Trait(1.0), (PairItem(),), 500)
    right = (given == 2) == left_is_synthetic
    assert right.mean() == pytest.approx(ndtr(1 / np.sqrt(2)), abs=0.055)


def test_lapses_are_answers_about_nothing():
    given, synthetic = answers(Trait(3.0, lapse=1.0), (RealItem(scale="forced"),))
    assert (given[synthetic] == 2).mean() == pytest.approx(0.5, abs=0.1)


def test_answers_depend_on_seed_reader_case_and_occasion_only():
    first, _ = answers(Trait(1.0), (RealItem(),), 60)
    assert (answers(Trait(1.0), (RealItem(),), 60)[0] == first).all()
    again = answers(Trait(1.0), (RealItem(),), 60, occasion=1)[0]
    other = answers(Trait(1.0), (RealItem(),), 60, reader=2)[0]
    assert (again != first).any() and (other != first).any()
    assert np.corrcoef(first, again)[0, 1] > np.corrcoef(first, other)[0, 1] > 0


def test_time_runs_out_and_marks_go_with_lesions():
    manifest = a_manifest((LesionItem(),), 40, 1)
    reader = SimulatedReader(Trait(1.0, lesion_d_prime=3.0, localised=1.0))
    lesion = np.array([[10.0, 20.0, 30.0]])
    extent = {"low": (-80.0, -80.0, 30.0), "high": (80.0, 80.0, 30.0)}
    for name, truth in a_key(manifest).cases.items():
        late = reader.respond(manifest.items, name, truth, time_limit_s=0.01)
        assert late.timed_out and late.response_s == 0.01 and late.answers[0].value is None
        shown = lesion if truth.lesion else lesion[:0]
        answer = reader.respond(manifest.items, name, truth, lesion_mm=shown, extent_mm=extent).answers[0]
        assert answer.value is not None and (answer.mark_mm is not None) == (answer.value >= 4)
        if truth.lesion and answer.mark_mm is not None:
            assert np.linalg.norm(np.array(answer.mark_mm) - lesion[0]) < 6


# ---------------------------------------------------------------- sample size


def test_the_power_of_the_exact_test_is_that_of_counting_outcomes():
    rejecting = [k for k in range(31) if binomtest(k, 30).pvalue < 0.05]
    assert proportion_power(30, 0.7) == pytest.approx(binom.pmf(rejecting, 30, 0.7).sum())
    needed = answers_needed(0.65)
    assert needed is not None
    assert proportion_power(needed, 0.65) >= 0.8 > proportion_power(needed - 1, 0.65)
    assert answers_needed(0.501) is None
    assert proportion_width(100) < proportion_width(50)


def test_expected_width_and_power_come_true_in_simulated_studies():
    """Five readers whose areas scatter by 0.05 around 0.65, 40 + 40 cases."""
    rng, studies = np.random.default_rng(11), 200
    plan = expected(40, 5, ReaderModel(0.65, 0.05, 0.3))
    # An area of ratings of 0.65 is a d' of 0.567, and 0.05 of it a standard deviation of 0.195.
    d_primes = 0.567 + 0.195 * rng.standard_normal((studies, 5))
    ratings = simulated_ratings(rng, SIGNAL, d_primes, np.zeros((studies, 5)), case_share=0.3).astype(float)
    found = [pooled(auc_figures(study, SIGNAL, np.arange(80))).estimate for study in ratings]
    power = np.mean([estimate.p is not None and estimate.p < 0.05 for estimate in found])
    width = np.median([(e.high or 0) - (e.low or 0) for e in found])
    assert power == pytest.approx(plan.power_difference, abs=0.09)
    assert width == pytest.approx(plan.width, rel=0.12)
    assert any("0.65" in sentence for sentence in plan.assumptions)


def test_the_power_of_equivalence_is_that_of_the_plan_as_it_is_frozen():
    """Eight readers who guess, 80 + 80 cases, difference and equivalence corrected by Holm's method."""
    rng, studies, signal = np.random.default_rng(12), 150, np.arange(160) % 2 == 1
    d_primes = 0.05 / 0.2821 * rng.standard_normal((studies, 8))  # the slope of the area at a d' of 0
    ratings = simulated_ratings(rng, signal, d_primes, np.zeros((studies, 8)), case_share=0.3).astype(float)
    shown = 0
    for study in ratings:
        found = pooled(auc_figures(study, signal, np.arange(160)))
        shown += conclude(AnalysisPlan(), "auc", found, (), ()).tests[1].rejects
    planned = expected(80, 8, tests=len(AnalysisPlan().family)).power_equivalence
    assert shown / studies == pytest.approx(planned, abs=0.09)


def test_the_smallest_study_is_the_smallest():
    found = cases_needed(5, width=0.2)
    assert found is not None and found.width <= 0.2
    assert expected(found.cases_an_arm - 1, 5).width > 0.2
    equivalent = cases_needed(6, power=0.8, equivalence=True)
    assert equivalent is not None and (equivalent.power_equivalence or 0) >= 0.8


def test_readers_who_differ_leave_an_interval_that_no_case_narrows():
    assert cases_needed(2, ReaderModel(reader_sd=0.1), width=0.1) is None
