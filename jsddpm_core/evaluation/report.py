"""One report of many measures: JSON for programs, a Markdown table for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsddpm_core.errors import OutputError
from jsddpm_core.evaluation.measure import Measure, Target


@dataclass(frozen=True)
class Row:
    """One line of a report.

    Attributes:
        group: which requests it is about, such as a pathology.
        measure: of the synthetic slices.
        real: the same of real slices, or of real against real; None where there are too few.
        target: what was to be reached; None for a number that is reported only.
    """

    group: str
    measure: Measure
    real: Measure | None
    target: Target | None

    @property
    def reached(self) -> bool | None:
        """Whether the value lies in the target; None without one."""
        return None if self.target is None else self.target.reached(self.measure.value)

    def as_dict(self) -> dict[str, Any]:
        value = self.measure.value
        return {
            "group": self.group,
            "synthetic": self.measure.as_dict(),
            "real": None if self.real is None else self.real.as_dict(),
            "target": None if self.target is None else str(self.target),
            "reached": self.reached,
            "shortfall": self.target.shortfall(value) if self.target is not None and math.isfinite(value) else None,
        }


@dataclass(frozen=True)
class Report:
    """What was measured, on what, and the lines.

    Attributes:
        about: plain values that say which model, cache and settings were measured.
        notes: sentences that a reader needs to judge the numbers.
        rows: in the order in which they are shown.
    """

    about: dict[str, Any]
    notes: Sequence[str]
    rows: Sequence[Row]

    def as_json(self) -> str:
        whole = {"about": self.about, "notes": list(self.notes), "rows": [row.as_dict() for row in self.rows]}
        return json.dumps(whole, indent=2, allow_nan=False, default=str) + "\n"

    def as_markdown(self) -> str:
        """A table for each group, and the notes below."""
        lines: list[str] = []
        for group in dict.fromkeys(row.group for row in self.rows):
            lines += [f"### {group}", ""]
            lines += ["| Measure | Synthetic (95 % interval) | n | Real (95 % interval) | Target | Reached |"]
            lines += ["|---|---|---|---|---|---|"]
            lines += [_line(row) for row in self.rows if row.group == group]
            lines += [""]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def write(self, path: Path) -> tuple[Path, Path]:
        """Writes `path` as JSON and the table beside it with the ending .md.

        Raises:
            OutputError: where they cannot be written.
        """
        table = path.with_suffix(".md")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for file, text in ((path, self.as_json()), (table, self.as_markdown())):
                partial = file.with_name(f"{file.name}.partial")
                partial.write_text(text, encoding="utf-8")
                partial.replace(file)
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror})", "choose another --out") from error
        return path, table


def _line(row: Row) -> str:
    reached = {None: "", True: "yes"}.get(row.reached)
    if row.target is not None and not row.reached:
        reached = f"no, by {row.target.shortfall(row.measure.value):.3g}"
    real = "" if row.real is None else str(row.real)
    target = "" if row.target is None else str(row.target)
    return f"| {row.measure.name} | {row.measure} | {row.measure.n} | {real} | {target} | {reached} |"
