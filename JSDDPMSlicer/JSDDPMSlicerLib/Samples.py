"""What the module offers in Slicer's Sample Data: the average FLAIR, to try the patient's frame without a patient."""

from __future__ import annotations

import hashlib
from pathlib import Path

from slicer.i18n import tr as _

from .Core import coreFolder
from .Reference import TEMPLATE

CATEGORY = "JSDDPMSlicer"
NAME = "JSDDPMAverageFLAIR"
ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "JSDDPMSlicer.png"


def registerSampleData() -> None:
    """Adds the data set; it lies beside the module, so that it needs no network."""
    import SampleData

    template = coreFolder() / TEMPLATE
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        thumbnailFileName=str(ICON),
        uris=template.as_uri(),
        fileNames=template.name,
        checksums=f"SHA256:{hashlib.sha256(template.read_bytes()).hexdigest()}",
        nodeNames=_("Average FLAIR in MNI152"),
    )
