"""Bundles: a model as a folder of `bundle.json`, safetensors files and `MODEL_CARD.md`.

Reading executes nothing: no pickle, no expression language, no file outside the folder. This file needs the
standard library, numpy, pydantic and safetensors only, so that an interface can list and check models without torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from jsddpm_core.config import NetworkConfig
from jsddpm_core.errors import BundleError, nearest
from jsddpm_core.files import whole_folder, write_file
from jsddpm_core.manifest import (
    DENOISER,
    PRIORS,
    SCHEMA_VERSION,
    BundleFacts,
    Component,
    Manifest,
    TensorSpec,
    content_digest,
)
from jsddpm_core.tensor_file import file_digest, half_precision, read_header, read_tensors

MANIFEST = "bundle.json"
MODEL_CARD = "MODEL_CARD.md"
SHIPPED = Path(__file__).resolve().parents[1] / "Resources" / "Models"
"""Where bundles lie that come with the extension, as seen from a checkout or an installed extension."""

_MANIFEST_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Bundle:
    """A model that was read and whose tables agree with its files.

    Attributes:
        manifest: what it says of itself.
        folder: where it lies.
        digest: SHA-256 that stands for manifest and weights.
    """

    manifest: Manifest
    folder: Path
    digest: str

    def weights(self, component: Literal["denoiser", "priors"] = DENOISER) -> dict[str, np.ndarray]:
        """The tensors of a component as float16 or float32, checked against its digest and for non-finite values.

        Raises:
            BundleError: if they differ from what the manifest says.
        """
        entry = self.manifest.components[component]
        path = self.folder / entry.file
        if file_digest(path) != entry.sha256:
            raise BundleError(f"{path} is not the file that {MANIFEST} was written for", "get the bundle again")
        return read_tensors(path)


def read_bundle(folder: str | Path) -> Bundle:
    """Reads a bundle's manifest and holds the headers of its weight files against it.

    Raises:
        BundleError: for the first thing that is wrong; `check_bundle` lists all.
    """
    folder = Path(folder)
    manifest, tree = _read_manifest(folder)
    for component in manifest.components.values():
        problems = _table_problems(folder, component)
        if problems:
            more = f" (and {len(problems) - 1} more: see jsddpm check-bundle)" if len(problems) > 1 else ""
            raise BundleError(f"{problems[0]}{more}", "get the bundle again")
    return Bundle(manifest, folder, content_digest(tree))


def check_bundle(folder: str | Path) -> list[str]:
    """Everything that is wrong with a bundle, one sentence each; an empty list for a sound one.

    Beyond what reading checks, it reads all weights: their digests, and that all are finite.
    """
    folder = Path(folder)
    try:
        manifest, _ = _read_manifest(folder)
    except BundleError as error:
        return [error.message]
    problems = []
    for component in manifest.components.values():
        found = _table_problems(folder, component)
        if not found:
            path = folder / component.file
            if file_digest(path) != component.sha256:
                found.append(f"{path} has another SHA-256 than {MANIFEST} says")
            try:
                read_tensors(path)
            except BundleError as error:
                found.append(error.message)
        problems.extend(found)
    if not (folder / MODEL_CARD).is_file():
        problems.append(f"{folder / MODEL_CARD} is missing")
    named = {MANIFEST, MODEL_CARD, *(component.file for component in manifest.components.values())}
    problems.extend(f"{path} is not named in {MANIFEST}" for path in sorted(folder.iterdir()) if path.name not in named)
    return problems


def write_bundle(
    folder: str | Path,
    facts: BundleFacts,
    network: NetworkConfig,
    weights: Mapping[str, np.ndarray],
    model_card: str,
    *,
    priors: np.ndarray | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Writes a bundle in half precision; it is complete under its name or not there at all.

    Args:
        folder: the bundle's place; its parents are made.
        facts: what the manifest says apart from its files.
        network: of the denoiser.
        weights: the denoiser's tensors.
        model_card: the text of `MODEL_CARD.md`.
        priors: anatomical prior of each bin, `(bins, X, Y)` in [-1, 1], where the model uses one.
        overwrite: whether a bundle that stands there is replaced.

    Raises:
        BundleError: if a weight is not finite or too large for half precision.
        OutputError: if the folder is there or cannot be written.
    """
    folder = Path(folder)
    parts = {DENOISER: half_precision(weights)}
    if priors is not None:
        parts[PRIORS] = half_precision({PRIORS: priors})
    components = {
        kind: Component(
            file=f"{kind}.safetensors",
            sha256=hashlib.sha256(content).hexdigest(),
            network=network if kind == DENOISER else None,
            tensors=tensors,
        )
        for kind, (content, tensors) in parts.items()
    }
    manifest = Manifest(**{**dict(facts), "components": components})
    with whole_folder(folder, overwrite=overwrite) as partial:
        for kind, (content, _) in parts.items():
            write_file(partial / components[kind].file, content)
        write_file(partial / MODEL_CARD, model_card.encode())
        text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
        write_file(partial / MANIFEST, f"{text}\n".encode())
    return read_bundle(folder)


def list_bundles(folder: str | Path = SHIPPED) -> list[Bundle | BundleError]:
    """The bundles directly in a folder, by name, or the folder itself if it is one; for a broken one, what is wrong."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    found: list[Bundle | BundleError] = []
    for candidate in [folder, *sorted(folder.iterdir())]:
        if (candidate / MANIFEST).is_file():
            try:
                found.append(read_bundle(candidate))
            except BundleError as error:
                found.append(error)
    return found


def find_bundle(model: str | Path, shipped: Path = SHIPPED) -> Path:
    """The folder of a model, given as a path or as the name of a shipped one.

    Raises:
        BundleError: if there is neither.
    """
    if Path(model).is_dir():
        return Path(model)
    if (shipped / str(model) / MANIFEST).is_file():
        return shipped / str(model)
    known = sorted(path.parent.name for path in shipped.glob(f"*/{MANIFEST}"))
    remedy = nearest(str(model), known) if known else "give the folder of a bundle"
    raise BundleError(f"there is no model '{model}'", remedy)


def _read_manifest(folder: Path) -> tuple[Manifest, dict[str, Any]]:
    """The manifest, and the plain values that it was read from."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder", "give the folder of a bundle")
    if not path.is_file():
        raise BundleError(f"{folder} holds no {MANIFEST}", "give the folder of a bundle")
    try:
        if path.stat().st_size > _MANIFEST_LIMIT:
            raise BundleError(f"{path} is too large for a manifest", "get the bundle again")
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} could not be read as JSON", "get the bundle again") from error
    version = tree.get("schema_version") if isinstance(tree, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise BundleError(
            f"{path} has schema version {json.dumps(version)} but this program reads {SCHEMA_VERSION}",
            "choose another bundle, or the program's version that wrote this one",
        )
    try:
        manifest = Manifest.model_validate_json(json.dumps(tree), strict=False)
        manifest.config()  # its parts have to agree with each other, as those of any configuration
        return manifest, tree
    except ValidationError as error:
        raise BundleError(f"{path}: {_first(error)}", "get the bundle again") from error


def _first(error: ValidationError) -> str:
    problem: Any = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{where}'"
    if problem["type"] == "missing":
        return f"key '{where}' is missing"
    return f"'{where or MANIFEST}' is not usable, {problem['msg'].removeprefix('Value error, ')}"


def _table_problems(folder: Path, component: Component) -> list[str]:
    """How a weight file's header differs from the manifest's table."""
    path = folder / component.file
    if not path.resolve().is_relative_to(folder.resolve()):
        return [f"{path} leads out of the bundle's folder"]
    try:
        stored = read_header(path)
    except BundleError as error:
        return [error.message]
    expected = component.tensors
    problems = [f"{path} lacks tensor '{name}'" for name in expected if name not in stored]
    for name, spec in stored.items():
        if name not in expected:
            problems.append(f"{path} holds tensor '{name}', which {MANIFEST} does not name")
        elif spec != expected[name]:
            problems.append(f"{path}: tensor '{name}' is {_said(spec)} in place of {_said(expected[name])}")
    return problems


def _said(spec: TensorSpec) -> str:
    return f"{spec.dtype} {list(spec.shape)}"
