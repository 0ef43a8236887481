"""`jsddpm sample`, `jsddpm volume` and `jsddpm reproduce`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jsddpm_core.bundle import Bundle, find_bundle, read_bundle
from jsddpm_core.commands import options
from jsddpm_core.commands.reporting import Reporter, summary
from jsddpm_core.errors import ReproductionError, RequestError
from jsddpm_core.generation.request import GenerateRequest, Shard, VolumeRequest, missing, parse_request

ROWS_SHOWN = 24


def sample(
    out: options.Out,
    model: options.Model = None,
    pathology: options.PathologyName = None,
    position: Annotated[float | None, typer.Option("--position", help="z of the slice, in MNI millimetres.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Number of samples; default 1.")] = None,
    first: Annotated[int | None, typer.Option("--first", help="Index of the first sample; default 0.")] = None,
    shard: Annotated[str | None, typer.Option("--shard", help="I/N: make every N-th sample, from I.")] = None,
    steps: options.Steps = None,
    sampler: options.Sampler = None,
    grid: options.TimeGrid = None,
    eta: options.Eta = None,
    guidance: options.Guidance = None,
    seed: options.Seed = None,
    attempts: options.Attempts = None,
    device: options.Device = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    batch: options.Batch = None,
    deterministic: options.Deterministic = None,
    request: options.RequestFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Writes synthetic FLAIR slices with their lesion masks; run again with the same options, it resumes."""
    report = Reporter(as_json)
    wishes = {
        "model": model, "pathology": pathology, "position_mm": position, "count": count, "first": first,
        "shard": None if shard is None else Shard.parse(shard).model_dump(), "steps": steps, "sampler": sampler,
        "grid": grid, "eta": eta, "guidance": guidance, "seed": seed, "attempts": attempts, "device": device,
        "threads": threads, "precision": precision, "batch": batch, "deterministic": deterministic,
    }  # fmt: skip
    asked = _request("generate", wishes, request)
    assert isinstance(asked, GenerateRequest)
    bundle = _bundle_for(asked)

    from jsddpm_core.generation.generate import generate
    from jsddpm_core.generation.synthesizer import Synthesizer

    report.event("start", task="generate", model=bundle.manifest.name, digest=bundle.digest, total=len(asked.samples()))
    with report.progress():
        result = generate(
            Synthesizer(bundle, asked.device),
            asked,
            out,
            report.on_progress,
            lambda index, sidecar: report.event(
                "sample",
                index=index,
                files=[str(out / record.name) for record in sidecar.files.values()],
                draws=len(sidecar.attempts),
                **sidecar.delivery.model_dump(),
            ),
        )
    totals = {
        "samples": len(result.sidecars),
        "of these there already": result.resumed,
        "as asked": result.as_asked,
        "as asked at the first draw": result.first_as_asked,
        "re-draws": result.redraws,
    }
    rows = []
    for index, sidecar in sorted(result.sidecars.items())[:ROWS_SHOWN]:
        delivered = sidecar.delivery
        rows.append([index, asked.pathology, float(asked.position_mm), delivered.lesion_mm2, delivered.contrast,
                     len(sidecar.attempts), delivered.as_asked])  # fmt: skip
    columns = ["sample", "pathology", "z, mm", "lesion, mm2", "contrast", "draws", "as asked"]
    report.table(f"Synthetic slices in {out}", columns, rows)
    if len(result.sidecars) > ROWS_SHOWN:
        report.line(f"... and {len(result.sidecars) - ROWS_SHOWN} more.")
    report.line(summary(totals))
    report.event("done", folder=str(out), overview=str(out / "overview.png"), samples=len(result.sidecars),
                 resumed=result.resumed, as_asked=result.as_asked, first_as_asked=result.first_as_asked,
                 redraws=result.redraws)  # fmt: skip


def volume(
    out: options.Out,
    model: options.Model = None,
    pathology: options.PathologyName = None,
    from_mm: Annotated[float | None, typer.Option("--from", help="Lowest position, mm; default: the lowest.")] = None,
    to_mm: Annotated[float | None, typer.Option("--to", help="Highest position, mm; default: the highest.")] = None,
    correlation: Annotated[
        float | None, typer.Option("--correlation", help="Of neighbouring slices' noise, 0 to 0.99; default 0.95.")
    ] = None,
    steps: options.Steps = None,
    sampler: options.Sampler = None,
    grid: options.TimeGrid = None,
    eta: options.Eta = None,
    guidance: options.Guidance = None,
    seed: options.Seed = None,
    attempts: options.Attempts = None,
    device: options.Device = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    batch: options.Batch = None,
    deterministic: options.Deterministic = None,
    request: options.RequestFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Writes a synthetic volume with its mask: every slice of a range."""
    report = Reporter(as_json)
    wishes = {
        "model": model, "pathology": pathology, "from_mm": from_mm, "to_mm": to_mm, "correlation": correlation,
        "steps": steps, "sampler": sampler, "grid": grid, "eta": eta, "guidance": guidance, "seed": seed,
        "attempts": attempts, "device": device, "threads": threads, "precision": precision, "batch": batch,
        "deterministic": deterministic,
    }  # fmt: skip
    asked = _request("volume", wishes, request)
    assert isinstance(asked, VolumeRequest)
    bundle = _bundle_for(asked)

    from jsddpm_core.generation.synthesizer import Synthesizer
    from jsddpm_core.generation.volume import generate_volume

    slices = asked.slices(bundle.manifest)
    report.event("start", task="volume", model=bundle.manifest.name, digest=bundle.digest, total=len(slices))
    with report.progress():
        sidecar = generate_volume(Synthesizer(bundle, asked.device), asked, out, report.on_progress)
    checks, delivered = sidecar.volume, sidecar.delivery
    assert checks is not None
    positions = sidecar.geometry.positions_mm
    rows = [[
        asked.pathology, f"{positions[0]:g} to {positions[-1]:g}", len(positions), delivered.lesion_mm2,
        len(sidecar.attempts), delivered.as_asked, checks.inter_slice_correlation, checks.real_inter_slice_correlation,
    ]]  # fmt: skip
    columns = ["pathology", "z, mm", "slices", "largest lesion, mm2", "draws", "as asked",
               "inter-slice correlation", "of real volumes"]  # fmt: skip
    report.table(f"Synthetic volume in {out}", columns, rows)
    report.event(
        "done",
        folder=str(out),
        overview=str(out / "overview.png"),
        files=[str(out / record.name) for record in sidecar.files.values()],
        draws=len(sidecar.attempts),
        **delivered.model_dump(),
        **checks.model_dump(),
    )


def reproduce(
    sidecar: Annotated[Path, typer.Argument(help="The JSON file beside a generated image.")],
    model: Annotated[str | None, typer.Option("--model", help="Where the bundle lies now.")] = None,
    device: options.Device = None,
    as_json: options.AsJson = False,
) -> None:
    """Makes an image again from its sidecar and compares it with the files."""
    report = Reporter(as_json)

    from jsddpm_core.generation.sidecar import read_sidecar

    read_sidecar(sidecar)  # before anything heavy is loaded

    from jsddpm_core.generation.provenance import reproduce as again

    with report.progress():
        result = again(sidecar, model, device, report.on_progress)
    differs = "; ".join(result.environment_differences) or "nothing"
    report.event(
        "done",
        identical=result.identical,
        within_tolerance=result.within_tolerance,
        environment_differences=list(result.environment_differences),
        image_rms=result.image_rms,
        image_largest=result.image_largest,
        mask_share=result.mask_share,
        tolerance=result.tolerance,
    )
    measured = (
        f"the image differs by {result.image_rms:.2g} RMS (at most {result.image_largest:.2g}; tolerance "
        f"{result.tolerance:g}) and the mask in {result.mask_share:.2%} of the voxels"
    )
    if not result.within_tolerance:
        raise ReproductionError(
            f"{sidecar} was not reproduced, {measured}; different in machine and versions: {differs}",
            "use the machine and versions that its 'environment' names",
        )
    if result.identical:
        report.line(f"{sidecar} was reproduced: every voxel is equal. Different in machine and versions: {differs}.")
    else:
        report.line(f"{sidecar} was reproduced within tolerance: {measured}. Different: {differs}.")


def _request(task: str, wishes: dict[str, Any], file: Path | None) -> GenerateRequest | VolumeRequest:
    """The request of a command line, over that of a file where one is named."""
    tree: dict[str, Any] = {"task": task}
    if file is not None:
        tree = _request_tree(file, task)
    tree |= {key: value for key, value in wishes.items() if value is not None}
    try:
        return parse_request(tree)
    except RequestError as error:
        for key, option in (("model", "--model"), ("pathology", "--pathology"), ("position_mm", "--position")):
            if error.message == missing(key):
                raise RequestError(f"{option} is missing", "add it; see jsddpm models for what can be asked") from error
        raise


def _request_tree(file: Path, task: str) -> dict[str, Any]:
    """A request file as it stands; what it leaves out may come from the options."""
    try:
        tree = json.loads(file.read_bytes())
    except OSError as error:
        raise RequestError(f"the request {file} could not be read ({error.strerror})", "give a JSON file") from error
    except ValueError as error:
        raise RequestError(f"the request {file} is not JSON", "mend it or give another file") from error
    asked = tree.get("task") if isinstance(tree, dict) else None
    if asked != task:
        raise RequestError(f"{file} asks for the task '{asked}', not '{task}'", "use the command of that task")
    return tree


def _bundle_for(request: GenerateRequest | VolumeRequest) -> Bundle:
    """Checks everything that can be checked before anything heavy is loaded."""
    bundle = read_bundle(find_bundle(request.model))
    request.check(bundle.manifest)
    return bundle
