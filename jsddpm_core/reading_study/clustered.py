"""Covariances of readers' statistics over cases that come in clusters: the pictures of one subject.

A statistic is a sum over classes of cases (with the signal, without) of means of components, one a case. DeLong's
covariance of areas and the binomial variance of proportions are both of this kind; Obuchowski (1997) gives the form for
clusters, of which the plain one is the case of one picture a subject.
"""

from __future__ import annotations

import numpy as np


def clustered_covariance(
    components: np.ndarray, strata: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray | None:
    """Covariance between readers of `sum over strata s of weights[j, s] * mean over cases of s of components[j]`.

    With one case a cluster and weights of 1 it is DeLong's; with several it is Obuchowski's (Biometrics 53:567, 1997),
    who also lets a cluster have cases in both strata.

    Args:
        components: `(R, N)` of R readers and N cases; NaN where a reader has no answer.
        strata: `(N,)` numbers from 0.
        clusters: `(N,)` numbers from 0.
        weights: `(R, S)`; None for 1.

    Returns:
        `(R, R)`; None where some reader has answers in fewer than two clusters of a stratum, since nothing is known
        about the spread then.
    """
    readers, groups = len(components), int(clusters.max()) + 1
    known = ~np.isnan(components)
    sums, present = [], []
    for number in range(int(strata.max()) + 1):
        of = known & (strata == number)
        counts = of.sum(axis=1, keepdims=True)
        if (counts == 0).any():
            return None
        filled = np.where(of, components, 0.0)
        share = np.where(of, filled - filled.sum(axis=1, keepdims=True) / counts, 0.0) / counts
        if weights is not None:
            share *= weights[:, number, None]
        total, seen = np.zeros((readers, groups)), np.zeros((readers, groups))
        for reader in range(readers):
            total[reader] = np.bincount(clusters, share[reader], groups)
            seen[reader] = np.bincount(clusters, of[reader], groups) > 0
        if (seen.sum(axis=1) < 2).any():
            return None
        sums.append(total)
        present.append(seen > 0)
    covariance = np.zeros((readers, readers))
    for a, first in enumerate(sums):
        for b, second in enumerate(sums):
            number = (present[a] if a == b else present[a] | present[b]).sum(axis=1)
            factor = np.sqrt(number / (number - 1))
            covariance += factor[:, None] * (first @ second.T) * factor
    return (covariance + covariance.T) / 2
