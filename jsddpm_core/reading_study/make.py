"""A study's folder from its design: drawn, harmonised, numbered, frozen and locked, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jsddpm_core.errors import StudyError
from jsddpm_core.files import whole_folder, write_file
from jsddpm_core.progress import OnProgress, Progress
from jsddpm_core.reading_study import stimuli
from jsddpm_core.reading_study.design import StudyDesign, check_lesions
from jsddpm_core.reading_study.freeze import ARMS, Shown, frozen
from jsddpm_core.reading_study.key import ENCRYPTED_KEY, check_passphrase, plain_bytes, write_key
from jsddpm_core.reading_study.manifest import (
    IMAGES,
    MANIFEST,
    RESPONSES,
    TRAINING_KEY,
    AnswerKey,
    Picture,
)
from jsddpm_core.reading_study.order import Limits
from jsddpm_core.reading_study.pool import (
    Candidate,
    Wanted,
    choose_real,
    choose_synthetic,
    positions_for,
    quotas,
)

WRITING = "writing pictures"


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
    written: list[Path] = []
    try:
        with whole_folder(out) as partial:
            work = partial / "work"
            work.mkdir()
            arms, spacing, farthest, notes = _choose(design, work, secret, on_progress)
            shown = _harmonise(arms, spacing, secret, on_progress)
            pictures = _write_pictures(design, shown, spacing, partial, secret)
            shutil.rmtree(work)
            manifest, truths, limits = frozen(design, shown, pictures, secret)
            (partial / RESPONSES).mkdir()
            write_file(partial / MANIFEST, (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode())
            training, key = (
                AnswerKey(study=manifest.study, digest=manifest.digest, cases=truths[kind], order_secret=hidden)
                for kind, hidden in (("training", None), ("case", secret.hex()))
            )
            write_file(partial / TRAINING_KEY, plain_bytes(training))
            for file in (MANIFEST, TRAINING_KEY):
                os.utime(partial / file, (stimuli.MODIFIED, stimuli.MODIFIED))
            if key_file is None:
                write_key(key, partial / ENCRYPTED_KEY, passphrase)
            else:
                write_key(key, key_file)
                written.append(key_file)
    except BaseException:
        for file in written:  # a key without its study
            file.unlink(missing_ok=True)
        raise
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
    if bundle is not None:  # before hours of preparing
        check_lesions(design, {entry.name: entry.lesional for entry in bundle.manifest.pathologies})
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
    check_lesions(design, {one.pathology: one.lesional for one in chosen})
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
    arms: dict[str, list[tuple[Wanted, Candidate]]],
    spacing: float,
    secret: bytes,
    on_progress: OnProgress,
) -> dict[str, list[Shown]]:
    taken: list[tuple[str, Wanted, Candidate, np.ndarray, np.ndarray]] = []
    total = sum(len(own) for own in arms.values())
    for arm, own in arms.items():
        for index, (place, candidate) in enumerate(own):
            image, mask = candidate.load()
            try:
                grey = stimuli.harmonised(image, spacing, stimuli.stream(secret, "dither", arm, index))
            except StudyError as error:
                raise StudyError(f"{_named(candidate, index)}: {error.message}", error.remedy) from None
            clean = stimuli.cleaned_mask(mask, grey > stimuli.RIM)
            if not candidate.lesional:
                clean = np.zeros_like(clean)
            taken.append((arm, place, candidate, grey, clean))
            if on_progress is not None:
                on_progress(Progress(WRITING, len(taken), total))
    shown: dict[str, list[Shown]] = {arm: [] for arm in ARMS}
    evened = stimuli.with_even_background([grey for _, _, _, grey, _ in taken])
    for (arm, place, candidate, _, clean), grey in zip(taken, evened, strict=True):
        shown[arm].append(Shown(arm, place, candidate, grey, clean))
    return shown


def _named(candidate: Candidate, index: int) -> str:
    """Which slice it is, for whoever has to leave it out."""
    source = candidate.source
    if "case" in source:
        return f"slice {source['slice']} of {source['case']}"
    if "files" in source:
        return str(next(iter(source["files"].values()))["name"])
    return f"synthetic slice {index + 1}"


def _write_pictures(
    design: StudyDesign, shown: dict[str, list[Shown]], spacing: float, folder: Path, secret: bytes
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


def _balance(design: StudyDesign, shown: dict[str, list[Shown]]) -> tuple[Balance, ...]:
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
