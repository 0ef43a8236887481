"""What holds for every form of the module."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

FORMS = sorted((Path(__file__).resolve().parents[2] / "JSDDPMSlicer" / "Resources" / "UI").glob("*.ui"))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_labels_show_names_as_they_are(form: Path) -> None:
    """A title, a path or a reader's name with angle brackets is text, and no markup that loads or hides something."""
    labels = [widget for widget in ElementTree.parse(form).iter("widget") if widget.get("class") == "QLabel"]
    assert labels
    marked_up = [
        label.get("name") for label in labels if label.findtext("property[@name='textFormat']/enum") != "Qt::PlainText"
    ]
    assert marked_up == []
