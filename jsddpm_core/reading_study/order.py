"""Orders of readers' slots: random within limits, the same for the same (study, slot), and unknown without the secret.

Two steps. The sequence of arms is drawn uniformly from all sequences without a longer run of one arm than allowed, by
counting how many ways there are to go on. Then cases take the places of their arm at random,
and are exchanged within the arm until pathologies, matched pairs and repeats keep their distances. The second step
never asks for the arm of a neighbour, so all that a reader could know of arms ahead follows from the first;
`foreknowledge` says how much that is.

The numbers come from SHA-256 of (secret, study, slot): an order that followed from public values alone could be
drawn again by anybody, and where it differs from one without limits would tell arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from jsddpm_core.errors import StudyError

LONGEST_RUN: Final = 3
"""Cases of one arm in a row."""

LONGEST_PATHOLOGY_RUN: Final = 3
REPEAT_APART: Final = 1 / 3
"""Share of the list that lies between a case and its repeat, at least."""

PAIR_APART: Final = 1 / 5
"""The same of matched cases, as far as it can be had."""

SWEEPS: Final = 200
PARTNERS: Final = 30
RESTARTS: Final = 20


@dataclass(frozen=True)
class Trial:
    """What an order needs to know of a case.

    Attributes:
        name: of the case.
        arm: of the picture, or of the left one of two.
        pathology: of both.
        pair: label that matched cases share.
    """

    name: str
    arm: str
    pathology: str
    pair: str | None = None


@dataclass(frozen=True)
class Limits:
    """What an order keeps to.

    Attributes:
        arm_run: longest run of an arm.
        pathology_run: longest run of a pathology.
        repeat_gap: places from a case to its repeat, at least.
        pair_gap: places between matched cases, at least.
    """

    arm_run: int
    pathology_run: int
    repeat_gap: int
    pair_gap: int


def longest_run(values: Sequence[str]) -> int:
    """How often one value comes in a row, at most."""
    longest = current = 0
    last: str | None = None
    for value in values:
        current = current + 1 if value == last else 1
        last, longest = value, max(longest, current)
    return longest


@lru_cache(maxsize=4)
def _shares(counts: tuple[int, int], most: int) -> tuple[np.ndarray, np.ndarray]:
    """How many sequences can follow, as shares of 2 ** (cases left), where a run of arm 0 or of arm 1 begins next.

    With F_0(a, b) for a cases left of arm 0 and b of arm 1: F_0(a, b) = sum over j of 2^-j F_1(a - j, b), F_1 alike.

    Returns:
        Two arrays (counts[0] + 1, counts[1] + 1).
    """
    one, two = (np.zeros((counts[0] + 1, counts[1] + 1)) for _ in range(2))
    for a in range(counts[0] + 1):
        for j in range(1, min(most, a) + 1):
            one[a] += 0.5**j * two[a - j]
        if a == 0:
            one[0, 0] = two[0, 0] = 1.0
        for b in range(1, counts[1] + 1):
            two[a, b] = sum(0.5**j * one[a, b - j] for j in range(1, min(most, b) + 1))
    return one, two


def _run_lengths(left: tuple[int, int], arm: int, most: int, shares: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Weights of the lengths 1, 2, ... of a run of `arm` that begins now, `(min(most, left),)`."""
    a, b = left
    lengths = range(1, min(most, left[arm]) + 1)
    rests = [shares[1][a - j, b] if arm == 0 else shares[0][a, b - j] for j in lengths]
    return np.array([0.5**j * rest for j, rest in zip(lengths, rests, strict=True)])


def feasible_run(counts: tuple[int, int], wanted: int = LONGEST_RUN) -> int:
    """The shortest longest run, from `wanted` on, that so many cases of two arms can keep to."""
    few, many = sorted(counts)
    return max(wanted, -(-many // (few + 1)))


def arm_sequence(counts: tuple[int, int], most: int, numbers: np.random.Generator) -> list[int]:
    """A sequence of 0 and 1, uniform among all without a run longer than `most`.

    Args:
        counts: of 0 and of 1.
        most: see `feasible_run`.
        numbers: that are drawn from.
    """
    shares = _shares(counts, most)
    begins = np.array([shares[0][counts], shares[1][counts]])
    if not begins.sum():
        raise StudyError(
            f"{counts[0]} and {counts[1]} cases cannot be ordered with runs of {most}", "allow longer runs"
        )
    arm, left = int(numbers.random() * begins.sum() >= begins[0]), list(counts)
    sequence: list[int] = []
    while sum(left):
        weights = np.cumsum(_run_lengths((left[0], left[1]), arm, most, shares))
        length = 1 + int(np.searchsorted(weights, numbers.random() * weights[-1], side="right"))
        sequence += [arm] * length
        left[arm] -= length
        arm = 1 - arm
    return sequence


def slot_order(
    trials: Sequence[Trial], repeats: Sequence[str], numbers: np.random.Generator
) -> tuple[tuple[str, ...], Limits]:
    """The order of one slot.

    Args:
        trials: the cases that count; their own order says nothing.
        repeats: names of those that come twice.
        numbers: from the secret, the study and the slot.

    Returns:
        The names, and what the order keeps to: the limits above, or what could be had.

    Raises:
        StudyError: where no order keeps a repeat a third of the list away.
    """
    if len(set(repeats)) < len(repeats):
        raise StudyError("a case is to be repeated more than once", "repeat each case once at most")
    of_name = {trial.name: trial for trial in trials}
    arms = sorted({trial.arm for trial in trials})
    listed = [*trials, *(of_name[name] for name in repeats)]
    numbers.shuffle(listed)  # type: ignore[arg-type]
    own = [[trial for trial in listed if trial.arm == arm] for arm in arms]
    counts = (len(own[0]), len(own[1]) if len(own) > 1 else 0)
    most = feasible_run(counts)
    length = len(listed)
    repeat_gap = int(np.ceil(length * REPEAT_APART))
    kinds = [sum(trial.pathology == kind for trial in listed) for kind in sorted({t.pathology for t in listed})]
    pathology_run = max(LONGEST_PATHOLOGY_RUN, -(-max(kinds) // (length - max(kinds) + 1)) + (len(kinds) > 1))
    if len(kinds) == 1:
        pathology_run = length
    pair_gap = int(length * PAIR_APART)
    while True:
        limits = Limits(most, pathology_run, repeat_gap, pair_gap)
        for _ in range(RESTARTS):
            sequence = arm_sequence(counts, most, numbers)
            found = _fill(sequence, own, limits, numbers)
            if found is not None:
                return tuple(trial.name for trial in found), limits
        if pair_gap > 1:
            pair_gap //= 2
        elif pathology_run < length:
            pathology_run = min(2 * pathology_run, length)
        else:
            raise StudyError(
                f"{len(repeats)} repeats among {length} readings cannot all be a third of the list apart",
                "ask for fewer repeats",
            )


def _fill(
    sequence: Sequence[int], own: Sequence[Sequence[Trial]], limits: Limits, numbers: np.random.Generator
) -> list[Trial] | None:
    """Cases in the places of their arms, exchanged until all limits are kept; None where that does not come about."""
    shuffled = [list(trials) for trials in own]
    for trials in shuffled:
        numbers.shuffle(trials)  # type: ignore[arg-type]
    places = [[place for place, arm in enumerate(sequence) if arm == side] for side in (0, 1)]
    order: list[Trial] = [shuffled[arm].pop() for arm in sequence]
    where: dict[str, list[int]] = {}
    for place, trial in enumerate(order):
        where.setdefault(trial.name, []).append(place)
    partner = {}
    labels: dict[str, list[str]] = {}
    for name, trial in {trial.name: trial for trial in order}.items():
        if trial.pair is not None:
            labels.setdefault(trial.pair, []).append(name)
    for names in labels.values():
        for name in names:
            partner[name] = [other for other in names if other != name]

    def cost(place: int) -> int:
        trial = order[place]
        wrong = sum(abs(place - other) < limits.repeat_gap for other in where[trial.name] if other != place)
        for name in partner.get(trial.name, ()):
            wrong += sum(abs(place - other) < limits.pair_gap for other in where[name])
        low = high = place
        while low and order[low - 1].pathology == trial.pathology:
            low -= 1
        while high + 1 < len(order) and order[high + 1].pathology == trial.pathology:
            high += 1
        return wrong + (high - low + 1 > limits.pathology_run)

    def exchange(one: int, two: int) -> None:
        for place, other in ((one, two), (two, one)):
            where[order[place].name].remove(place)
            where[order[place].name].append(other)
        order[one], order[two] = order[two], order[one]

    for _ in range(SWEEPS):
        bad = [place for place in range(len(order)) if cost(place)]
        if not bad:
            return order
        for one in bad:
            side = places[sequence[one]]
            for two in numbers.choice(side, min(len(side), PARTNERS), replace=False).tolist():
                before = cost(one) + cost(two)
                exchange(one, two)
                if cost(one) + cost(two) <= before:
                    break
                exchange(one, two)
    return None


def broken_limits(order: Sequence[str], of_name: dict[str, Trial], limits: Limits) -> list[str]:
    """What an order does not keep to, a phrase each; an empty list for one that keeps to all."""
    trials = [of_name[name] for name in order]
    found = []
    if (run := longest_run([trial.arm for trial in trials])) > limits.arm_run:
        found.append(f"{run} cases of one arm in a row")
    if (run := longest_run([trial.pathology for trial in trials])) > limits.pathology_run:
        found.append(f"{run} cases of one pathology in a row")
    for one in range(len(trials)):
        for two in range(one + 1, len(trials)):
            if order[one] == order[two] and two - one < limits.repeat_gap:
                found.append(f"{order[one]} is repeated after {two - one} places")
            pair = trials[one].pair
            matched = pair is not None and pair == trials[two].pair and order[one] != order[two]
            if matched and two - one < limits.pair_gap:
                found.append(f"{order[one]} and its match are {two - one} places apart")
    return found


def foreknowledge(counts: tuple[int, int], most: int = LONGEST_RUN, *, runs: int = 2000, seed: int = 0) -> float:
    """How often the next arm is guessed right by somebody who was told every arm before it.

    That is more than any reader of a study without feedback is told: without a word about earlier cases, each place is
    as often of one arm as of the other. The number of cases left of each arm, which the guesser counts too, gives part
    of it without any limit on runs (`most` as large as the list).

    Args:
        counts: cases of either arm.
        most: longest run.
        runs: orders that are drawn.
        seed: of these.

    Returns:
        Share of right guesses, 0.5 for none better than a coin.
    """
    numbers = np.random.default_rng(seed)
    shares = _shares(counts, most)
    right = 0.0
    for _ in range(runs):
        left = list(counts)
        sequence = arm_sequence(counts, most, numbers)
        begin = 0
        while begin < len(sequence):
            arm = sequence[begin]
            length = next((i for i in range(begin, len(sequence)) if sequence[i] != arm), len(sequence)) - begin
            weights = _run_lengths((left[0], left[1]), arm, most, shares)
            if begin == 0:
                right += _hit(shares[arm][counts], shares[1 - arm][counts])
            for place in range(1, length + 1):  # after so many: does the run go on?
                on, ends = weights[place:].sum(), weights[place - 1]
                if begin + place < len(sequence):
                    right += _hit(on, ends) if place < length else _hit(ends, on)
            left[arm] -= length
            begin += length
    return right / (runs * sum(counts))


def _hit(happened: float, other: float) -> float:
    """Whether the likelier of two was what happened; half where neither was."""
    return 0.5 if happened == other else float(happened > other)
