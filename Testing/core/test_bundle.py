"""What a user of bundles sees: sound ones load, and nothing else does."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from generation_fixtures import facts_of, random_weights, small_config, write_small_bundle
from safetensors.numpy import load_file, save_file

from jsddpm_core.bundle import (
    Bundle,
    check_bundle,
    find_bundle,
    list_bundles,
    read_bundle,
    write_bundle,
)
from jsddpm_core.errors import BundleError, OutputError
from jsddpm_core.manifest import Manifest
from jsddpm_core.networks.from_bundle import load_denoiser_network, load_priors
from jsddpm_core.networks.joint_unet import build_network
from jsddpm_core.tensor_file import file_digest


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture
def copy(sound: Bundle, tmp_path: Path) -> Path:
    """A bundle to break."""
    return Path(shutil.copytree(sound.folder, tmp_path / "copy"))


def rewrite_weights(folder: Path, change: Callable[[dict[str, np.ndarray]], None], sign: bool = False) -> None:
    """Changes the tensors of a bundle; `sign` renews the digest in the manifest."""
    path = folder / "denoiser.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    if sign:
        rewrite_manifest(folder, lambda tree: tree["components"]["denoiser"].update(sha256=file_digest(path)))


def rewrite_manifest(folder: Path, change: Callable[[dict], object]) -> None:
    path = folder / "bundle.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def test_a_written_bundle_is_sound_and_comes_back_in_half_precision(sound: Bundle) -> None:
    assert check_bundle(sound.folder) == []
    weights = random_weights(small_config())
    stored = sound.weights()
    assert stored.keys() == weights.keys()
    for name, array in stored.items():
        assert array.dtype == np.float16
        np.testing.assert_array_equal(array, weights[name].astype(np.float16))


def test_the_network_of_a_bundle_computes_with_the_stored_weights(sound: Bundle) -> None:
    config = small_config()
    expected = build_network(config)
    halved = {name: torch.from_numpy(array).half().float() for name, array in random_weights(config).items()}
    expected.load_state_dict(halved)
    network = load_denoiser_network(sound)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    x = torch.randn(1, 4, 32, 40, generator=torch.Generator().manual_seed(0))
    given = (x, torch.full((1, 2), 300.0), torch.tensor([3.0]), torch.tensor([1]))
    with torch.no_grad():
        torch.testing.assert_close(network(*given), expected.eval()(*given), rtol=1e-4, atol=1e-5)


def test_loading_leaves_the_global_random_generator_as_it_was(sound: Bundle) -> None:
    before = torch.random.get_rng_state()
    load_denoiser_network(sound)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_configuration_of_the_training_comes_back_whole(sound: Bundle) -> None:
    assert sound.manifest.config() == small_config()


def test_the_digest_follows_the_weights_and_not_the_place(sound: Bundle, copy: Path, tmp_path: Path) -> None:
    assert read_bundle(copy).digest == sound.digest
    config = small_config()
    other = write_bundle(tmp_path / "other", facts_of(config), config.network, random_weights(config, 1), "# card\n")
    assert other.digest != sound.digest


def test_priors_are_stored_beside_the_network(tmp_path: Path) -> None:
    priors = np.linspace(-1, 1, 30 * 32 * 40, dtype=np.float32).reshape(30, 32, 40)
    bundle = write_small_bundle(tmp_path / "prior", "conditioning.prior.kind=concatenation", priors=priors)
    loaded = load_priors(bundle)
    assert loaded is not None
    np.testing.assert_allclose(loaded.numpy(), priors, atol=1e-3)


def test_a_prior_that_the_model_needs_may_not_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="priors"):
        write_small_bundle(tmp_path / "prior", "conditioning.prior.kind=concatenation")
    assert not (tmp_path / "prior").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("unets.0.conv_in.conv.weight"), "lacks tensor 'unets.0.conv_in.conv.weight'"),
        (lambda t: t.update(more=np.zeros(3, np.float16)), "holds tensor 'more'"),
        (
            lambda t: t.update({"noise_level.mlp.2.bias": np.zeros(7, np.float16)}),
            "'noise_level.mlp.2.bias' is F16 \\[7\\] in place of F16 \\[32\\]",
        ),
        (
            lambda t: t.update({"noise_level.mlp.2.bias": np.zeros(32, np.float32)}),
            "'noise_level.mlp.2.bias' is F32 \\[32\\] in place of F16",
        ),
        (lambda t: t.update({"noise_level.mlp.2.bias": np.zeros(32, np.int64)}), "of type I64"),
    ],
    ids=["missing", "extra", "mis-shaped", "other precision", "integers"],
)
def test_a_tensor_that_is_not_as_the_manifest_says_is_named(copy: Path, change: Callable, said: str) -> None:
    rewrite_weights(copy, change)
    with pytest.raises(BundleError, match=said):
        read_bundle(copy)
    assert len(check_bundle(copy)) == 1


def test_a_table_that_was_changed_with_the_weights_still_has_to_fit_the_network(copy: Path) -> None:
    rewrite_weights(copy, lambda t: t.update({"noise_level.mlp.2.bias": np.zeros(7, np.float16)}), sign=True)
    rewrite_manifest(
        copy, lambda tree: tree["components"]["denoiser"]["tensors"]["noise_level.mlp.2.bias"].update(shape=[7])
    )
    with pytest.raises(BundleError, match="of shape \\[7\\], but the network that the manifest describes has of shape"):
        load_denoiser_network(read_bundle(copy))


def test_a_manifest_that_contradicts_itself_is_refused(copy: Path) -> None:
    rewrite_manifest(copy, lambda tree: tree["channels"][1].update(name=tree["channels"][0]["name"]))
    with pytest.raises(BundleError, match="two channels share a name"):
        read_bundle(copy)


def test_a_manifest_that_describes_a_vast_network_costs_no_memory(copy: Path) -> None:
    rewrite_manifest(copy, lambda tree: tree["components"]["denoiser"]["network"].update(channels=[800_000, 1_600_000]))
    with pytest.raises(BundleError, match=r"' is of shape"):
        load_denoiser_network(read_bundle(copy))


def test_a_bundle_is_found_in_its_own_folder_too(copy: Path) -> None:
    (found,) = list_bundles(copy)
    assert isinstance(found, Bundle)


class _Trap:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path(_Trap.place),))

    place = ""


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_pickle_in_place_of_safetensors_is_refused_and_not_run(copy: Path, tmp_path: Path, kind: str) -> None:
    _Trap.place = str(tmp_path / "sprung")
    path = copy / "denoiser.safetensors"
    if kind == "torch":
        torch.save({"weights": _Trap()}, path)
    else:
        path.write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(BundleError, match="is a pickle in place of safetensors and was refused"):
        read_bundle(copy)
    assert "pickle" in check_bundle(copy)[0]
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("version", [0, 2, "1", None, True])
def test_another_schema_version_is_refused_by_its_number(copy: Path, version: object) -> None:
    rewrite_manifest(copy, lambda tree: tree.update(schema_version=version))
    with pytest.raises(BundleError, match=r"schema version .* but this program reads 1"):
        read_bundle(copy)


def test_weights_that_are_not_finite_are_refused(copy: Path) -> None:
    rewrite_weights(copy, lambda t: t["noise_level.mlp.2.bias"].fill(np.nan), sign=True)
    assert ["not finite" in problem for problem in check_bundle(copy)] == [True]
    with pytest.raises(BundleError, match=r"noise_level\.mlp\.2\.bias.*not finite"):
        load_denoiser_network(read_bundle(copy))


def test_weights_that_were_exchanged_are_noticed(copy: Path) -> None:
    rewrite_weights(copy, lambda t: t["noise_level.mlp.2.bias"].fill(0.5))
    assert ["SHA-256" in problem for problem in check_bundle(copy)] == [True]
    with pytest.raises(BundleError, match="not the file that"):
        load_denoiser_network(read_bundle(copy))


@pytest.mark.parametrize("file", ["../denoiser.safetensors", "/tmp/x.safetensors", "a/b.safetensors", "weights.pt"])
def test_a_file_outside_the_folder_or_of_another_kind_cannot_be_named(copy: Path, file: str) -> None:
    rewrite_manifest(copy, lambda tree: tree["components"]["denoiser"].update(file=file))
    with pytest.raises(BundleError, match=r"components\.denoiser\.file"):
        read_bundle(copy)


def test_a_link_out_of_the_folder_is_not_followed(copy: Path, tmp_path: Path) -> None:
    weights = copy / "denoiser.safetensors"
    weights.rename(tmp_path / "elsewhere.safetensors")
    weights.symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(BundleError, match="leads out of"):
        read_bundle(copy)


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_a_file_that_was_cut_off_is_damaged(copy: Path, keep: int) -> None:
    path = copy / "denoiser.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleError, match="not a whole safetensors file"):
        read_bundle(copy)


def test_overlapping_tensors_are_damage(copy: Path) -> None:
    header = {
        name: {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]} for name in ("one", "two")
    }  # both claim the same bytes
    text = json.dumps(header).encode()
    (copy / "denoiser.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 4)
    with pytest.raises(BundleError, match="not a whole safetensors file"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.update(subjects=["sub-0001"]), "unknown key 'subjects'"),
        (lambda tree: tree.pop("licence"), "key 'licence' is missing"),
        (lambda tree: tree.update(name="../up"), "'name'"),
        (lambda tree: tree["grid"].update(spacing_mm=2.0), "grid differs"),
        (lambda tree: tree["components"].pop("denoiser"), "lacks a denoiser"),
    ],
)
def test_a_manifest_that_says_too_much_or_too_little_is_refused(copy: Path, change: Callable, said: str) -> None:
    rewrite_manifest(copy, change)
    with pytest.raises(BundleError, match=said):
        read_bundle(copy)


def test_a_manifest_that_is_no_json_is_refused(copy: Path) -> None:
    (copy / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="could not be read as JSON"):
        read_bundle(copy)


def test_checking_names_everything_and_not_only_the_first(copy: Path) -> None:
    rewrite_weights(copy, lambda t: (t.pop("noise_level.mlp.2.bias"), t.update(more=np.zeros(1, np.float16))))
    (copy / "MODEL_CARD.md").unlink()
    (copy / "notes.pkl").write_bytes(b"x")
    problems = "\n".join(check_bundle(copy))
    for part in ("noise_level.mlp.2.bias", "'more'", "MODEL_CARD.md is missing", "notes.pkl is not named"):
        assert part in problems


def test_a_bundle_is_not_written_over_another_unless_asked(copy: Path) -> None:
    config = small_config()
    given = (facts_of(config), config.network, random_weights(config, 1), "# New\n")
    with pytest.raises(OutputError, match="is there already"):
        write_bundle(copy, *given)
    assert (copy / "MODEL_CARD.md").read_text() == "# Random weights\n"
    write_bundle(copy, *given, overwrite=True)
    assert (copy / "MODEL_CARD.md").read_text() == "# New\n"
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_bundle_whose_writing_fails_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jsddpm_core.files.os.fsync", full)
    with pytest.raises(OutputError, match=r"No space left on device\): free disk space"):
        write_small_bundle(tmp_path / "new" / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_weight_beyond_half_precision_is_refused_by_name(tmp_path: Path) -> None:
    config = small_config()
    weights = random_weights(config)
    weights["noise_level.mlp.2.bias"] = np.full(32, 1e6, np.float32)
    with pytest.raises(BundleError, match=r"'noise_level\.mlp\.2\.bias' is not finite or beyond half precision"):
        write_bundle(tmp_path / "b", facts_of(config), config.network, weights, "#\n")
    assert not (tmp_path / "b").exists()


def test_the_list_shows_broken_bundles_beside_sound_ones(sound: Bundle, tmp_path: Path) -> None:
    shutil.copytree(sound.folder, tmp_path / "a")
    shutil.copytree(sound.folder, tmp_path / "b")
    (tmp_path / "b" / "denoiser.safetensors").unlink()
    (tmp_path / "not-a-bundle").mkdir()
    good, bad = list_bundles(tmp_path)
    assert isinstance(good, Bundle)
    assert isinstance(bad, BundleError)
    assert "denoiser.safetensors is missing" in str(bad)


def test_a_shipped_model_is_found_by_its_name(sound: Bundle, tmp_path: Path) -> None:
    shutil.copytree(sound.folder, tmp_path / "demo")
    assert find_bundle("demo", shipped=tmp_path) == tmp_path / "demo"
    with pytest.raises(BundleError, match="there is no model 'dmeo': did you mean 'demo'"):
        find_bundle("dmeo", shipped=tmp_path)


def test_reading_bundles_and_requests_needs_no_heavy_package() -> None:
    code = (
        "import sys, jsddpm_core.bundle, jsddpm_core.generation.request, jsddpm_core.files, jsddpm_core.progress\n"
        "heavy = {'torch', 'monai', 'yaml', 'scipy', 'nibabel', 'lightning', 'rich', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_manifest_survives_its_own_json(sound: Bundle) -> None:
    again = Manifest.model_validate_json((sound.folder / "bundle.json").read_text())
    assert again == sound.manifest


def test_a_bundle_keeps_its_identity_when_the_program_learns_new_keys(copy: Path, sound: Bundle) -> None:
    """The demo bundle and every sidecar that names it were written before some keys were there."""
    rewrite_manifest(copy, lambda tree: tree["training"].pop("earlier_subjects"))
    older = read_bundle(copy)
    assert older.manifest == sound.manifest
    text = json.dumps(json.loads((copy / "bundle.json").read_text()), sort_keys=True, separators=(",", ":"))
    assert older.digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_record_of_people_takes_salted_digests_only(copy: Path) -> None:
    people = {"salt": "0" * 32, "train": ["a" * 64]}
    rewrite_manifest(copy, lambda tree: tree["training"].update(subject_digests=people))
    assert read_bundle(copy).manifest.training.subject_digests.train == ("a" * 64,)
    people["train"].append("sub-01")
    rewrite_manifest(copy, lambda tree: tree["training"].update(subject_digests=people))
    with pytest.raises(BundleError, match="subject_digests"):
        read_bundle(copy)
