"""Recipes as the page shows them: what each is, and whether it fits a collection."""

import inspect
from pathlib import Path

from pydantic import BaseModel

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import ImpastoError, choices
from impasto.registry import load_recipe
from impasto.resolution import Resolution, Size, recorded, sides, times
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
    misfit: str | None = None
    """Why it cannot be trained as it is on the collection that was asked about."""
    remedy: str | None = None
    """What to do about that."""


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
    if isinstance(wanted, int) and any(isinstance(each, Size) for each in _packed_at(collection)):
        return False  # its networks make squares
    return any(times(each, wanted) for each in collection.resolutions)


def _packed_at(collection: Collection) -> tuple[Resolution, ...]:
    """The sizes of a collection's pictures; of several buckets that of the one that is trained."""
    return (collection.resolution,) if collection.bucketed else collection.resolutions


def with_misfit(recipe: Recipe, config: RunConfig, collection: Collection | None) -> Recipe:
    """A recipe, with what keeps it from being trained on a collection: its size or its labels.

    Args:
        recipe: as it is.
        config: its config, perhaps with changes.
        collection: that is asked about.
    """
    if collection is None:
        return recipe
    called, why, then = collection.path.name, None, ""
    fields = [field.name for field in collection.fields]
    missing = [label for label in config.labels if label not in fields]
    if not fits(config.resolution, collection):
        from impasto.training.choosing import nearest_size

        size = config.resolution
        why = (
            f"{recipe.name} paints pictures of {size} px, and {called} is packed at "
            f"{sides(collection.resolutions)}"
        )
        near = nearest_size(_packed_at(collection), size)
        then = f"set this one's resolution to {near}, or pack again at {size} px"
    elif missing:
        there = f"has {choices(fields)}" if fields else "has no labels"
        why = f"{recipe.name} learns the label {choices(missing)}, and {called} {there}"
        then = (
            "or tick the classes to learn" if fields else "or change labels in this one's settings"
        )
    if why is None:
        return recipe
    return recipe.model_copy(update={"misfit": why, "remedy": f"choose a recipe that fits, {then}"})


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
        found = with_misfit(recipe, config, collection)
        return found.model_copy(update={"misfit": found.misfit or str(error)})
    return recipe.model_copy(update={"resolution": recorded(config.resolution)})
