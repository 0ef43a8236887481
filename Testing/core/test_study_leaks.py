"""Nothing but what a picture shows tells its arm; and what would is found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from study_fixtures import PASSPHRASE, SECRET, design_of, write_sources

from jsddpm_core.reading_study.key import ENCRYPTED_KEY, read_key
from jsddpm_core.reading_study.leaks import LeakTable, comb_features, leak_auc, leak_table
from jsddpm_core.reading_study.make import make_study
from jsddpm_core.reading_study.manifest import AnswerKey, StudyManifest, read_manifest
from jsddpm_core.reading_study.stimuli import HEADER_BYTES, MODIFIED, RIM

OF_EACH_ARM = 200
CLOSED, OPEN = 0.60, 0.90


@pytest.fixture(scope="module")
def a_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyManifest, AnswerKey]:
    """200 cases an arm that show the same, with masks: 8-bit scans, and draws of floating numbers."""
    folder = tmp_path_factory.mktemp("leaks")
    cache, results = write_sources(folder, OF_EACH_ARM // 4)
    design = design_of(
        cache, results, OF_EACH_ARM, slots=1, display={"mask_overlay": True}, position_range_mm=[0.0, 20.0]
    )
    make_study(design, folder / "study", passphrase=PASSPHRASE, secret=SECRET)
    return (
        folder / "study",
        read_manifest(folder / "study"),
        read_key(folder / "study" / ENCRYPTED_KEY, PASSPHRASE),
    )


def test_a_classifier_of_everything_but_the_pictures_cannot_tell_arms(
    a_study: tuple[Path, StudyManifest, AnswerKey],
) -> None:
    table = leak_table(*a_study)
    found = leak_auc(table)
    assert found.cases == (OF_EACH_ARM, OF_EACH_ARM)
    assert found.upper <= CLOSED, found
    varying = {name for name, column in zip(table.names, table.values.T, strict=True) if np.ptp(column)}
    assert not any(word in name for name in varying for word in ("byte", "changed", "length"))
    assert "exact background" not in varying


def a_header_field(content: bytearray) -> bytes:
    content[148 + 60] = ord("r")  # in the description
    return content


def sixteen_bytes_more(content: bytearray) -> bytes:
    return content + bytes(16)


def another_time_stamp(content: bytearray) -> bytes:
    return content


def a_comb(content: bytearray) -> bytes:
    grey = np.frombuffer(bytes(content[HEADER_BYTES:]), dtype="<i2")
    coarse = np.where(grey > RIM, np.maximum(grey // 4 * 4, RIM + 1), grey).astype("<i2")
    return content[:HEADER_BYTES] + coarse.tobytes()


@pytest.mark.parametrize("leak", [a_header_field, sixteen_bytes_more, another_time_stamp, a_comb])
def test_a_leak_is_found(
    a_study: tuple[Path, StudyManifest, AnswerKey], leak: Callable[[bytearray], bytes], tmp_path: Path
) -> None:
    """Both arms are written anew, so that the leak is the only one."""
    folder, manifest, key = a_study
    leaking = shutil.copytree(folder, tmp_path / "leaking")
    for case in manifest.cases:
        real, file = key.cases[case.name].arm == "real", leaking / case.pictures[0].file
        content = bytearray(file.read_bytes())
        file.write_bytes(leak(content) if real else content)
        os.utime(file, (MODIFIED, MODIFIED + int(real and leak is another_time_stamp)))
    found = leak_auc(leak_table(leaking, manifest, key))
    assert found.auc >= OPEN, found


def test_sources_as_they_are_would_tell_arms(a_study: tuple[Path, StudyManifest, AnswerKey]) -> None:
    """The test above says something only because what went into the writer was far from alike."""
    from study_fixtures import arm_images

    images, _ = arm_images(60, 7, "none")
    comb = np.where(images > -1, np.clip(np.round((images + 1) * 90) / 90 - 1, -1, 1), -1)
    drawn = np.clip(images + np.random.default_rng(7).normal(0, 0.02, images.shape), -1, 1)
    rows = []
    for image in (*comb, *drawn):
        values = np.round((image + 1) * 499.5).astype(int)
        rows.append([float((image == -1).mean()), *comb_features(values[image > -0.9]).values()])
    table = LeakTable(tuple(str(n) for n in range(len(rows[0]))), np.array(rows), np.repeat([False, True], 60))
    assert leak_auc(table).auc >= OPEN
