"""Sharing: what a model learned from, and its export in each form."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from impasto.collection.provenance import in_words
from impasto.errors import ImpastoError
from impasto.studio.context import TheStudio
from impasto.studio.jobs import Job
from impasto.studio.painting import How, Name
from impasto.studio.places import confined, new_name
from impasto.studio.routes.models import ModelName

router = APIRouter(prefix="/share", tags=["sharing"])


class Card(BaseModel):
    """The facts that go with a model that is shared."""

    recipe: str
    resolution: int
    parameters: int
    images_seen: int
    weights_bytes: int
    collection: str
    pictures: int
    sources: int
    kind: str
    licences: dict[str, int]
    """Source pictures of each."""
    artists: dict[str, int]
    duplicates: int
    only: str | None
    sentences: list[str]
    """The same in words."""
    plugins: list[str]
    """What its networks need beside impasto."""


class Export(How):
    """A model in a form for others."""

    form: Literal["folder", "onnx", "html"]
    name: Name
    """Of the folder, which is a new model of the studio, or of the file."""
    half: bool = False
    """Weights in float16, for `onnx` and `html`."""
    discriminator: bool = False
    """Also the discriminator, for `folder`."""


@router.get("/card")
def card(studio: TheStudio, model: ModelName) -> Card:
    """What goes with a model that is shared."""
    record = studio.places.model_record(model)
    learned = record.collection
    weights = studio.places.model_folder(model) / "generator.safetensors"
    return Card(
        recipe=record.recipe,
        resolution=record.resolution,
        parameters=record.parameters,
        images_seen=record.images_seen,
        weights_bytes=weights.stat().st_size,
        collection=learned.name,
        pictures=learned.count,
        sources=learned.sources,
        kind=learned.kind,
        licences=learned.licences,
        artists=learned.artists,
        duplicates=learned.duplicates,
        only=learned.only,
        sentences=in_words(learned.model_dump()),
        plugins=[each.name for each in record.plugins],
    )


@router.post("/export")
def export(studio: TheStudio, what: Export) -> Job:
    """Export a model, as a job: a folder among the models of the studio, or a file to download."""
    name = new_name(what.name, "model")
    studio.places.model_folder(what.model)
    place = str(studio.places.model(what.model))
    arguments = ["export", f"--as={what.form}", *what.arguments()]
    arguments += [f"--{option}" for option in ("half", "discriminator") if getattr(what, option)]
    if what.form == "folder":
        target = confined(studio.places.models, name)
        if target.exists():
            raise ImpastoError(f"there is a model '{name}' already; choose another name")
        return studio.jobs.add(
            "export",
            f"Export {what.model} as models/{name}",
            [*arguments, "--", place, str(target)],
            about=f"models/{name}",
        )
    folder, file = studio.jobs.new_folder(), f"{name}.{what.form}"
    return studio.jobs.add(
        "export",
        f"Export {what.model} as {file}",
        [*arguments, "--", place, str(folder / file)],
        folder=folder,
        about=what.model,
        files=[file],
    )
