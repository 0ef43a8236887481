"""How well anything but the pictures tells the arms of a study apart, on real scans and slices of the demo model.

    make study-leaks, or study_leaks.py --data ../shared/data [--count 200] [--steps 8] [--samples build/study]

A study of `count` cases an arm is made by the code that makes any study; people of all splits are drawn, for what is
measured is the writer and not the model. A study shows nobody whom its model learned from, and no more than 184 others
are there: so the slices are drawn by a copy of the model that is gone when the study is made. The classifier of
`reading_study.leaks` then tells arms, as the study is and with each of four leaks put in. A second part says how much
the limit on runs of an arm gives away.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.stats import norm

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from jsddpm_core.commands.reporting import Reporter  # noqa: E402
from jsddpm_core.evaluation.background import own_brain  # noqa: E402
from jsddpm_core.reading_study import stimuli  # noqa: E402
from jsddpm_core.reading_study.design import parse_design  # noqa: E402
from jsddpm_core.reading_study.key import read_key  # noqa: E402
from jsddpm_core.reading_study.leaks import LeakTable, comb_features, leak_auc, leak_table  # noqa: E402
from jsddpm_core.reading_study.make import make_study  # noqa: E402
from jsddpm_core.reading_study.manifest import AnswerKey, StudyManifest, read_manifest  # noqa: E402
from jsddpm_core.reading_study.order import LONGEST_RUN, arm_sequence, feasible_run, foreknowledge  # noqa: E402

RESULT = PROJECT / "Testing" / "benchmarks" / "results" / "study_leaks.json"
PATHOLOGIES = ("none", "infarct")
POSITION_MM = 18.0
RANGE_MM = (17.5, 18.5)


def header_field(content: bytearray) -> bytearray:
    content[208] = ord("r")
    return content


def sixteen_bytes(content: bytearray) -> bytearray:
    return content + bytes(16)


def comb(content: bytearray) -> bytearray:
    grey = np.frombuffer(bytes(content[stimuli.HEADER_BYTES :]), dtype="<i2")
    coarse = np.where(grey > stimuli.RIM, np.maximum(grey // 4 * 4, stimuli.RIM + 1), grey).astype("<i2")
    return content[: stimuli.HEADER_BYTES] + coarse.tobytes()


LEAKS: dict[str, tuple[Callable[[bytearray], bytearray], int]] = {
    "a header field": (header_field, 0),
    "16 bytes of size": (sixteen_bytes, 0),
    "a second of mtime": (lambda content: content, 1),
    "an intensity comb": (comb, 0),
}


def leaking(folder: Path, to: Path, manifest: StudyManifest, key: AnswerKey, name: str) -> Path:
    """A copy of a study in which the real arm has a leak; both arms are written anew, so that it has no other."""
    change, later = LEAKS[name]
    shutil.copytree(folder, to)
    for case in manifest.cases:
        real = key.cases[case.name].arm == "real"
        file = to / case.pictures[0].file
        content = bytearray(file.read_bytes())
        file.write_bytes(change(content) if real else content)
        os.utime(file, (stimuli.MODIFIED, stimuli.MODIFIED + (later if real else 0)))
    return to


def unharmonised(cache: Path, samples: list[Path], key: AnswerKey) -> LeakTable:
    """What a study of the slices as they lie in cache and results would tell: zeros and combs only."""
    import nibabel

    from jsddpm_core.data.slices import SliceCache

    opened = SliceCache.open(cache)
    shown = {truth.source["case"] for truth in key.cases.values() if truth.arm == "real"}
    real = [
        np.array(opened.images[index])
        for index, record in enumerate(opened.records)
        if record.case in shown and RANGE_MM[0] <= record.position_mm <= RANGE_MM[1] and not record.simulated
    ]
    files = [file for folder in samples for file in sorted(folder.glob("*_FLAIR.nii.gz"))]
    drawn = [np.asarray(nibabel.load(file).dataobj, dtype=np.float32)[..., 0] for file in files]
    rows = []
    for image in (*real, *drawn):
        brain = own_brain(image, np.ones(image.shape, dtype=bool))
        values = np.round((image[brain] + 1) * 499.5)
        rows.append({"exact background": float((image == -1).mean()), **comb_features(values)})
    return LeakTable(
        tuple(rows[0]),
        np.array([list(row.values()) for row in rows]),
        np.repeat([False, True], [len(real), len(drawn)]),
    )


def brain_sizes(folder: Path, manifest: StudyManifest, key: AnswerKey) -> LeakTable:
    """The size of the brain alone, which pictures show and zeros would tell without the even background."""
    rows, arms = [], []
    for case in manifest.cases:
        content = (folder / case.pictures[0].file).read_bytes()
        grey = np.frombuffer(content[stimuli.HEADER_BYTES :], dtype="<i2")
        rows.append([float((grey > stimuli.RIM).mean())])
        arms.append(key.cases[case.name].arm == "synthetic")
    return LeakTable(("share of the brain",), np.array(rows), np.array(arms))


def order_gain(of_each: int, d_prime: float, most: int, *, runs: int = 100, seed: int = 0) -> tuple[float, float]:
    """Share of right answers without feedback, each case judged alone and by one who also knows the rule.

    The second keeps, after every case, the probability of all that the order may have been so far: cases left of an
    arm, the last arm, and the length of its run; and judges the next case with it.

    Args:
        of_each: cases of either arm.
        d_prime: how well a single case is told, equal variances.
        most: longest run.
        runs: orders.
        seed: of orders and of what the reader sees.
    """
    numbers = np.random.default_rng(seed)
    follow = _followers(of_each, most)
    alone = knowing = 0
    for _ in range(runs):
        belief = {(of_each, of_each, -1, 0): 1.0}
        for arm in arm_sequence((of_each, of_each), most, numbers):
            seen = numbers.normal(d_prime * (arm - 0.5))
            likely = norm.pdf(seen, d_prime * (np.array([0, 1]) - 0.5))
            after: dict[tuple[int, int, int, int], float] = {}
            for state, weight in belief.items():
                for state_after, chance in follow(state):
                    after[state_after] = after.get(state_after, 0.0) + weight * chance * likely[state_after[2]]
            total = sum(after.values())
            belief = {state: weight / total for state, weight in after.items() if weight / total > 1e-9}
            one = sum(weight for state, weight in belief.items() if state[2] == 1)
            knowing += (one > 0.5) == (arm == 1)
            alone += (seen > 0) == (arm == 1)
    count = runs * 2 * of_each
    return alone / count, knowing / count


def _followers(of_each: int, most: int):
    from functools import cache

    @cache
    def ways(a: int, b: int, last: int, run: int) -> int:
        if a == b == 0:
            return 1
        return sum(ways(*after) for after in steps(a, b, last, run))

    def steps(a: int, b: int, last: int, run: int) -> list[tuple[int, int, int, int]]:
        found = []
        for arm, left in ((0, a), (1, b)):
            length = run + 1 if arm == last else 1
            if left and length <= most:
                found.append((a - (arm == 0), b - (arm == 1), arm, length))
        return found

    @cache
    def follow(state: tuple[int, int, int, int]) -> list[tuple[tuple[int, int, int, int], float]]:
        total = ways(*state)
        return [(after, ways(*after) / total) for after in steps(*state) if ways(*after)]

    return follow


def sources(data: Path, count: int, steps: int | None, samples: Path) -> tuple[Path, list[Path]]:
    """The cache of real slices and the folders of drawn ones; what is there already is not made again."""
    from jsddpm_core.bundle import find_bundle, read_bundle
    from jsddpm_core.data.prepare import prepare
    from jsddpm_core.generation.generate import generate
    from jsddpm_core.generation.request import GenerateRequest
    from jsddpm_core.generation.synthesizer import Synthesizer

    report = Reporter()
    copy = samples / "model"
    shutil.copytree(find_bundle("demo"), copy, dirs_exist_ok=True)
    bundle = read_bundle(copy)
    synthesizer = Synthesizer(bundle, "auto")
    folders = []
    with report.progress():
        for pathology in PATHOLOGIES:
            folders.append(samples / pathology)
            asked = GenerateRequest(
                model=str(copy), pathology=pathology, position_mm=POSITION_MM, seed=5, steps=steps, attempts=5,
                threads=1, count=count // 2 + 2,
            )  # fmt: skip
            generate(synthesizer, asked, folders[-1], report.on_progress)
    shutil.rmtree(copy)
    splits = PROJECT / "Testing" / "benchmarks" / "demo_splits.tsv"  # leaves out what is no FLAIR
    config = bundle.manifest.config()
    prepare([data / "soop-axial"], config, samples / "cache", pathologies=["infarct"], split_file=splits)
    return samples / "cache", folders


def measured(cache: Path, folders: list[Path], count: int, work: Path) -> dict:
    """Makes the study and lets the classifier at it."""
    design = parse_design(
        {
            "title": "Leak test",
            "items": [{"kind": "real"}],
            "display": {"mask_overlay": True},
            "real": {
                "count": count,
                "cache": str(cache.absolute()),
                "splits": ["test", "validation", "train"],
            },
            "synthetic": {"count": count, "results": [str(folder.absolute()) for folder in folders]},
            "pathologies": list(PATHOLOGIES),
            "position_range_mm": list(RANGE_MM),
            "slots": 2,
        }
    )
    study = work / "study"
    # The secret is fixed so that the benchmark gives the same numbers again.
    made = make_study(design, study, key_file=work / "key.json", secret=bytes(range(32)))
    manifest, key = read_manifest(study), read_key(work / "key.json")
    table = leak_table(study, manifest, key)
    headers = np.array([name.startswith("byte") for name in table.names])
    found = {
        "real people": count,
        "synthetic slices": count,
        "steps of the demo model": sorted(
            {truth.source["request"]["steps"] for truth in key.cases.values() if truth.subject is None}
        ),
        "features": len(table.names),
        "bytes of headers that vary": int((np.ptp(table.values[:, headers], axis=0) > 0).sum()),
        "as the study is": asdict(leak_auc(table)),
        "with a leak": {},
        "slices as they were, zeros and comb only": asdict(leak_auc(unharmonised(cache, folders, key))),
        "size of the brain alone, which the pictures show": asdict(leak_auc(brain_sizes(study, manifest, key))),
        "balance": [asdict(row) for row in made.balance],
    }
    for name in LEAKS:
        folder = leaking(study, work / name.replace(" ", "-"), manifest, key, name)
        found["with a leak"][name] = asdict(leak_auc(leak_table(folder, manifest, key)))
        shutil.rmtree(folder)
    return found


def order_part() -> dict:
    """What the limit on runs gives away, 20 cases an arm."""
    found: dict = {
        "told every earlier arm, runs of at most 3": foreknowledge((20, 20), LONGEST_RUN),
        "told every earlier arm, no limit": foreknowledge((20, 20), 40),
        "told nothing": {},
        "longest run for 20 and 20": feasible_run((20, 20)),
    }
    for d_prime in (0.0, 0.5, 1.0, 2.0):
        alone, knowing = order_gain(20, d_prime, LONGEST_RUN)
        _, unlimited = order_gain(20, d_prime, 40)
        found["told nothing"][f"d' = {d_prime:g}"] = {
            "each case alone": alone,
            "knowing the limit": knowing,
            "knowing the numbers only": unlimited,
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--count", type=int, default=200, help="cases an arm")
    parser.add_argument("--steps", type=int, default=None, help="network evaluations a slice; default: the model's")
    parser.add_argument("--samples", type=Path, default=PROJECT / "build" / "study", help="kept for the next time")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    if not (asked.data / "soop-axial").is_dir():
        print(
            f"The real scans are not here: {asked.data / 'soop-axial'} does not exist; name their folder with --data."
        )
        return 2
    with tempfile.TemporaryDirectory() as work:
        found = {
            "leaks": measured(*sources(asked.data, asked.count, asked.steps, asked.samples), asked.count, Path(work)),
            "order": order_part(),
        }
    text = json.dumps(found, indent=1) + "\n"
    asked.out.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
