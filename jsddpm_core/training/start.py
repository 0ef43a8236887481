"""Training that begins with the weights of a bundle, for pathologies of its own."""

from __future__ import annotations

from torch import nn

from jsddpm_core.bundle import Bundle
from jsddpm_core.config import Config
from jsddpm_core.errors import TrainingError
from jsddpm_core.manifest import StartModel
from jsddpm_core.networks.from_bundle import load_denoiser_network

PATHOLOGIES = "condition.pathology_embedding.weight"


def start_model(bundle: Bundle) -> StartModel:
    """What a run's record says of the bundle that it started from."""
    manifest = bundle.manifest
    return StartModel(name=manifest.name, digest=bundle.digest, steps=manifest.training.steps)


def check_fits(config: Config, bundle: Bundle) -> None:
    """Makes sure that a run can begin with the weights of a bundle.

    Raises:
        TrainingError: if the configuration describes another model.
    """
    own, theirs = _shape_of(config), _shape_of(bundle.manifest.config())
    differing = [key for key in own if own[key] != theirs[key]]
    if differing:
        raise TrainingError(
            f"the start model {bundle.manifest.name} has other settings under {', '.join(differing)}",
            "start with its own configuration, or from scratch",
        )


def load_start(network: nn.Module, config: Config, bundle: Bundle) -> None:
    """Gives a network the weights of a bundle.

    Pathologies are matched by name. A new one keeps the random row that the network was built with: beginning as the
    unknown one, it would stay it for thousands of steps, for a row moves by no more than the learning rate in a step.

    Args:
        network: as `config` describes it; changed in place.
        config: of the run that begins.
        bundle: the start model.

    Raises:
        TrainingError: if the configuration describes another model.
    """
    check_fits(config, bundle)
    weights = dict(load_denoiser_network(bundle).state_dict())
    rows = [pathology.name for pathology in bundle.manifest.pathologies]
    embedding = network.state_dict()[PATHOLOGIES].clone()
    for row, name in enumerate([*(item.name for item in config.pathologies), None]):
        if name is None or name in rows:
            embedding[row] = weights[PATHOLOGIES][len(rows) if name is None else rows.index(name)]
    network.load_state_dict({**weights, PATHOLOGIES: embedding})


def _shape_of(config: Config) -> dict[str, object]:
    """Everything that the weights depend on, by its dotted name."""
    return {
        "channels": config.channels,
        "network": config.network,
        "conditioning.bins": config.conditioning.bins,
        "conditioning.prior": config.conditioning.prior,
        "diffusion.schedule": config.diffusion.schedule,
        "diffusion.prediction": config.diffusion.prediction,
        "diffusion.self_conditioning.enabled": config.diffusion.self_conditioning.enabled,
        "data.grid": config.data.grid,
    }
