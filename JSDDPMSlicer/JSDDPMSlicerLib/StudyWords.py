"""What a reader is asked and told, in words."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _


def question(item: Any) -> str:
    """What is asked."""
    if item.kind == "likert":
        return item.text
    if item.kind == "pair":
        return _("Which of the two is the image of a patient?")
    if item.kind == "lesion":
        return _("Is there a lesion?")
    return _("Is this the image of a patient, or synthetic?")


def shortName(item: Any) -> str:
    """What an answer that was given is called."""
    if item.kind == "likert":
        return item.name.replace("-", " ").capitalize()
    return {"pair": _("Real one"), "lesion": _("Lesion"), "real": _("Image")}[item.kind]


def answerLabels(item: Any) -> list[str]:
    """What each digit means, from 1."""
    if item.kind == "likert":
        return [item.low, *[""] * (item.points - 2), item.high]
    if item.kind == "pair":
        return [_("Left"), _("Right")]
    if item.kind == "lesion":
        if item.scale == "forced":
            return [_("No lesion"), _("Lesion")]
        return [
            _("Surely none"), _("Probably none"), _("Perhaps none"), _("Perhaps one"), _("Probably one"),
            _("Surely one"),
        ]  # fmt: skip
    if item.scale == "forced":
        return [_("Real"), _("Synthetic")]
    return [
        _("Surely real"), _("Probably real"), _("Perhaps real"), _("Perhaps synthetic"), _("Probably synthetic"),
        _("Surely synthetic"),
    ]  # fmt: skip


def said(item: Any, value: int | None) -> str:
    """An answer in words."""
    if value is None:
        return _("no answer")
    label = answerLabels(item)[value - 1]
    return f"{value} {label}".strip()


def hint(sheet: Any, waiting: bool = False) -> str:
    """Which keys do what now.

    Args:
        sheet: of answers.
        waiting: whether the case is not shown yet.
    """
    if waiting:
        return _("The case is being loaded...")
    from jsddpm_core.reading_study.answers import points

    keys = []
    if sheet.lacksMark:
        keys.append(_("Click on the lesion, or place it with the arrow keys"))
    elif sheet.takesMark and sheet.marks[sheet.open] is None:
        keys.append(_("Click where it might be, if you like"))
    if sheet.values[sheet.open] is None:
        keys.append(_("1 to {n} answers").format(n=points(sheet.item)))
    if sheet.complete:
        keys.append(_("Space confirms"))
    elif sheet.values[sheet.open] is not None and not sheet.lacksMark:
        keys.append(_("Space goes on"))
    if any(value is not None for value in sheet.values):
        keys.append(_("Backspace takes back"))
    keys.append(_("Esc leaves"))
    return "   ·   ".join(keys)


def feedbackText(items: tuple[Any, ...], answers: tuple[Any, ...], told: tuple[Any, ...]) -> str:
    """What a training case says: for each question with a truth what is right, and what was said."""
    byName = {feedback.item: feedback for feedback in told}
    lines = []
    for item, answer in zip(items, answers, strict=True):
        feedback = byName.get(item.name)
        if feedback is None:
            continue
        line = _right(item, feedback.right)
        line += " " + _("You said: {answer}.").format(answer=said(item, answer.value))
        line += " " + (_("Right.") if feedback.correct else _("Not right."))
        if feedback.hit is not None:
            line += " " + (_("Your mark is on it.") if feedback.hit else _("Your mark is not on it."))
        lines.append(line)
    return "\n".join(lines) or _("There is no right answer to these questions.")


def _right(item: Any, value: int) -> str:
    if item.kind == "pair":
        return _("The left image is a patient's.") if value == 1 else _("The right image is a patient's.")
    if item.kind == "lesion":
        return _("There is no lesion.") if value == 1 else _("There is a lesion.")
    return _("This is the image of a patient.") if value == 1 else _("This image is synthetic.")


def instructions(manifest: Any, remaining: int) -> str:
    """What a reader is told before the first case: the organiser's words, and how answers are given."""
    parts = [manifest.instructions.strip()] if manifest.instructions.strip() else []
    if manifest.balanced and any(item.kind == "real" for item in manifest.items):
        parts.append(_("Half of the images are real, half are synthetic."))
    parts.append(
        _("{n} cases lie before you. Answer with the digits, confirm with the space bar. Until you confirm, Backspace "
          "takes back one step. A confirmed answer is saved and cannot be changed.").format(n=remaining)
    )  # fmt: skip
    if manifest.training:
        parts.append(_("The first cases are for training: they do not count, and you are told what was right."))
    if any(item.kind == "lesion" for item in manifest.items):
        parts.append(_("Where you see a lesion, click on it; click again or use the arrow keys to move the mark."))
    if any(item.kind == "pair" for item in manifest.items):
        parts.append(_("Of the two images, one is a patient's and one is synthetic; both are moved together."))
    display = manifest.display
    tools = [_("right button: zoom"), _("middle button: pan")]
    if display.window_level == "free":
        tools.append(_("left button: window and level"))
    parts.append(_("The patient's right is on your left. Mouse: {tools}.").format(tools="; ".join(tools)))
    if display.time_limit_s is not None:
        parts.append(_("You have {s:g} seconds for each case.").format(s=display.time_limit_s))
    if display.break_every is not None:
        parts.append(_("A break is offered every {n} cases.").format(n=display.break_every))
    parts.append(_("Esc leaves at any time; you go on later at the first case that you have not answered."))
    return "\n\n".join(parts)
