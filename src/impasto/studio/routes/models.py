"""Models: those of runs, exported ones, and those of the package."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from impasto.errors import ImpastoError
from impasto.resolution import recorded, width_and_height
from impasto.sampling.records import LabelRecord, ModelRecord
from impasto.sampling.shipped import there
from impasto.studio.context import Studio, TheStudio
from impasto.studio.places import folders

router = APIRouter(prefix="/models", tags=["models"])
ModelName = Annotated[
    str,
    Query(
        alias="model",
        min_length=1,
        max_length=500,
        description="masters, paintings, models/NAME, runs/RUN, runs/RUN/best or "
        "runs/RUN/checkpoints/NUMBER.",
    ),
]


class ModelSummary(BaseModel):
    """A model in a list."""

    name: str
    """As the API takes it."""
    recipe: str
    resolution: int | str
    network: str
    fields: list[LabelRecord]
    collection: str
    images_seen: int
    weights: str
    """The beginning of the SHA-256 of its weights; points belong to these."""
    aspects: list[str]
    """Width x height of each size that it makes, if it makes several; one of them is an `aspect`."""
    in_steps: bool
    """Whether it makes a picture in steps, and so takes `steps`, `sampler` and `guidance`."""
    changed: float
    """When it was written, in seconds since 1970."""


class Models(BaseModel):
    """The list of models."""

    models: list[ModelSummary]
    unreadable: dict[str, str] = Field(default_factory=dict)
    """Why, by name, a model cannot be used."""


class ModelDetails(BaseModel):
    """A model with all that is known of it."""

    summary: ModelSummary
    record: dict[str, Any]
    """Its `model.json`, without the combinations of classes."""
    combinations: list[dict[str, str]]
    """The most frequent combinations of classes among its training pictures."""
    directions: list[str]
    """Names of its directions."""


def _summary(studio: Studio, name: str) -> tuple[ModelSummary, ModelRecord]:
    folder = studio.places.model_folder(name)
    record = ModelRecord.of(folder)
    found = ModelSummary(
        name=name,
        recipe=record.recipe,
        resolution=recorded(record.resolution),
        network=record.generator.network,
        fields=list(record.labels),
        collection=record.collection.name,
        images_seen=record.images_seen,
        weights=record.weights_sha256[:12],
        aspects=["x".join(map(str, width_and_height(size))) for size in record.buckets],
        in_steps=record.generator.network == "flow",
        changed=(folder / "model.json").stat().st_mtime,
    )
    return found, record


@router.get("")
def models(studio: TheStudio) -> Models:
    """All models: exported ones, the newest checkpoint of each run that has one, the package's own."""
    names = [f"models/{path.name}" for path in folders(studio.places.models, "model.json")]
    names += [
        f"runs/{run.name}"
        for run in folders(studio.places.runs, "run.json")
        if any((run / "checkpoints").glob("[0-9]*"))
    ]
    found, unreadable = [], {}
    for name in [*names, *there()]:
        try:
            found.append(_summary(studio, name)[0])
        except ImpastoError as error:
            unreadable[name] = str(error)
    return Models(models=found, unreadable=unreadable)


@router.get("/details")
def details(studio: TheStudio, name: ModelName) -> ModelDetails:
    """A model with all that is known of it."""
    found, record = _summary(studio, name)
    known = sorted(
        zip(record.label_counts, record.label_rows, strict=True), key=lambda pair: -pair[0]
    )
    combinations = [
        {
            field.name: field.classes[number]
            for field, number in zip(record.labels, row, strict=True)
            if number >= 0
        }
        for _, row in known[:100]
    ]
    shown = record.model_dump(mode="json", exclude={"label_rows", "label_counts"})
    return ModelDetails(
        summary=found,
        record=shown,
        combinations=combinations,
        directions=_directions(studio, name, record),
    )


def _directions(studio: Studio, name: str, record: ModelRecord) -> list[str]:
    from impasto.exploring.directions import directions_of

    found = directions_of(studio.places.model_folder(name), record)
    return [] if found is None else found.names
