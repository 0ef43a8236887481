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
from jsddpm_core.reading_study.stimuli import BACKGROUND, HEADER_BYTES, RIM

LOADS: Final = 3
SMOOTHED_OVER: Final = 21  # grey values: a comb of 256 values has a period of 4 to 10
LAGS: Final = (1, 2, 3, 4, 5, 8, 10)
MOST_SLOTS: Final = 10
TREES: Final = 100
Z_95: Final = 1.6448536


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
        upper: one-sided 95 % bound; every person is shown once, so cases are independent.
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
    counts = np.bincount(values.astype(np.int64).ravel()).astype(np.float64)
    low, high = np.searchsorted(np.cumsum(counts), [0.05 * counts.sum(), 0.95 * counts.sum()])
    inner = np.pad(counts, SMOOTHED_OVER)[low : max(high, low + SMOOTHED_OVER) + 2 * SMOOTHED_OVER]
    # A polynomial of third degree in a window that moves along (Savitzky and Golay, Anal Chem 1964;36:1627) follows
    # the histogram's own shape, which is what the picture shows; what is left is the comb.
    window = np.arange(SMOOTHED_OVER) - SMOOTHED_OVER // 2
    kernel = np.linalg.pinv(np.vander(window, 4))[-1]
    smooth = np.maximum(np.convolve(inner, kernel[::-1], "valid"), 0.5)
    inner = inner[SMOOTHED_OVER // 2 : -(SMOOTHED_OVER // 2)]
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
    headers: list[np.ndarray] = []
    for index, case in enumerate(manifest.cases):
        for side, picture in enumerate(case.pictures):
            row = {"place in the manifest": float(index), "side": float(side)}
            row |= {f"place in slot {n + 1}": float(places[case.name]) for n, places in enumerate(where[:MOST_SLOTS])}
            text = canonical(case.model_dump(mode="json"))
            row["length of its text"] = float(len(text))
            row["digest"] = float(int(picture.sha256[:12], 16))
            row["number"] = float(int(picture.file.split("/")[1][:6]))
            more, header = _file(folder / picture.file, "picture")
            row |= more
            if picture.mask is not None:
                more, of_mask = _file(folder / picture.mask, "mask")
                row |= more
                header = np.concatenate([header, of_mask])
            rows.append(row)
            headers.append(header)
            pictures.append(picture)
            synthetic.append((key.cases[case.name].arm == "synthetic") != bool(side))
    for row, loaded in zip(rows, _load_times(folder, pictures), strict=True):
        row["load time, s"] = loaded
    names = tuple(rows[0])
    values = np.array([[row[name] for name in names] for row in rows])
    more_names = tuple(f"byte {place} of the headers" for place in range(len(headers[0])))
    return LeakTable((*names, *more_names), np.column_stack([values, np.array(headers)]), np.array(synthetic))


def _file(path: Path, kind: str) -> tuple[dict[str, float], np.ndarray]:
    """What a file says of itself, and the bytes of its header."""
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
    if kind == "picture":
        array = np.frombuffer(content[HEADER_BYTES:], dtype="<i2", count=(len(content) - HEADER_BYTES) // 2)
        row["exact background"] = float((array == BACKGROUND).mean())
        row |= comb_features(array[array > RIM])
    else:
        row["mask: values above 1"] = float(max(content[HEADER_BYTES:], default=0) > 1)
    header = np.zeros(HEADER_BYTES)
    header[: len(content)] = np.frombuffer(content[:HEADER_BYTES], dtype=np.uint8)
    return row, header


def _load_times(folder: Path, pictures: Sequence[Picture]) -> list[float]:
    """The quickest of some loads of each, taken turn by turn so that a busy moment does not hit one arm."""
    best = [np.inf] * len(pictures)
    for _ in range(LOADS):
        for index, picture in enumerate(pictures):
            started = time.perf_counter()
            np.frombuffer((folder / picture.file).read_bytes()[HEADER_BYTES:], dtype=np.uint8).astype(np.float32)
            best[index] = min(best[index], time.perf_counter() - started)
    return best


def leak_auc(table: LeakTable, *, seed: int = 0, folds: int = 5) -> LeakResult:
    """The classifier's AUC, cross-validated.

    Args:
        table: features; those that are the same for all pictures are left out.
        seed: of folds and trees.
        folds: each score is of a classifier that has not seen the case.

    Raises:
        StudyError: for fewer cases of an arm than folds.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    varies = np.ptp(table.values, axis=0) > 0
    # Ranks, for trees compute in single precision, in which two time stamps of one second are the same.
    values, arms = rankdata(table.values[:, varies], method="dense", axis=0), table.synthetic
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
    single = sorted(
        ((name, float(roc_auc_score(arms, values[:, column]))) for column, name in enumerate(names)),
        key=lambda found: -abs(found[1] - 0.5),
    )
    return LeakResult(auc, _upper(scores[arms], scores[~arms]), counts, len(names), tuple(single[:8]))


def _upper(high: np.ndarray, low: np.ndarray) -> float:
    """The one-sided 95 % bound of an AUC (DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837, eqs. 3 to 6)."""
    above = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    variance = above.mean(axis=1).var(ddof=1) / len(high) + above.mean(axis=0).var(ddof=1) / len(low)
    return float(min(above.mean() + Z_95 * np.sqrt(variance), 1.0))
