"""What comes out of a run of single slices: the right files, in the right place, whoever makes them and when."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from generation_fixtures import write_small_bundle
from PIL import Image

from jsddpm_core.diffusion.noise import NoiseKey
from jsddpm_core.errors import OutputError, RequestError
from jsddpm_core.generation.delivery import check_delivery
from jsddpm_core.generation.generate import RunReport, generate
from jsddpm_core.generation.picture import Tile, overview_picture
from jsddpm_core.generation.request import GenerateRequest, Shard
from jsddpm_core.generation.results import resolved
from jsddpm_core.generation.sidecar import read_sidecar
from jsddpm_core.generation.synthesizer import Synthesizer, computes_in_bf16, resolve_device


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    return Synthesizer(write_small_bundle(tmp_path_factory.mktemp("bundles") / "small"), "cpu")


def request(warm: Synthesizer, **wishes: object) -> GenerateRequest:
    asked = {"model": str(warm.bundle.folder), "pathology": "infarct", "position_mm": 18.0, "count": 4, "threads": 1}
    return GenerateRequest(**{**asked, **wishes})


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def run(warm: Synthesizer, tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    """Four samples in one run."""
    return generate(warm, request(warm), tmp_path_factory.mktemp("run"))


def test_a_run_leaves_three_files_a_sample_and_one_picture(run: RunReport) -> None:
    expected = {"overview.png"}
    for index in range(4):
        stem = f"sample-{index:06d}"
        expected |= {
            f"{stem}.json",
            f"{stem}_desc-synthetic_FLAIR.nii.gz",
            f"{stem}_desc-synthetic_mask.nii.gz",
        }
    assert set(files_of(run.folder)) == expected


def test_a_sample_made_alone_is_the_same_to_the_byte(warm: Synthesizer, run: RunReport, tmp_path: Path) -> None:
    generate(warm, request(warm, first=2, count=1), tmp_path)
    in_run = files_of(run.folder)
    for name, content in files_of(tmp_path).items():
        if name != "overview.png":
            assert content == in_run[name], name
    assert len(list(tmp_path.iterdir())) == 4


def test_shards_together_are_the_run_to_the_byte(warm: Synthesizer, run: RunReport, tmp_path: Path) -> None:
    for index in (2, 0, 1):
        generate(warm, request(warm, shard=Shard(index=index, count=3)), tmp_path)
    assert files_of(tmp_path) == files_of(run.folder)


def test_a_run_in_another_process_is_the_same_to_the_byte(run: RunReport, warm: Synthesizer, tmp_path: Path) -> None:
    import subprocess
    import sys

    asked = request(warm, first=1, count=1)
    (tmp_path / "request.json").write_text(asked.model_dump_json())
    command = [sys.executable, "-m", "jsddpm_core.cli", "sample", "--request", str(tmp_path / "request.json")]
    subprocess.run([*command, "--out", str(tmp_path / "out")], check=True, capture_output=True)
    made = files_of(tmp_path / "out")
    assert len(made) == 4
    for name in set(made) - {"overview.png"}:
        assert made[name] == files_of(run.folder)[name]


class _Stop(BaseException):
    """Stands for Ctrl-C."""


def test_a_run_that_was_broken_off_resumes_to_the_same_bytes(
    warm: Synthesizer, run: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(index: int, _sidecar: object) -> None:
        if index == 1:
            raise _Stop

    with pytest.raises(_Stop):
        generate(warm, request(warm), tmp_path / "out", on_sidecar=stop)
    left = files_of(tmp_path / "out")
    assert len(left) == 6, "two whole samples and nothing else"

    drawn = []
    draw = warm.draw
    monkeypatch.setattr(warm, "draw", lambda *given, **more: drawn.append(given[2]) or draw(*given, **more))
    report = generate(warm, request(warm), tmp_path / "out")
    assert report.resumed == 2
    assert [keys[0].sample for keys in drawn] == [2, 3]
    assert files_of(tmp_path / "out") == files_of(run.folder)


def test_an_interruption_between_the_files_of_a_sample_leaves_none_of_them(
    warm: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jsddpm_core.generation.results as results

    write, counted = results.write_file, itertools.count()

    def stops_at_the_third(path: Path, content: bytes) -> None:
        if next(counted) == 2:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(results, "write_file", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        generate(warm, request(warm), tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == [], "nor a folder that was made for them"


@pytest.mark.parametrize("damage", ["missing mask", "cut image", "no sidecar", "left over from a killed process"])
def test_a_sample_that_is_not_whole_is_made_again(
    warm: Synthesizer, run: RunReport, tmp_path: Path, damage: str
) -> None:
    for name, content in files_of(run.folder).items():
        (tmp_path / name).write_bytes(content)
    stem = "sample-000002"
    match damage:
        case "missing mask":
            (tmp_path / f"{stem}_desc-synthetic_mask.nii.gz").unlink()
        case "cut image":
            image = tmp_path / f"{stem}_desc-synthetic_FLAIR.nii.gz"
            image.write_bytes(image.read_bytes()[:100])
        case "no sidecar":
            (tmp_path / f"{stem}.json").unlink()
        case _:
            (tmp_path / f"{stem}.json").rename(tmp_path / f".{stem}.json.4711.partial")
    report = generate(warm, request(warm), tmp_path)
    assert report.resumed == 3
    assert files_of(tmp_path) == files_of(run.folder)


@pytest.mark.parametrize("change", [{"seed": 1}, {"position_mm": 17.5}, {"steps": 3}, {"threads": 2}])
def test_a_folder_with_samples_of_another_request_is_left_alone(
    warm: Synthesizer, run: RunReport, change: dict
) -> None:
    before = files_of(run.folder)
    with pytest.raises(OutputError, match=r"sample-000000\.json belongs to another request or model"):
        generate(warm, request(warm, **change), run.folder)
    assert files_of(run.folder) == before


def test_a_folder_with_samples_of_another_model_is_left_alone(run: RunReport, tmp_path: Path) -> None:
    other = Synthesizer(write_small_bundle(tmp_path / "other", "sampling.steps=3"), "cpu")
    with pytest.raises(OutputError, match="another request or model"):
        generate(other, request(other, steps=2), run.folder)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"first": 1}, {"pathology": "ms"}, {"position_mm": 17.2}, {"guidance": 3.0}, {"sampler": "ddpm"}],
    ids=lambda change: next(iter(change)),
)
def test_every_wish_changes_the_image(warm: Synthesizer, run: RunReport, tmp_path: Path, change: dict) -> None:
    generate(warm, request(warm, **{"count": 1, **change}), tmp_path)
    (made,) = tmp_path.glob("*_FLAIR.nii.gz")
    first = run.folder / "sample-000000_desc-synthetic_FLAIR.nii.gz"
    assert not np.array_equal(nibabel.load(made).get_fdata(), nibabel.load(first).get_fdata())


def test_the_slice_lies_at_the_asked_position_and_left_is_left(run: RunReport, warm: Synthesizer) -> None:
    grid = warm.bundle.manifest.grid
    for ending, dtype in (("FLAIR", np.float32), ("mask", np.uint8)):
        image = nibabel.load(run.folder / f"sample-000000_desc-synthetic_{ending}.nii.gz")
        assert image.shape == (*grid.shape[:2], 1)
        assert image.get_data_dtype() == dtype
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
        assert image.affine[2, 3] == pytest.approx(18.0)
        np.testing.assert_allclose(image.affine[:2, 3], grid.origin_mm[:2])
        np.testing.assert_allclose(image.header.get_zooms(), [1.25, 1.25, 1.25])
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
        assert image.header["sform_code"] == image.header["qform_code"] == 4, "MNI152"
        assert image.header.get_xyzt_units()[0] == "mm"
        assert b"SYNTHETIC" in bytes(image.header["descrip"])


def test_the_image_is_in_the_models_range_and_the_mask_is_zero_or_one(run: RunReport) -> None:
    image = nibabel.load(run.folder / "sample-000000_desc-synthetic_FLAIR.nii.gz").get_fdata()
    mask = nibabel.load(run.folder / "sample-000000_desc-synthetic_mask.nii.gz").get_fdata()
    assert image.min() >= -1
    assert image.max() <= 1
    assert set(np.unique(mask)) <= {0, 1}


def test_the_sidecar_says_what_was_asked_checked_and_that_it_is_synthetic(run: RunReport, warm: Synthesizer) -> None:
    tree = json.loads((run.folder / "sample-000001.json").read_text())
    assert tree["synthetic"] is True
    assert tree["request"]["first"] == 1
    assert tree["request"]["count"] == 1
    assert tree["request"]["threads"] == 1
    assert tree["request"]["steps"] == 2, "what the request left open is filled in"
    assert tree["bundle"] == {"name": "small", "digest": warm.bundle.digest}
    assert tree["environment"]["versions"]["torch"] == torch.__version__
    assert tree["geometry"]["positions_mm"] == [18.0]
    mask = nibabel.load(run.folder / tree["files"]["mask"]["name"]).get_fdata()
    assert tree["attempts"][-1]["lesion_mm2"] == pytest.approx(mask.sum() * 1.25**2)


def test_a_lesion_where_none_was_asked_is_drawn_again_up_to_the_limit(warm: Synthesizer, tmp_path: Path) -> None:
    # Random weights fill the mask with noise: `none` never gets what it asks for.
    report = generate(warm, request(warm, pathology="none", count=2, attempts=3), tmp_path)
    assert report.redraws == 4
    assert report.as_asked == report.first_as_asked == 0
    sidecar = read_sidecar(tmp_path / "sample-000000.json")
    assert [attempt.as_asked for attempt in sidecar.attempts] == [False] * 3
    assert len({attempt.lesion_mm2 for attempt in sidecar.attempts}) == 3, "every attempt has noise of its own"


def test_a_lesion_that_was_asked_for_is_not_drawn_again(run: RunReport) -> None:
    assert run.redraws == 0
    assert run.as_asked == run.first_as_asked == 4


def test_a_re_draw_of_one_sample_leaves_the_others_as_they_are(
    warm: Synthesizer, run: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jsddpm_core.generation.generate as module

    check, counted = module.check_delivery, itertools.count()

    def first_fails(*given: object) -> object:
        result = check(*given)
        return result.model_copy(update={"as_asked": False}) if next(counted) == 0 else result

    monkeypatch.setattr(module, "check_delivery", first_fails)
    report = generate(warm, request(warm), tmp_path)
    assert report.redraws == 1
    made, expected = files_of(tmp_path), files_of(run.folder)
    same = [name for name in expected if made[name] == expected[name]]
    assert all(name.startswith("sample-000000") or name == "overview.png" for name in set(expected) - set(same))
    assert made["sample-000000_desc-synthetic_FLAIR.nii.gz"] != expected["sample-000000_desc-synthetic_FLAIR.nii.gz"]


def test_the_number_of_threads_is_as_before_after_a_run(
    warm: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, used = torch.get_num_threads(), []
    draw = warm.draw
    monkeypatch.setattr(
        warm, "draw", lambda *given, **more: used.append(torch.get_num_threads()) or draw(*given, **more)
    )
    torch.set_num_threads(before + 1)
    try:
        generate(warm, request(warm, count=1, threads=1), tmp_path)
        assert used == [1]
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_progress_rises_to_the_number_of_samples(warm: Synthesizer, tmp_path: Path) -> None:
    told = []
    generate(warm, request(warm, count=3), tmp_path, told.append)
    done = [message.done for message in told]
    assert done == sorted(done)
    assert done[-1] == 3
    assert {message.total for message in told} == {3}


def test_a_request_that_the_model_cannot_serve_makes_no_folder(warm: Synthesizer, tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        generate(warm, request(warm, position_mm=60.0), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_images_stay_in_their_range_even_if_the_model_does_not_clip(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "wild", "diffusion.clip=false", "sampling.steps=1")
    loose = Synthesizer(bundle, "cpu")
    loose.network.register_forward_hook(lambda _module, _given, out: 50 * out)
    drawing = loose.draw(request(loose), [18.0], [NoiseKey(0, 0)])[0]
    assert drawing.channels.min() == -1
    assert drawing.channels.max() == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(RequestError, match="device 'cuda' is not there on this machine: choose auto or one of"):
        resolve_device("cuda")


def test_the_overview_outlines_the_lesion_and_keeps_to_the_radiological_convention() -> None:
    image = np.full((160, 160), -1.0, np.float32)
    image[20:140, 20:140] = 0.0
    image[100:120, 120:130] = 0.9  # the patient's right, in front
    mask = image > 0.5
    picture = np.asarray(overview_picture([Tile(image, mask, "#0  ms  z = +3.0 mm", (230, 75, 53))], (-1.0, 1.0)))
    red = (picture[..., 0].astype(int) - picture[..., 2] > 120) & (picture[..., 1] < 120)
    rows, columns = np.nonzero(red)
    assert columns.max() < picture.shape[1] / 2, "the patient's right is at the viewer's left"
    assert rows.max() < picture.shape[0] / 2, "the front is at the top"
    inside = picture[rows.min() + 4 : rows.max() - 3, columns.min() + 4 : columns.max() - 3]
    assert inside.min() > 230, "the outline lies around the lesion"
    runs = red[(rows.min() + rows.max()) // 2]
    assert runs.sum() in range(4, 9), "two strokes of two to four pixels cross the middle of the lesion"


def test_the_overview_says_synthetic_in_its_metadata_and_holds_at_most_24(warm: Synthesizer, tmp_path: Path) -> None:
    generate(warm, request(warm, count=25, steps=1), tmp_path)
    with Image.open(tmp_path / "overview.png") as picture:
        assert "Synthetic" in picture.text["Description"]
        six_columns = 6 * (picture.width // 6)
        assert picture.width - six_columns < 6 * 4
        rows = picture.height // (40 * 9)
        assert rows == 4


# ---------------------------------------------------------------- the check itself


def a_slice(lesion_pixels: int, brightness: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((40, 40), -1.0, np.float32)
    image[5:35, 5:35] = 0.1
    mask = np.zeros((40, 40), bool)
    mask[18, 10 : 10 + lesion_pixels] = True
    image[mask] = brightness
    return image, mask


@pytest.mark.parametrize(("pixels", "found"), [(0, False), (12, False), (13, True)])
def test_a_lesion_counts_from_20_square_millimetres(pixels: int, found: bool) -> None:
    image, mask = a_slice(pixels)  # 12 pixels are 18.75 mm2, 13 are 20.3
    for asked in (True, False):
        delivery = check_delivery(image, mask, 1.25, 20.0, asked)
        assert delivery.lesion_found is found
        assert delivery.as_asked is (found == asked)


def test_contrast_is_taken_against_the_tissue_around() -> None:
    image, mask = a_slice(13, brightness=0.6)
    assert check_delivery(image, mask, 1.25, 20.0, True).contrast == pytest.approx(0.5, abs=1e-5)
    image, mask = a_slice(13, brightness=-0.2)
    assert check_delivery(image, mask, 1.25, 20.0, True).contrast == pytest.approx(-0.3, abs=1e-5)


def test_without_a_lesion_there_is_no_contrast() -> None:
    assert check_delivery(*a_slice(0), 1.25, 20.0, False).contrast is None


def test_an_image_with_a_value_that_is_no_number_is_never_as_asked() -> None:
    image, mask = a_slice(20)
    image[0, 0] = np.nan
    delivery = check_delivery(image, mask, 1.25, 20.0, True)
    assert not delivery.finite
    assert not delivery.as_asked


def test_the_arithmetic_that_auto_became_is_settled_before_the_run(warm: Synthesizer) -> None:
    settled = resolved(request(warm, precision="auto"), warm)
    assert settled.precision == ("bf16" if computes_in_bf16(warm.device) else "fp32")
    assert resolved(request(warm, precision="fp32"), warm).precision == "fp32"
