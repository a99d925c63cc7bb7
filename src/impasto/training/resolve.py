"""From a recipe and a collection to a config with nothing left open."""

import math

from impasto.collection import Collection
from impasto.config import RunConfig, change
from impasto.errors import ImpastoError
from impasto.networks import resolve_network
from impasto.objectives import Objective


def resolve(config: RunConfig, collection: Collection) -> RunConfig:
    """Fill in every default that depends on the collection, the networks or the run's length.

    Raises:
        ImpastoError: an unknown network, term, setting or label field, or a collection of another
            resolution than the recipe's.
    """
    if collection.resolution != config.resolution:
        raise ImpastoError(
            f"{collection.path} holds pictures of {collection.resolution} pixels and recipe "
            f"{config.recipe} makes {config.resolution}: pack again with --resolution "
            f"{config.resolution}, or train with --set resolution={collection.resolution}"
        )
    for name in config.labels:
        collection.field(name)
    training = config.training
    count = len(collection.train_indices)
    if training.images is not None:
        images = training.images
    elif training.epochs is not None:
        images = math.ceil(training.epochs * count)
    else:
        raise ImpastoError(
            "how long to train is not set: --images 200k or --set training.epochs=20"
        )
    a_step = training.batch * training.discriminator_steps
    images = math.ceil(images / a_step) * a_step
    settings = {
        "training.images": images,
        "training.stats_every": training.stats_every or max(1, images // 200),
        "training.samples_every": training.samples_every or max(1, images // 40),
        "training.checkpoint_every": training.checkpoint_every or max(10_000, images // 100),
    }
    filled = change(config, settings)
    networks = {
        player: {
            "network": network.network,
            **resolve_network(network.network, player, network.options),
        }
        for player, network in (
            ("generator", config.generator),
            ("discriminator", config.discriminator),
        )
    }
    terms = [term.model_dump() for term in Objective(config.objective).configs()]
    return RunConfig.model_validate({**filled.model_dump(), **networks, "objective": terms})
