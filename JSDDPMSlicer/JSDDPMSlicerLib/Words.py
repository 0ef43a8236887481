"""What a result is, said in words for the panel."""

from __future__ import annotations

from slicer.i18n import tr as _

from .SampleFiles import Sample
from .Scene import Result


def resultName(label: str, sidecar: dict, count: int) -> str:
    """The name of a run's nodes: synthetic first, then what and where."""
    positions = sidecar["geometry"]["positions_mm"]
    where = _("z {low:g} mm") if len(positions) == 1 else _("z {low:g} to {high:g} mm")
    one, several = _("Synthetic FLAIR, {label}, {where}"), _("Synthetic FLAIR, {label}, {where}, {n} samples")
    named = one if count == 1 else several
    return named.format(label=label, where=where.format(low=positions[0], high=positions[-1]), n=count)


def title(result: Result) -> str:
    """What tells a result from the others of the scene."""
    seed = result.samples[0].sidecar["request"]["seed"]
    return _("{result}, seed {seed}").format(result=result.name, seed=seed)


def describe(result: Result) -> str:
    """Which result it is, delivered against asked, size and contrast of the lesion, and what it is not."""
    spoken = [f"{title(result)}."]
    if len(result.samples) > 1:
        spoken += _several(result.samples)
        spoken.append(_("Sample {n} of {all} is shown.").format(n=result.number + 1, all=len(result.samples)))
    spoken += _delivered(result.shown)
    return "\n".join([*spoken, _("Synthetic: not the image of a patient, not for clinical use.")])


def _delivered(sample: Sample) -> list[str]:
    delivery = sample.delivery
    spoken = [_asked(delivery)]
    if delivery["lesion_mm2"] > 0:
        spoken.append(_size(sample))
    if delivery["contrast"] is not None:
        told = (
            _("It is {share:.0f} % of the intensity range brighter than the tissue around it.")
            if delivery["contrast"] > 0
            else _("It is {share:.0f} % of the intensity range darker than the tissue around it.")
        )
        spoken.append(told.format(share=100 * abs(delivery["contrast"]) / _width(sample)))
    if len(sample.sidecar["attempts"]) > 1:
        spoken.append(_("It took {n} draws.").format(n=len(sample.sidecar["attempts"])))
    return spoken


def _asked(delivery: dict) -> str:
    if delivery["as_asked"]:
        return (
            _("As asked: a lesion was asked for and is there.")
            if delivery["lesion_asked"]
            else _("As asked: no lesion was asked for and none is there.")
        )
    if delivery["lesion_asked"]:
        return _("Not as asked: a lesion was asked for, and none large enough came. Try another seed.")
    return _("Not as asked: no lesion was asked for, but there is one. Try another seed.")


def _size(sample: Sample) -> str:
    volume = sample.sidecar.get("volume")
    delivery = sample.delivery
    if volume is None:
        return _("Area of the lesion: {area:.0f} mm².").format(area=delivery["lesion_mm2"])
    affine = sample.sidecar["geometry"]["affine"]
    millilitres = sum(volume["slice_lesion_mm2"]) * affine[2][2] / 1000
    return _("Volume of the lesion: {ml:.1f} ml; largest area in a slice: {area:.0f} mm².").format(
        ml=millilitres, area=delivery["lesion_mm2"]
    )


def _several(samples: list[Sample]) -> list[str]:
    deliveries = [sample.delivery for sample in samples]
    good = sum(delivery["as_asked"] for delivery in deliveries)
    spoken = [_("{good} of {all} samples are as asked.").format(good=good, all=len(samples))]
    areas = sorted(delivery["lesion_mm2"] for delivery in deliveries)
    if areas[-1] > 0:
        spoken.append(_("Areas of the lesions: {low:.0f} to {high:.0f} mm².").format(low=areas[0], high=areas[-1]))
    redraws = sum(len(sample.sidecar["attempts"]) - 1 for sample in samples)
    if redraws:
        spoken.append(_("{n} draws were repeated.").format(n=redraws))
    return spoken


def _width(sample: Sample) -> float:
    low, high = sample.sidecar["geometry"]["intensity_range"]
    return high - low
