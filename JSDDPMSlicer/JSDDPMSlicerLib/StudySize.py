"""What a study with the form's numbers of cases and readers can be expected to show."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from .Controls import explain, show
from .Core import missingLightPackages
from .StudyCommand import StudyCommand
from .StudyForm import StudyForm

FEWEST = 2
"""Cases an arm, or pairs."""

UNCORRECTED = 2
"""Of the entries of the correction."""


class StudySize:
    """Wires the button and the sentence below it.

    Args:
        ui: of the panel.
        form: that says how many.
    """

    def __init__(self, ui: Any, form: StudyForm) -> None:
        self.ui, self._form = ui, form
        self._asked: list[str] = []
        self._said = ""
        self.command = StudyCommand(lambda _stage, _share: None, lambda _note: None, self._onEnded)
        ui.sizeButton.connect("clicked(bool)", self.onAsk)

    @property
    def cases(self) -> int:
        """Of each arm: of arms that differ, of the smaller one."""
        real, synthetic = self.ui.realSpin.value, self.ui.syntheticSpin.value
        return real if self._form.pairs else min(real, synthetic)

    def arguments(self) -> list[str]:
        """As `jsddpm study` takes them."""
        if self._form.pairs:
            return ["size", "--endpoint", "pairs", "--cases", str(self.cases)]
        margin = self.ui.marginSpin.value
        return [
            "size", "--endpoint", "auc", "--cases", str(self.cases), "--readers", str(self.ui.slotsSpin.value),
            *(["--tests", "1"] if self.ui.correctionCombo.currentIndex == UNCORRECTED else []),
            *(["--margin", f"{margin:g}"] if margin else []),
        ]  # fmt: skip

    def whyNot(self) -> str:
        """Why nothing can be said; empty where it can."""
        lacking = missingLightPackages()
        if lacking:
            return _("Packages are missing ({names}): install them in Setup.").format(names=", ".join(lacking))
        if not any(item["kind"] in ("real", "pair") for item in self._form.items()):
            return _("Readers are not asked which images are real.")
        if self.cases < FEWEST:
            return _("Show {n} cases of each arm or more.").format(n=FEWEST)
        return _("It is being worked out.") if self.command.busy else ""

    def onAsk(self) -> None:
        """Works it out; until it is there the form may change."""
        if not self.whyNot():
            self._asked, self._said = self.arguments(), ""
            self.command.start(self._asked)
            self.refresh()

    def _onEnded(self, done: dict[str, Any] | None, error: str) -> None:
        self._said = error if done is None else self._sentence(done["expected"][0])
        self.refresh()

    def _sentence(self, found: dict[str, Any]) -> str:
        half = found["width"] / 2
        if "answers" in found:
            return _(
                "{n} pairs. Where a reader guesses, the 95 % interval of the proportion correct is about "
                "0.5 ± {half:.2f}."
            ).format(n=found["answers"], half=half)
        said = {"n": found["cases_an_arm"], "readers": found["readers"], "half": half}
        if "--margin" not in self._asked:
            return _(
                "{n} cases an arm, readers: {readers}. Where they guess, the 95 % interval of the AUC is about "
                "0.5 ± {half:.2f}."
            ).format(**said)
        return _(
            "{n} cases an arm, readers: {readers}. Where they guess, the 95 % interval of the AUC is about "
            "0.5 ± {half:.2f}, and equivalence within ± {margin} is shown with a chance of {power:.0f} %."
        ).format(**said, margin=self._asked[-1], power=100 * found["power_equivalence"])

    def refresh(self) -> None:
        """Brings button and sentence in line: what was worked out for other numbers goes."""
        ui, why = self.ui, self.whyNot()
        if (why and not self.command.busy) or self._asked != self.arguments():
            self._said = ""
        explain(ui.sizeButton, why, _("How narrow the main result can be expected to be, with these numbers."))
        ui.sizeLabel.text = self._said
        show(ui.sizeLabel, bool(self._said))

    def close(self) -> None:
        """Before the panel goes."""
        self.command.close()
