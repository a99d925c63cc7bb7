"""Models: those of runs, exported ones, and those of the package."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from impasto.errors import ImpastoError
from impasto.resolution import recorded, width_and_height
from impasto.sampling.records import LabelRecord, ModelRecord
from impasto.sampling.shipped import packaged_models
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
    fields: list[LabelRecord]
    images_seen: int
    weights: str
    """The beginning of the SHA-256 of its weights; points belong to these."""
    aspects: list[str]
    """Width x height of each size that it makes, if it makes several; one of them is an `aspect`."""
    in_steps: bool
    """Whether it makes a picture in steps, and so takes `guidance`."""


class Models(BaseModel):
    """The list of models."""

    models: list[ModelSummary]
    unreadable: dict[str, str] = Field(default_factory=dict)
    """Why, by name, a model cannot be used."""


class ModelDetails(BaseModel):
    """One model, which may be a checkpoint that is not in the list."""

    summary: ModelSummary


def _summary(studio: Studio, name: str) -> ModelSummary:
    record = ModelRecord.of(studio.places.model_folder(name))
    return ModelSummary(
        name=name,
        recipe=record.recipe,
        resolution=recorded(record.resolution),
        fields=list(record.labels),
        images_seen=record.images_seen,
        weights=record.weights_sha256[:12],
        aspects=["x".join(map(str, width_and_height(size))) for size in record.buckets],
        in_steps=record.generator.network == "flow",
    )


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
    for name in [*names, *packaged_models()]:
        try:
            found.append(_summary(studio, name))
        except ImpastoError as error:
            unreadable[name] = str(error)
    return Models(models=found, unreadable=unreadable)


@router.get("/details")
def details(studio: TheStudio, name: ModelName) -> ModelDetails:
    """One model, which may be a checkpoint that is not in the list."""
    return ModelDetails(summary=_summary(studio, name))
