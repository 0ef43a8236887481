"""The part of Slicer's SampleData module that other modules call: registering their own data sets."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import slicer


class SampleDataSource:
    """A data set that can be downloaded and loaded."""

    def __init__(
        self,
        sampleName: str | None = None,
        sampleDescription: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        checksums: Any = None,
        loadFiles: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFileProperties: dict[str, Any] | None = None,
    ) -> None:
        self.sampleName = sampleName
        self.sampleDescription = sampleDescription or sampleName
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        count = 1 if isinstance(uris, str) else len(uris)
        fields = {
            "uris": uris,
            "fileNames": fileNames,
            "nodeNames": nodeNames,
            "checksums": checksums,
            "loadFiles": loadFiles,
            "loadFileTypes": loadFileTypes,
        }
        for name, value in fields.items():
            values = list(value) if isinstance(value, list | tuple) else [value] * count
            setattr(self, name, values)
        if len({len(getattr(self, name)) for name in fields}) != 1:
            raise ValueError("All fields of sample data source must have the same length")


class SampleDataLogic:
    """Keeps `slicer.modules.sampleDataSources`: lists of sources by category."""

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: dict[str, Any] | None = None,
        checksums: Any = None,
        loadFileType: Any = None,
    ) -> None:
        """Add a data set to a category of the SampleData module."""
        sources = slicer.modules.__dict__.setdefault("sampleDataSources", {})
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            checksums=checksums,
            loadFiles=loadFiles,
            customDownloader=customDownloader,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes or loadFileType,
            loadFileProperties=loadFileProperties,
        )
        known = sources.setdefault(category, [])
        if vars(source) not in [vars(other) for other in known]:
            known.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category: str) -> list[SampleDataSource]:
        """The sources of a category."""
        return slicer.modules.__dict__.get("sampleDataSources", {}).get(category, [])


def install() -> None:
    """Make `import SampleData` work."""
    module = ModuleType("SampleData")
    module.SampleDataLogic, module.SampleDataSource = SampleDataLogic, SampleDataSource
    sys.modules["SampleData"] = module
