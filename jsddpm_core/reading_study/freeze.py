"""From pictures to a frozen manifest: cases get their names, slots their orders, and the keys what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jsddpm_core import __version__
from jsddpm_core.reading_study import stimuli
from jsddpm_core.reading_study.design import StudyDesign
from jsddpm_core.reading_study.manifest import (
    CaseTruth,
    Picture,
    Slot,
    StudyCase,
    StudyManifest,
    canonical,
    digest_of,
)
from jsddpm_core.reading_study.order import Limits, Trial, slot_order
from jsddpm_core.reading_study.pool import Candidate, Wanted

ARMS = ("real", "synthetic")


@dataclass(frozen=True)
class Shown:
    """A candidate that was chosen, as readers see it."""

    arm: str
    place: Wanted
    candidate: Candidate
    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class _Case:
    """A case before it has a name."""

    truth: CaseTruth
    pictures: tuple[Picture, ...]
    training: bool


def _cases(
    design: StudyDesign, shown: dict[str, list[Shown]], pictures: dict[tuple[str, int], Picture], secret: bytes
) -> list[_Case]:
    numbers = stimuli.stream(secret, "labels")
    people = {one.candidate.subject for one in shown["real"]}
    labels = dict(zip(sorted(p or "" for p in people), numbers.permutation(len(people)).tolist(), strict=True))
    pairing = design.matched or design.pairs
    pair_labels = numbers.permutation(len(shown["real"])).tolist()

    def truth(one: Shown, index: int) -> CaseTruth:
        match = index if one.arm == "real" else one.place.match
        subject = one.candidate.subject
        return CaseTruth(
            arm="real" if one.arm == "real" else "synthetic",
            pathology=one.place.pathology,
            position_mm=round(one.candidate.position_mm, 4),
            subject=None if subject is None else f"real-{labels[subject] + 1:04d}",
            pair=f"pair-{pair_labels[match] + 1:04d}" if pairing and match is not None else None,
            lesion=bool(one.mask.any()),
            lesion_voxels=stimuli.runs_of(one.mask),
            # Training cases have an open key: whoever a picture shows is nobody's business there.
            source={} if one.place.training else one.candidate.source,
        )

    if not design.pairs:
        return [
            _Case(truth(one, index), (pictures[arm, index],), one.place.training)
            for arm in ARMS
            for index, one in enumerate(shown[arm])
        ]
    cases = []
    partners = {one.place.match: index for index, one in enumerate(shown["synthetic"])}
    lefts = _even_sides([one.place.training for one in shown["real"]], numbers)
    for index, one in enumerate(shown["real"]):
        other = shown["synthetic"][partners[index]]
        both = [(one, index), (other, partners[index])]
        if lefts[index] == "synthetic":
            both.reverse()
        own = truth(one, index)
        middle = (one.candidate.position_mm + other.candidate.position_mm) / 2
        source = {} if one.place.training else {"real": own.source, "synthetic": other.candidate.source}
        said = own.model_copy(
            update={
                "arm": both[0][0].arm,
                "position_mm": round(middle, 4),
                "lesion": own.lesion or bool(other.mask.any()),
                "lesion_voxels": (),
                "source": source,
            }
        )
        cases.append(_Case(said, tuple(pictures[each.arm, i] for each, i in both), one.place.training))
    return cases


def _even_sides(training: Sequence[bool], numbers: np.random.Generator) -> list[str]:
    """Which arm is on the left: half of the cases that count and half of the training cases, at random."""
    sides = [""] * len(training)
    for kind in (False, True):
        own = [index for index, value in enumerate(training) if value == kind]
        for turn, index in enumerate(numbers.permutation(own).tolist() if own else []):
            sides[index] = ARMS[turn % 2]
    return sides


def frozen(
    design: StudyDesign, shown: dict[str, list[Shown]], pictures: dict[tuple[str, int], Picture], secret: bytes
) -> tuple[StudyManifest, dict[str, dict[str, CaseTruth]], tuple[Limits, ...]]:
    """The manifest, and what the keys say.

    Args:
        design: the study.
        shown: the places of each arm.
        pictures: files, by arm and place.
        secret: that everything drawn follows from.

    Returns:
        The manifest, the truths of `case`s and of `training` cases by name, and the limits of each slot's order.
    """
    study = stimuli.stream(secret, "study").bytes(16).hex()
    cases = _cases(design, shown, pictures, secret)
    numbers = stimuli.stream(secret, "names")
    named: dict[str, list[StudyCase]] = {"case": [], "training": []}
    truths: dict[str, dict[str, CaseTruth]] = {"case": {}, "training": {}}
    for at in numbers.permutation(len(cases)).tolist():
        case = cases[at]
        kind = "training" if case.training else "case"
        name = f"{kind}-{len(named[kind]) + 1:04d}"
        named[kind].append(StudyCase(name=name, pictures=case.pictures))
        truths[kind][name] = case.truth
    slots, limits = orders(truths["case"], design.repeat_count, design.slots, study, secret)
    tree = {
        "schema_version": 1,
        "study": study,
        "title": design.title,
        "made_with": __version__,
        "instructions": design.instructions,
        "items": [item.model_dump(mode="json") for item in design.items],
        "display": design.display.model_dump(mode="json"),
        "balanced": design.pairs or design.real.count == design.synthetic.count,
        "harmonisation": list(stimuli.STEPS),
        "training": [case.model_dump(mode="json") for case in named["training"]],
        "cases": [case.model_dump(mode="json") for case in named["case"]],
        "slots": [slot.model_dump(mode="json") for slot in slots],
        "plan": design.plan.model_dump(mode="json"),
    }
    blank = StudyManifest.model_validate_json(canonical({**tree, "digest": "0" * 64}))
    digest = digest_of(blank.model_dump(mode="json"))
    return blank.model_copy(update={"digest": digest}), truths, limits


def orders(
    truths: dict[str, CaseTruth], repeats: int, slots: int, study: str, secret: bytes
) -> tuple[tuple[Slot, ...], tuple[Limits, ...]]:
    """The orders of all slots: the same for the same secret, study and slot.

    Repeats are drawn for each slot, as evenly over arms as their number allows.
    """
    trials = [Trial(name, truth.arm, truth.pathology, truth.pair) for name, truth in sorted(truths.items())]
    made, kept = [], []
    for number in range(1, slots + 1):
        numbers = stimuli.stream(secret, "order", study, number)
        order, limits = slot_order(trials, _repeated(trials, repeats, numbers), numbers)
        made.append(Slot(number=number, order=order))
        kept.append(limits)
    return tuple(made), tuple(kept)


def _repeated(trials: Sequence[Trial], count: int, numbers: np.random.Generator) -> list[str]:
    queues = [
        [trials[index].name for index in numbers.permutation(len(trials)) if trials[index].arm == arm]
        for arm in numbers.permutation(sorted({trial.arm for trial in trials})).tolist()
    ]
    names: list[str] = []
    while len(names) < count:
        for queue in queues:
            if queue and len(names) < count:
                names.append(queue.pop())
    return names
