"""What a training step sees: the same for every number of ranks and after every interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import a_small_config, write_small_cache

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import CacheError
from jsddpm_core.training.batches import RoundSteps, TrainingBatches, finer, slice_tensors, toss
from jsddpm_core.training.pools import SlicePools, with_seen_pathologies


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> SliceCache:
    return write_small_cache(tmp_path_factory.mktemp("batches") / "cache", a_small_config())


def test_two_ranks_together_see_what_one_rank_sees(cache: SliceCache) -> None:
    config = a_small_config()
    alone = TrainingBatches(cache, config)[7]
    halves = [TrainingBatches(cache, config, rank, 2)[7] for rank in (0, 1)]
    for name, values in alone.items():
        assert torch.equal(values, torch.cat([half[name] for half in halves])), name


def test_a_step_sees_the_same_batch_whenever_it_is_asked_and_another_than_its_neighbour(cache: SliceCache) -> None:
    batches = TrainingBatches(cache, a_small_config())
    first = batches[3]["epsilon"].clone()
    assert not torch.equal(batches[4]["epsilon"], first)
    assert torch.equal(batches[3]["epsilon"], first)
    other_seed = TrainingBatches(cache, a_small_config("training.seed=1"))
    assert not torch.equal(other_seed[3]["epsilon"], first)


def test_every_batch_covers_all_noise_levels(cache: SliceCache) -> None:
    config = a_small_config("training.batch_size=8", "diffusion.noise_levels=tied")
    times = torch.sort(TrainingBatches(cache, config)[5]["t"][:, 0]).values
    assert torch.allclose(times.diff(), torch.tensor(999 / 8, dtype=torch.float64), atol=1e-6)
    assert times.min() >= 1 and times.max() <= 1000


def test_channels_share_their_level_unless_they_are_independent(cache: SliceCache) -> None:
    tied = [toss(a_small_config("diffusion.noise_levels=tied"), step, 0).times for step in range(50)]
    assert all(times[0] == times[1] for times in tied)
    config = a_small_config("diffusion.noise_levels=independent", "diffusion.independent_share=0.5")
    free = np.array([toss(config, step, sample).times for step in range(100) for sample in range(4)])
    apart = free[:, 0] != free[:, 1]
    assert 0.4 < apart.mean() < 0.6
    assert abs(np.corrcoef(free[apart].T)[0, 1]) < 0.2


def test_coins_fall_as_often_as_the_configuration_says() -> None:
    config = a_small_config("conditioning.dropout=0.2", "diffusion.self_conditioning.probability=0.7")
    coins = [toss(config, step, sample) for step in range(250) for sample in range(4)]
    assert np.mean([coin.drop_condition for coin in coins]) == pytest.approx(0.2, abs=0.04)
    assert np.mean([coin.self_condition for coin in coins]) == pytest.approx(0.7, abs=0.05)
    assert np.mean([coin.flip for coin in coins]) == pytest.approx(0.5, abs=0.05)


def test_estimates_for_self_conditioning_come_from_the_same_or_a_noisier_time(cache: SliceCache) -> None:
    config = a_small_config("diffusion.self_conditioning.later_share=0.5", "training.batch_size=64")
    batch = TrainingBatches(cache, config)[0]
    later = batch["later_t"] - batch["t"]
    assert (later >= -1e-9).all()
    assert 0.3 < (later[:, 0] > 1e-9).float().mean() < 0.7
    always_same = TrainingBatches(cache, a_small_config("diffusion.self_conditioning.later_share=0"))[0]
    assert torch.equal(always_same["later_t"], always_same["t"])


def test_half_of_the_slices_are_lesional_when_asked_even_where_lesions_are_rare(tmp_path: Path) -> None:
    config = a_small_config("training.lesion_share=0.5")
    rare = write_small_cache(tmp_path / "rare", config, subjects=40, lesional=0.1)
    pools = SlicePools(rare, config)
    rng = np.random.default_rng(0)
    drawn = [rare.records[pools.draw(*rng.random(2))].pathology for _ in range(1000)]
    assert drawn.count("infarct") / 1000 == pytest.approx(0.5, abs=0.05)


def test_only_training_subjects_are_drawn(cache: SliceCache) -> None:
    pools = SlicePools(cache, a_small_config())
    drawn = {pools.draw(pool, member) for pool in np.linspace(0, 0.999, 30) for member in np.linspace(0, 0.999, 30)}
    assert {cache.records[index].split for index in drawn} == {"train"}
    assert len(drawn) == len(pools) == 9


def test_a_cache_of_another_pathology_is_refused_by_name(cache: SliceCache) -> None:
    other = ("pathologies=[{name: none, label: n, lesional: false}, {name: fcd, label: f}]",)
    with pytest.raises(CacheError, match="infarct"):
        SlicePools(cache, a_small_config(*other))


def test_a_flip_mirrors_left_and_right_of_image_and_mask_alike(cache: SliceCache) -> None:
    config = a_small_config()
    index = next(i for i, record in enumerate(cache.records) if record.lesion_mm2 > 0)
    x0, _, lesion = slice_tensors(cache, config, index)
    mirrored, _, lesion_mirrored = slice_tensors(cache, config, index, flip=True)
    assert torch.equal(mirrored, x0.flip(1))
    assert torch.equal(lesion_mirrored, lesion.flip(1))
    assert x0[1].unique().tolist() == [-1.0, 1.0]


def test_an_unknown_mask_is_marked_so(cache: SliceCache) -> None:
    _, known, _ = slice_tensors(cache, a_small_config(), 0)
    assert known.tolist() == [True, False]


def test_rounds_walk_through_all_steps_once(cache: SliceCache) -> None:
    batches = TrainingBatches(cache, a_small_config("training.max_steps=14", "training.validation_every=2"))
    seen: list[int] = []
    walk = RoundSteps(batches, lambda: len(seen))
    lengths = []
    for _ in range(3):
        seen += list(walk)
        lengths.append(len(seen))
    assert (batches.steps_per_epoch, batches.steps_per_round) == (3, 6)
    assert lengths == [6, 12, 14]
    assert seen == list(range(14))
    assert list(RoundSteps(batches, lambda: 4)) == [4, 5], "a resumed run goes on in the middle of a round"


@pytest.mark.parametrize(("parts", "ranks"), [(2, 1), (4, 1), (2, 2)])
def test_the_parts_of_a_step_are_the_batch(cache: SliceCache, parts: int, ranks: int) -> None:
    config = a_small_config()
    whole = TrainingBatches(cache, config)[5]
    split = [TrainingBatches(cache, config, rank, ranks, parts=parts) for rank in range(ranks)]
    pieces = [batches[5 * parts + part] for batches in split for part in range(parts)]
    assert {len(piece["x0"]) for piece in pieces} == {4 // parts // ranks}
    for name, value in whole.items():
        assert torch.equal(torch.cat([piece[name] for piece in pieces]), value), name


def test_parts_get_finer_until_they_are_single_slices() -> None:
    assert [finer(16, parts) for parts in (1, 2, 4, 8, 16)] == [2, 4, 8, 16, None]
    assert [finer(6, parts) for parts in (1, 2, 6)] == [2, 6, None]
    assert finer(1, 1) is None


def test_a_pathology_that_no_training_slice_shows_is_left_out_of_the_model(cache: SliceCache) -> None:
    config = a_small_config()
    assert [pathology.name for pathology in config.pathologies] == ["none", "infarct", "ms"]
    assert [pathology.name for pathology in with_seen_pathologies(config, cache).pathologies] == ["none", "infarct"]
