"""Whether a study's folder is whole and as it was frozen, one line a finding."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.key import read_key
from jsddpm_core.reading_study.manifest import (
    IMAGES,
    RESPONSES,
    TRAINING_KEY,
    AnswerKey,
    CaseTruth,
    StudyManifest,
    read_manifest,
)
from jsddpm_core.reading_study.reader_log import read_log, stray_logs
from jsddpm_core.reading_study.responses import log_file


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        level: `problem` of what is wrong, `fine` of what was looked at and is right, `note` of what could not be told.
    """

    level: Literal["problem", "fine", "note"]
    text: str


def check_study(folder: Path, key: Path | None = None, passphrase: str | None = None) -> list[Finding]:
    """Looks at everything in a study's folder.

    Args:
        folder: the study.
        key: its answer key, for what cannot be told without it.
        passphrase: of the key, where it is encrypted.

    Raises:
        StudyError: if there is no manifest that can be read, or the key does not open.
    """
    manifest = read_manifest(folder)
    findings = [Finding("fine", f"the manifest is as it was frozen ({manifest.digest[:12]})")]
    findings += _pictures(folder, manifest)
    findings += _training_key(folder, manifest)
    if key is None:
        findings.append(Finding("note", "without the key, the limits of the orders were not looked at"))
    else:
        findings += _orders(manifest, read_key(key, passphrase))
    findings += _responses(folder, manifest)
    return findings


def _pictures(folder: Path, manifest: StudyManifest) -> Iterator[Finding]:
    named: dict[str, str] = {}
    for case in (*manifest.training, *manifest.cases):
        for picture in case.pictures:
            files = [(picture.file, picture.sha256), (picture.mask, picture.mask_sha256)]
            for file, digest in files:
                if file is not None and digest is not None:
                    if file in named:
                        yield Finding("problem", f"{file} is shown by two cases")
                    named[file] = digest
    sizes: dict[str, set[int]] = {"picture": set(), "mask": set()}
    bad = 0
    for file, digest in named.items():
        path = folder / file
        try:
            content = path.read_bytes()
        except OSError as error:
            bad += 1
            yield Finding("problem", f"{file} could not be read ({error.strerror or error})")
            continue
        if path.is_symlink():
            yield Finding("problem", f"{file} is a link")
        if hashlib.sha256(content).hexdigest() != digest:
            bad += 1
            yield Finding("problem", f"{file} was changed or copied in part ({len(content)} bytes)")
        else:
            sizes["mask" if "-mask" in file else "picture"].add(len(content))
    for kind, found in sizes.items():
        if len(found) > 1:
            yield Finding("problem", f"{kind}s have {len(found)} different sizes, which may tell arms apart")
    there = {f"{IMAGES}/{path.name}" for path in (folder / IMAGES).glob("*")}
    for file in sorted(there - set(named)):
        level = "note" if _of_a_file_browser(file) else "problem"
        yield Finding(level, f"{file} is not named in the manifest")
    if not bad:
        yield Finding("fine", f"{len(named)} files of pictures are as they were frozen")


def _of_a_file_browser(file: str) -> bool:
    """Whether Finder or Explorer put a file there; it is written when somebody looks, and knows nothing of arms."""
    name = file.rpartition("/")[2]
    return name in (".DS_Store", "Thumbs.db", "desktop.ini") or name.startswith("._")


def _training_key(folder: Path, manifest: StudyManifest) -> Iterator[Finding]:
    if not manifest.training:
        return
    try:
        key = read_key(folder / TRAINING_KEY)
    except StudyError as error:
        yield Finding("problem", error.message)
        return
    wrong = [*_belongs(key, manifest, "the training key")]
    if set(key.cases) != {case.name for case in manifest.training}:
        wrong.append(Finding("problem", "the training key is not of the training cases and of no others"))
    if key.order_secret is not None:
        wrong.append(Finding("problem", "the training key, which is open, holds the secret of the orders"))
    yield from wrong or [Finding("fine", f"the training key is of the {len(key.cases)} training cases")]


def _belongs(key: AnswerKey, manifest: StudyManifest, name: str) -> Iterator[Finding]:
    if key.study != manifest.study:
        yield Finding("problem", f"{name} belongs to another study")
    elif key.digest != manifest.digest:
        yield Finding("problem", f"{name} belongs to another version of this study")


def _orders(manifest: StudyManifest, key: AnswerKey) -> Iterator[Finding]:
    from jsddpm_core.reading_study.freeze import orders
    from jsddpm_core.reading_study.order import Trial, broken_limits

    wrong = [*_belongs(key, manifest, "the key")]
    if set(key.cases) != {case.name for case in manifest.cases}:
        wrong.append(Finding("problem", "the key is not of the cases that count and of no others"))
    if wrong:
        yield from wrong
        return
    arms = Counter(truth.arm for truth in key.cases.values())
    side_by_side = any(item.kind == "pair" for item in manifest.items)
    if not side_by_side and manifest.balanced != (len(set(arms.values())) == 1 and len(arms) == 2):
        yield Finding("problem", f"the manifest's 'balanced' and the key disagree ({dict(arms)})")
    yield from _people(key.cases)
    if key.order_secret is None:
        yield Finding("note", "the key holds no secret of the orders: they were not made again")
        return
    slots = manifest.slots
    repeats = len(slots[0].order) - len(manifest.cases)
    again, limits = orders(key.cases, repeats, len(slots), manifest.study, bytes.fromhex(key.order_secret))
    of_name = {name: Trial(name, truth.arm, truth.pathology, truth.pair) for name, truth in key.cases.items()}
    for slot, other, kept in zip(slots, again, limits, strict=True):
        for said in broken_limits(slot.order, of_name, kept):
            wrong.append(Finding("problem", f"slot {slot.number}: {said}"))
        if slot.order != other.order:
            wrong.append(Finding("problem", f"slot {slot.number} has another order than its secret gives"))
    yield from wrong or [Finding("fine", f"the orders of {len(slots)} slots follow from the secret and keep limits")]


def _people(cases: dict[str, CaseTruth]) -> Iterator[Finding]:
    for subject, count in Counter(truth.subject for truth in cases.values() if truth.subject).items():
        if count > 1:
            yield Finding("problem", f"{subject} is shown in {count} cases")


def _responses(folder: Path, manifest: StudyManifest) -> Iterator[Finding]:
    stray = stray_logs(folder, manifest)
    logs = {slot.number: file for slot in manifest.slots if (file := log_file(folder, slot.number)).exists()}
    for file in stray:
        yield Finding("problem", f"{RESPONSES}/{file.name} is of no slot of this study")
    if not logs and not stray:
        yield Finding("note", "nobody has read yet")
    for number, file in logs.items():
        try:
            log = read_log(folder, number, manifest)
        except StudyError as error:
            yield Finding("problem", error.message)
            continue
        for said in log.problems:
            yield Finding("problem", f"{RESPONSES}/{file.name}: {said}")
        if not log.problems:
            yield Finding("fine", f"{RESPONSES}/{file.name} is whole, with {len(log.readings)} readings")
