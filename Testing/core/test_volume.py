"""What comes out of a request for a volume."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from generation_fixtures import write_small_bundle

from jsddpm_core.errors import OutputError, RequestError
from jsddpm_core.generation.request import VolumeRequest
from jsddpm_core.generation.sidecar import Sidecar
from jsddpm_core.generation.synthesizer import Synthesizer
from jsddpm_core.generation.volume import draw_volume, generate_volume, inter_slice_correlation

FLAIR = "volume-000000_desc-synthetic_FLAIR.nii.gz"
MASK = "volume-000000_desc-synthetic_mask.nii.gz"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    return Synthesizer(write_small_bundle(tmp_path_factory.mktemp("bundles") / "small"), "cpu")


def request(warm: Synthesizer, **wishes: object) -> VolumeRequest:
    asked = {"model": str(warm.bundle.folder), "pathology": "ms", "from_mm": 0.0, "to_mm": 6.0, "threads": 1}
    return VolumeRequest(**{**asked, **wishes})


@pytest.fixture(scope="module")
def made(warm: Synthesizer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sidecar]:
    folder = tmp_path_factory.mktemp("volume")
    return folder, generate_volume(warm, request(warm), folder)


def test_a_volume_has_image_mask_sidecar_and_picture(made: tuple[Path, Sidecar]) -> None:
    folder, _ = made
    assert {path.name for path in folder.iterdir()} == {FLAIR, MASK, "volume-000000.json", "overview.png"}


def test_every_slice_lies_at_its_position(made: tuple[Path, Sidecar], warm: Synthesizer) -> None:
    folder, sidecar = made
    image = nibabel.load(folder / FLAIR)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    positions = [float((image.affine @ [0, 0, index, 1])[2]) for index in range(image.shape[2])]
    np.testing.assert_allclose(positions, sidecar.geometry.positions_mm, atol=1e-4)
    grid = warm.bundle.manifest.grid
    on_grid = (np.array(positions) - grid.origin_mm[2]) / grid.spacing_mm
    np.testing.assert_allclose(on_grid, np.rint(on_grid), atol=1e-4)
    assert 0 <= positions[0] < 1.25
    assert 4.75 < positions[-1] <= 6


def test_a_slice_does_not_depend_on_how_many_are_made_with_it(made: tuple[Path, Sidecar], warm: Synthesizer) -> None:
    folder, sidecar = made
    whole = np.asanyarray(nibabel.load(folder / FLAIR).dataobj)
    middle = sidecar.geometry.positions_mm[2]
    alone = draw_volume(warm, request(warm, from_mm=middle, to_mm=middle)).drawing.image
    np.testing.assert_array_equal(alone[..., 0], whole[..., 2])


def test_shared_noise_makes_neighbouring_slices_agree(warm: Synthesizer) -> None:
    apart, near = (
        draw_volume(warm, request(warm, correlation=correlation)).checks.inter_slice_correlation
        for correlation in (0.0, 0.95)
    )
    assert near > apart + 0.3


def test_the_sidecar_reports_each_slices_lesion_and_the_correlation(made: tuple[Path, Sidecar]) -> None:
    folder, sidecar = made
    mask = nibabel.load(folder / MASK).get_fdata()
    image = np.asanyarray(nibabel.load(folder / FLAIR).dataobj)
    np.testing.assert_allclose(sidecar.volume.slice_lesion_mm2, mask.sum(axis=(0, 1)) * 1.25**2)
    assert sidecar.volume.inter_slice_correlation == inter_slice_correlation(image)
    assert sidecar.delivery.lesion_mm2 == pytest.approx(max(sidecar.volume.slice_lesion_mm2))


def test_a_volume_that_is_not_as_asked_is_drawn_again_with_other_noise(warm: Synthesizer, tmp_path: Path) -> None:
    sidecar = generate_volume(warm, request(warm, pathology="none", to_mm=2.0, attempts=2), tmp_path)
    assert [attempt.as_asked for attempt in sidecar.attempts] == [False, False]
    assert sidecar.attempts[0].lesion_mm2 != sidecar.attempts[1].lesion_mm2


def test_a_finished_volume_is_not_written_over(made: tuple[Path, Sidecar], warm: Synthesizer) -> None:
    with pytest.raises(OutputError, match="holds a volume already"):
        generate_volume(warm, request(warm), made[0])


def test_an_interrupted_volume_leaves_nothing(warm: Synthesizer, tmp_path: Path) -> None:
    def stop(progress: object) -> None:
        if progress.done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_volume(warm, request(warm), tmp_path / "out", stop)
    assert list(tmp_path.iterdir()) == []


def test_a_range_outside_the_model_makes_no_folder(warm: Synthesizer, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="-30 to 30 mm"):
        generate_volume(warm, request(warm, to_mm=44.0), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_correlation_is_one_for_equal_slices_and_none_for_a_single_one() -> None:
    rng = np.random.default_rng(0)
    one = rng.uniform(-0.5, 0.5, (20, 20)).astype(np.float32)
    other = rng.uniform(-0.5, 0.5, (20, 20)).astype(np.float32)
    assert inter_slice_correlation(np.stack([one, one, one], -1)) == pytest.approx(1.0)
    assert abs(inter_slice_correlation(np.stack([one, other], -1))) < 0.2
    assert inter_slice_correlation(one[..., None]) is None
    assert inter_slice_correlation(np.full((20, 20, 3), -1.0)) is None, "no head, nothing to correlate"
