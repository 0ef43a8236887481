"""The models that can be chosen: shipped ones and those of the user's models folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from .Core import coreFolder, makeImportable, missingLightPackages
from .Jobs import removePath
from .Pathology import Pathology

SETTING = "JSDDPMSlicer/ModelsFolder"
MANIFEST = "bundle.json"


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
            Pathology(entry.name, entry.label, entry.code, tuple(entry.colour), entry.lesional)
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


def names(models: list[Model]) -> list[str]:
    """What the models are called in a list of folders: by their names, with the folder's where two are equal."""
    plain = [model.name for model in models]
    return [
        f"{name} ({model.folder.name})" if plain.count(name) > 1 else name
        for name, model in zip(plain, models, strict=True)
    ]


def titles(models: list[Model]) -> list[str]:
    """What the models are called where one is chosen: by their titles, with the folder where two are equal."""
    plain = [model.bundle.manifest.title for model in models]
    long = [f"{title} ({model.folder.name})" for title, model in zip(plain, models, strict=True)]
    named = [full if plain.count(title) > 1 else title for title, full in zip(plain, long, strict=True)]
    return [
        f"{title} ({model.folder.parent})" if named.count(title) > 1 else title
        for title, model in zip(named, models, strict=True)
    ]


def importTarget(source: Path) -> Path:
    """Where a bundle goes that is imported.

    Raises:
        ValueError: if one of that name is there.
    """
    name = source.stem if source.suffix == ".zip" else source.name
    target = modelsFolder() / name.replace(" ", "-")
    if target.exists():
        told = _("{target} is there already: delete that model first or rename {source}.")
        raise ValueError(told.format(target=target, source=source.name))
    return target


def freeTarget(name: str) -> Path:
    """Where a new bundle goes: under its own name, or one with a number where that is taken."""
    root = modelsFolder()
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, 10_000))
    return next(root / free for free in names if not (root / free).exists())


def deleteModel(model: Model) -> None:
    """Removes one of the user's models from the disk.

    Raises:
        ValueError: for a shipped one.
        OSError: if it cannot be removed.
    """
    if model.shipped or model.folder.parent != modelsFolder():
        told = _("{name} came with the extension: uninstall the extension to remove it.")
        raise ValueError(told.format(name=model.name))
    removePath(model.folder)
