"""Drawing the slices of a plan: the first attempt of each, by the model's own sampling defaults, kept as raw arrays.

No draw is repeated, chosen or mended. Each is written at once as float32 `(C, X, Y)`, so that an interrupted run goes
on where it stopped and measures can be taken again without sampling.
"""

from __future__ import annotations

import json
import multiprocessing
import queue
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jsddpm_core.bundle import read_bundle
from jsddpm_core.diffusion.noise import NoiseKey
from jsddpm_core.errors import OutputError
from jsddpm_core.evaluation.measure import MeasureError
from jsddpm_core.evaluation.plan import Plan, Request
from jsddpm_core.generation.request import GenerateRequest
from jsddpm_core.generation.synthesizer import Synthesizer, thread_count
from jsddpm_core.machine import available_threads

RECORD = "draws.json"
PATIENCE_S = 1.0


def first_draw(synthesizer: Synthesizer, request: Request, seed: int) -> np.ndarray:
    """The first draw of a request by the bundle's sampling defaults, float32 `(C, X, Y)`, clipped to the ranges."""
    asked = GenerateRequest(
        model=str(synthesizer.bundle.folder),
        pathology=request.pathology,
        position_mm=request.position_mm,
        seed=seed,
        first=request.sample,
        attempts=1,
        threads=1,
        device="cpu",
    )
    asked.check(synthesizer.bundle.manifest)
    return synthesizer.draw(asked, [request.position_mm], [NoiseKey(seed, request.sample)])[0].channels


def draw_file(folder: Path, request: Request) -> Path:
    """Where a request's array lies."""
    return folder / f"{request.name}.npy"


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.stem}.partial.npy")


def load_draws(folder: Path, requests: Sequence[Request]) -> np.ndarray:
    """The arrays of requests, float32 `(N, C, X, Y)`.

    Raises:
        MeasureError: for one that is missing or damaged.
    """
    arrays = []
    for request in requests:
        path = draw_file(folder, request)
        try:
            arrays.append(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise MeasureError(f"{path} is missing or damaged", "remove it and draw again") from error
    return np.stack(arrays)


def draw_all(
    model: Path,
    plan: Plan,
    folder: Path,
    record: dict[str, Any],
    *,
    seed: int,
    workers: int = 2,
    device: str = "cpu",
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draws what the folder lacks, in processes of one thread each or in this one with all threads that it may use.

    Args:
        model: the bundle's folder.
        plan: what to draw.
        folder: where arrays and their record go.
        record: what the draws depend on; a folder with another record is refused.
        seed: of the noise.
        workers: number of processes; 0 for this one.
        device: that this process draws on; others draw on the processor.
        on_progress: called with the number of finished draws and of all.

    Raises:
        MeasureError: for a folder of other draws, or a worker that failed.
        OutputError: where the folder cannot be written.
    """
    _claim(folder, {**record, "seed": seed, "plan": plan.as_dict()})
    missing = [request for request in plan.requests if not draw_file(folder, request).is_file()]
    done, total = len(plan.requests) - len(missing), len(plan.requests)

    def tell(finished: int) -> None:
        if on_progress is not None:
            on_progress(finished, total)

    tell(done)
    if not missing:
        return
    if workers == 0:
        _draw_here(model, missing, folder, seed, device, lambda drawn: tell(done + drawn))
        return
    context = multiprocessing.get_context("spawn")
    said: Any = context.Queue()
    processes = [
        context.Process(target=_work, args=(str(model), missing[start::workers], str(folder), seed, said), daemon=True)
        for start in range(min(workers, len(missing)))
    ]
    try:
        for process in processes:
            process.start()
        while done < total:
            try:
                failure = said.get(timeout=PATIENCE_S)
            except queue.Empty:
                if not any(process.is_alive() for process in processes) and said.empty():
                    raise MeasureError(
                        f"drawing ended after {done} of {total} slices", "start it again: it goes on from there"
                    ) from None
                continue
            if failure is not None:
                raise MeasureError(f"drawing failed ({failure})", "mend it and start again: it goes on from there")
            done += 1
            tell(done)
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()
        for request in missing:
            _partial(draw_file(folder, request)).unlink(missing_ok=True)


def _claim(folder: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1, default=str, sort_keys=True)
    path = folder / RECORD
    try:
        if path.is_file():
            if path.read_text(encoding="utf-8") != text:
                raise MeasureError(
                    f"{folder} holds draws of another model, cache or plan", "choose another --samples or remove it"
                )
            return
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{RECORD}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror})", "choose another --samples") from error


def _draw_here(
    model: Path, requests: Sequence[Request], folder: Path, seed: int, device: str, told: Callable[[int], None]
) -> None:
    synthesizer = Synthesizer(read_bundle(model), device)
    with thread_count(available_threads()):
        for number, request in enumerate(requests):
            _draw_one(synthesizer, request, folder, seed)
            told(number + 1)


def _draw_one(synthesizer: Synthesizer, request: Request, folder: Path, seed: int) -> None:
    path = draw_file(folder, request)
    partial = _partial(path)
    np.save(partial, first_draw(synthesizer, request, seed), allow_pickle=False)
    partial.replace(path)


def _work(model: str, requests: Sequence[Request], folder: str, seed: int, said: Any) -> None:
    """One worker: tells None for each finished draw, or a sentence on failure."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it ends the workers
    try:
        synthesizer = Synthesizer(read_bundle(Path(model)), "cpu")
        for request in requests:
            _draw_one(synthesizer, request, Path(folder), seed)
            said.put(None)
    except Exception as error:  # whatever it is, the parent must hear of it
        said.put(f"{type(error).__name__}: {error}")
