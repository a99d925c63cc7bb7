"""Training: recipes, settings and their check, the start of a run."""

import inspect
import json
import re
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from impasto.config import RunConfig, read_record
from impasto.errors import ImpastoError
from impasto.registry import load_recipe, module_names, recipe_names
from impasto.resolution import recorded
from impasto.settings import change
from impasto.studio.context import Studio, TheStudio
from impasto.studio.jobs import Job
from impasto.studio.schema import Setting, config_schema, settings_of_network, settings_of_term

router = APIRouter(tags=["training"])
Name = Annotated[str, Field(min_length=1, max_length=200)]
NUMBERS = "estimate.json"
_PLAIN = {"--data", "--dry-run", "--numbers"}
"""Options of an estimate of a recipe as it is."""


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


class RecipeDetails(BaseModel):
    """A recipe with its settings."""

    recipe: Recipe
    config: dict[str, Any]


class Schema(BaseModel):
    """What a form of settings is made from."""

    config: dict[str, Any]
    """The JSON schema of a whole config; descriptions are the settings'."""
    networks: list[str]
    terms: list[str]
    augmentations: list[str]


class Training(BaseModel):
    """What to train; what is left out is as of `impasto train`."""

    collection: Name
    recipe: Name | None = None
    settings: dict[Name, Any] = Field(default_factory=dict, max_length=500)
    """Changes by dotted names, such as `{"training.batch": 16}`."""
    labels: list[Name] | None = Field(default=None, max_length=20)
    """Label fields."""
    only: str | None = Field(default=None, max_length=2000)
    images: int | None = Field(default=None, gt=0, le=10**12)
    time: str | None = Field(default=None, max_length=40)
    """How long, such as `30m`, `2h` or `overnight`."""
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    start_from: Name | None = None
    """A model's name, as in the list of models."""
    device: str | None = Field(default=None, pattern=r"^(auto|cpu|cuda(:\d{1,3})?|mps)$")


class StageCost(BaseModel):
    """What training a stage costs on this machine."""

    resolution: int | str
    images: int
    images_per_second: float
    seconds: float
    processor_share: float | None
    """The share of the processor that the measured steps got; below about 0.6 other programs slowed
    them."""


class Costs(BaseModel):
    """The numbers that an estimate writes."""

    seconds: float
    memory_bytes: int | None
    stages: list[StageCost]


class Estimate(Costs):
    """What a training costs on this machine, as a few steps were measured."""

    job: str
    recipe: str | None
    collection: str
    plain: bool
    """Whether it is the recipe as it is, without settings, length or model."""


class Checked(BaseModel):
    """Settings that are valid."""

    config: dict[str, Any]
    """With all settings of the networks."""
    pictures: int
    collection: str


def _recipe(name: str) -> tuple[Recipe, RunConfig]:
    function = load_recipe(name)
    config: RunConfig = function()
    text = inspect.getdoc(function) or ""
    recipe = Recipe(
        name=name,
        summary=text.partition("\n")[0],
        text=text,
        resolution=recorded(config.resolution),
        images=config.training.images,
        from_model=config.from_model,
        adversarial=config.discriminator is not None,
    )
    return recipe, config


@router.get("/recipes")
def recipes(studio: TheStudio) -> list[Recipe]:
    """All recipes."""
    return [_recipe(name)[0] for name in recipe_names()]


@router.get("/recipes/{name}")
def recipe(studio: TheStudio, name: str) -> RecipeDetails:
    """A recipe with its settings."""
    found, config = _recipe(name)
    return RecipeDetails(recipe=found, config=config.model_dump(mode="json"))


@router.get("/config/schema")
def schema(studio: TheStudio) -> Schema:
    """What a form of settings is made from."""
    return Schema(
        config=config_schema(),
        networks=module_names("networks"),
        terms=module_names("objectives"),
        augmentations=module_names("augmentations"),
    )


@router.get("/config/networks/{name}")
def network(studio: TheStudio, name: str) -> dict[str, list[Setting]]:
    """The settings of a network, by its role."""
    return settings_of_network(name)


@router.get("/config/terms/{name}")
def term(studio: TheStudio, name: str) -> list[Setting]:
    """The settings of a term of the objective."""
    return settings_of_term(name)


@router.post("/config/check")
def check(studio: TheStudio, what: Training) -> Checked:
    """The whole config of what would be trained, or the first thing that is wrong with it."""
    from impasto.training.choosing import choose
    from impasto.training.resolve import resolve

    collection = studio.places.collection(what.collection)
    start = None if what.start_from is None else studio.places.model_folder(what.start_from)
    choice = choose(
        what.recipe,
        collection,
        what.settings,
        labels=what.labels,
        images=None if what.images is None else str(what.images),
        seed=what.seed,
        start_from=start,
        only=what.only,
    )
    config = resolve(choice.config, choice.collection)
    return Checked(
        config=config.model_dump(mode="json"),
        pictures=len(choice.collection.train_indices),
        collection=choice.collection.title,
    )


def _arguments(studio: Studio, what: Training) -> list[str]:
    """Of `impasto train`, without the run's folder."""
    place = studio.places.collection(what.collection)
    arguments = ["train", f"--data={place}"]
    config = None
    if what.recipe is not None:
        config = load_recipe(what.recipe)()
        arguments.insert(1, what.recipe)
    if what.settings and config is not None:
        change(config, what.settings)  # so that a wrong one is an answer, not a failed job
    for name, value in what.settings.items():
        arguments.append(f"--set={name}={json.dumps(value)}")
    if what.labels is not None:
        arguments.append(f"--labels={','.join(what.labels)}")
    if what.start_from is not None:
        studio.places.model_folder(what.start_from)
        arguments.append(f"--from={studio.places.model(what.start_from)}")
    options = ("only", "images", "time", "seed", "device")
    given = {name: getattr(what, name) for name in options}
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
    """Start a training, or put it into the queue; the job names its run."""
    arguments = _arguments(studio, what)
    title = f"Train {what.recipe or 'the flagship'} on {what.collection}"
    with studio.jobs.mutex:
        run = _next_name(studio, what)
        arguments.append(f"--run={studio.places.runs / run}")
        return studio.jobs.add("train", title, arguments, run=run, about=what.collection)


@router.post("/estimate")
def estimate(studio: TheStudio, what: Training) -> Job:
    """Measure a few steps on this machine; the job's output says memory and time, and `/estimates` has
    the numbers."""
    arguments = _arguments(studio, what)
    folder = studio.jobs.new_folder()
    arguments += ["--dry-run", f"--numbers={folder / NUMBERS}"]
    # The page finds the job of a recipe as it is by this title.
    title = f"Measure {what.recipe or 'the flagship'} on {what.collection}"
    return studio.jobs.add(
        "estimate",
        title if _is_plain(arguments) else f"{title}, with changes",
        arguments,
        folder=folder,
        about=what.collection,
        files=[NUMBERS],
    )


def _is_plain(arguments: list[str]) -> bool:
    """Whether an estimate is of a recipe as it is."""
    return {each.partition("=")[0] for each in arguments if each.startswith("-")} == _PLAIN


@router.get("/estimates")
def estimates(studio: TheStudio) -> list[Estimate]:
    """What was measured on this machine, the newest first."""
    found = []
    for job in studio.jobs.all():
        if job.kind != "estimate" or job.state != "done" or NUMBERS not in job.files:
            continue
        recipe = job.arguments[1]
        with suppress(ImpastoError):  # numbers that somebody removed or damaged
            costs = read_record(studio.jobs.folder / job.id / NUMBERS, "job", Costs)
            found.append(
                Estimate(
                    job=job.id,
                    recipe=None if recipe.startswith("-") else recipe,
                    collection=job.about or "",
                    plain=_is_plain(job.arguments),
                    **vars(costs),
                )
            )
    return found
