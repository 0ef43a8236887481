"""What each reader achieved by themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jsddpm_core.reading_study.detection import Detection, detection, pair_d_prime
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.proportions import clopper_pearson, exact_test, wilson
from jsddpm_core.reading_study.readings import ItemReadings
from jsddpm_core.reading_study.roc import auc


@dataclass(frozen=True)
class ReaderResult:
    """One reader's answers to one item, the first time each case was shown.

    Attributes:
        reader: label.
        answered: cases that count.
        timed_out: how many of the cases shown ran out of time.
        correct: right answers; halves where the plan counts one so.
        exact: proportion correct with the Clopper-Pearson interval, and p of the exact test against guessing; no p
            where one class has more answers than the other, since a leaning alone would then move the proportion.
        score: the same proportion with the Wilson interval.
        detection: sensitivity, specificity, d', criterion; of pairs, d' only.
        area: under the empirical ROC curve; of a forced choice, under its one point; of pairs, none.
    """

    reader: str
    answered: int
    timed_out: int
    correct: float
    exact: Estimate
    score: Estimate
    detection: Detection
    area: Estimate


def reader_result(item: ItemReadings, row: int, level: float = 0.95) -> ReaderResult:
    """Works out one reader's results.

    Args:
        item: a question with a right answer.
        row: which reader.
        level: of the intervals.
    """
    known = ~np.isnan(item.counted[row])
    correct, called = item.correct[row], item.called[row]
    right, n = float(np.nansum(correct)), int(known.sum())
    signals, others = int((known & item.signal).sum()), int((known & ~item.signal).sum())
    pairs = item.item.kind == "pair"
    exact = clopper_pearson(right, n, level)
    # Which side of a pair is real is drawn by lot, so that a leaning to one side is right no more often than by chance.
    if pairs or signals == others:
        exact = replace(exact, p=exact_test(right, n))
    if pairs:
        none = Estimate(None)
        found, area = Detection(none, none, pair_d_prime(right, n, level), none), none
    else:
        found = detection(
            float(np.nansum(called[item.signal])), signals, float(np.nansum(called[~item.signal])), others, level
        )
        area = auc(item.counted[row], item.signal, item.clusters, level)
    return ReaderResult(
        item.readers[row], n, int(item.timed_out[row].sum()), right, exact, wilson(right, n, level), found, area
    )
