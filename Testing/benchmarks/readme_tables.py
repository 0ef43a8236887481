"""Puts the tables that `make quality`, `make walkthrough` and `make bench` measured into the README, between marks."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
README = PROJECT / "README.md"
TABLES = {
    name: PROJECT / "Testing" / "benchmarks" / "results" / f"{name}.md"
    for name in ("quality", "walkthrough", "bench", "training")
}


def with_tables(readme: str) -> str:
    """The README's text with each table that was measured between `<!-- name -->` and `<!-- /name -->`."""
    for name, path in TABLES.items():
        if not path.is_file():
            continue
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        measured = f"{start}\n\n{path.read_text(encoding='utf-8').strip()}\n\n{end}"
        readme, marks = re.subn(f"{re.escape(start)}.*?{re.escape(end)}", lambda _, t=measured: t, readme, flags=re.S)
        if marks != 1:
            raise SystemExit(f"README.md needs one pair of marks {start} and {end}, it has {marks}.")
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
