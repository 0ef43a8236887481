"""A whole study in memory, answered by simulated readers: what the analysis is tested with."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from jsddpm_core.reading_study.localisation import lesion_points_mm
from jsddpm_core.reading_study.manifest import AnswerKey, CaseTruth, Item, StudyManifest, digest_of
from jsddpm_core.reading_study.readings import ReaderLog, Reading
from jsddpm_core.reading_study.simulated_reader import SimulatedReader, Trait

SHAPE = (40, 48, 1)
AFFINE = np.array([[4.0, 0, 0, -80], [0, 4, 0, -96], [0, 0, 4, 12], [0, 0, 0, 1]])
STUDY = "0123456789abcdef" * 2
EXTENT = {"low": (-80.0, -96.0, 12.0), "high": (76.0, 92.0, 12.0)}


def a_manifest(
    items: Sequence[Item],
    cases: int,
    slots: int = 2,
    repeats: int = 0,
    time_limit_s: float | None = None,
    **plan: object,
) -> StudyManifest:
    """A study of so many cases that count; the last of each order are repeats of the first."""
    pictures = 1 + any(item.kind == "pair" for item in items)
    names = [f"case-{number + 1:04d}" for number in range(cases)]
    file = iter(range(1, 10_000))
    tree = {
        "schema_version": 1,
        "study": STUDY,
        "title": "Twenty <synthetic> slices & as many real ones",
        "made_with": "0",
        "notice": "may be synthetic, not for clinical use",
        "instructions": "",
        "items": [item.model_dump() for item in items],
        "display": {"window": 1.0, "level": 0.5, "time_limit_s": time_limit_s},
        "balanced": True,
        "harmonisation": ["background set to 0", "intensities on a grid of 256 steps"],
        "training": [],
        "cases": [
            {
                "name": name,
                "pictures": [{"file": f"images/{next(file):06d}.nii", "sha256": "0" * 64} for _ in range(pictures)],
            }
            for name in names
        ],
        "slots": [
            {"number": slot + 1, "order": [names[n] for n in _order(cases, slot)] + names[:repeats]}
            for slot in range(slots)
        ],
        "plan": {"bootstrap": 100, **plan},
    }
    whole = StudyManifest.model_validate_json(json.dumps({**tree, "digest": "0" * 64})).model_dump(mode="json")
    return StudyManifest.model_validate_json(json.dumps({**whole, "digest": digest_of(whole)}))


def _order(cases: int, slot: int) -> list[int]:
    return np.random.default_rng(slot).permutation(cases).tolist()


def a_key(manifest: StudyManifest) -> AnswerKey:
    """Every second case is synthetic (of a pair, its left one), every fourth pair of cases without a lesion."""
    cases = {}
    for number, case in enumerate(manifest.cases):
        real = number % 2 == 0
        lesion = number % 8 < 6
        cases[case.name] = CaseTruth(
            arm="real" if real else "synthetic",
            pathology=("ms", "infarct", "ms", "none")[number % 8 // 2],
            position_mm=float(-10 + 5 * (number // 2 % 9)),
            subject=f"real-{number // 2 + 1:04d}" if real or len(case.pictures) == 2 else None,
            lesion=lesion,
            lesion_voxels=(1000 + 5 * number, 4) if lesion else (),
        )
    return AnswerKey(study=manifest.study, digest=manifest.digest, cases=cases)


def a_log(manifest: StudyManifest, key: AnswerKey, slot: int, trait: Trait, seed: int = 0) -> ReaderLog:
    """A simulated reader's answers to a whole slot."""
    reader = SimulatedReader(trait, slot, seed)
    readings, seen = [], dict.fromkeys(key.cases, 0)
    for index, name in enumerate(manifest.slots[slot - 1].order):
        truth = key.cases[name]
        response = reader.respond(
            manifest.items,
            name,
            truth,
            occasion=seen[name],
            time_limit_s=manifest.display.time_limit_s,
            lesion_mm=lesion_points_mm(truth.lesion_voxels, SHAPE, AFFINE),
            extent_mm=EXTENT,
        )
        seen[name] += 1
        readings.append(Reading(index, name, response.answers, response.response_s, response.timed_out))
    return ReaderLog(slot, f"Somebody With A Name {slot}", "told in words", 10.0 + slot, tuple(readings))


def grids(manifest: StudyManifest) -> dict[str, tuple[tuple[int, ...], np.ndarray]]:
    """The pictures' grids, by case."""
    return {case.name: (SHAPE, AFFINE) for case in manifest.cases}
