"""The README's pictures against what the panels look like now.

The panel must agree almost exactly: fonts are the same everywhere. The views hold images that a model draws, whose last
bits depend on the processor, so they need only be alike. What shows times, versions or numbers of this machine is left
out, and so is the unfinished image of the run under way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from PIL import Image
from screenshots import FINE_TUNING_PICTURES, PROJECT, STUDY_PICTURES, Photographer, Picture, studio, take

BLOCK = 8
"""Pixels of a side: small enough for a word, large enough for another edge of a letter."""

PANEL_STEP = 10.0
"""Of 255, in any block of the panel. The host draws the same pixels whatever a machine's settings of fonts say, but for
one that draws letters without shades of grey; one letter too few is a step of 44."""

VIEW_STEP, MOST_VIEW_SHARE = 40.0, 0.02
COLOUR_STEP, MOST_COLOUR_SHARE = 25.0, 0.25
"""Red against blue, where the one picture or the other has colour: the lesion's."""

UNFINISHED = "generate-running"


@pytest.fixture(scope="module")
def pictures(app: Any) -> dict[str, tuple[Picture, np.ndarray]]:
    """All pictures as they are drawn now."""
    slicer.mrmlScene.Clear(False)
    drawn: dict[str, tuple[Picture, np.ndarray]] = {}
    with studio() as (window, module):
        take(Photographer(window, lambda picture: drawn.update({picture.name: (picture, pixels(picture))})), module)
    slicer.mrmlScene.Clear(False)
    return drawn


def pixels(picture: Picture) -> np.ndarray:
    """(H, W, 3) of a picture, by way of a PNG file in memory."""
    image = picture.image.toImage().convertToFormat(qt.QImage.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(float)


def stored(name: str) -> np.ndarray:
    return np.asarray(Image.open(PROJECT / "Resources" / "Screenshots" / f"{name}.png").convert("RGB"), float)


def differences(picture: Picture, now: np.ndarray, before: np.ndarray) -> list[str]:
    """What differs, in words; none where the pictures agree."""
    if now.shape != before.shape:
        return [
            f"{picture.name}: the window is {now.shape[1]} x {now.shape[0]}, not {before.shape[1]} x {before.shape[0]}"
        ]
    step = np.abs(blocks(now) - blocks(before)).max(-1)
    views, volatile = covered(picture.views, step.shape), covered(picture.volatile, step.shape)
    found = []
    changed = (step > PANEL_STEP) & ~views & ~volatile
    if changed.any():
        y, x = np.argwhere(changed)[0] * BLOCK
        found.append(f"{picture.name}: the panel differs in {changed.sum()} places, the first at {x}, {y}")
    if picture.name != UNFINISHED:
        share = float((step > VIEW_STEP)[views].mean())
        if share > MOST_VIEW_SHARE:
            found.append(f"{picture.name}: the views differ in {100 * share:.1f} % of their area")
        hue, was = (blocks(image)[views] @ [1.0, 0.0, -1.0] for image in (now, before))
        coloured = np.maximum(np.abs(hue), np.abs(was)) > COLOUR_STEP
        if coloured.any() and (np.abs(hue - was) > COLOUR_STEP)[coloured].mean() > MOST_COLOUR_SHARE:
            found.append(f"{picture.name}: lesions have another colour or place")
    return found


def blocks(image: np.ndarray) -> np.ndarray:
    """Means over blocks, `(H / 8, W / 8, 3)`."""
    height, width = (size // BLOCK * BLOCK for size in image.shape[:2])
    return image[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean((1, 3))


def covered(rectangles: Any, shape: tuple[int, int]) -> np.ndarray:
    """Blocks that rectangles touch."""
    found = np.zeros(shape, bool)
    for x, y, width, height in rectangles:
        found[y // BLOCK : -(-(y + height) // BLOCK), x // BLOCK : -(-(x + width) // BLOCK)] = True
    return found


def test_the_panels_look_as_the_readme_shows_them(pictures: dict[str, tuple[Picture, np.ndarray]]) -> None:
    files = {path.stem for path in (PROJECT / "Resources" / "Screenshots").glob("*.png")}
    assert {*pictures, *FINE_TUNING_PICTURES, *STUDY_PICTURES} == files
    found = [text for picture, now in pictures.values() for text in differences(picture, now, stored(picture.name))]
    assert not found, f"{found}: look at the panels, and run make screenshots if they are as they should be"


def moved_button(picture: Picture, now: np.ndarray) -> np.ndarray:
    """Everything of the panel's lower half four pixels further down."""
    changed = now.copy()
    changed[504:, :400] = now[500:-4, :400]
    return changed


def another_word(picture: Picture, now: np.ndarray) -> np.ndarray:
    """A label covered by the colour behind it."""
    changed = now.copy()
    changed[134:150, 30:70] = now[132, 30]
    return changed


def another_colour(picture: Picture, now: np.ndarray) -> np.ndarray:
    """Red and blue of the views change places, as if the lesion had another colour."""
    changed = now.copy()
    for x, y, width, height in picture.views:
        changed[y : y + height, x : x + width] = now[y : y + height, x : x + width, ::-1]
    return changed


def no_lesion(picture: Picture, now: np.ndarray) -> np.ndarray:
    """Views without colour."""
    changed = now.copy()
    for x, y, width, height in picture.views:
        grey = now[y : y + height, x : x + width].min(-1, keepdims=True)
        changed[y : y + height, x : x + width] = grey
    return changed


def hidden_view(picture: Picture, now: np.ndarray) -> np.ndarray:
    changed = now.copy()
    x, y, width, height = picture.views[-1]
    changed[y : y + height, x : x + width] = 0
    return changed


@pytest.mark.parametrize("change", [moved_button, another_word, another_colour, no_lesion, hidden_view])
def test_the_comparison_sees(
    pictures: dict[str, tuple[Picture, np.ndarray]], change: Callable[[Picture, np.ndarray], np.ndarray]
) -> None:
    picture, now = pictures["generate-infarct"]
    assert not differences(picture, now, now)
    assert differences(picture, change(picture, now), now)


def test_the_comparison_sees_a_change_of_a_real_widget(app: Any, scene: Any) -> None:
    drawn: list[tuple[Picture, np.ndarray]] = []
    with studio() as (window, module):
        photographer = Photographer(window, lambda picture: drawn.append((picture, pixels(picture))))
        ui = module.generate.ui
        photographer.draw("as it is")
        photographer.draw("as it is, again")
        ui.samplesLabel.text = ui.samplesLabel.text.replace("s:", ":")
        photographer.draw("a letter less")
        ui.samplesLabel.text = ui.samplesLabel.text.replace(":", "s:")
        ui.saveButton.setVisible(False)
        photographer.draw("without a button")
        ui.saveButton.setVisible(True)
        ui.referenceSection.collapsed = not ui.referenceSection.collapsed
        photographer.draw("another section open")
    (_, before), *others = drawn
    seen = {picture.name for picture, now in others if differences(picture, now, before)}
    assert seen == {"a letter less", "without a button", "another section open"}


def test_the_comparison_bears_other_last_bits(pictures: dict[str, tuple[Picture, np.ndarray]]) -> None:
    picture, now = pictures["generate-infarct"]
    noise = np.random.default_rng(1).normal(0, 6, now.shape)
    assert not differences(replace(picture, volatile=()), np.clip(now + noise, 0, 255), now)
