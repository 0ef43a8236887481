"""A reader of known d', criterion and lapse rate: for tests, coverage, and power calculations.

The equal-variance Gaussian model: what a picture looks like to a reader is a number, higher for the signal (synthetic,
or a lesion), with means +d'/2 and -d'/2 and a variance of 1. Part of that variance belongs to the case (all readers are
misled by it alike), part to the case and the reader (who is misled again when it comes back), and the rest to the
occasion. Answers are cut from it at criteria; a lapse answers anything.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from jsddpm_core.reading_study.manifest import CaseTruth, Item
from jsddpm_core.reading_study.readings import Answer

STEPS = np.array([-1.2, -0.6, 0.0, 0.6, 1.2])
"""Between the six ratings, around the criterion."""


def category_probabilities(d_prime: float, criterion: float = 0.0, lapse: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `(6,)` of the ratings 1 to 6, for the signal and for the others."""
    edges = criterion + STEPS
    with_signal, without = (
        np.diff(np.concatenate([[0.0], ndtr(edges - shift), [1.0]])) for shift in (d_prime / 2, -d_prime / 2)
    )
    return (1 - lapse) * with_signal + lapse / 6, (1 - lapse) * without + lapse / 6


def true_auc(d_prime: float, criterion: float = 0.0, lapse: float = 0.0) -> float:
    """The area that ratings in six categories have in the long run, which is below the latent Phi(d' / sqrt(2))."""
    with_signal, without = category_probabilities(d_prime, criterion, lapse)
    return float(with_signal @ (np.cumsum(without) - without / 2))


@dataclass(frozen=True)
class Trait:
    """What a simulated reader is like.

    Attributes:
        d_prime: how well real and synthetic are told apart; also of the two sides of a pair.
        criterion: above which "synthetic", or "a lesion", is said; positive says it rarely.
        lapse: share of answers that have nothing to do with the picture.
        lesion_d_prime: how well lesions are seen.
        localised: share of seen lesions that are marked in the right place.
        case_share: of the variance, what belongs to the case.
        reader_share: what belongs to case and reader.
        median_s: of the response time, for a picture at the criterion; others are answered sooner.
    """

    d_prime: float
    criterion: float = 0.0
    lapse: float = 0.0
    lesion_d_prime: float = 2.0
    localised: float = 0.8
    case_share: float = 0.2
    reader_share: float = 0.5
    median_s: float = 6.0


@dataclass(frozen=True)
class Response:
    """What a simulated reader says to a case.

    Attributes:
        answers: in the order of the items; values are None where time ran out.
        response_s: until confirmed; the limit where time ran out.
        timed_out: whether it did.
    """

    answers: tuple[Answer, ...]
    response_s: float
    timed_out: bool


class SimulatedReader:
    """Answers cases; every answer depends on seed, reader, case and occasion only, not on what was asked before.

    Args:
        trait: what the reader is like.
        reader: number, apart from others in one study.
        seed: of the study: what belongs to a case is shared by its readers.
    """

    def __init__(self, trait: Trait, reader: int = 1, seed: int = 0) -> None:
        self.trait, self.reader, self.seed = trait, reader, seed

    def respond(
        self,
        items: Sequence[Item],
        case: str,
        truth: CaseTruth,
        *,
        occasion: int = 0,
        time_limit_s: float | None = None,
        lesion_mm: np.ndarray | None = None,
        extent_mm: Mapping[str, Sequence[float]] | None = None,
    ) -> Response:
        """The answers to one case.

        Args:
            items: asked.
            case: its name.
            truth: what the key says of it.
            occasion: how often this reader has seen it before.
            time_limit_s: None for none.
            lesion_mm: `(V, 3)` centres of the lesion's voxels, RAS; None where marks are not wanted.
            extent_mm: `low` and `high` corners of the picture in RAS, where marks without a lesion land.
        """
        answers, nearest = [], math.inf
        for item in items:
            value, clearness = self._value(item, case, truth, occasion)
            nearest = min(nearest, clearness)
            mark = None
            if item.kind == "lesion" and value >= (2 if item.scale == "forced" else 4):
                mark = self._mark(case, occasion, lesion_mm, extent_mm)
            answers.append(Answer(item.name, value, mark))
        rng = self._stream("time", case, occasion, own=True)
        seconds = self.trait.median_s * math.exp(0.35 * rng.standard_normal() - 0.25 * min(nearest, 3.0))
        if time_limit_s is not None and seconds > time_limit_s:
            return Response(tuple(Answer(answer.item, None, None) for answer in answers), time_limit_s, True)
        return Response(tuple(answers), seconds, False)

    def _value(self, item: Item, case: str, truth: CaseTruth, occasion: int) -> tuple[int, float]:
        """The answer to an item, and how far the evidence was from the criterion."""
        rng = self._stream(f"lapse {item.name}", case, occasion, own=True)
        lapses, guess = rng.random() < self.trait.lapse, rng.random()
        if item.kind == "pair":
            left, right = (
                self._evidence(f"{item.name} {side}", case, occasion, self.trait.d_prime, synthetic)
                for side, synthetic in (("left", truth.arm == "synthetic"), ("right", truth.arm == "real"))
            )
            return (1 + int(guess * 2) if lapses else 1 + int(right < left)), abs(right - left)
        if item.kind == "likert":
            evidence = self._evidence(item.name, case, occasion, self.trait.d_prime, truth.arm == "real")
            edges = ndtri(np.arange(1, item.points) / item.points)
            return (1 + int(guess * item.points) if lapses else 1 + int(np.searchsorted(edges, evidence))), math.inf
        signal = truth.lesion if item.kind == "lesion" else truth.arm == "synthetic"
        d_prime = self.trait.lesion_d_prime if item.kind == "lesion" else self.trait.d_prime
        evidence = self._evidence(item.name, case, occasion, d_prime, signal) - self.trait.criterion
        edges = np.array([0.0]) if item.scale == "forced" else STEPS
        value = 1 + int(guess * (len(edges) + 1)) if lapses else 1 + int(np.searchsorted(edges, evidence))
        return value, abs(evidence)

    def _evidence(self, what: str, case: str, occasion: int, d_prime: float, signal: bool) -> float:
        shares = (self.trait.case_share, self.trait.reader_share)
        parts = (
            self._stream(what, case, 0, own=False).standard_normal(),
            self._stream(what, case, 0, own=True).standard_normal(),
            self._stream(what + " now", case, occasion, own=True).standard_normal(),
        )
        weights = (*shares, max(1 - sum(shares), 0.0))
        noise = sum(math.sqrt(weight) * part for weight, part in zip(weights, parts, strict=True))
        return float(noise + (d_prime / 2 if signal else -d_prime / 2))

    def _mark(
        self,
        case: str,
        occasion: int,
        lesion_mm: np.ndarray | None,
        extent_mm: Mapping[str, Sequence[float]] | None,
    ) -> tuple[float, float, float] | None:
        rng = self._stream("mark", case, occasion, own=True)
        if lesion_mm is not None and len(lesion_mm) and rng.random() < self.trait.localised:
            place = lesion_mm.mean(axis=0) + rng.normal(0, 1.0, 3)
        elif extent_mm is not None:
            place = rng.uniform(extent_mm["low"], extent_mm["high"])
        else:
            return None
        return float(place[0]), float(place[1]), float(place[2])

    def _stream(self, what: str, case: str, occasion: int, own: bool) -> np.random.Generator:
        """Random numbers of one question, keyed by SHA-256."""
        reader = self.reader if own else "all"
        key = hashlib.sha256(f"{self.seed}|{reader}|{what}|{case}|{occasion}".encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "big")))


def simulated_ratings(
    rng: np.random.Generator,
    signal: np.ndarray,
    d_primes: np.ndarray,
    criteria: np.ndarray,
    *,
    case_share: float = 0.0,
    lapse: float = 0.0,
) -> np.ndarray:
    """Ratings of many readers at once, by the same model: for coverage and power.

    Args:
        rng: where chance comes from.
        signal: `(N,)` bool.
        d_primes: `(..., R)` of readers, in as many studies as leading axes say.
        criteria: `(..., R)`.
        case_share: of the variance, what the readers of one study share.
        lapse: share of answers that have nothing to do with the case.

    Returns:
        `(..., R, N)` of 1 to 6.
    """
    shape = (*d_primes.shape, len(signal))
    shared = rng.standard_normal((*d_primes.shape[:-1], 1, len(signal)))
    evidence = math.sqrt(case_share) * shared + math.sqrt(1 - case_share) * rng.standard_normal(shape)
    evidence += np.where(signal, 0.5, -0.5) * d_primes[..., None] - criteria[..., None]
    ratings = 1 + np.searchsorted(STEPS, evidence)
    if lapse:
        ratings = np.where(rng.random(shape) < lapse, rng.integers(1, 7, shape), ratings)
    return ratings
