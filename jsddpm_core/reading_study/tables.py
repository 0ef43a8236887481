"""Tables as BIDS has them: tab-separated values, and a JSON file beside them that says what each column is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsddpm_core.files import write_file

MISSING = "n/a"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: in snake case.
        description: what it holds.
        units: as BIDS writes them ("s", "mm"); empty of a pure number or a text.
        levels: what its values mean, where there are few.
    """

    name: str
    description: str
    units: str = ""
    levels: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        tree: dict[str, Any] = {"Description": self.description}
        if self.units:
            tree["Units"] = self.units
        if self.levels:
            tree["Levels"] = dict(self.levels)
        return tree


@dataclass(frozen=True)
class Table:
    """Rows under columns.

    Attributes:
        name: of its files, in snake case.
        title: as the report prints it.
        columns: what each holds.
        rows: values in the order of the columns; None is missing.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def as_tsv(self) -> str:
        """The whole table; missing values are n/a."""
        lines = ["\t".join(column.name for column in self.columns)]
        lines += ["\t".join(_cell(value) for value in row) for row in self.rows]
        return "\n".join(lines) + "\n"

    def as_json(self) -> str:
        """What each column holds."""
        tree = {column.name: column.as_dict() for column in self.columns}
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Writes `NAME.tsv` and `NAME.json` of each.

    Raises:
        OutputError: where they cannot be written.
    """
    files = []
    for table in tables:
        for ending, text in ((".tsv", table.as_tsv()), (".json", table.as_json())):
            files.append(folder / f"{table.name}{ending}")
            write_file(files[-1], text.encode())
    return files


def _cell(value: Any) -> str:
    if value is None or value != value:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    # A tab or a line's end in a text would be a new cell.
    return " ".join(str(value).split()) or MISSING
