"""A start model's own pathologies, drawn again against forgetting."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from generation_fixtures import RANGES, write_small_bundle
from training_fixtures import SMALL, a_small_config, write_small_cache

from jsddpm_core.bundle import Bundle
from jsddpm_core.data.priors import build_priors
from jsddpm_core.data.slices import SliceCache, made_of
from jsddpm_core.errors import CacheError, TrainingError
from jsddpm_core.evaluation.plan import rows_of
from jsddpm_core.generation.synthesizer import Synthesizer
from jsddpm_core.manifest import Licence
from jsddpm_core.progress import Progress
from jsddpm_core.training import replay
from jsddpm_core.training.export import export_run, position_range, real_inter_slice_correlation, slice_counts
from jsddpm_core.training.fit import fit
from jsddpm_core.training.pools import SlicePools, with_seen_pathologies
from jsddpm_core.training.replay import add_replay, replay_record, spread_over

# The weights are random, so that every draw has a lesion: what was asked for without one is dropped.
ASKED, KEPT = 9, 6


class StopError(Exception):
    """Somebody pressed Stop."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("start") / "bundle"
    return write_small_bundle(folder, "network.attention=[false,false,true,true]", *SMALL)


@pytest.fixture
def real(tmp_path: Path) -> SliceCache:
    return write_small_cache(tmp_path / "cache", a_small_config())


@pytest.fixture
def both(real: SliceCache, start: Bundle) -> SliceCache:
    return add_replay(start, real.folder, ASKED)


def drawn(cache: SliceCache) -> list[int]:
    return [index for index, record in enumerate(cache.records) if record.synthetic]


def test_slices_are_spread_over_the_pathologies_and_the_positions_of_each(start: Bundle) -> None:
    plan = spread_over(start.manifest, 13)
    assert Counter(asked.pathology for asked in plan) == {"none": 5, "infarct": 4, "ms": 4}
    assert [asked.sample for asked in plan] == list(range(13))
    for name, (low, high) in RANGES.items():
        places = np.array([asked.position_mm for asked in plan if asked.pathology == name])
        part = (high - low) / len(places)
        np.testing.assert_allclose(places, low + part / 2 + part * np.arange(len(places)))


def test_the_real_slices_stay_as_they_are_and_the_drawn_ones_say_what_they_are(real: SliceCache, start: Bundle) -> None:
    before = [(record, real.images[index].copy()) for index, record in enumerate(real.records)]
    cache = add_replay(start, real.folder, ASKED)
    assert SliceCache.open(cache.folder, verify=True).digest == cache.digest
    for index, (record, image) in enumerate(before):
        assert cache.records[index] == record
        np.testing.assert_array_equal(cache.images[index], image)
    for index in drawn(cache):
        record = cache.records[index]
        assert (record.split, record.subject, record.dataset) == ("train", "replay/small", "replay/small")
        assert record.lesion_mm2 == cache.masks[index].sum() * cache.grid.spacing_mm**2 > 0
        assert abs(cache.grid.origin_mm[2] + record.slice_index * 1.25 - record.position_mm) <= 0.625
    assert made_of(cache.folder) == real.manifest["made_of"], "prepared cases find their cache again"


def test_draws_that_are_not_as_asked_are_dropped_and_counted(both: SliceCache, start: Bundle) -> None:
    said = replay_record(both)
    assert said is not None
    assert (said.model, said.digest, said.dropped) == ("small", start.digest, ASKED - KEPT)
    assert said.slices == {"infarct": 3, "ms": 3}
    assert len(drawn(both)) == KEPT


def test_a_model_that_never_delivers_is_no_start_for_replay(
    real: SliceCache, start: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "spread_over", lambda _manifest, _slices: [replay.Asked(0, "none", 0.0)])
    with pytest.raises(TrainingError, match="none of 1 draws of the start model small was as asked"):
        add_replay(start, real.folder, 1)
    assert not drawn(SliceCache.open(real.folder))


def test_a_second_call_draws_nothing(both: SliceCache, start: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it drew again")

    monkeypatch.setattr(Synthesizer, "draw", never)
    assert add_replay(start, both.folder, ASKED).digest == both.digest


def test_another_number_or_seed_replaces_the_drawn_slices(both: SliceCache, start: Bundle) -> None:
    fewer = add_replay(start, both.folder, 6)
    assert len(fewer) == len(both) - KEPT + 4
    other = add_replay(start, both.folder, 6, seed=1)
    assert len(other) == len(fewer)
    assert not np.array_equal(other.images[drawn(other)[0]], fewer.images[drawn(fewer)[0]])


def test_a_stopped_replay_goes_on_with_the_same_images(
    real: SliceCache, start: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = add_replay(start, write_small_cache(tmp_path / "other", a_small_config()).folder, ASKED)
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if progress.done > 5:
            raise StopError

    with pytest.raises(StopError):
        add_replay(start, real.folder, ASKED, on_progress=stop)
    assert SliceCache.open(real.folder).digest == real.digest, "the cache is whole at any time"
    counts = Counter()
    draw = Synthesizer.draw

    def counted(self: Synthesizer, *given, **more):
        counts["draws"] += 1
        return draw(self, *given, **more)

    monkeypatch.setattr(Synthesizer, "draw", counted)
    cache = add_replay(start, real.folder, ASKED, on_progress=told.append)
    assert cache.digest == whole.digest
    assert counts["draws"] == ASKED - 5, "of those that were asked for with a lesion, each takes one draw"
    assert told[-1] == Progress("replaying", ASKED, ASKED, None, None, ASKED - 1)
    assert not list(tmp_path.glob("*.partial"))


def test_a_batch_holds_the_share_that_was_asked_for(both: SliceCache) -> None:
    rng = np.random.default_rng(0)
    shares = {}
    for share in (0.0, 0.25):
        pools = SlicePools(both, a_small_config(f"training.replay_share={share}"))
        picks = [both.records[pools.draw(*rng.random(2))] for _ in range(4000)]
        shares[share] = np.mean([record.synthetic for record in picks])
        lesional = np.mean([record.pathology == "infarct" for record in picks if not record.synthetic])
        assert lesional == pytest.approx(a_small_config().training.lesion_share, abs=0.03)
        assert len(pools) == 9, "an epoch is as long as there are real slices"
    assert shares[0.0] == 0
    assert shares[0.25] == pytest.approx(0.25, abs=0.03)


def test_without_drawn_slices_a_share_of_them_is_refused(real: SliceCache) -> None:
    with pytest.raises(CacheError, match="holds no slice that a start model drew"):
        SlicePools(real, a_small_config("training.replay_share=0.25"))


def test_a_model_promises_what_it_is_shown(both: SliceCache) -> None:
    def names(share: float) -> set[str]:
        config = a_small_config(f"training.replay_share={share}")
        return {entry.name for entry in with_seen_pathologies(config, both).pathologies}

    assert names(0.25) == {"none", "infarct", "ms"}
    assert names(0.0) == {"none", "infarct"}, "MS is in the drawn slices only"


def test_drawn_slices_stand_for_nobody(both: SliceCache, real: SliceCache) -> None:
    assert slice_counts(both) == slice_counts(real)
    assert position_range(both, "infarct") == position_range(real, "infarct")
    assert position_range(both, "ms") == RANGES["ms"], "the start model's range, where there is no real slice"
    assert real_inter_slice_correlation(both) == real_inter_slice_correlation(real)
    np.testing.assert_array_equal(build_priors(both, a_small_config()), build_priors(real, a_small_config()))
    splits = ("train", "validation", "test")
    assert not set(np.concatenate([rows_of(both, splits, name) for name in RANGES])) & set(drawn(both))


def test_a_run_learns_from_them_and_its_bundle_says_so(both: SliceCache, start: Bundle, tmp_path: Path) -> None:
    config = a_small_config("training.max_steps=2", "training.replay_share=0.5")
    result = fit(config, both, tmp_path / "run", start=start, accelerator="cpu")
    licence = Licence(weights="CC-BY-4.0")
    bundle = export_run(result.last, both, tmp_path / "b", "two", title="Two", licence=licence, start_bundle=start)
    said = bundle.manifest.training.replay
    assert said is not None
    assert said.slices == {"infarct": 3, "ms": 3}
    card = (bundle.folder / "MODEL_CARD.md").read_text("utf-8")
    assert "Synthetic, not in the table: 3 of `infarct`, 3 of `ms`, drawn by the start model `small`" in card
    assert "Known from such draws only, with the start model's range of positions: `ms`." in card
    assert "replay/" not in card
