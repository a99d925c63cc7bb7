"""Sharing: what a model learned from, and its export in each form."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from impasto.asking import hold
from impasto.collection.provenance import in_words
from impasto.errors import ImpastoError
from impasto.resolution import recorded
from impasto.sampling.records import ModelRecord
from impasto.studio.context import TheStudio
from impasto.studio.jobs import Job
from impasto.studio.painting import Name
from impasto.studio.places import confined, new_name, new_own_name
from impasto.studio.routes.models import ModelName

router = APIRouter(prefix="/share", tags=["sharing"])


Licence = Annotated[str | None, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=60)]


class Card(BaseModel):
    """The facts that go with a model that is shared."""

    model: str
    """What it describes: of a run, the checkpoint that was the newest. It is not removed in the next
    hour, so that it can be exported."""
    recipe: str
    resolution: int | str
    parameters: int
    images_seen: int
    weights_bytes: int
    sentences: list[str]
    """The training collection: its pictures, licences and artists, and what was excluded from it."""
    text: str
    """The card of `hub`, as Markdown with YAML before it."""


class Export(BaseModel):
    """A model in a form for others."""

    model: str = Field(min_length=1, max_length=500)
    form: Literal["folder", "onnx", "html", "hub", "space"]
    """A model folder; an ONNX file; a page; a folder for the Hugging Face hub with a card; one for a
    Space with an app. Folders become models of the studio."""
    name: Name
    """Of the folder or file."""
    half: bool = False
    """Weights in float16, for `onnx` and `html`."""
    licence: Licence = None
    """Of the model, for `hub` and `space`."""


@router.get("/card")
def card(studio: TheStudio, model: ModelName, licence: Licence = None) -> Card:
    """What goes with a model that is shared."""
    from impasto.exporting.card import Card as CardText
    from impasto.exporting.card import Training, evaluations_of
    from impasto.exporting.licences import check_licence
    from impasto.sampling.model import run_of

    check_licence(licence)
    model = studio.places.fixed_model(model)
    folder = studio.places.model_folder(model)
    record = ModelRecord.of(folder)
    run = run_of(folder)
    if run is not None:
        hold(folder)
    training = None if run is None else Training.read(run, record.images_seen)
    scores = [] if run is None else evaluations_of(run, record.weights_sha256)
    text = CardText(record, "", training, scores, licence).text()
    return Card(
        model=model,
        recipe=record.recipe,
        resolution=recorded(record.resolution),
        parameters=record.parameters,
        images_seen=record.images_seen,
        weights_bytes=(folder / "generator.safetensors").stat().st_size,
        sentences=in_words(record.collection.model_dump()),
        text=text,
    )


@router.post("/export")
def export(studio: TheStudio, what: Export) -> Job:
    """Export a model, as a job: a folder among the models of the studio, or a file to download."""
    studio.places.model_folder(what.model)
    place = str(studio.places.model(what.model))
    arguments = ["export", f"--as={what.form}"]
    if what.half:
        arguments.append("--half")
    if what.licence is not None:
        arguments.append(f"--licence={what.licence}")
    if what.form in ("folder", "hub", "space"):
        name = new_own_name(what.name, "model")
        target = confined(studio.places.models, name)
        if target.exists():
            raise ImpastoError(f"there is a model '{name}' already; choose another name")
        with studio.jobs.mutex:
            for job in studio.jobs.all():
                made = job.kind == "export" and not job.files and job.about == f"models/{name}"
                if made and job.goes_on:
                    raise ImpastoError(f"'{name}' is being exported already; choose another name")
            return studio.jobs.add(
                "export",
                f"Export {what.model} as models/{name}",
                [*arguments, "--", place, str(target)],
                about=f"models/{name}",
            )
    name = new_name(what.name, "model")
    folder, file = studio.jobs.new_folder(), f"{name}.{what.form}"
    return studio.jobs.add(
        "export",
        f"Export {what.model} as {file}",
        [*arguments, "--", place, str(folder / file)],
        folder=folder,
        about=what.model,
        files=[file],
    )
