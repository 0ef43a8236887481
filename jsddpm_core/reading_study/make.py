"""A study's folder from its design: drawn, harmonised, numbered, frozen and locked, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jsddpm_core import __version__
from jsddpm_core.errors import StudyError
from jsddpm_core.files import whole_folder, write_file
from jsddpm_core.progress import OnProgress, Progress
from jsddpm_core.reading_study import stimuli
from jsddpm_core.reading_study.design import StudyDesign
from jsddpm_core.reading_study.key import ENCRYPTED_KEY, check_passphrase, plain_bytes, write_key
from jsddpm_core.reading_study.manifest import (
    IMAGES,
    MANIFEST,
    RESPONSES,
    TRAINING_KEY,
    AnswerKey,
    CaseTruth,
    Picture,
    Slot,
    StudyCase,
    StudyManifest,
    canonical,
    digest_of,
)
from jsddpm_core.reading_study.order import Limits, Trial, slot_order
from jsddpm_core.reading_study.pool import (
    Candidate,
    Wanted,
    choose_real,
    choose_synthetic,
    positions_for,
    quotas,
)

WRITING = "writing pictures"
ARMS = ("real", "synthetic")


@dataclass(frozen=True)
class Balance:
    """How an arm came out for one pathology, cases that count only.

    Attributes:
        lesional: share of cases that show a lesion.
        lowest_mm: position.
        mean_mm: on average.
        highest_mm: position.
    """

    arm: str
    pathology: str
    cases: int
    lesional: float
    lowest_mm: float
    mean_mm: float
    highest_mm: float


@dataclass(frozen=True)
class StudyReport:
    """What was made; it names arms and is the organiser's.

    Attributes:
        folder: the study's.
        study: its identifier.
        digest: of its manifest.
        key: the file that unblinds it.
        balance: a row for each arm and pathology.
        farthest_mm: largest distance of a synthetic case from the real one that gave it its position.
        limits: that the slots' orders keep to, by slot.
        notes: sentences on who was left out and what could not be told.
    """

    folder: Path
    study: str
    digest: str
    key: Path
    balance: tuple[Balance, ...]
    farthest_mm: float
    limits: tuple[Limits, ...]
    notes: tuple[str, ...]

    def to_tree(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "folder": str(self.folder), "key": str(self.key)}


@dataclass(frozen=True)
class _Shown:
    """A candidate that was chosen, as readers see it."""

    arm: str
    place: Wanted
    candidate: Candidate
    image: np.ndarray
    mask: np.ndarray


def make_study(
    design: StudyDesign,
    out: Path,
    *,
    passphrase: str | None = None,
    key_file: Path | None = None,
    on_progress: OnProgress = None,
    secret: bytes | None = None,
) -> StudyReport:
    """Makes a study's folder.

    Args:
        design: what is wanted.
        out: the folder, which must not be there.
        passphrase: encrypts the key, which then lies in the folder.
        key_file: where the key is written as it is, outside of the folder; give one of the two.
        on_progress: told how far it is; what it raises ends the work, and nothing stays.
        secret: all that is drawn follows from it; None for one that nobody knows. For tests.

    Raises:
        StudyError: if the design cannot be served.
        OutputError: if the folder is there already or cannot be written.
    """
    out = Path(out).absolute()
    _check_key(out, passphrase, key_file)
    secret = os.urandom(32) if secret is None else secret
    with whole_folder(out) as partial:
        work = partial / "work"
        work.mkdir()
        arms, spacing, farthest, notes = _choose(design, work, secret, on_progress)
        shown = _harmonise(design, arms, spacing, secret, on_progress)
        pictures = _write_pictures(design, shown, spacing, partial, secret)
        shutil.rmtree(work)
        manifest, truths, limits = _frozen(design, shown, pictures, secret)
        (partial / RESPONSES).mkdir()
        write_file(partial / MANIFEST, (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode())
        keys = [
            AnswerKey(study=manifest.study, digest=manifest.digest, cases=truths[kind], order_secret=hidden)
            for kind, hidden in (("training", None), ("case", secret.hex()))
        ]
        write_file(partial / TRAINING_KEY, plain_bytes(keys[0]))
        for file in (MANIFEST, TRAINING_KEY):
            os.utime(partial / file, (stimuli.MODIFIED, stimuli.MODIFIED))
        if key_file is None:
            write_key(keys[1], partial / ENCRYPTED_KEY, passphrase)
        else:
            write_key(keys[1], key_file)
    return StudyReport(
        folder=out,
        study=manifest.study,
        digest=manifest.digest,
        key=out / ENCRYPTED_KEY if key_file is None else key_file,
        balance=_balance(design, shown),
        farthest_mm=farthest,
        limits=limits,
        notes=tuple(notes),
    )


def _check_key(out: Path, passphrase: str | None, key_file: Path | None) -> None:
    if (passphrase is None) == (key_file is None):
        raise StudyError("the key needs either a passphrase or a file of its own", "give one of the two")
    if passphrase is not None:
        check_passphrase(passphrase)
    if key_file is not None:
        place = Path(key_file).absolute()
        if place.resolve().is_relative_to(out.resolve()):
            raise StudyError(
                f"the plain key {key_file} would lie in the study's folder, where readers are",
                "keep it elsewhere, or encrypt it with a passphrase",
            )
        if place.exists():
            raise StudyError(f"the key's file {key_file} is there already", "choose another name")
        if not place.parent.is_dir():
            raise StudyError(f"the folder of the key's file {key_file} is not there", "make it first")


def _choose(
    design: StudyDesign, work: Path, secret: bytes, on_progress: OnProgress
) -> tuple[dict[str, list[tuple[Wanted, Candidate]]], float, float, list[str]]:
    """Both arms, edge of a pixel, distance of the farthest match, and sentences on what was left out."""
    from jsddpm_core.reading_study.real_pool import real_candidates
    from jsddpm_core.reading_study.synthetic_pool import (
        bundle_of,
        drawn_candidates,
        read_sidecars,
        result_candidates,
    )

    numbers = stimuli.stream(secret, "choice")
    results = read_sidecars(design.synthetic.results)
    bundle = bundle_of(design, [sidecar for _, sidecar in results])
    there, cache, notes = real_candidates(design, bundle.manifest if bundle else None, work, on_progress)
    spacing, shape = cache.grid.spacing_mm, (cache.grid.shape[0], cache.grid.shape[1])
    if bundle is not None:
        grid = bundle.manifest.grid
        if grid.shape[:2] != shape or abs(grid.spacing_mm - spacing) > 1e-6:
            raise StudyError(
                f"the real slices have {shape} pixels of {spacing:g} mm, the model's {grid.shape[:2]} of "
                f"{grid.spacing_mm:g} mm",
                "prepare the real cases for this model",
            )
    of_arm = {arm: _places(design, arm) for arm in ARMS}
    chosen = [there[index] for index in choose_real(of_arm["real"], there, numbers)]
    filled = [(place, one.position_mm) for place, one in zip(of_arm["real"], chosen, strict=True)]
    wanted = positions_for(of_arm["synthetic"], filled, numbers)
    if design.synthetic.results:
        made, more = result_candidates(results, design, shape, spacing)
        notes += more
        tolerance = design.tolerance_mm if design.matched or design.pairs else None
        synthetic = [made[index] for index in choose_synthetic(wanted, made, tolerance, numbers)]
    else:
        assert bundle is not None
        synthetic = drawn_candidates(bundle, design.synthetic, wanted, on_progress)
    apart = [abs(one.position_mm - (place.position_mm or 0)) for place, one in zip(wanted, synthetic, strict=True)]
    arms = {
        "real": list(zip(of_arm["real"], chosen, strict=True)),
        "synthetic": list(zip(wanted, synthetic, strict=True)),
    }
    return arms, spacing, max(apart), notes


def _places(design: StudyDesign, arm: str) -> list[Wanted]:
    count = design.real.count if arm == "real" else design.synthetic.count
    return quotas(count, design.training_of_each_arm, design.pathologies)


def _harmonise(
    design: StudyDesign,
    arms: dict[str, list[tuple[Wanted, Candidate]]],
    spacing: float,
    secret: bytes,
    on_progress: OnProgress,
) -> dict[str, list[_Shown]]:
    shown: dict[str, list[_Shown]] = {arm: [] for arm in ARMS}
    total, done = sum(len(own) for own in arms.values()), 0
    for arm, own in arms.items():
        for index, (place, candidate) in enumerate(own):
            image, mask = candidate.load()
            grey = stimuli.harmonised(image, spacing, stimuli.stream(secret, "dither", arm, index))
            clean = stimuli.cleaned_mask(mask, grey > stimuli.BACKGROUND)
            if not candidate.lesional:
                clean = np.zeros_like(clean)
            shown[arm].append(_Shown(arm, place, candidate, grey, clean))
            done += 1
            if on_progress is not None:
                on_progress(Progress(WRITING, done, total))
    return shown


def _write_pictures(
    design: StudyDesign, shown: dict[str, list[_Shown]], spacing: float, folder: Path, secret: bytes
) -> dict[tuple[str, int], Picture]:
    """Writes the files in the order of their numbers, so that neither inodes nor folders remember an arm."""
    every = [(arm, index) for arm in ARMS for index in range(len(shown[arm]))]
    numbered = stimuli.stream(secret, "numbers").permutation(len(every))
    (folder / IMAGES).mkdir()
    pictures = {}
    for number, at in enumerate(numbered.tolist(), start=1):
        arm, index = every[at]
        one = shown[arm][index]
        file = f"{IMAGES}/{number:06d}.nii"
        digest = stimuli.write_picture(folder / file, stimuli.picture_bytes(one.image, spacing))
        mask = mask_digest = None
        if design.display.mask_overlay:
            mask = f"{IMAGES}/{number:06d}-mask.nii"
            mask_digest = stimuli.write_picture(folder / mask, stimuli.picture_bytes(one.mask, spacing))
        pictures[arm, index] = Picture(file=file, sha256=digest, mask=mask, mask_sha256=mask_digest)
    return pictures


@dataclass(frozen=True)
class _Case:
    """A case before it has a name."""

    truth: CaseTruth
    pictures: tuple[Picture, ...]
    training: bool


def _cases(
    design: StudyDesign, shown: dict[str, list[_Shown]], pictures: dict[tuple[str, int], Picture], secret: bytes
) -> list[_Case]:
    numbers = stimuli.stream(secret, "labels")
    people = {one.candidate.subject for one in shown["real"]}
    labels = dict(zip(sorted(p or "" for p in people), numbers.permutation(len(people)).tolist(), strict=True))
    pairing = design.matched or design.pairs
    pair_labels = numbers.permutation(len(shown["real"])).tolist()

    def truth(one: _Shown, index: int) -> CaseTruth:
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


def _frozen(
    design: StudyDesign, shown: dict[str, list[_Shown]], pictures: dict[tuple[str, int], Picture], secret: bytes
) -> tuple[StudyManifest, dict[str, dict[str, CaseTruth]], tuple[Limits, ...]]:
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


def _balance(design: StudyDesign, shown: dict[str, list[_Shown]]) -> tuple[Balance, ...]:
    rows = []
    for pathology in design.pathologies:
        for arm in ARMS:
            own = [one for one in shown[arm] if one.place.pathology == pathology and not one.place.training]
            if own:
                z = [one.candidate.position_mm for one in own]
                lesional = float(np.mean([one.mask.any() for one in own]))
                rows.append(
                    Balance(arm, pathology, len(own), lesional, float(min(z)), float(np.mean(z)), float(max(z)))
                )
    return tuple(rows)
