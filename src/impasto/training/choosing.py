"""Choose what to train: a recipe with changes, and a collection that fits."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.collection import Collection, open_or_pack
from impasto.config import NetworkConfig, RunConfig
from impasto.errors import ImpastoError
from impasto.formatting import comma_separated, counted, parse_count, quoted
from impasto.networks import at_sampling, takes_buckets
from impasto.registry import load_recipe, recipe_modules, recipe_names
from impasto.resolution import (
    Resolution,
    Size,
    are_buckets,
    divided,
    in_words,
    parse_resolution,
    sides,
    square_of,
    times,
)
from impasto.sampling.model import ModelRecord, find_model
from impasto.settings import change
from impasto.training.resolve import hides_labels

FLAGSHIP = "flagship_"
"""The default recipes have this name and a side in pixels."""
USUAL_SIDE = 64
READ = ("read_at", "crop")
"""Settings of the size at which a discriminator reads pictures; its weights do not depend on them."""


@dataclass(frozen=True)
class TrainingChoice:
    """The chosen config and collection.

    Attributes:
        config: the recipe's, with all changes.
        collection: opened at a resolution that fits the config.
        recipe_text: the recipe's docstring.
        by_name: whether the user named the recipe.
    """

    config: RunConfig
    collection: Collection
    recipe_text: str
    by_name: bool

    @property
    def note(self) -> str | None:
        """A note if only one of the collection's buckets is learned, or if it has labels but the default
        recipe uses none."""
        if self.collection.bucketed and not self.config.buckets:
            others = [
                str(s) for s in self.collection.resolutions if s != self.collection.resolution
            ]
            return (
                f"note: learns the {counted(len(self.collection.train_indices), 'training picture')} "
                f"of {in_words(self.collection.resolution)} pixels only; the collection has others of "
                f"{', '.join(others)}: a run for each, with --set resolution={others[0]} and so on"
            )
        if self.by_name or not self.collection.fields or self.config.labels:
            return None
        names = [field.name for field in self.collection.fields]
        return (
            f"note: labels are not learned ({', '.join(names)}); to paint by class: "
            f"--labels {quoted(names[0])}"
        )


def choose(
    recipe: str | RunConfig | None,
    data: str | Path | Collection | None,
    changes: Mapping[str, Any],
    *,
    labels: str | Sequence[str] | None = None,
    images: int | str | None = None,
    seed: int | None = None,
    start_from: str | Path | None = None,
    only: str | None = None,
) -> TrainingChoice:
    """Choose the config and the collection.

    Args:
        recipe: a recipe's name, a whole config, or None: see `choose_recipe`.
        data: a collection, its folder, or the word `masters`.
        changes: settings by their dotted names, such as `training.batch`.
        labels: label fields to train on, or a text such as `style,genre`; None: the recipe's.
        images: real images to train for, each stage, such as `200k`; None: the recipe's length.
        seed: of all random numbers; None: the recipe's.
        start_from: a run or model whose weights are copied later. Without a recipe, its networks
            and label fields are used too.
        only: a condition on the pictures, such as `style=Ukiyo-e`; see `Collection.only`.

    Raises:
        ImpastoError: a recipe, setting, collection, model or class is unknown, or settings conflict.
    """
    if not isinstance(changes, Mapping):
        raise ImpastoError(
            f'settings are given by name, such as {{"training.batch": 16}}, not {changes!r}'
        )
    model = None if start_from is None else ModelRecord.of(find_model(start_from))
    own: ModelRecord | None = None
    if isinstance(recipe, RunConfig):
        base, by_name = recipe, True
    else:
        by_name = recipe is not None
        recipe = choose_recipe(recipe, data, model, changes.get("resolution"))
        base = load_recipe(recipe)()
        if not by_name and model is not None and _same_family(model.recipe, recipe):
            own = model
    own = _require_model(model, base) if base.from_model else own
    text = load_recipe(base.recipe).__doc__ or "" if base.recipe in recipe_names() else ""
    config = configure(
        base,
        {**_rectangle_size(recipe, base, data, changes, by_name=by_name), **changes},
        labels=comma_separated(labels) if isinstance(labels, str) else labels,
        images=None if images is None else parse_count(images),
        seed=seed,
        model=own,
    )
    if data is None:
        raise ImpastoError("say what to learn from: a collection, or the word masters")
    collection = open_or_pack(data, config.resolution).only(only)
    if isinstance(recipe, str):
        config = _with_buckets(config, collection, changes)
    if own is not None:
        config = without_missing_labels(config, own, collection)
        _check_guidance(config, own)
    return TrainingChoice(config, collection, text, by_name)


def _same_family(recipe: str, other: str) -> bool:
    """Whether two recipes are the same or both flagships."""
    return recipe == other or (recipe.startswith(FLAGSHIP) and other.startswith(FLAGSHIP))


def _require_model(model: ModelRecord | None, config: RunConfig) -> ModelRecord:
    """The model that a config with `from_model` goes on from.

    Raises:
        ImpastoError: there is none.
    """
    if model is None:
        raise ImpastoError(
            f"recipe {config.recipe} goes on from a finished run or model: name it with --from"
        )
    return model


def _rectangle_size(
    recipe: str | RunConfig,
    base: RunConfig,
    data: str | Path | Collection | None,
    changes: Mapping[str, Any],
    *,
    by_name: bool,
) -> dict[str, str]:
    """The change of `resolution` for a collection of rectangles: for the flagship that is chosen without
    a name, and for recipes that train on all buckets. Empty for others.

    Raises:
        ImpastoError: the user named a recipe that makes squares, and chose no resolution.
    """
    packed = [size for size in _resolutions(data) if isinstance(size, Size)]
    if isinstance(recipe, RunConfig) or "resolution" in changes or not packed:
        return {}
    if are_buckets(_resolutions(data)):
        # One bucket: the one with the most pictures, unless a view of another is given.
        opened = data if isinstance(data, Collection) else Collection.open(str(data))
        if isinstance(opened.resolution, int):
            return {}
        packed = [opened.resolution]
        by_name = by_name and not _learns_buckets(base)
    size = nearest_size(packed, base.resolution)
    if by_name:
        raise ImpastoError(
            f"{data} holds rectangles of {sides(packed)}, and recipe {recipe} makes "
            f"{base.resolution}: train with --set resolution={size}, or leave the recipe out"
        )
    return {"resolution": str(size)}


def _learns_buckets(config: RunConfig) -> bool:
    """Whether a config can be trained on several buckets at once: its networks take them, and it has
    neither a first stage nor an autoencoder."""
    networks = {"generator": config.generator, "discriminator": config.discriminator}
    able = all(
        takes_buckets(network.network, role, network.options)
        for role, network in networks.items()
        if network
    )
    return able and config.first_stage is None and config.autoencoder is None


def _with_buckets(
    config: RunConfig, collection: Collection, changes: Mapping[str, Any]
) -> RunConfig:
    """The config with `buckets` set to all sizes of a bucketed collection that have training pictures.
    It stays as it is if its networks cannot take them, or if the user chose a size."""
    chosen = changes.keys() & {"buckets", "resolution"}
    if chosen or not collection.bucketed or not _learns_buckets(config):
        return config
    factor = times(collection.resolution, config.resolution)
    found = []
    for size in collection.resolutions:
        with contextlib.suppress(ImpastoError):  # `--only` may leave nothing of a bucket.
            if len(collection.at(size).train_indices):
                found.append(divided(size, factor))
    return config.model_copy(update={"buckets": tuple(found)}) if len(found) > 1 else config


def _resolutions(data: str | Path | Collection | None) -> tuple[Resolution, ...]:
    """The resolutions of a collection; none if it is not packed yet."""
    if isinstance(data, Collection):
        return data.resolutions
    if data is None or str(data) == "masters":
        return ()
    path = Path(data).expanduser()
    return Collection.open(path).resolutions if (path / "collection.json").is_file() else ()


def at_side(packed: Resolution, side: int) -> Resolution | None:
    """The size to which pictures are averaged down for a recipe of this side. For rectangles it is the
    size with about as many pixels as the square. None: the sides are no multiples of it."""
    if isinstance(packed, int):
        return None if packed % side else side
    factor = square_of(packed) // side
    if not factor:
        return None
    size = divided(packed, factor)
    return size if times(packed, size) else None


def nearest_size(packed: Sequence[Resolution], wanted: Resolution) -> Resolution:
    """The size at which to train a recipe on pictures of these sizes.

    It is the last of them, averaged down to about as many pixels as the recipe's pictures have, or that
    size itself where this is impossible.

    Args:
        packed: sizes of the collection.
        wanted: size of the recipe's pictures.
    """
    return [at_side(each, square_of(wanted)) or each for each in packed][-1]


def _check_guidance(config: RunConfig, model: ModelRecord) -> None:
    """Check that a model that is continued with guidance has learned pictures without labels.

    Raises:
        ImpastoError: it has not.
    """
    guided = bool(config.labels) and config.generator.options.get("guidance", 1) != 1
    if config.from_model and guided and not (model.learned_without_labels or hides_labels(config)):
        raise ImpastoError(
            "generator.guidance moves pictures away from those without labels, and that model has "
            "learned none of these: --set generator.guidance=1"
        )


def choose_recipe(
    recipe: str | None,
    data: str | Path | Collection | None,
    model: ModelRecord | None,
    wanted: object = None,
) -> str:
    """The named recipe; else that of the starting model, unless it is a flagship, whose side
    depends on the collection and the `wanted` resolution; else the flagship.

    Raises:
        ImpastoError: the recipe is unknown, or there is no collection.
    """
    known = recipe_names()
    if recipe is not None and recipe not in known:
        try:
            load_recipe(recipe)
        except ImpastoError as error:
            if recipe != "masters" and not Path(recipe).exists():
                raise
            raise ImpastoError(
                f"{error}; to learn from {recipe}: --data {quoted(recipe)}"
            ) from None
    if data is None:
        raise ImpastoError(
            "say what to learn from: --data, with a collection made by impasto pack or the word masters"
        )
    if recipe is not None:
        return recipe
    if model is not None and model.recipe in known and not model.recipe.startswith(FLAGSHIP):
        return model.recipe
    return default_recipe(data, wanted=wanted, model=model)


def default_recipe(
    data: str | Path | Collection, *, wanted: object = None, model: ModelRecord | None = None
) -> str:
    """The default flagship for a collection, at the first of these sides:

    - the `wanted` one, if there is such a flagship;
    - that of the starting `model`, if the collection is packed at it;
    - the largest flagship that the pictures can be averaged down to (see `at_side`);
    - 64, for the 21 paintings and folders that are no collection yet.
    """
    names = [name for name in recipe_modules() if name.startswith(FLAGSHIP)]
    sides = [int(name.removeprefix(FLAGSHIP)) for name in names]
    with contextlib.suppress(ValueError):
        wanted = square_of(parse_resolution(wanted))
    if isinstance(wanted, int | float) and wanted in sides:
        return f"{FLAGSHIP}{int(wanted)}"
    packed = _resolutions(data)
    if model is not None and model.resolution in packed and square_of(model.resolution) in sides:
        return f"{FLAGSHIP}{square_of(model.resolution)}"
    fitting = [side for side in sides if any(at_side(each, side) for each in packed)]
    return f"{FLAGSHIP}{max(fitting, default=USUAL_SIDE)}"


def adapt_to_model(config: RunConfig, model: ModelRecord) -> RunConfig:
    """A config with the model's networks, resolution, latent and labels.

    A flagship of another size keeps its own resolution and the size at which its discriminator reads
    pictures (`READ`). For configs with `from_model` see `_continue_model`.
    """
    if config.from_model:
        return _continue_model(config, model)
    own = {name: getattr(model, name) for name in ("latent", "generator", "discriminator")}
    mine, theirs = config.discriminator, model.discriminator
    if model.recipe == config.recipe:
        own["resolution"] = model.resolution
    elif mine and theirs and "read_at" in mine.options and "read_at" in theirs.options:
        own["discriminator"] = _reading_as(mine, theirs)
    changed = config.model_copy(update=own)
    return with_labels(changed, tuple(field.name for field in model.labels))


def _reading_as(mine: NetworkConfig, theirs: NetworkConfig) -> NetworkConfig:
    """The discriminator `theirs`, which reads pictures at the size of `mine` (`READ`)."""
    options = {name: value for name, value in theirs.options.items() if name not in READ}
    options |= {name: value for name, value in mine.options.items() if name in READ}
    return NetworkConfig.model_validate({"network": theirs.network, **options})


def _continue_model(config: RunConfig, model: ModelRecord) -> RunConfig:
    """A config with `from_model`, with the model's generator, latent, autoencoder and labels, and its
    discriminator if both have one.

    The config keeps its settings that the weights do not depend on, such as a flow's steps.

    Raises:
        ImpastoError: the config has such settings, and the model's generator is of another family.
    """
    own: dict[str, Any] = {
        name: getattr(model, name) for name in ("latent", "generator", "autoencoder")
    }
    network = config.generator.network
    if changeable := at_sampling(network):
        if model.generator.network != network:
            raise ImpastoError(
                f"recipe {config.recipe} goes on from generators of network '{network}', and that "
                f"model's is '{model.generator.network}'; choose another model or recipe"
            )
        kept = {name: v for name, v in config.generator.options.items() if name in changeable}
        own["generator"] = model.generator.model_copy(update=kept)
    if config.discriminator is not None and model.discriminator is not None:
        own["discriminator"] = model.discriminator
    changed = config.model_copy(update=own)
    return with_labels(changed, tuple(field.name for field in model.labels))


def with_labels(config: RunConfig, labels: tuple[str, ...]) -> RunConfig:
    """The config with other label fields; balancing uses the first of them if its field is not
    among them."""
    balance = config.training.balance
    if balance is not None and balance not in labels:
        balance = next(iter(labels), None)
    return change(config, {"labels": list(labels), "training.balance": balance})


def configure(
    recipe: str | RunConfig,
    changes: Mapping[str, Any],
    *,
    labels: Sequence[str] | None = None,
    images: int | None = None,
    seed: int | None = None,
    model: ModelRecord | None = None,
) -> RunConfig:
    """The config of a recipe with changes, adapted to `model` if given. See `choose`.

    Raises:
        ImpastoError: an unknown recipe or setting, two lengths, or a config that goes on from a model
            of another size.
    """
    config = load_recipe(recipe)() if isinstance(recipe, str) else recipe
    if model is not None:
        config = adapt_to_model(config, model)
    changes = dict(changes)
    if labels is not None:
        changes["labels"] = list(labels)
    if images is not None:
        changes |= _lengths(config, changes, images)
    if config.first_stage is not None and "first_stage" not in changes:
        # Both stages have the same evaluation settings, unless the first one's are set.
        for name in [name for name in changes if name.startswith("evaluation.")]:
            changes.setdefault(f"first_stage.{name}", changes[name])
    if seed is not None:
        changes["training.seed"] = seed
    fields = changes.get("labels")
    if config.training.balance is not None and isinstance(fields, list) and fields:
        # With other fields than the recipe's, balance the first.
        changes.setdefault("training.balance", fields[0])
    config = change(config, changes)
    if config.from_model and model is not None and model.resolution != config.resolution:
        raise ImpastoError(
            f"recipe {config.recipe} makes pictures of {config.resolution} pixels, and the model to "
            f"start from makes {model.resolution}: --set resolution={model.resolution}"
        )
    return config


def _lengths(config: RunConfig, changes: Mapping[str, Any], images: int) -> dict[str, int]:
    """The changes that set the length of each stage to `images`, unless a stage's length is set."""
    for name in ("training.images", "training.epochs"):
        if name in changes:
            raise ImpastoError(
                f"--images and --set {name} both say how long to train; give one of them"
            )
    lengths = {"training.images": images}
    said = {
        "first_stage",
        "first_stage.training.epochs",
        "first_stage.training.images",
    } & changes.keys()
    if config.first_stage is not None and not said:
        lengths["first_stage.training.images"] = images
    return lengths


def without_missing_labels(
    config: RunConfig, model: ModelRecord, collection: Collection
) -> RunConfig:
    """The config without those of the model's label fields that the collection does not have."""
    if config.labels != tuple(field.name for field in model.labels):
        return config  # others were requested, and are checked later
    there = {field.name for field in collection.fields}
    return with_labels(config, tuple(name for name in config.labels if name in there))
