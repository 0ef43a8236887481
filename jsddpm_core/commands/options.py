"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from jsddpm_core.config import GridName, SamplerName

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line in place of text.")]
Model = Annotated[str | None, typer.Option("--model", help="Folder of a bundle, or the name of a shipped one.")]
PathologyName = Annotated[str | None, typer.Option("--pathology", help="One of the model's: see jsddpm models.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Network evaluations a slice; default: the model's.")]
Sampler = Annotated[SamplerName | None, typer.Option("--sampler", help="Default: the model's.")]
TimeGrid = Annotated[GridName | None, typer.Option("--grid", help="Spacing of the noise levels; default: the model's.")]
Eta = Annotated[float | None, typer.Option("--eta", help="Share of fresh noise in DDIM, 0 to 1.")]
Guidance = Annotated[float | None, typer.Option("--guidance", help="Classifier-free guidance; 1 is none.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the noise; default 0.")]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"] | None, typer.Option("--device", help="Default: auto.")]
Threads = Annotated[int | None, typer.Option("--threads", help="Processor threads; equal numbers give equal voxels.")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"] | None,
    typer.Option("--precision", help="Default: bf16 where it is quick."),
]
Attempts = Annotated[int | None, typer.Option("--attempts", help="Draws at most until it is as asked; default 3.")]
Batch = Annotated[int | None, typer.Option("--batch", help="Samples at a time on a GPU; default 8.")]
Deterministic = Annotated[
    bool | None, typer.Option("--deterministic", help="Fixed batch shape and algorithms on a GPU.")
]
RequestFile = Annotated[
    Path | None, typer.Option("--request", help="Request as a JSON file; other options go before what it says.")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="Overrides a key: --set training.batch_size=8.")]
