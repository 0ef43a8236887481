"""The report's lines: synthetic slices against held-out real ones, each with real against real beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jsddpm_core.data.slices import SliceCache
from jsddpm_core.evaluation.compare import TARGETS, Context, Prepared, against, alone, prepared
from jsddpm_core.evaluation.image_set import ImageSet, joined
from jsddpm_core.evaluation.kid import LEAST_SUBJECTS
from jsddpm_core.evaluation.lesions import share_with_lesion
from jsddpm_core.evaluation.measure import Measure
from jsddpm_core.evaluation.plan import Plan, Request, held_out, other_real_set, reference_set
from jsddpm_core.evaluation.report import Row

ALL = "all requests"


def rows_of_group(
    group: str,
    synthetic: Prepared,
    reference: Prepared,
    other: Prepared | None,
    context: Context,
    lesion_wanted: bool | None,
) -> list[Row]:
    """The lines of one group of requests, each with its real counterpart."""
    ours = [*alone(synthetic, context, lesion_wanted), *against(synthetic, reference, context, lesion_wanted)]
    real = {measure.name: measure for measure in alone(reference, context, lesion_wanted)}
    if other is not None:
        real |= {measure.name: measure for measure in against(other, reference, context, lesion_wanted)}
    return [_row(group, measure, real.get(measure.name)) for measure in ours]


def _row(group: str, measure: Measure, real: Measure | None) -> Row:
    return Row(group, measure, real, TARGETS.get(measure.name))


def measure_all(
    cache: SliceCache, plan: Plan, synthetic: Mapping[str, ImageSet], context: Context, lesional: Mapping[str, bool]
) -> tuple[list[Row], list[str]]:
    """All lines of the report, over all requests and for each pathology, and the notes they need.

    Args:
        cache: for the real slices.
        plan: what was asked for.
        synthetic: the draws of each pathology.
        context: what the measures need beside the sets.
        lesional: for each pathology, whether a lesion was wanted.
    """
    names = list(synthetic)
    ours = {name: prepared(synthetic[name], context) for name in names}
    references = {name: prepared(reference_set(cache, plan.of(name)), context) for name in names}
    rows = _rows_of_held_out(cache, plan, ours, context)
    for wanted in (True, False):
        part = [name for name in names if lesional[name] is wanted]
        if part:
            share, real = (
                share_with_lesion(joined([sets[name].images for name in part]), context.spacing_mm, wanted=wanted)
                for sets in (ours, references)
            )
            rows.append(_row(ALL, share, real))
    for name in names:
        unseen = held_out(cache, plan.of(name))
        if len(unseen) == len(plan.of(name)):
            other = _prepared_or_none(other_real_set(cache, unseen), context)
            rows += rows_of_group(name, ours[name], references[name], other, context, lesional[name])
            continue
        rows += rows_of_group(f"{name}, all levels", ours[name], references[name], None, context, lesional[name])
        if unseen:
            rows += rows_of_group(
                f"{name}, levels of the held-out subject",
                _part(ours[name], plan.of(name), unseen),
                prepared(reference_set(cache, unseen), context),
                _prepared_or_none(other_real_set(cache, unseen), context),
                context,
                lesional[name],
            )
    return rows, _notes(cache, plan, references)


def _rows_of_held_out(cache: SliceCache, plan: Plan, ours: Mapping[str, Prepared], context: Context) -> list[Row]:
    """Every request at a held-out subject's position, whatever the pathology, against those subjects."""
    unseen = {name: held_out(cache, plan.of(name)) for name in ours}
    unseen = {name: requests for name, requests in unseen.items() if requests}
    if not unseen:
        return []
    others = [other_real_set(cache, requests) for requests in unseen.values()]
    whole = [images for images in others if images is not None]
    references = joined([reference_set(cache, requests) for requests in unseen.values()])
    return rows_of_group(
        ALL,
        _joined([_part(ours[name], plan.of(name), requests) for name, requests in unseen.items()]),
        prepared(references, context),
        prepared(joined(whole), context) if len(whole) == len(others) else None,
        context,
        None,
    )


def _prepared_or_none(images: ImageSet | None, context: Context) -> Prepared | None:
    return None if images is None else prepared(images, context)


def _part(part: Prepared, requests: Sequence[Request], chosen: Sequence[Request]) -> Prepared:
    wanted = {request.name for request in chosen}
    return part.take(np.array([row for row, request in enumerate(requests) if request.name in wanted]))


def _joined(parts: list[Prepared]) -> Prepared:
    known = [part.features for part in parts if part.features is not None]
    return Prepared(
        images=joined([part.images for part in parts]),
        features=np.concatenate(known) if len(known) == len(parts) else None,
        distances=np.concatenate([part.distances for part in parts]),
    )


def _notes(cache: SliceCache, plan: Plan, references: Mapping[str, Prepared]) -> list[str]:
    notes = []
    for name, part in references.items():
        unseen = held_out(cache, plan.of(name))
        subjects = len({cache.records[request.reference].subject for request in unseen})
        notes.append(
            f"{name}: {len(plan.of(name))} first draws at the positions of {len(part.images)} real slices of "
            f"{part.images.independent} subjects, {subjects} of them held out from training."
        )
        if len(unseen) < len(plan.of(name)):
            notes.append(
                f"{name}: fewer than two subjects were held out, so positions and real slices at all levels include "
                "those of training; the held-out subject alone allows no subject-level interval."
            )
    return [
        *notes,
        f"{ALL}: those at positions of held-out subjects, except for the shares of lesions, which count every draw.",
        "Real: for background, distance to training and lesions, the real slices themselves (labels define them, so "
        "their shares of lesions are 1); for slope, wavelets, KID, memorisation and lesion areas, slices of other real "
        "subjects against the same real slices.",
        f"KID: at levels that at least {LEAST_SUBJECTS} of the real subjects share.",
        "Intervals resample subjects and draws (95 %); those of shares of draws are Wilson's.",
    ]
