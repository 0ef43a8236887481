"""The tests that the plan names, corrected for their number, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from statsmodels.stats.multitest import multipletests

from jsddpm_core.reading_study.equivalence import Equivalence, margin_of_d_prime, two_one_sided, verdict
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.manifest import AnalysisPlan
from jsddpm_core.reading_study.multireader import Pooled
from jsddpm_core.reading_study.pooled_results import Endpoint, Group
from jsddpm_core.reading_study.reader_results import ReaderResult

SAID = {"auc": "the AUC", "accuracy": "the proportion correct", "d-prime": "d'"}


@dataclass(frozen=True)
class Test:
    """One test of the frozen family.

    Attributes:
        kind: as the plan names it.
        name: what is tested.
        estimate: that it rests on.
        p: of the test; None where it could not be made.
        adjusted: p corrected for the family; of a test that could not be made, 1.
        rejects: whether it is below the plan's alpha.
    """

    kind: str
    name: str
    estimate: Estimate
    p: float | None
    adjusted: float
    rejects: bool


@dataclass(frozen=True)
class Conclusion:
    """What the study was made for.

    Attributes:
        endpoint: the primary one, as it was worked out.
        pooled: over all readers.
        equivalence: None where the plan has no margin, or nothing can be said.
        tests: the frozen family.
        sentence: the verdict.
    """

    endpoint: Endpoint
    pooled: Pooled
    equivalence: Equivalence | None
    tests: tuple[Test, ...]
    sentence: str


def conclude(
    plan: AnalysisPlan,
    endpoint: Endpoint,
    pooled: Pooled,
    groups: Sequence[Group],
    readers: Sequence[ReaderResult],
    lacking: str = "",
) -> Conclusion:
    """Makes the tests of the plan's family and corrects them together.

    Args:
        plan: frozen.
        endpoint: the primary one.
        pooled: it, over all readers.
        groups: it, by pathology and position.
        readers: each one's results.
        lacking: why the endpoint cannot be worked out; empty where it can.
    """
    margin = plan.margin
    if margin is not None and endpoint == "d-prime":
        margin = margin_of_d_prime(margin)
    equivalence = (
        None if margin is None else two_one_sided(pooled.estimate, pooled.null, margin, plan.alpha, pooled.scale)
    )
    said = SAID[endpoint]
    entries: list[tuple[str, str, Estimate, float | None]] = []
    for kind in dict.fromkeys(plan.family):
        if kind == "primary":
            entries.append((kind, f"{said}, all readers, against guessing", pooled.estimate, pooled.estimate.p))
        elif kind == "equivalence" and margin is not None:
            p = None if equivalence is None else equivalence.p
            entries.append((kind, f"{said}, all readers, within the margin", pooled.estimate, p))
        elif kind in ("by-pathology", "by-position"):
            chosen = [group for group in groups if group.kind == kind.removeprefix("by-")]
            entries += [(kind, f"{said}, {group.name}", g := group.pooled.estimate, g.p) for group in chosen]
        elif kind == "per-reader":
            for reader in readers:
                estimate = reader_estimate(reader, endpoint)
                entries.append((kind, f"{said}, {reader.reader}", estimate, estimate.p))
    adjusted = corrected([1.0 if p is None else p for *_, p in entries], plan)
    tests = tuple(
        Test(kind, name, estimate, p, new, p is not None and new < plan.alpha)
        for (kind, name, estimate, p), new in zip(entries, adjusted, strict=True)
    )
    corrected_p = {test.kind: test.adjusted for test in tests}
    sentence = f"Nothing can be said about {said}, the primary endpoint: {lacking}."
    if not lacking:
        sentence = verdict(
            said,
            pooled.estimate,
            pooled.null,
            equivalence,
            corrected_p.get("primary", pooled.estimate.p),
            None if equivalence is None else corrected_p.get("equivalence", equivalence.p),
            plan.alpha,
        )
    return Conclusion(endpoint, pooled, equivalence, tests, sentence)


def reader_estimate(reader: ReaderResult, endpoint: Endpoint) -> Estimate:
    """One reader's endpoint, with the p of its own test."""
    return {"auc": reader.area, "accuracy": reader.exact, "d-prime": reader.detection.d_prime}[endpoint]


def corrected(p_values: Sequence[float], plan: AnalysisPlan) -> list[float]:
    """The p values corrected as the plan says."""
    if plan.correction == "none" or not p_values:
        return list(p_values)
    return [float(p) for p in multipletests(p_values, alpha=plan.alpha, method=plan.correction)[1]]
