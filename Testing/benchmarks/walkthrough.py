"""README's walk-through of fine-tuning, from the shell: survey, request, training, and what the model is worth.

`make walkthrough` runs it, and README shows the table that it writes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "Testing" / "benchmarks" / "results" / "walkthrough"
SHOWN = (
    "lesion requests with a lesion",
    "requests for none without a lesion",
    "median lesion area",
    "lesion contrast",
    "background std",
    "spectral slope difference",
    "finest diagonal wavelet energy ratio",
    "memorisation ratio",
    "share nearer than 95 % of real slices",
)


def jsddpm(*arguments: str) -> None:
    """Runs the command line as a user would.

    Raises:
        SystemExit: if it fails; it has said why.
    """
    done = subprocess.run([sys.executable, "-m", "jsddpm_core", *arguments], check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


def table(report: dict[str, Any], steps: int, minutes: float) -> str:
    """The report's main lines as Markdown."""
    lines = [
        f"{steps} steps of the standard preset in {minutes:.0f} minutes, survey, preparation and measuring included.",
        "",
        "| Requests | Measure | Synthetic (95 % interval) | Real (95 % interval) |",
        "|---|---|---|---|",
    ]
    for row in report["rows"]:
        if row["synthetic"]["name"] in SHOWN:
            real = "" if row["real"] is None else _value(row["real"])
            lines.append(f"| {row['group']} | {row['synthetic']['name']} | {_value(row['synthetic'])} | {real} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in report["notes"])]) + "\n"


def _value(measure: dict[str, Any]) -> str:
    if measure["value"] is None:
        return ""
    unit = "" if measure["unit"] == "1" else f" {measure['unit']}"
    interval = measure["interval_95"]
    said = f"no interval: {measure['independent']} independent"
    if interval is not None:
        said = f"{interval[0]:.3g} to {interval[1]:.3g}"
    return f"{measure['value']:.3g}{unit} ({said})"


def main(arguments: list[str]) -> None:
    """Walks through."""
    parser = argparse.ArgumentParser(description="Fine-tune the demo model as README does.")
    parser.add_argument("cases", type=Path, help="folder of annotated cases")
    parser.add_argument("--pathology", default="ms")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--work", type=Path, default=PROJECT / "build" / "walkthrough")
    options = parser.parse_args(arguments)
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    request, run = options.work / "request.yaml", options.work / "run"
    begun = time.monotonic()
    jsddpm("survey", str(options.cases), "--request", str(request), "--pathology", options.pathology)
    tree = yaml.safe_load(request.read_text(encoding="utf-8"))
    tree["settings"] = {"training.max_steps": options.steps}
    request.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    jsddpm("fine-tune", str(request), "--out", str(run))
    minutes = (time.monotonic() - begun) / 60
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    RESULTS.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(table(report, options.steps, minutes), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
