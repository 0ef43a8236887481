"""What a user may ask a model for, and what is said when it cannot be had."""

from __future__ import annotations

import pytest
from generation_fixtures import facts_of, random_weights, small_config

from jsddpm_core.bundle import write_bundle
from jsddpm_core.config import SamplerName
from jsddpm_core.errors import RequestError
from jsddpm_core.generation.request import GenerateRequest, Shard, VolumeRequest, parse_request
from jsddpm_core.manifest import Manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    config = small_config()
    folder = tmp_path_factory.mktemp("bundles") / "small"
    return write_bundle(folder, facts_of(config), config.network, random_weights(config), "#\n").manifest


def slices(**wishes: object) -> GenerateRequest:
    return GenerateRequest(**{"model": "small", "pathology": "infarct", "position_mm": 18.0, **wishes})


def volume(**wishes: object) -> VolumeRequest:
    return VolumeRequest(**{"model": "small", "pathology": "ms", **wishes})


def test_a_request_survives_its_json() -> None:
    for request in (slices(count=3, shard=Shard(index=1, count=4)), volume(from_mm=1.5)):
        assert parse_request(request.model_dump_json()) == request
        assert parse_request(request.model_dump(mode="json")) == request


def test_an_unknown_pathology_lists_the_known_ones(manifest: Manifest) -> None:
    with pytest.raises(RequestError, match="'fcd': choose one of none, infarct, ms") as caught:
        slices(pathology="fcd").check(manifest)
    assert "small" in caught.value.message


@pytest.mark.parametrize("position", [16.9, 19.1, -200.0])
def test_a_position_outside_the_pathologys_range_gives_the_range(manifest: Manifest, position: float) -> None:
    with pytest.raises(RequestError, match="choose a position from 17 to 19 mm"):
        slices(position_mm=position).check(manifest)


@pytest.mark.parametrize("position", [17.0, 18.3, 19.0])
def test_the_range_includes_its_ends(manifest: Manifest, position: float) -> None:
    slices(position_mm=position).check(manifest)


def test_the_range_is_each_pathologys_own(manifest: Manifest) -> None:
    slices(pathology="none", position_mm=35.0).check(manifest)
    with pytest.raises(RequestError, match="-30 to 30"):
        slices(pathology="ms", position_mm=35.0).check(manifest)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"eta": 1.5}, r"eta = 1\.5"),
        ({"guidance": -1}, "guidance = -1"),
        ({"count": 0}, "count = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"position_mm": float("nan")}, "position_mm = nan"),
        ({"sampler": "euler"}, "sampler = 'euler'"),
        ({"first": 999_990, "count": 20}, "more than file names can number"),
        ({"stpes": 5}, "unknown key 'stpes' in the request: did you mean 'steps'"),
        ({"shard": {"index": 4, "count": 4}}, "shard 4/4 does not exist"),
    ],
)
def test_an_unusable_value_is_named_in_one_sentence(wish: dict, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        parse_request({"task": "generate", "model": "m", "pathology": "ms", "position_mm": 0.0, **wish})
    assert "\n" not in str(caught.value)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(RequestError, match="generate"):
        parse_request({"task": "diagnose"})


def test_another_version_of_requests_is_refused() -> None:
    with pytest.raises(RequestError, match="version"):
        parse_request({"task": "generate", "version": 2, "model": "m", "pathology": "ms", "position_mm": 0.0})


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/4", "1/0", "1/2/3"])
def test_a_shard_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="write I/N"):
        Shard.parse(text)


def test_shards_share_out_all_samples_once() -> None:
    parts = [slices(first=5, count=12, shard=Shard(index=index, count=5)).samples() for index in range(5)]
    assert sorted(index for part in parts for index in part) == list(range(5, 17))


def test_wishes_go_before_the_models_defaults(manifest: Manifest) -> None:
    sampling = slices(steps=7, sampler="ddim").sampling(manifest)
    assert (sampling.steps, sampling.sampler) == (7, SamplerName.DDIM)
    assert sampling.grid == manifest.sampling.grid
    assert slices().sampling(manifest) == manifest.sampling


def test_guidance_needs_a_model_that_was_trained_for_it(manifest: Manifest) -> None:
    slices(guidance=2.0).check(manifest)
    without = manifest.model_copy(update={"conditioning": manifest.conditioning.model_copy(update={"dropout": 0.0})})
    with pytest.raises(RequestError, match="leave guidance at 1"):
        slices(guidance=2.0).check(without)


def test_a_volume_holds_every_slice_of_the_grid_in_its_range(manifest: Manifest) -> None:
    grid = manifest.grid
    chosen = volume(from_mm=-3.0, to_mm=3.0).slices(manifest)
    positions = [grid.position_mm(index) for index in chosen]
    assert all(-3 <= position <= 3 for position in positions)
    assert grid.position_mm(chosen[0] - 1) < -3
    assert grid.position_mm(chosen[-1] + 1) > 3


def test_a_volume_spans_its_pathologys_range_by_default(manifest: Manifest) -> None:
    positions = [manifest.grid.position_mm(index) for index in volume().slices(manifest)]
    assert -30 <= positions[0] < -28.75
    assert 28.75 < positions[-1] <= 30


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"from_mm": -50.0}, "choose a position from -30 to 30 mm"),
        ({"from_mm": 5.0, "to_mm": -5.0}, "runs downwards"),
        ({"from_mm": 1.0, "to_mm": 1.2}, "no slice of the model's grid.*slices are 1.25 mm apart"),
    ],
)
def test_a_range_without_slices_is_refused(manifest: Manifest, wish: dict, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        volume(**wish).check(manifest)
