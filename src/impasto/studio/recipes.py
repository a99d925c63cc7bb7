"""Recipes as the page shows them: what each is, and whether it fits a collection."""

import inspect
from pathlib import Path

from pydantic import BaseModel

from impasto.collection import Collection
from impasto.collection.store import sides
from impasto.config import RunConfig
from impasto.errors import ImpastoError, choices
from impasto.registry import load_recipe
from impasto.resolution import Resolution, Size, recorded, square_of, times
from impasto.studio.places import MASTERS


class Recipe(BaseModel):
    """A recipe in a list."""

    name: str
    summary: str
    text: str
    """Its docstring: source, command, cost and what was measured."""
    resolution: int | str
    images: int | None
    from_model: bool
    """Whether it goes on from a model."""
    adversarial: bool
    """Whether it has a discriminator."""
    misfit: str | None = None
    """Why it cannot be trained as it is on the collection that was asked about."""


def recipe_named(name: str) -> tuple[Recipe, RunConfig]:
    """A recipe and its config.

    Raises:
        ImpastoError: there is none of this name.
    """
    function = load_recipe(name)
    config: RunConfig = function()
    return _described(name, config, inspect.getdoc(function) or ""), config


def _described(name: str, config: RunConfig, text: str) -> Recipe:
    return Recipe(
        name=name,
        summary=text.partition("\n")[0],
        text=text,
        resolution=recorded(config.resolution),
        images=config.training.images,
        from_model=config.from_model,
        adversarial=config.discriminator is not None,
    )


def opened(place: str | Path) -> Collection | None:
    """A collection; None for `masters`, which is packed at any size.

    Raises:
        ImpastoError: it is missing or damaged.
    """
    return None if str(place) == MASTERS else Collection.open(place)


def fits(wanted: Resolution, collection: Collection | None) -> bool:
    """Whether a recipe of this size can be trained as it is: on pictures of that size, or that can be
    averaged down to it. See `training.choosing`, which refuses the others."""
    if collection is None:
        return True
    packed = (collection.resolution,) if collection.bucketed else collection.resolutions
    if isinstance(wanted, int) and any(isinstance(each, Size) for each in packed):
        return False  # its networks make squares
    return any(times(each, wanted) for each in collection.resolutions)


def misfit(name: str, config: RunConfig, collection: Collection | None) -> str | None:
    """Why a recipe cannot be trained as it is on a collection, with the sizes or the label fields that
    there are; None: it can."""
    if collection is None:
        return None
    if fits(config.resolution, collection):
        return _unknown_labels(name, config, collection)
    return (
        f"{name} paints pictures of {config.resolution} px, and {collection.path.name} is packed at "
        f"{sides(collection.resolutions)}: choose a recipe that fits, set this one's resolution to "
        f"{_nearest(config.resolution, collection)}, or pack the pictures again at "
        f"{config.resolution} px"
    )


def _unknown_labels(name: str, config: RunConfig, collection: Collection) -> str | None:
    fields = [field.name for field in collection.fields]
    missing = [label for label in config.labels if label not in fields]
    if not missing:
        return None
    there = f"has {choices(fields)}" if fields else "has no labels"
    return (
        f"{name} learns the label {choices(missing)}, and {collection.path.name} {there}: choose a "
        "recipe that fits, or change labels in this one's settings"
    )


def _nearest(wanted: Resolution, collection: Collection) -> Resolution:
    """The size of a collection with about as many pixels as a recipe's pictures have."""
    from impasto.training.choosing import at_side

    shapes = (collection.resolution,) if collection.bucketed else collection.resolutions
    return [at_side(each, square_of(wanted)) or each for each in shapes][-1]


def flagship_of(place: str | Path) -> Recipe:
    """The recipe that is trained on a collection if none is named, at the size that it has there.

    Raises:
        ImpastoError: the collection is missing or damaged.
    """
    from impasto.training.choosing import choose, default_recipe

    name = default_recipe(place)
    collection = opened(place)
    recipe, config = recipe_named(name)
    if collection is None:
        return recipe
    try:
        config = choose(None, collection, {}).config
    except ImpastoError as error:
        words = misfit("the flagship", config, collection) or str(error)
        return recipe.model_copy(update={"misfit": words})
    return recipe.model_copy(update={"resolution": recorded(config.resolution)})
