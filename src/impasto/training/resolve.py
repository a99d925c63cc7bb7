"""Resolve a recipe for a collection: fill in all defaults, and check it."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from impasto.augmentations import Augmentation
from impasto.collection import Collection
from impasto.config import EvaluationConfig, Ramp, RunConfig
from impasto.errors import ImpastoError, choices
from impasto.formatting import quoted
from impasto.networks import (
    autoencoder_of,
    discriminator_of,
    generator_of,
    latent_dim_of,
    learned_shape,
    resolve_network,
)
from impasto.objectives import Objective, StepInputs
from impasto.registry import load_module, names
from impasto.resolution import area, divided, sides, times
from impasto.settings import change

LEAST_KEPT = 0.01
"""The least share of a generator's values that must come from what it starts from."""


def resolve(config: RunConfig, collection: Collection) -> RunConfig:
    """Fill in every default that depends on the collection, the networks or the run's length.

    Raises:
        ImpastoError: a network, term, setting or label field is unknown, or the collection has
            another resolution than the recipe.
    """
    if not times(collection.resolution, config.resolution):
        raise ImpastoError(
            f"{collection.path} holds pictures of {collection.resolution} pixels and recipe "
            f"{config.recipe} makes {config.resolution}: pack again with --resolution "
            f"{config.resolution}, or train with --set resolution={collection.resolution}"
        )
    _check_buckets(config, collection)
    _check_labels(config.labels, collection)
    _check_balance(config)
    _check_autoencoder(config)
    _check_noise(config, collection)
    views = [collection.view_for(size) for size in config.buckets] or [collection]
    images = _length(config, sum(len(view.train_indices) for view in views))
    training = config.training
    settings = {
        "latent.dim": latent_dim_of(config),
        "training.images": images,
        "training.stats_every": training.stats_every or max(1, images // 200),
        "training.samples_every": training.samples_every or max(1, images // 40),
        "training.checkpoint_every": training.checkpoint_every or max(10_000, images // 100),
        "evaluation.every": _evaluation_interval(config.evaluation, images),
        "evaluation.most_time": _evaluation_time(config.evaluation),
    }
    filled = change(config, settings)
    first = _first_stage(config, collection)
    generator = config.generator.model_copy(update=_stacked_settings(first, config))
    resolved = with_defaults(
        filled.model_copy(update={"generator": generator, "first_stage": first})
    )
    if first is not None and resolved.grows:
        _check_growth(first, resolved, collection)
    rehearse(resolved, label_sizes(config, collection))
    return _with_weights_digest(resolved)


def _check_buckets(config: RunConfig, collection: Collection) -> None:
    """Check that the collection has training pictures of each bucket.

    Raises:
        ImpastoError: it has not; or the config has a first stage or an autoencoder, which are for one
            size.
    """
    if not config.buckets:
        return
    packed = collection.resolutions if collection.bucketed else (collection.resolution,)
    missing = [size for size in config.buckets if not any(times(each, size) for each in packed)]
    if missing or config.resolution not in config.buckets:
        raise ImpastoError(
            f"buckets are {', '.join(map(str, config.buckets))} with {config.resolution} among them, "
            f"and {collection.path} is packed at {sides(packed)}: --set buckets=[] for "
            f"{config.resolution} alone"
        )
    for view in map(collection.view_for, config.buckets):
        if not len(view.train_indices):
            raise ImpastoError(
                f"{collection.path} has no picture of {view.resolution} to train on: leave this size "
                "out with --set buckets, or lower --heldout when packing"
            )
    if config.first_stage is not None or config.autoencoder is not None:
        raise ImpastoError(
            "a first stage and an autoencoder are for one size: --set buckets=[], or leave them out"
        )


def _check_autoencoder(config: RunConfig) -> None:
    """Check that a config with an autoencoder has neither a discriminator nor a first stage, which are
    made for pictures.

    Raises:
        ImpastoError: it has; the message says what to set.
    """
    first = config.first_stage
    if first is not None and first.autoencoder is not None:
        raise ImpastoError("a first stage makes pictures: --set first_stage.autoencoder=null")
    if config.autoencoder is None:
        return
    for what, there in (("discriminator", config.discriminator), ("first_stage", first)):
        if there is not None:
            raise ImpastoError(
                f"with an autoencoder the generator learns from latents, and {what} is made for "
                f"pictures: --set {what}=null or --set autoencoder=null"
            )


def _check_noise(config: RunConfig, collection: Collection) -> None:
    """Check the config of a generator whose latent is noise, such as `flow`: the latent is normal, and
    with guidance some labels are hidden in training.

    Raises:
        ImpastoError: the latent has another distribution, or the run would not learn pictures without
            labels.
    """
    network = config.generator.network
    if not hasattr(load_module("networks", network, "network"), "latent_dim"):
        return
    if config.latent.distribution != "normal":
        raise ImpastoError(
            f"network '{network}' begins with normal noise, and latent.distribution is "
            f"'{config.latent.distribution}': --set latent.distribution=normal"
        )
    if not config.labels or config.generator.options.get("guidance", 1) == 1 or config.from_model:
        return  # what a model has learned that a config goes on from is checked in choosing.py
    columns = [collection.field(name) for name in config.labels]
    rows = collection.labels[collection.train_indices][:, columns]
    if not hides_labels(config) and not (rows < 0).all(axis=1).any():
        raise ImpastoError(
            "generator.guidance moves pictures away from those without labels, and this run learns none "
            "of these: --set training.hide_labels=0.1, or --set generator.guidance=1"
        )


def hides_labels(config: RunConfig) -> bool:
    """Whether `training.hide_labels` is above 0 at any time of the run."""
    share = config.training.hide_labels
    return max(share.start, share.end) > 0 if isinstance(share, Ramp) else share > 0


def _with_weights_digest(config: RunConfig) -> RunConfig:
    """The config with the SHA-256 of its autoencoder's weights, which are read for it.

    Raises:
        ImpastoError: the weights are missing.
    """
    if config.autoencoder is None:
        return config
    known = config.autoencoder.model_copy(update=autoencoder_of(config).identified())
    return config.model_copy(update={"autoencoder": known})


def _check_growth(first: RunConfig, config: RunConfig, collection: Collection) -> None:
    """Check, before either stage is trained, that the run can start from its first stage's weights.

    Raises:
        ImpastoError: less than `LEAST_KEPT` of the generator's weights would be copied.
    """
    with torch.device("meta"):
        sizes = [label_sizes(each, collection) for each in (first, config)]
        before, after = (
            {name: p.shape for name, p in generator_of(each, of).named_parameters()}
            for each, of in zip((first, config), sizes, strict=True)
        )
    kept = sum(math.prod(shape) for name, shape in after.items() if before.get(name) == shape)
    if kept < LEAST_KEPT * sum(math.prod(shape) for shape in after.values()):
        raise ImpastoError(
            f"a generator '{config.generator.network}' of {config.resolution} pixels can start from "
            f"next to nothing of a first stage '{first.generator.network}' of {first.resolution}: "
            "choose a family whose layers are named by resolution (fastgan, r3gan), "
            "generator.network=stacked, or --set first_stage=null"
        )


def _check_balance(config: RunConfig) -> None:
    """Check that the balanced field is a label, and that `balance_by` has a field.

    Raises:
        ImpastoError: it is not; the message says what to set.
    """
    training = config.training
    if training.balance is not None and training.balance not in config.labels:
        raise ImpastoError(
            f"training.balance is '{training.balance}', but the run's labels are "
            f"{choices(list(config.labels))}: add --labels "
            f"{','.join([*config.labels, training.balance])}, or --set training.balance=null"
        )
    if training.balance is None and training.balance_by != "equal":
        raise ImpastoError(
            f"training.balance_by is '{training.balance_by}', but training.balance names no label field "
            "to do so by; set it, such as --set training.balance=style"
        )


def _length(config: RunConfig, count: int) -> int:
    """The length of a run in images, in whole steps.

    Args:
        config: with `training.images` or `training.epochs`.
        count: number of training pictures.

    Raises:
        ImpastoError: it has neither.
    """
    training = config.training
    if training.images is not None:
        images = training.images
    elif training.epochs is not None:
        images = math.ceil(training.epochs * count)
    else:
        raise ImpastoError(
            "how long to train is not set: --images 200k or --set training.epochs=20"
        )
    return whole_steps(config, images)


def whole_steps(config: RunConfig, images: int) -> int:
    """This many images, rounded up to whole steps."""
    return math.ceil(images / config.images_a_step) * config.images_a_step


def _stacked_settings(first: RunConfig | None, config: RunConfig) -> dict[str, Any]:
    """The settings of generator `stacked` that describe its first stage; empty for other generators."""
    if first is None or config.generator.network != "stacked":
        return {}
    return {
        "base": {"network": first.generator.network, **first.generator.options},
        "base_resolution": first.resolution,
        "base_fields": None
        if first.labels == config.labels
        else [config.labels.index(name) for name in first.labels],
    }


def label_sizes(config: RunConfig, collection: Collection) -> tuple[int, ...]:
    """The number of classes in each label field of a run."""
    return tuple(len(collection.fields[collection.field(name)].classes) for name in config.labels)


def _evaluation_interval(evaluation: EvaluationConfig, images: int) -> int:
    """Images between evaluations (0: none) in a run of this length.

    Raises:
        ImpastoError: `patience` is set without evaluations, or the feature network is unknown, even
            if the run is too short to need it.
    """
    known = names("features")
    if evaluation.features not in known:
        raise ImpastoError(
            f"unknown feature network '{evaluation.features}' (evaluation.features); there is "
            f"{choices(known)}"
        )
    if evaluation.every == 0 and evaluation.patience is not None:
        raise ImpastoError(
            "evaluation.patience waits for better evaluations, but evaluation.every is 0 (none): set "
            "the one, or put the other to null"
        )
    if evaluation.every is not None:
        return evaluation.every
    usual = max(images // 10, 20 * evaluation.pictures)
    return usual if usual <= images or evaluation.patience is not None else 0


MOST_TIME = 0.05
"""The share of the time of training that evaluations may take by default."""


def _evaluation_time(evaluation: EvaluationConfig) -> float | None:
    """Most time for evaluations, as a share of the training time. None (no limit) where their interval
    is set, or where they decide when the run ends."""
    if evaluation.every is None and evaluation.patience is None:
        return evaluation.most_time or MOST_TIME
    return evaluation.most_time


def with_defaults(config: RunConfig) -> RunConfig:
    """The config with all settings of its networks and terms filled in, in both stages.

    Raises:
        ImpastoError: an unknown network, term or setting.
    """
    networks = {
        role: {
            "network": network.network,
            **resolve_network(network.network, role, network.options),
        }
        for role, network in (
            ("generator", config.generator),
            ("discriminator", config.discriminator),
            ("autoencoder", config.autoencoder),
        )
        if network is not None
    }
    objective = Objective(config.objective, discriminator=config.discriminator is not None)
    terms = [term.model_dump() for term in objective.configs()]
    first = config.first_stage and with_defaults(config.first_stage).model_dump()
    return RunConfig.model_validate(
        {**config.model_dump(), **networks, "objective": terms, "first_stage": first}
    )


def _check_labels(names: tuple[str, ...], collection: Collection) -> None:
    """Raises: ImpastoError: a field is unknown, occurs twice, or has no known class in training."""
    there = [field.name for field in collection.fields]
    for name in names:
        if name not in there and there:
            raise ImpastoError(
                f"no label field '{name}' in {collection.name}; there is {choices(there)}: choose "
                f"with --labels {quoted(there[0])}"
            )
        column = collection.field(name)
        if names.count(name) > 1:
            raise ImpastoError(f"labels name '{name}' twice: {', '.join(names)}")
        if (collection.labels[collection.train_indices, column] < 0).all():
            raise ImpastoError(
                f"every training picture of {collection.path} is of unknown {name}; leave it out of "
                "labels"
            )


def _first_stage(config: RunConfig, collection: Collection) -> RunConfig | None:
    """The resolved first stage, with the settings shared with the second; None without one.

    Raises:
        ImpastoError: its pictures are not smaller, or it has a label field that the run lacks.
    """
    first = config.first_stage
    if first is None:
        return None
    if area(first.resolution) >= area(config.resolution):
        raise ImpastoError(
            f"the first stage's pictures, of {first.resolution} pixels, are to be smaller than the "
            f"second's, of {config.resolution}: --set first_stage.resolution="
            f"{divided(config.resolution, 2)}"
        )
    if unknown := [name for name in first.labels if name not in config.labels]:
        wanted = ",".join([*config.labels, *unknown])
        raise ImpastoError(
            f"the first stage learns {choices(unknown)}, but the run's labels are "
            f"{choices(list(config.labels))}: add --labels {wanted}, or choose some of the run's with "
            "--set first_stage.labels"
        )
    training = first.training.model_copy(update={"seed": config.training.seed})
    if training.balance not in (None, *first.labels):
        balance = config.training.balance
        if balance not in (None, *first.labels):
            balance = next(iter(first.labels), None)
        training = training.model_copy(update={"balance": balance})
    shared = {"latent": config.latent, "training": training}
    try:
        return resolve(first.model_copy(update=shared), collection)
    except ImpastoError as error:
        raise ImpastoError(f"in the first stage: {error}") from error


def rehearse(config: RunConfig, label_sizes: tuple[int, ...]) -> None:
    """Compute both losses once on torch's meta device, where tensors have shapes but no values, to
    find misfits before anything is written.

    Raises:
        ImpastoError: the networks and terms do not fit together.
    """
    objective = Objective(config.objective, discriminator=config.discriminator is not None)
    augment_config = config.training.augment
    augmentation = None if augment_config is None else Augmentation(augment_config.kinds)
    shape = learned_shape(config)

    def augment(images: Tensor) -> Tensor:
        return images if augmentation is None else augmentation(images, 0.5)

    # As many pictures as a portion has in training, because batch norm refuses too few.
    count = config.training.batch // config.training.accumulate
    with torch.device("meta"):
        generator = generator_of(config, label_sizes)
        discriminator = discriminator_of(config, label_sizes)
        objective.build_memory(config.resolution, label_sizes)
        roles = ("discriminator", "generator") if config.discriminator else ("generator",)
        latents = torch.zeros(count, config.latent.size)
        labels = torch.zeros(count, len(label_sizes), dtype=torch.int64)
        try:
            # A generator of many steps takes seconds, so it makes images only for terms that use them.
            fakes = config.discriminator is not None or objective.uses_fakes("generator", 0)
            fake: Tensor = generator(latents, labels) if fakes else torch.zeros(0, *shape)
            # Where terms are active in every n-th update only, the second as well: it lacks them.
            updates = (0, 1) if any(term.every > 1 for term in config.objective) else (0,)
            for update, role in itertools.product(updates, roles):
                inputs = StepInputs(
                    real=augment(torch.zeros(count, *shape)),
                    real_labels=labels,
                    fake=augment(fake),
                    fake_labels=labels,
                    latents=latents,
                    discriminate=discriminator,
                    decode=getattr(generator, "decode", None),
                    denoise=getattr(generator, "denoise", None),
                )
                objective.loss(role, inputs, update=update)
                del inputs  # Free its graph before the next one is made; see `memory.graph_bytes`.
        except (RuntimeError, ValueError, TypeError) as error:
            raise ImpastoError(
                "the networks and terms of these settings do not fit together: "
                f"{str(error).splitlines()[0]}"
            ) from error
