"""The slice cache: whole or absent, and what a damaged one is told."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import SMALL_GRID, record, write_cache

from jsddpm_core.data.slices import SliceCache, SliceCacheWriter
from jsddpm_core.errors import CacheError, OutputError

PLANE = SMALL_GRID.shape[:2]


@pytest.fixture
def cache(tmp_path: Path) -> SliceCache:
    slices = [(record("d/sub-01"), -0.5), (record("d/sub-02", "validation"), 0.25), (record("d/sub-03", "test"), 1.0)]
    return write_cache(tmp_path / "cache", slices)


def test_slices_come_back_as_they_were_written(cache: SliceCache) -> None:
    again = SliceCache.open(cache.folder, verify=True)
    assert again.images.shape == (3, *PLANE)
    assert (again.images.dtype, again.masks.dtype) == (np.float32, np.uint8)
    assert again.images[1].max() == again.images[1].min() == np.float32(0.25)
    assert [entry.subject for entry in again.records] == ["d/sub-01", "d/sub-02", "d/sub-03"]
    assert again.indices("validation").tolist() == [1]
    assert again.grid == SMALL_GRID
    assert again.digest == cache.digest
    assert len(again) == 3


def test_the_arrays_stay_on_disk_and_cannot_be_changed(cache: SliceCache) -> None:
    assert isinstance(cache.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        cache.images[0] = 0


def test_masks_and_images_keep_their_orientation(tmp_path: Path) -> None:
    image = np.linspace(-1, 1, PLANE[0] * PLANE[1], dtype=np.float32).reshape(PLANE)
    mask = (image > 0.9).astype(np.uint8)
    with SliceCacheWriter(tmp_path / "c", SMALL_GRID) as writer:
        writer.add(record(), np.asfortranarray(image), np.asfortranarray(mask))
        made = writer.finish({})
    assert np.array_equal(made.images[0], image)
    assert np.array_equal(made.masks[0], mask)


def test_the_digest_changes_with_a_label(tmp_path: Path) -> None:
    one = write_cache(tmp_path / "a", [(record(), 0.0)])
    other = write_cache(tmp_path / "b", [(record(pathology=None), 0.0)])
    assert one.digest != other.digest


def test_an_unknown_split_lists_the_splits(cache: SliceCache) -> None:
    with pytest.raises(CacheError, match="train, validation, test"):
        cache.indices("val")


def test_a_folder_without_a_cache_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"holds no slice cache: make it with jsddpm prepare"):
        SliceCache.open(tmp_path)


def test_a_cut_or_missing_array_is_named(cache: SliceCache) -> None:
    path = cache.folder / "masks.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CacheError, match=r"masks\.npy is missing or damaged"):
        SliceCache.open(cache.folder)
    path.unlink()
    with pytest.raises(CacheError, match=r"masks\.npy is missing or damaged"):
        SliceCache.open(cache.folder)


def test_a_changed_voxel_is_found_when_asked_for(cache: SliceCache) -> None:
    path = cache.folder / "images.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    SliceCache.open(cache.folder)
    with pytest.raises(CacheError, match=r"images\.npy is not what its manifest says"):
        SliceCache.open(cache.folder, verify=True)


def test_a_pickled_array_is_refused(cache: SliceCache) -> None:
    np.save(cache.folder / "images.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CacheError, match=r"images\.npy is missing or damaged"):
        SliceCache.open(cache.folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 99}, "has the version 99"),
        ({"records": [{"subject": "a"}] * 3}, "records that cannot be read"),
        ({"records": []}, "3 slices but 0 records"),
        ({"grid": {"space": "MNI152", "shap": [1, 1, 1]}}, "records that cannot be read"),
        ({"arrays": {}}, "its manifest says"),
    ],
)
def test_a_manifest_that_disagrees_is_refused(cache: SliceCache, change: dict, said: str) -> None:
    path = cache.folder / "cache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CacheError, match=said):
        SliceCache.open(cache.folder)


def test_a_damaged_manifest_is_refused(cache: SliceCache) -> None:
    (cache.folder / "cache.json").write_text('{"schema": 1,')
    with pytest.raises(CacheError, match=r"cache\.json is damaged"):
        SliceCache.open(cache.folder)


def test_an_interrupted_writer_leaves_the_old_cache_and_nothing_else(cache: SliceCache) -> None:
    def interrupted() -> None:
        with SliceCacheWriter(cache.folder, SMALL_GRID) as writer:
            writer.add(record(), np.zeros(PLANE, np.float32), np.zeros(PLANE, np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in cache.folder.parent.iterdir()] == ["cache"]
    assert SliceCache.open(cache.folder, verify=True).digest == cache.digest


def test_a_new_cache_takes_the_place_of_the_old(cache: SliceCache) -> None:
    write_cache(cache.folder, [(record("d/sub-09"), 0.75)])
    assert [path.name for path in cache.folder.parent.iterdir()] == ["cache"]
    assert [entry.subject for entry in SliceCache.open(cache.folder).records] == ["d/sub-09"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis exists and is no slice cache"):
        SliceCacheWriter(tmp_path / "thesis", SMALL_GRID)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def fill() -> None:
        with SliceCacheWriter(tmp_path / "deep" / "cache", SMALL_GRID) as writer:
            writer._files["images.npy"].close()
            writer._files["images.npy"] = Full()
            writer.add(record(), np.zeros(PLANE, np.float32), np.zeros(PLANE, np.uint8))

    with pytest.raises(OutputError, match=r"No space left on device.*free disk space"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file is in its place"):
        SliceCacheWriter(tmp_path / "file" / "cache", SMALL_GRID)
