"""Whether configuration, cache and checkpoint belong together."""

from __future__ import annotations

from pathlib import Path

from jsddpm_core.bundle import Bundle
from jsddpm_core.config import Config
from jsddpm_core.data.slices import SliceCache
from jsddpm_core.errors import TrainingError
from jsddpm_core.training.start import start_model


def check_same_preparation(config: Config, cache: SliceCache) -> None:
    """A bundle states how its slices were made: the configuration must say what the cache was made with.

    Raises:
        TrainingError: if it says something else.
    """
    wanted = config.data.model_dump(mode="json")
    made_with = cache.manifest["made_of"].get("data", {}) | {"grid": cache.grid.model_dump(mode="json")}
    changed = sorted(key for key in wanted.keys() & made_with.keys() if wanted[key] != made_with[key])
    if changed:
        raise TrainingError(
            f"{cache.folder} was prepared with other settings under data.{', data.'.join(changed)}",
            "prepare the cases again with this configuration",
        )


def check_same_run(record: dict, config: Config, cache: SliceCache, start: Bundle | None, out: Path) -> None:
    """A resumed run may be longer or shorter than planned; everything else must be the same.

    Args:
        record: of the run's checkpoint.
        config: that it shall go on with.
        cache: the slices.
        start: the model that it began with.
        out: the run's folder.

    Raises:
        TrainingError: if it is not.
    """
    if record.get("cache_digest") != cache.digest:
        raise TrainingError(
            f"the run in {out} was started on another cache", "resume with the same cache or start a new run"
        )

    said = None if start is None else start_model(start).model_dump(mode="json")
    if record.get("start") != said:
        raise TrainingError(
            f"the run in {out} was started from another model", "resume with the same start model or start a new run"
        )

    check_same_settings(record["config"], config, out)


def check_same_settings(before: dict, config: Config, out: Path) -> None:
    """Of a run's configuration, its length alone may change.

    Args:
        before: the configuration that it was started with, as plain values.
        config: that it shall go on with.
        out: the run's folder.

    Raises:
        TrainingError: if more has changed.
    """

    def comparable(tree: dict) -> dict:
        training = {key: value for key, value in tree["training"].items() if key not in ("max_steps", "epochs")}
        return {**tree, "training": training}

    earlier, now = comparable(before), comparable(config.model_dump(mode="json"))
    changed = sorted(key for key in now if earlier.get(key) != now[key])
    if changed:
        raise TrainingError(
            f"the run in {out} was started with other settings under {', '.join(changed)}",
            "resume with its own configuration or start a new run",
        )
