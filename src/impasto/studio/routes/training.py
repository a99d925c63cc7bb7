"""Training: recipes, settings and their check, the start of a run."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from impasto.collection import Collection, open_or_pack
from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.formatting import parse_time
from impasto.registry import recipe_names
from impasto.settings import change
from impasto.studio.context import Studio, TheStudio
from impasto.studio.jobs import MEASURING, Job
from impasto.studio.labels import LabelChoices, label_choices, own_labels, without_choice
from impasto.studio.measuring import NUMBERS, Estimate, estimates, title_of
from impasto.studio.places import folders
from impasto.studio.recipes import Recipe, flagship_of, opened, recipe_named, with_misfit
from impasto.studio.runs import is_locked
from impasto.studio.schema import Setting, config_schema, settings_of_network

router = APIRouter(tags=["training"])
Name = Annotated[str, Field(min_length=1, max_length=200)]
OptionalName = Annotated[str | None, Query(min_length=1, max_length=200)]
AUTO = "auto"


class RecipeDetails(BaseModel):
    """A recipe with its settings."""

    recipe: Recipe
    config: dict[str, Any]


class Schema(BaseModel):
    """What a form of settings is made from."""

    config: dict[str, Any]
    """The JSON schema of a whole config; descriptions are the settings'."""


class Training(BaseModel):
    """What to train; what is left out is as of `impasto train`."""

    collection: Name
    recipe: Name | None = None
    settings: dict[Name, Any] = Field(default_factory=dict, max_length=500)
    """Changes by dotted names, such as `{"training.batch": 16}`."""
    labels: list[Name] | None = Field(default=None, max_length=20)
    """Label fields."""
    time: str | None = Field(default=None, max_length=40)
    """How long, such as `30m`, `2h` or `overnight`."""
    start_from: Name | None = None
    """A model's name, as in the list of models; or `auto`: the nearest of the package, if it is near
    enough."""
    device: str | None = Field(default=None, pattern=r"^(auto|cpu|cuda(:\d{1,3})?|mps)$")


class Measuring(BaseModel):
    """What to measure."""

    collection: Name
    recipe: Name | None = None
    """None: all recipes."""


class Checked(BaseModel):
    """The answer to settings that can be trained."""

    pictures: int
    """Training pictures."""


@router.get("/recipes")
def recipes(studio: TheStudio, collection: OptionalName = None) -> list[Recipe]:
    """All recipes; with a collection, whether each fits it."""
    data = None if collection is None else opened(studio.places.collection(collection))
    found = []
    for name in recipe_names():
        recipe, config = recipe_named(name)
        found.append(with_misfit(recipe, config, data))
    return found


@router.get("/recipes/{name}")
def recipe(studio: TheStudio, name: str) -> RecipeDetails:
    """A recipe with its settings."""
    found, config = recipe_named(name)
    return RecipeDetails(recipe=found, config=config.model_dump(mode="json"))


@router.get("/flagship")
def flagship(studio: TheStudio, collection: Annotated[str, Query(max_length=200)]) -> Recipe:
    """What is trained on a collection if no recipe is named, at the size that it has there."""
    return flagship_of(studio.places.collection(collection))


@router.get("/labels")
def labels(
    studio: TheStudio,
    collection: Annotated[str, Query(min_length=1, max_length=200)],
    recipe: OptionalName = None,
    start_from: OptionalName = None,
) -> LabelChoices:
    """The label fields of a collection that a training can learn, and which the page offers."""
    from impasto.training.choosing import USUAL_SIDE

    place = studio.places.collection(collection)
    if recipe is not None and (found := without_choice(recipe)):
        return found
    data = opened(place) or open_or_pack(place, USUAL_SIDE)
    model = None if start_from == AUTO else start_from
    return label_choices(data, own_labels(studio, data, recipe, model))


@router.get("/config/schema")
def schema(studio: TheStudio) -> Schema:
    """What a form of settings is made from."""
    return Schema(config=config_schema())


@router.get("/config/networks/{name}")
def network(studio: TheStudio, name: str) -> dict[str, list[Setting]]:
    """The settings of a network, by its role."""
    return settings_of_network(name)


@router.post("/config/check")
def check(studio: TheStudio, what: Training) -> Checked:
    """Check what would be trained, without training; the first thing that is wrong is an error."""
    from impasto.training.time_plan import LENGTHS, without_unset_lengths

    if what.time is not None:
        parse_time(what.time)
        what = what.model_copy(update={"settings": without_unset_lengths(what.settings)})
        lengths = sorted(what.settings.keys() & set(LENGTHS))
        if lengths:
            raise ImpastoError(
                f"How long is chosen, and {lengths[0]} says it too: give one of them"
            )
    try:
        _, collection = _chosen(studio, what)
    except ImpastoError as error:
        words = _in_words_of_the_page(studio, what, error)
        if words is None:
            raise
        raise ImpastoError(words) from error
    return Checked(pictures=len(collection.train_indices))


def _chosen(studio: Studio, what: Training) -> tuple[RunConfig, Collection]:
    from impasto.training.choosing import choose
    from impasto.training.resolve import resolve

    model = what.start_from if what.start_from != AUTO else None
    choice = choose(
        what.recipe,
        studio.places.collection(what.collection),
        what.settings,
        labels=what.labels,
        start_from=None if model is None else studio.places.model_folder(model),
    )
    return resolve(choice.config, choice.collection), choice.collection


def _in_words_of_the_page(studio: Studio, what: Training, error: ImpastoError) -> str | None:
    """Why a training cannot be, where the page shows it: its size, or the model that it needs."""
    place = studio.places.collection(what.collection)
    if what.recipe is None:
        return None if "resolution" in what.settings else _refusal(flagship_of(place))
    labels = {} if what.labels is None else {"labels": what.labels}
    recipe, own = recipe_named(what.recipe)
    config = change(own, what.settings | labels)
    if what.start_from not in (None, AUTO):
        return None  # its size and labels may be the model's
    if config.from_model:
        return f"{what.recipe} goes on from a finished model: choose one to begin with"
    misfit = _refusal(with_misfit(recipe, config, opened(place)))
    if misfit is None and own.labels and not config.labels and "--labels" in str(error):
        return f"{what.recipe} learns classes: tick a label field"
    return misfit


def _refusal(recipe: Recipe) -> str | None:
    return ": ".join(filter(None, (recipe.misfit, recipe.remedy))) or None


def _arguments(studio: Studio, what: Training) -> list[str]:
    """Of `impasto train`, without the run's folder."""
    place = studio.places.collection(what.collection)
    arguments = ["train", f"--data={place}"]
    if what.recipe is not None:
        arguments.insert(1, what.recipe)
    for name, value in what.settings.items():
        arguments.append(f"--set={name}={json.dumps(value)}")
    if what.labels is not None:
        arguments.append(f"--labels={','.join(what.labels)}")
    if what.start_from == AUTO:
        arguments.append(f"--from={AUTO}")
    elif what.start_from is not None:
        studio.places.model_folder(what.start_from)
        arguments.append(f"--from={studio.places.model(what.start_from)}")
    given = {"time": what.time, "device": what.device}
    return [*arguments, *(f"--{name}={each}" for name, each in given.items() if each is not None)]


def _next_name(studio: Studio, what: Training) -> str:
    """The name of a run: the next free number, the recipe, the collection."""
    names = [path.name for path in studio.places.runs.iterdir()]
    names += [job.run for job in studio.jobs.all() if job.run is not None]
    taken = [int(name[:5]) for name in names if re.match(r"\d{5}-", name)]
    plain = re.sub(r"[^\w-]+", "-", f"{what.recipe or 'flagship'}-{what.collection}")
    return f"{max(taken, default=-1) + 1:05d}-{plain[:80]}"


@router.post("/train")
def train(studio: TheStudio, what: Training) -> Job:
    """Start a training, or put it into the queue; the job names its run. What cannot be trained is
    refused before."""
    check(studio, what)
    arguments = _arguments(studio, what)
    title = f"Train {what.recipe or 'the flagship'} on {what.collection}"
    with studio.jobs.mutex:
        run = _next_name(studio, what)
        arguments.append(f"--run={studio.places.runs / run}")
        return studio.jobs.add("train", title, arguments, run=run, about=what.collection)


@router.post("/estimate")
def estimate(studio: TheStudio, what: Training) -> Job:
    """Measure a few steps on this machine; the job's output says memory and time, and `/estimates` has
    the numbers. It waits until nothing trains."""
    check(studio, what)
    _refuse_beside_trainings(studio)
    as_it_is = Training(collection=what.collection, recipe=what.recipe)
    plain = what in (as_it_is, _as_offered(studio, what.collection, what.recipe))
    return _measure(studio, what, plain=plain)


@router.post("/estimates")
def estimate_all(studio: TheStudio, what: Measuring) -> list[Job]:
    """Measure recipes that fit a collection and were not measured on it, one after another, with the
    labels that the page offers."""
    _refuse_beside_trainings(studio)
    known = {
        each.recipe
        for each in estimates(studio.jobs)
        if each.plain and each.collection == what.collection
    }
    wanted = [
        _as_offered(studio, what.collection, each.name)
        for each in recipes(studio, what.collection)
        if what.recipe in (None, each.name)
        and each.misfit is None
        and not each.from_model
        and each.name not in known
    ]
    with studio.jobs.mutex:
        busy = {job.title for job in studio.jobs.all() if job.goes_on}
        return [
            _measure(studio, each, plain=True)
            for each in wanted
            if title_of(each.recipe, each.collection, plain=True) not in busy
        ]


@router.delete("/estimates")
def stop_estimates(studio: TheStudio) -> list[Job]:
    """Stop the measurement that runs, and take those that wait out of the queue."""
    with studio.jobs.mutex:
        return [
            studio.jobs.stop(job.id)
            for job in studio.jobs.all()  # the newest first, so that none begins meanwhile
            if job.kind == MEASURING and job.goes_on
        ]


@router.get("/estimates")
def estimates_there(studio: TheStudio) -> list[Estimate]:
    """What was measured on this machine, the newest first."""
    return estimates(studio.jobs)


def _as_offered(studio: Studio, collection: str, recipe: str | None) -> Training:
    """What the page trains if nothing but the recipe is chosen."""
    offered = labels(studio, collection, recipe)
    names = None if offered.as_is else offered.ticked
    return Training(collection=collection, recipe=recipe, labels=names)


def _measure(studio: Studio, what: Training, *, plain: bool) -> Job:
    arguments = _arguments(studio, what)
    folder = studio.jobs.new_folder()
    arguments += ["--dry-run", f"--numbers={folder / NUMBERS}"]
    return studio.jobs.add(
        MEASURING,
        title_of(what.recipe, what.collection, plain=plain),
        arguments,
        folder=folder,
        about=what.collection,
        files=[NUMBERS],
    )


def _refuse_beside_trainings(studio: Studio) -> None:
    """Raises: ImpastoError: a terminal trains a run. For those of its own jobs the queue waits."""
    own = {job.run for job in studio.jobs.all() if job.state == "running"}
    for run in folders(studio.places.runs, "run.json"):
        if run.name not in own and is_locked(run):
            raise ImpastoError(
                f"{run.name} is training, and what is measured beside it would be wrong; measure when "
                "it has ended"
            )
