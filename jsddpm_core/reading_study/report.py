"""The report: one HTML file with everything in it, beside the tables and figures as files of their own."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from jsddpm_core import __version__
from jsddpm_core.errors import OutputError
from jsddpm_core.files import whole_folder, write_file
from jsddpm_core.reading_study.analysis import Analysis
from jsddpm_core.reading_study.estimate import Estimate
from jsddpm_core.reading_study.figures import Drawn, figures
from jsddpm_core.reading_study.manifest import AnswerKey
from jsddpm_core.reading_study.methods import limitations, methods
from jsddpm_core.reading_study.study_tables import tables_of
from jsddpm_core.reading_study.tables import Table, write_tables

REPORT = "report.html"
RESULTS = "results.json"
FIGURES = "figures"
LONG = ("responses", "answers", "roc_points")
"""Tables that stand in files only."""
HIDDEN = {"breakdown": ("se", "df", "ms_readers", "cov2", "published_low", "published_high")}
"""Columns that stand in files only."""
LABELS = {
    "auc": "AUC",
    "auc_p": "AUC, p",
    "accuracy_p": "exact p",
    "accuracy_wilson": "Wilson interval",
    "d_prime": "d'",
    "d-prime": "d'",
    "p_adjusted": "p, corrected",
    "ms_readers": "MS(R)",
    "cov2": "Cov2",
    "published": "published form's interval",
    "these_readers": "these readers alone",
    "afroc_area": "AFROC area",
    "above_real": "synthetic above real",
}
"""How columns and values are called on the page, where not by their names."""

STYLE = """
:root{color-scheme:light}
body{font:16px/1.55 "Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;color:#222;background:#fff;margin:0}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0 .4rem}
h2{font-size:1.2rem;margin:2.4rem 0 .7rem;padding-bottom:.25rem;border-bottom:1px solid #d5d5d5}
p{margin:.5rem 0}.quiet{color:#555;font-size:.9rem}
.verdict{border-left:5px solid #0072B2;background:#f1f6fa;padding:.8rem 1.1rem;margin:1.2rem 0;font-size:1.1rem}
.scroll{overflow-x:auto;margin:.6rem 0 1rem}
table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums;white-space:nowrap}
caption{text-align:left;font-weight:600;padding:.3rem 0;white-space:normal}
th{text-align:left;font-weight:600;color:#333;border-bottom:2px solid #888;padding:.3rem .8rem .3rem 0}
td{border-bottom:1px solid #e4e4e4;padding:.28rem .8rem .28rem 0}td.n,th.n{text-align:right}
figure{margin:1.2rem 0}figure img{max-width:100%;height:auto}figcaption{color:#444;font-size:.88rem;max-width:46rem}
.pair{display:flex;flex-wrap:wrap;gap:1rem 2rem;align-items:flex-start}.pair figure{flex:1 1 24rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;font-size:.92rem}dt{color:#555}dd{margin:0}
ol,ul{padding-left:1.3rem}li{margin:.25rem 0}.works li{font-size:.88rem}
@media print{main{max-width:none;padding:0}h2{break-after:avoid}figure,table{break-inside:avoid}}
"""


@dataclass(frozen=True)
class Written:
    """What lies in the folder.

    Attributes:
        folder: of the results.
        report: the page.
        tables: TSV files.
        figures: PNG files.
        sentence: the verdict; of questions only, what was done.
    """

    folder: Path
    report: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    sentence: str


def write_report(analysis: Analysis, key: AnswerKey, folder: Path, *, overwrite: bool = False) -> Written:
    """Writes tables, figures, `results.json` and the page; the folder is whole or absent.

    Args:
        analysis: of a study.
        key: of the same.
        folder: to make.
        overwrite: whether one that is there is replaced.

    Raises:
        OutputError: where it is there already, holds what no analysis wrote, or cannot be written.
    """
    if overwrite:
        _check_own(folder)
    tables = tables_of(analysis, key)
    with whole_folder(folder, overwrite=overwrite) as partial:
        drawn = figures(analysis)
        (partial / FIGURES).mkdir()
        write_tables(partial, tables)
        for figure in drawn:
            write_file(partial / FIGURES / f"{figure.name}.png", figure.png)
            write_file(partial / FIGURES / f"{figure.name}.svg", figure.svg)
        write_file(partial / RESULTS, (json.dumps(as_tree(analysis), indent=1, allow_nan=False) + "\n").encode())
        write_file(partial / REPORT, page(analysis, tables, drawn).encode())
    return Written(
        folder,
        folder / REPORT,
        tuple(folder / f"{table.name}.tsv" for table in tables),
        tuple(folder / FIGURES / f"{figure.name}.png" for figure in drawn),
        sentence_of(analysis),
    )


def _check_own(folder: Path) -> None:
    """Nothing is replaced but an earlier analysis: not a study beside it, and not notes that somebody put there."""
    there = sorted(path for path in folder.glob("*") if not path.name.startswith("."))
    for path in there:
        if path.name not in (REPORT, FIGURES) and path.suffix not in (".tsv", ".json"):
            raise OutputError(f"{folder} holds {path.name}, which is of no analysis", "choose another folder")
    if there and not (folder / RESULTS).is_file():
        raise OutputError(f"{folder} is there already and holds no earlier analysis", "choose another folder")


def sentence_of(analysis: Analysis) -> str:
    """The verdict in words."""
    if analysis.conclusion is None:
        return "Only questions of the study's own were asked: there is nothing to be right about."
    sentence = analysis.conclusion.sentence
    return sentence[0].upper() + sentence[1:]


def as_tree(analysis: Analysis) -> dict[str, Any]:
    """The study's conclusion as plain values, for programs."""
    conclusion = analysis.conclusion
    tree: dict[str, Any] = {
        "study": analysis.manifest.study,
        "digest": analysis.manifest.digest,
        "jsddpm": __version__,
        "plan": analysis.plan.model_dump(mode="json"),
        "readers": len(analysis.logs),
        "cases": len(analysis.manifest.cases),
        "verdict": sentence_of(analysis),
        "notes": list(analysis.notes),
    }
    if conclusion is not None:
        tree |= {
            "endpoint": conclusion.endpoint,
            "pooled": _estimate_tree(conclusion.pooled.estimate),
            "guessing": conclusion.pooled.null,
            "equivalence": None
            if conclusion.equivalence is None
            else {
                "margin": [conclusion.equivalence.low, conclusion.equivalence.high],
                "p": conclusion.equivalence.p,
                "interval": list(conclusion.equivalence.interval),
            },
            "tests": [
                {"family": t.kind, "test": t.name, "p": t.p, "p_adjusted": t.adjusted, "rejects": t.rejects}
                for t in conclusion.tests
            ],
        }
    return tree


def _estimate_tree(estimate: Estimate) -> dict[str, Any]:
    return {name: getattr(estimate, name) for name in ("value", "low", "high", "se", "df", "p", "n")}


def page(analysis: Analysis, tables: Sequence[Table], drawn: Sequence[Drawn]) -> str:
    """The page, with its figures inside; it asks nothing of any network."""
    manifest = analysis.manifest
    paragraphs, works = methods(analysis)
    shown = {table.name: table for table in tables if table.name not in LONG}
    body = [
        f'<p class="quiet">Blinded reading study, analysed with JSDDPM {escape(__version__)}. Research use only.</p>',
        f"<h1>{escape(manifest.title)}</h1>",
        f'<p class="verdict">{escape(sentence_of(analysis))}</p>',
        *(f"<p>{escape(note)}</p>" for note in analysis.notes),
        _facts(analysis),
    ]
    for title, names, stems in _SECTIONS:
        parts = [_figures([figure for figure in drawn if figure.name.endswith(stems)])] if stems else []
        parts += [_table(shown[name], title) for name in names if name in shown]
        if any(parts):
            body += [f"<h2>{escape(title)}</h2>", *parts]
    body += ["<h2>Methods</h2>", *(f"<p>{escape(text)}</p>" for text in paragraphs)]
    body += ["<h2>Limitations</h2>", _list(limitations(analysis))]
    body += ["<h2>The plan as it was frozen</h2>", _plan(analysis)]
    body += ["<h2>Literature</h2>", _list(works, "works")]
    files = ", ".join(f"{table.name}.tsv" for table in tables)
    said = (
        f"Beside this page: {files}, each with a JSON file that says what its columns are; {FIGURES}/ with every "
        f"figure as PNG and SVG; {RESULTS}. The raw responses hold no names."
    )
    body += ["<h2>Files</h2>", f"<p>{escape(said)}</p>"]
    content = "\n".join(part for part in body if part)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(manifest.title)}: analysis</title><style>{STYLE}</style></head>\n"
        f"<body><main>\n{content}\n</main></body></html>\n"
    )


_SECTIONS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Endpoint", ("tests",), ("-readers",)),
    ("All readers", ("pooled_results",), ()),
    ("Each reader", ("reader_results",), ("-roc", "-answers")),
    ("By pathology and position", ("breakdown",), ("-breakdown",)),
    ("Where lesions were marked", ("localisation",), ("-afroc",)),
    ("Questions of the study's own", ("questions",), ()),
    ("Agreement", ("agreement",), ()),
    ("Response times", ("response_times",), ("response-times",)),
    ("Time-outs", ("timeouts",), ()),
    ("Readers", ("readers",), ()),
)


def _facts(analysis: Analysis) -> str:
    manifest = analysis.manifest
    items = "; ".join(f"{item.name} ({_scale(item)})" for item in manifest.items)
    facts = {
        "Readers": str(len(analysis.logs)),
        "Cases that count": str(len(manifest.cases)),
        "Training cases": str(len(manifest.training)),
        "Questions": items,
        "Design": "balanced" if manifest.balanced else "not balanced",
        "Both arms alike": "; ".join(manifest.harmonisation) or "nothing declared",
        "Shown with every case": manifest.notice,
    }
    return _terms(facts)


def _scale(item: Any) -> str:
    match item.kind:
        case "pair":
            return "which of two is real"
        case "likert":
            return f"“{item.text}”, 1 {item.low} to {item.points} {item.high}"
        case _:
            what = "real or synthetic" if item.kind == "real" else "lesion or none"
            return f"{what}, {'forced choice' if item.scale == 'forced' else 'rating 1 to 6'}"


def _plan(analysis: Analysis) -> str:
    plan = analysis.plan.model_dump(mode="json")
    facts = {
        name.replace("_", " "): ", ".join(value) if isinstance(value, list) else str(value)
        for name, value in plan.items()
    }
    return _terms({**facts, "study": analysis.manifest.study, "manifest's SHA-256": analysis.manifest.digest})


def _terms(facts: dict[str, str]) -> str:
    return (
        "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()) + "</dl>"
    )


def _list(entries: Sequence[str], kind: str = "") -> str:
    return f'<ul class="{kind}">' + "".join(f"<li>{escape(entry)}</li>" for entry in entries) + "</ul>"


def _figures(drawn: Sequence[Drawn]) -> str:
    if not drawn:
        return ""
    shown = []
    for figure in drawn:
        # An image of its own each: the glyphs of two figures put into one page by their code would share their names.
        source = base64.b64encode(figure.svg).decode()
        caption = escape(figure.caption)
        shown.append(
            f'<figure><img alt="{caption}" src="data:image/svg+xml;base64,{source}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return f'<div class="pair">{"".join(shown)}</div>'


def _table(table: Table, heading: str) -> str:
    """A table for people: a value and its interval in one cell, columns without any value left out."""
    names = [column.name for column in table.columns]
    hidden = HIDDEN.get(table.name, ())
    columns: list[_Shown] = []
    for n, column in enumerate(table.columns):
        base, _, end = column.name.rpartition("_")
        if column.name in hidden or all(row[n] is None for row in table.rows) or end == "high":
            continue
        ends = (n, names.index(f"{base}_high")) if end == "low" and f"{base}_high" in names else None
        if ends is None and f"{column.name}_low" in names:
            ends = (names.index(f"{column.name}_low"), names.index(f"{column.name}_high"))
        if end == "low" and base in names:
            continue
        numeric = all(row[n] is None or type(row[n]) in (int, float) for row in table.rows)
        columns.append(_Shown(base if end == "low" else column.name, column.description, n, ends, numeric))
    head = "".join(
        f'<th scope="col"{" class=n" if c.numeric else ""} title="{escape(c.told)}">{escape(_label(c.name))}</th>'
        for c in columns
    )
    rows = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if c.numeric else ''}>{escape(_cell(row, c))}</td>" for c in columns)
        + "</tr>"
        for row in table.rows
    )
    caption = "" if table.title == heading else f"<caption>{escape(table.title)}</caption>"
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


@dataclass(frozen=True)
class _Shown:
    """A column of the page: where its value stands, and the two ends of its interval where it has one."""

    name: str
    told: str
    at: int
    ends: tuple[int, int] | None
    numeric: bool


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def _cell(row: tuple[Any, ...], column: _Shown) -> str:
    if column.ends is None or row[column.ends[0]] is None:
        return _text(row[column.at], column.name)
    low, high = (_text(row[end], column.name) for end in column.ends)
    if column.at == column.ends[0]:
        return f"{low} to {high}"
    return f"{_text(row[column.at], column.name)} ({low} to {high})"


def _text(value: Any, name: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return LABELS.get(str(value), str(value))
    if name in ("p", "p_adjusted", "accuracy_p", "auc_p"):
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    if name in ("ms_readers", "cov2", "se"):
        told = f"{value:.3g}"
    elif name in ("correct", "radius", "experience_years"):
        told = f"{value:g}"
    else:
        told = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return told.replace("-", "−", 1) if value < 0 else told
