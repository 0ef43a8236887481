"""The models that can be chosen: shipped ones and those of the user's models folder."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from .Core import coreFolder, makeImportable, missingLightPackages
from .Jobs import removePath
from .Scene import Pathology

SETTING = "JSDDPMSlicer/ModelsFolder"
MANIFEST = "bundle.json"
LARGEST_UNPACKED = 8 * 2**30
MOST_FILES = 64


@dataclass(frozen=True)
class Model:
    """A bundle on disk.

    Attributes:
        folder: where it lies.
        name: what the user sees.
        shipped: whether it came with the extension, and so cannot be deleted here.
        problem: why it cannot be used, one sentence; None where it can.
        bundle: the core's view of it, where it can be used.
    """

    folder: Path
    name: str
    shipped: bool
    problem: str | None = None
    bundle: Any = None

    def pathologies(self) -> list[Pathology]:
        return [
            Pathology(entry.name, entry.label, entry.code, tuple(entry.colour))
            for entry in self.bundle.manifest.pathologies
        ]


def shippedFolder() -> Path:
    return coreFolder() / "Resources" / "Models"


def modelsFolder() -> Path:
    """The user's own; it need not be there yet."""
    chosen = slicer.util.settingsValue(SETTING, "", converter=str)
    return (
        Path(chosen)
        if chosen
        else Path(slicer.app.temporaryPath if slicer.app.testingEnabled() else Path.home() / "Documents")
        / "JSDDPMSlicer"
        / "Models"
    )


def setModelsFolder(path: str) -> None:
    slicer.app.userSettings().setValue(SETTING, path)


def listModels() -> list[Model]:
    """Shipped ones first, then the user's; none before the packages that read them are there."""
    if missingLightPackages():
        return []
    makeImportable()
    from jsddpm_core.bundle import list_bundles
    from jsddpm_core.errors import BundleError

    found = []
    for root, shipped in ((shippedFolder(), True), (modelsFolder(), False)):
        folders = (
            [folder for folder in sorted(root.iterdir()) if (folder / MANIFEST).is_file()] if root.is_dir() else []
        )
        for folder in folders:
            entry = list_bundles(folder)[0]
            if isinstance(entry, BundleError):
                found.append(Model(folder, folder.name, shipped, str(entry)))
            else:
                found.append(Model(folder, entry.manifest.name, shipped, bundle=entry))
    return found


def checkModel(model: Model) -> list[str]:
    """Every problem of a bundle's files, digests included; none for a sound one."""
    makeImportable()
    from jsddpm_core.bundle import check_bundle

    return check_bundle(model.folder)


def importModel(source: Path) -> Model:
    """Copies a bundle, a folder or a zip file of one, into the models folder.

    Nothing stays of a copy that fails or is not sound.

    Raises:
        ValueError: if it is no bundle, is damaged, or one of that name is there.
        OSError: if it cannot be read or written.
    """
    makeImportable()
    from jsddpm_core.bundle import check_bundle

    target = modelsFolder() / source.stem.replace(" ", "-")
    if target.exists():
        raise ValueError(f"{target} is there already: delete that model first or rename {source.name}")
    partial = target.with_name(f".{target.name}.partial")
    removePath(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            _copyFolder(source, partial)
        else:
            _unpack(source, partial)
        problems = check_bundle(partial)
        if problems:
            raise ValueError(problems[0].replace(str(partial), source.name))
        partial.rename(target)
    finally:
        removePath(partial)
    return next(model for model in listModels() if model.folder == target)


def deleteModel(model: Model) -> None:
    """Removes one of the user's models from the disk.

    Raises:
        ValueError: for a shipped one.
        OSError: if it cannot be removed.
    """
    if model.shipped or model.folder.parent != modelsFolder():
        raise ValueError(f"{model.name} came with the extension: uninstall the extension to remove it")
    removePath(model.folder)


def _copyFolder(source: Path, target: Path) -> None:
    """The files directly in a bundle's folder; a bundle has no subfolders."""
    if not (source / MANIFEST).is_file():
        raise ValueError(f"{source} holds no {MANIFEST}: choose the folder of a model")
    target.mkdir()
    for path in sorted(source.iterdir())[:MOST_FILES]:
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            shutil.copyfile(path, target / path.name)


def _unpack(source: Path, target: Path) -> None:
    """The files of a bundle in a zip file, which may lie in one folder there; names with any other path are refused."""
    if not zipfile.is_zipfile(source):
        raise ValueError(f"{source.name} is not a zip file: choose the folder or the zip file of a model")
    with zipfile.ZipFile(source) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and "__MACOSX" not in entry.filename]
        manifests = [entry.filename for entry in entries if Path(entry.filename).name == MANIFEST]
        if len(manifests) != 1:
            raise ValueError(f"{source.name} holds {len(manifests)} files {MANIFEST}: a model has exactly one")
        prefix = manifests[0][: -len(MANIFEST)]
        wanted = [entry for entry in entries if entry.filename.startswith(prefix)]
        if len(wanted) > MOST_FILES or sum(entry.file_size for entry in wanted) > LARGEST_UNPACKED:
            raise ValueError(f"{source.name} unpacks to more than a model can be: get it again")
        target.mkdir()
        for entry in wanted:
            name = entry.filename[len(prefix) :]
            if Path(name).name != name or name.startswith("."):
                raise ValueError(f"{source.name} holds '{entry.filename}', which no model has: get it again")
            with archive.open(entry) as stream, (target / name).open("wb") as out:
                shutil.copyfileobj(stream, out, 2**20)
