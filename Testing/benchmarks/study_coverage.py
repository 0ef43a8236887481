"""How often the intervals of a reading study's analysis hold the truth, by simulated readers.

    make study-coverage, or study_coverage.py [--studies 1000] [--out FILE]

Three questions: does one reader's d' and rating-scale area lie in its 95 % interval as often as that says (1,000
studies a condition; for d' all outcomes besides, by enumeration); does the mean area of several readers; and how often
does a test of readers who guess, on average, reject: by Obuchowski-Rockette, and by a binomial test of all answers.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import binom, binomtest

from jsddpm_core.reading_study.detection import detection
from jsddpm_core.reading_study.manifest import CaseTruth, RealItem
from jsddpm_core.reading_study.multireader import auc_figures, pooled
from jsddpm_core.reading_study.reader_results import reader_result
from jsddpm_core.reading_study.readings import ItemReadings
from jsddpm_core.reading_study.simulated_reader import simulated_ratings, true_auc

RESULTS = Path(__file__).parent / "results" / "study_coverage.json"
D_PRIMES = (0.0, 0.5, 1.0, 1.5, 2.0)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def readings_of(ratings: np.ndarray, signal: np.ndarray) -> ItemReadings:
    """A study's answers `(R, N)` to "real or synthetic" as the analysis takes them, one picture a subject."""
    truths = tuple(
        CaseTruth(arm="synthetic" if s else "real", pathology="ms", position_mm=0.0, lesion=True) for s in signal
    )
    values = ratings.astype(float)
    nothing = np.full(values.shape, np.nan)
    return ItemReadings(
        RealItem(),
        tuple(f"reader-{row + 1}" for row in range(len(values))),
        tuple(f"case-{number:04d}" for number in range(len(signal))),
        truths,
        signal,
        np.arange(len(signal)),
        values,
        values,
        np.zeros(values.shape, bool),
        np.ones(values.shape),
        np.full((*values.shape, 3), np.nan),
        nothing,
    )


def one_reader(
    studies: int, cases: int, d_prime: float, lapse: float, seed: int, criterion: float = 0.0
) -> dict[str, Any]:
    """Coverage of one reader's d' and area, `cases` an arm."""
    rng = np.random.default_rng(seed)
    signal = np.arange(2 * cases) < cases
    of = np.full((studies, 1), d_prime), np.full((studies, 1), criterion)
    ratings = simulated_ratings(rng, signal, *of, lapse=lapse)
    area = true_auc(d_prime, criterion, lapse)
    held = {"d_prime": 0, "auc": 0}
    for study in ratings:
        result = reader_result(readings_of(study, signal), 0)
        held["d_prime"] += result.detection.d_prime.covers(d_prime)
        held["auc"] += result.area.covers(area)
    return {
        "cases_an_arm": cases,
        "d_prime": d_prime,
        "criterion": criterion,
        "lapse": lapse,
        "true_auc": area,
        "studies": studies,
        "coverage_d_prime": held["d_prime"] / studies,
        "coverage_auc": held["auc"] / studies,
    }


def exact_coverage(cases: int, d_prime: float, criterion: float) -> float:
    """Coverage of the d' interval, summed over all outcomes of `cases` an arm: nothing is left to chance."""
    counts = np.arange(cases + 1)
    hits = binom.pmf(counts, cases, ndtr(d_prime / 2 - criterion))
    alarms = binom.pmf(counts, cases, ndtr(-d_prime / 2 - criterion))
    low, high = _d_prime_intervals(cases)
    return float(hits @ ((low <= d_prime) & (d_prime <= high)) @ alarms)


@cache
def _d_prime_intervals(cases: int) -> np.ndarray:
    """Both ends for every number of hits and of false alarms: `(2, cases + 1, cases + 1)`."""
    found = [[detection(h, cases, f, cases).d_prime for f in range(cases + 1)] for h in range(cases + 1)]
    return np.array([[[d.low for d in row] for row in found], [[d.high for d in row] for row in found]])


def mean_auc(d_prime: float, d_spread: float, criterion_spread: float) -> float:
    """The mean rating-scale area over the population of readers, by Gauss-Hermite quadrature."""
    return float(
        sum(
            a * b * true_auc(d_prime + d_spread * x, criterion_spread * y)
            for x, a in zip(NODES, WEIGHTS, strict=True)
            for y, b in zip(NODES, WEIGHTS, strict=True)
        )
    )


def several_readers(
    studies: int, cases: int, readers: int, d_prime: float, d_spread: float, case_share: float, seed: int
) -> dict[str, Any]:
    """Coverage of the mean area over readers, and, where they guess on average, how often tests reject."""
    rng = np.random.default_rng(seed)
    signal = np.arange(2 * cases) < cases
    criterion_spread = 0.3
    d_primes = d_prime + d_spread * rng.standard_normal((studies, readers))
    criteria = criterion_spread * rng.standard_normal((studies, readers))
    ratings = simulated_ratings(rng, signal, d_primes, criteria, case_share=case_share)
    truth = mean_auc(d_prime, d_spread, criterion_spread)
    held = published = rejected = rejected_published = binomial = 0
    for study in ratings:
        whole = pooled(auc_figures(study.astype(float), signal, np.arange(2 * cases)))
        found, plain = whole.estimate, whole.published
        held += found.covers(truth)
        rejected += found.p is not None and found.p < 0.05
        if plain is not None:
            published += plain.covers(truth)
            rejected_published += plain.p is not None and plain.p < 0.05
        right = int(((study > 3) == signal).sum())
        binomial += d_prime == 0 and binomtest(right, study.size, 0.5).pvalue < 0.05
    row: dict[str, Any] = {
        "cases_an_arm": cases,
        "readers": readers,
        "mean_d_prime": d_prime,
        "sd_d_prime": d_spread,
        "case_share": case_share,
        "true_auc": truth,
        "studies": studies,
        "coverage_auc": held / studies,
        "coverage_auc_published_form": published / studies,
    }
    if d_prime == 0:
        row |= {
            "rejects": rejected / studies,
            "rejects_published_form": rejected_published / studies,
            "rejects_pooled_binomial": binomial / studies,
        }
    return row


def measure(studies: int) -> dict[str, Any]:
    """All conditions."""
    seeds = iter(range(10_000))
    return {
        "level": 0.95,
        "monte_carlo_se": math.sqrt(0.95 * 0.05 / studies),
        "asked": {
            "range": [0.93, 0.97],
            "one_reader": [one_reader(studies, 40, d, 0.0, next(seeds)) for d in D_PRIMES],
        },
        "d_prime_by_enumeration": [
            {"cases_an_arm": cases, "criterion": c, "d_prime": d, "coverage": round(exact_coverage(cases, d, c), 4)}
            for cases in (40, 20)
            for c in (0.0, 0.5)
            for d in D_PRIMES
        ],
        "one_reader_elsewhere": [
            one_reader(studies, cases, d, lapse, next(seeds), criterion)
            for cases, lapse, criterion in ((20, 0.0, 0.0), (40, 0.1, 0.0), (20, 0.1, 0.0), (40, 0.0, 0.5))
            for d in D_PRIMES
        ],
        "several_readers": [
            several_readers(studies, 40, readers, d, spread, share, next(seeds))
            for spread, share in ((0.0, 0.3), (0.3, 0.3))
            for readers in (2, 5, 10)
            for d in D_PRIMES
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=1000, help="a condition")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    start = time.perf_counter()
    found = measure(arguments.studies)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found["asked"]["one_reader"] + found["one_reader_elsewhere"] + found["several_readers"]:
        print(", ".join(f"{key} {value:.4g}" for key, value in row.items() if key != "studies"))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
