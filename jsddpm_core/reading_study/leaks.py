"""Whether anything but what the pictures show tells the arms of a study apart.

A classifier is given all that a curious reader or program could look at without looking at the picture: every byte of
the headers, sizes, time stamps, permissions, numbers, digests, how long a file takes to load, the place in the
manifest and in the orders, the share of pixels that are exactly background, and how the grey values lie on their
comb. Its scores are of cases that it was not trained on. A study that leaks nothing leaves it at an AUC of 0.5.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from jsddpm_core.errors import StudyError
from jsddpm_core.reading_study.manifest import AnswerKey, Picture, StudyManifest, canonical
from jsddpm_core.reading_study.stimuli import BACKGROUND, RIM

HEADER: Final = 352  # bytes of a NIfTI header and its extension flag
LOADS: Final = 5
SMOOTHED_OVER: Final = 31  # grey values
LAGS: Final = (1, 2, 3, 4, 5, 8, 10)
MOST_SLOTS: Final = 10
TREES: Final = 100


@dataclass(frozen=True)
class LeakTable:
    """What can be known of pictures without looking at them.

    Attributes:
        names: of the features, (p,).
        values: (n, p) float64.
        synthetic: (n,) bool.
    """

    names: tuple[str, ...]
    values: np.ndarray
    synthetic: np.ndarray

    def with_feature(self, name: str, values: np.ndarray) -> LeakTable:
        """The table with one more column."""
        return LeakTable((*self.names, name), np.column_stack([self.values, values]), self.synthetic)


@dataclass(frozen=True)
class LeakResult:
    """How well arms are told apart.

    Attributes:
        auc: of scores on cases that were not trained on.
        upper: one-sided 95 % bound, by bootstrap over cases.
        cases: of each arm (real, synthetic).
        features: number that are not the same for all pictures.
        strongest: the features whose own AUC is farthest from 0.5, with it.
    """

    auc: float
    upper: float
    cases: tuple[int, int]
    features: int
    strongest: tuple[tuple[str, float], ...]


def comb_features(values: np.ndarray) -> dict[str, float]:
    """How grey values lie on their comb, apart from how bright or rich in contrast the picture is.

    Args:
        values: whole grey values of the brain's pixels, (n,).
    """
    from scipy.signal import savgol_filter

    counts = np.bincount(values.astype(np.int64).ravel()).astype(np.float64)
    low, high = np.searchsorted(np.cumsum(counts), [0.05 * counts.sum(), 0.95 * counts.sum()])
    inner = counts[low : max(high, low + 2 * SMOOTHED_OVER)]
    # A polynomial follows the histogram's own shape, which is what the picture shows; what is left is the comb.
    smooth = np.maximum(savgol_filter(inner, SMOOTHED_OVER, 3, mode="interp"), 0.5)
    residual = (inner - smooth) / np.sqrt(smooth)
    power = np.abs(np.fft.rfft(residual)) ** 2 / residual.size
    power = power[2 * residual.size // SMOOTHED_OVER :]
    expected_gaps = np.exp(-smooth).mean()
    lags = [float(np.mean(residual[lag:] * residual[:-lag])) for lag in LAGS]
    return {
        "comb: gaps beyond chance": float((inner == 0).mean() - expected_gaps),
        "comb: unevenness": float(residual.var()),
        "comb: highest peak": float(power.max(initial=0.0)),
        "comb: power": float(power.mean()),
        "comb: odd values": float(counts[1::2].sum() / counts.sum()),
        "comb: multiples of four": float(counts[::4].sum() / counts.sum()),
        **{f"comb: lag {lag}": value for lag, value in zip(LAGS, lags, strict=True)},
    }


def leak_table(folder: Path, manifest: StudyManifest, key: AnswerKey) -> LeakTable:
    """What can be known of the pictures that count without looking at them.

    Args:
        folder: the study.
        manifest: of it.
        key: of the cases that count.

    Raises:
        StudyError: if a file cannot be read.
    """
    where = [{name: place for place, name in reversed(list(enumerate(slot.order)))} for slot in manifest.slots]
    rows: list[dict[str, float]] = []
    synthetic: list[bool] = []
    pictures: list[Picture] = []
    for index, case in enumerate(manifest.cases):
        for side, picture in enumerate(case.pictures):
            row = {"place in the manifest": float(index), "side": float(side)}
            row |= {f"place in slot {n + 1}": float(places[case.name]) for n, places in enumerate(where[:MOST_SLOTS])}
            text = canonical(case.model_dump(mode="json"))
            row["length of its text"] = float(len(text))
            row["digest"] = float(int(picture.sha256[:12], 16))
            row["number"] = float(int(picture.file.split("/")[1][:6]))
            row |= _file(folder / picture.file, "picture")
            if picture.mask is not None:
                row |= _file(folder / picture.mask, "mask")
            rows.append(row)
            pictures.append(picture)
            synthetic.append((key.cases[case.name].arm == "synthetic") != bool(side))
    for row, loaded in zip(rows, _load_times(folder, pictures), strict=True):
        row["load time, s"] = loaded
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    values = np.array([[row.get(name, np.nan) for name in names] for row in rows])
    return LeakTable(names, np.nan_to_num(values, nan=-1.0), np.array(synthetic))


def _file(path: Path, kind: str) -> dict[str, float]:
    try:
        content, stat = path.read_bytes(), path.stat()
    except OSError as error:
        raise StudyError(f"{path} could not be read ({error.strerror})", "copy the study again") from None
    row = {
        f"{kind}: bytes": float(len(content)),
        f"{kind}: changed": float(stat.st_mtime_ns),
        f"{kind}: permissions": float(stat.st_mode),
        f"{kind}: place on disk": float(stat.st_ino),
        f"{kind}: created": float(stat.st_ctime_ns),
    }
    row |= {f"{kind}: header byte {place}": float(value) for place, value in enumerate(content[:HEADER])}
    if kind == "picture":
        array = np.frombuffer(content[HEADER:], dtype="<i2", count=(len(content) - HEADER) // 2)
        row["exact background"] = float((array == BACKGROUND).mean())
        row |= comb_features(array[array > RIM])
    else:
        row["mask: values"] = float(len(set(content[HEADER:])))
    return row


def _load_times(folder: Path, pictures: Sequence[Picture]) -> list[float]:
    """The quickest of some loads of each, taken turn by turn so that a busy moment does not hit one arm."""
    import nibabel

    best = [np.inf] * len(pictures)
    for _ in range(LOADS):
        for index, picture in enumerate(pictures):
            started = time.perf_counter()
            np.asarray(nibabel.load(folder / picture.file).dataobj)
            best[index] = min(best[index], time.perf_counter() - started)
    return best


def leak_auc(table: LeakTable, *, seed: int = 0, folds: int = 5, resamples: int = 2000) -> LeakResult:
    """The classifier's AUC, cross-validated.

    Args:
        table: features; those that are the same for all pictures are left out.
        seed: of folds, trees and resamples.
        folds: each score is of a classifier that has not seen the case.
        resamples: of the bootstrap.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    varies = np.ptp(table.values, axis=0) > 0
    values, arms = table.values[:, varies], table.synthetic
    names = [name for name, kept in zip(table.names, varies, strict=True) if kept]
    counts = (int((~arms).sum()), int(arms.sum()))
    if min(counts) < folds:
        raise StudyError(f"{min(counts)} cases of an arm are too few for a leak test", f"use at least {folds}")
    scores = np.zeros(len(arms))
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(values, arms):
        model: Any = ExtraTreesClassifier(TREES, min_samples_leaf=3, max_features=0.5, random_state=seed)
        model.fit(values[train], arms[train])
        # Ranks within a fold: a fold with more of one arm must not shift its scores against the others.
        scores[test] = rankdata(model.predict_proba(values[test])[:, 1]) / len(test)
    auc = float(roc_auc_score(arms, scores))
    numbers = np.random.default_rng(seed)
    own = [np.flatnonzero(~arms), np.flatnonzero(arms)]
    drawn = []
    for _ in range(resamples):
        picked = np.concatenate([numbers.choice(group, len(group)) for group in own])
        drawn.append(roc_auc_score(arms[picked], scores[picked]))
    single = sorted(
        ((name, float(roc_auc_score(arms, values[:, column]))) for column, name in enumerate(names)),
        key=lambda found: -abs(found[1] - 0.5),
    )
    return LeakResult(auc, float(np.quantile(drawn, 0.95)), counts, len(names), tuple(single[:8]))
