"""Which of a collection's label fields a training learns, as the page offers them."""

import functools
from collections.abc import Sequence
from contextlib import suppress

from pydantic import BaseModel

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.registry import load_recipe
from impasto.studio.context import Studio
from impasto.studio.recipes import recipe_named


class LabelChoice(BaseModel):
    """A label field that can be learned."""

    name: str
    classes: int
    """Classes with training pictures."""
    fewest: int
    """Training pictures of the rarest of them."""
    most: int
    """Of the most frequent one."""


class LabelChoices(BaseModel):
    """The label fields of a collection, for a training."""

    fields: list[LabelChoice]
    ticked: list[str]
    """Those that the page offers to learn."""
    as_is: bool
    """Whether a training learns just these when no labels are given."""
    why: str | None = None
    """Why there is no choice."""


@functools.cache
def without_choice(name: str) -> LabelChoices | None:
    """The answer for a recipe with which one cannot choose what labels to learn; None: one can.

    Making a recipe's networks takes seconds, so each is asked once.
    """
    import torch

    from impasto.networks import NoClassesError, discriminator_of, generator_of, latent_dim_of
    from impasto.settings import change

    config = recipe_named(name)[1]
    why = (
        f"{name} learns the classes of the model that it goes on from"
        if config.from_model
        else None
    )
    try:
        # Some networks say themselves how long a latent is.
        whole = change(config, {"latent.dim": latent_dim_of(config)})
        with torch.device("meta"):
            generator_of(whole, (2,))
            discriminator_of(whole, (2,))
    except NoClassesError:
        why = f"{name} has networks that learn no classes"
    except ImpastoError:
        pass  # of something else, which is said when it is started
    return None if why is None else LabelChoices(fields=[], ticked=[], as_is=True, why=why)


def label_choices(collection: Collection, own: Sequence[str]) -> LabelChoices:
    """The fields that can be learned, and which to offer: those of the recipe or model that the
    collection has; where it names none, the first field with at least two classes.

    Args:
        collection: to train on.
        own: what the recipe, or the model to begin with, learns.
    """
    fields = []
    for field in collection.fields:
        counts = [count for count in field.counts if count]
        if counts:
            fields.append(
                LabelChoice(
                    name=field.name, classes=len(counts), fewest=min(counts), most=max(counts)
                )
            )
    there = {field.name for field in fields}
    ticked = [name for name in own if name in there]
    if not own:
        ticked = [field.name for field in fields if field.classes > 1][:1]
    return LabelChoices(fields=fields, ticked=ticked, as_is=not ticked or ticked == list(own))


def own_labels(
    studio: Studio, collection: Collection, recipe: str | None, model: str | None
) -> list[str]:
    """The label fields that a training learns when none are given.

    Args:
        studio: with the models.
        collection: to train on.
        recipe: its name; None: the flagship, or the model's recipe.
        model: to begin with; None: nothing.
    """
    from impasto.training.choosing import choose, default_recipe

    if recipe is not None:
        return list(recipe_named(recipe)[1].labels)
    if model is None:
        return list(load_recipe(default_recipe(collection))().labels)
    folder = studio.places.model_folder(model)
    with suppress(ImpastoError):  # it does not fit, which is said when it is started
        return list(choose(None, collection, {}, start_from=folder).config.labels)
    return []
