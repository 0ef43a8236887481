"""What `reproduce` says of an image, its sidecar and its model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from generation_fixtures import write_small_bundle

from jsddpm_core.bundle import Bundle
from jsddpm_core.errors import BundleError, ReproductionError, RequestError
from jsddpm_core.generation.generate import generate
from jsddpm_core.generation.provenance import reproduce
from jsddpm_core.generation.request import GenerateRequest, VolumeRequest
from jsddpm_core.generation.sidecar import read_sidecar, voxels_digest
from jsddpm_core.generation.synthesizer import Synthesizer
from jsddpm_core.generation.volume import generate_volume

STEM = "sample-000001"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="module")
def original(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    asked = GenerateRequest(
        model=str(bundle.folder), pathology="infarct", position_mm=18, count=2, threads=1, seed=5, precision="fp32"
    )
    generate(Synthesizer(bundle, "cpu"), asked, folder)
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A run to tamper with."""
    return Path(shutil.copytree(original, tmp_path / "run"))


def rewrite(sidecar: Path, change: Callable[[dict], object]) -> Path:
    tree = json.loads(sidecar.read_text())
    change(tree)
    sidecar.write_text(json.dumps(tree))
    return sidecar


def change_image(run: Path, by: float) -> None:
    """Another image, with a sidecar that vouches for it."""
    path = run / f"{STEM}_desc-synthetic_FLAIR.nii.gz"
    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj).copy()
    values[0, 0, 0] += by * np.sqrt(values.size)
    nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), path)
    rewrite(run / f"{STEM}.json", lambda tree: tree["files"]["FLAIR"].update(voxels_sha256=voxels_digest(values)))


def test_a_sample_of_a_run_comes_again_to_the_voxel(original: Path) -> None:
    result = reproduce(original / f"{STEM}.json")
    assert result.identical
    assert result.environment_differences == ()
    assert result.within_tolerance


def test_a_volume_comes_again_to_the_voxel(bundle: Bundle, tmp_path: Path) -> None:
    asked = VolumeRequest(model=str(bundle.folder), pathology="ms", from_mm=0, to_mm=3, threads=1)
    generate_volume(Synthesizer(bundle, "cpu"), asked, tmp_path)
    assert reproduce(tmp_path / "volume-000000.json").identical


def test_a_re_drawn_sample_comes_again_to_the_voxel(bundle: Bundle, tmp_path: Path) -> None:
    asked = GenerateRequest(model=str(bundle.folder), pathology="none", position_mm=18, threads=1, attempts=2)
    generate(Synthesizer(bundle, "cpu"), asked, tmp_path)
    assert reproduce(tmp_path / "sample-000000.json").identical


def test_reproduction_needs_no_images_when_the_voxels_are_the_same(run: Path) -> None:
    for image in run.glob("*.nii.gz"):
        image.unlink()
    assert reproduce(run / f"{STEM}.json").identical


def test_another_image_is_not_reproduced_on_an_equal_machine(run: Path) -> None:
    change_image(run, by=1e-4)
    result = reproduce(run / f"{STEM}.json")
    assert not result.identical
    assert result.image_rms == pytest.approx(1e-4, rel=1e-2)
    assert not result.within_tolerance


@pytest.mark.parametrize(("by", "accepted"), [(1e-4, True), (1e-2, False)])
def test_on_another_machine_the_stated_tolerance_decides(run: Path, by: float, accepted: bool) -> None:
    change_image(run, by=by)
    rewrite(run / f"{STEM}.json", lambda tree: tree["environment"].update(cpu="abacus"))
    result = reproduce(run / f"{STEM}.json")
    assert any("cpu abacus /" in difference for difference in result.environment_differences)
    assert result.tolerance == 1e-3
    assert result.within_tolerance is accepted


def test_a_mask_that_differs_is_noticed_on_another_machine_too(run: Path) -> None:
    path = run / f"{STEM}_desc-synthetic_mask.nii.gz"
    image = nibabel.load(path)
    flipped = 1 - np.asanyarray(image.dataobj)
    nibabel.save(nibabel.Nifti1Image(flipped, image.affine, image.header), path)

    def vouch(tree: dict) -> None:
        tree["files"]["mask"]["voxels_sha256"] = voxels_digest(flipped)
        tree["environment"]["cpu"] = "abacus"

    result = reproduce(rewrite(run / f"{STEM}.json", vouch))
    assert result.mask_share == 1
    assert not result.within_tolerance


def test_a_model_that_moved_is_named_and_can_be_pointed_to(run: Path, bundle: Bundle) -> None:
    sidecar = rewrite(run / f"{STEM}.json", lambda tree: tree["request"].update(model="/moved/away"))
    with pytest.raises(ReproductionError, match=f"--model \\('small', digest {bundle.digest[:12]}\\)"):
        reproduce(sidecar)
    assert reproduce(sidecar, model=bundle.folder).identical


def test_another_model_is_refused(run: Path, tmp_path: Path) -> None:
    other = write_small_bundle(tmp_path / "other", "sampling.steps=3")
    with pytest.raises(ReproductionError, match="was made with another model"):
        reproduce(run / f"{STEM}.json", model=other.folder)


def test_a_model_that_was_pointed_to_and_is_broken_says_so(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        reproduce(run / f"{STEM}.json", model=tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "could not be read"),
        (b"{", "not a sidecar that can be used"),
        (b"[]", "not a sidecar that can be used"),
        (b"\xff\xfe", "not a sidecar that can be used"),
        (b'{"version": 9}', "version"),
    ],
)
def test_a_file_that_is_no_sidecar_is_named_in_one_sentence(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "sample.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReproductionError, match=said) as caught:
        reproduce(path)
    assert "sample.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sidecar_cannot_name_a_file_elsewhere(run: Path) -> None:
    sidecar = rewrite(run / f"{STEM}.json", lambda tree: tree["files"]["mask"].update(name="../mask.nii.gz"))
    with pytest.raises(ReproductionError, match=r"files\.mask\.name"):
        read_sidecar(sidecar)


@pytest.mark.parametrize("change", [{"count": 400}, {"shard": {"index": 0, "count": 2}}])
def test_a_sidecar_that_asks_for_more_than_its_sample_is_refused(run: Path, change: dict) -> None:
    sidecar = rewrite(run / f"{STEM}.json", lambda tree: tree["request"].update(change))
    with pytest.raises(ReproductionError, match="more than the one sample"):
        reproduce(sidecar)


def test_a_sidecar_is_held_against_its_model(run: Path) -> None:
    sidecar = rewrite(run / f"{STEM}.json", lambda tree: tree["request"].update(position_mm=500.0))
    with pytest.raises(RequestError, match="position 500 mm is outside"):
        reproduce(sidecar)


def test_a_sidecar_that_denies_being_synthetic_is_refused(run: Path) -> None:
    with pytest.raises(ReproductionError, match="synthetic"):
        read_sidecar(rewrite(run / f"{STEM}.json", lambda tree: tree.update(synthetic=False)))


def test_images_that_are_gone_are_missed_only_where_they_are_needed(run: Path) -> None:
    change_image(run, by=1e-4)
    (run / f"{STEM}_desc-synthetic_mask.nii.gz").unlink()
    with pytest.raises(ReproductionError, match="missing or damaged"):
        reproduce(run / f"{STEM}.json")
