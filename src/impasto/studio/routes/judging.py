"""Judging: evaluations, reports, comparisons, the closest training pictures."""

import base64
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from impasto.errors import ImpastoError
from impasto.files import cache_folder
from impasto.resolution import times
from impasto.studio.answers import gives
from impasto.studio.context import TheStudio
from impasto.studio.jobs import Job
from impasto.studio.painting import How, Name, PointIn, painted
from impasto.studio.pictures import encoded, thumbnail
from impasto.studio.places import MissingError, confined, existing, inside
from impasto.studio.scores import ScoreTable, score_table
from impasto.studio.security import DOCUMENT_POLICY

router = APIRouter(tags=["judging"])
_SHOWN = (".png", ".csv", ".txt", ".md", ".json")
MOST_TRAINING = 20_000
"""Training pictures among which the nearest are looked for; of more, a fixed choice."""


class Evaluate(BaseModel):
    """What to score; what is left out is as of `impasto evaluate`."""

    model: Name
    """Of a run: `runs/RUN`, `runs/RUN/best` or one of its checkpoints."""
    pictures: int | None = Field(default=None, ge=2, le=10**7)
    all_checkpoints: bool = False


class Compare(BaseModel):
    """Runs side by side."""

    runs: list[Name] = Field(min_length=2, max_length=6)
    collection: Name
    pictures: int | None = Field(default=None, ge=2, le=10**7)


class Closest(How):
    """Pictures whose nearest training pictures are looked for."""

    points: list[PointIn] = Field(min_length=1, max_length=64)
    collection: Name | None = None
    """None: that of the run, if it is among the collections of the studio."""


class Nearest(BaseModel):
    """The training picture nearest to a painted one."""

    picture: int
    """Its number in the collection."""
    distance: float
    """1 minus the cosine of their features (lite0)."""
    nearer_than: float | None
    """The share of real pictures whose nearest one, of another source, is farther. None: there are too
    few source pictures to say."""
    image: str
    """The training picture, at most 256 pixels wide and high: WebP in base64."""
    source: dict[str, str]
    """The row of its source in `sources.csv`: path, title, artist, ..."""


class ClosestPictures(BaseModel):
    """The nearest training picture of each point."""

    collection: str
    nearest: list[Nearest]


@router.post("/evaluate")
def evaluate(studio: TheStudio, what: Evaluate) -> Job:
    """Score a run's checkpoint, as a job."""
    studio.places.model_folder(what.model)
    if not what.model.startswith("runs/"):
        raise ImpastoError("runs are evaluated, with their collection; this model is not of a run")
    arguments = ["evaluate"]
    if what.pictures is not None:
        arguments.append(f"--pictures={what.pictures}")
    if what.all_checkpoints:
        arguments.append("--checkpoints=all")
    place = str(studio.places.model(what.model))
    return studio.jobs.add(
        "evaluate", f"Evaluate {what.model}", [*arguments, "--", place], about=what.model
    )


@router.post("/runs/{run}/report")
def make_report(studio: TheStudio, run: str) -> Job:
    """Write a run's report anew, as a job."""
    folder = studio.places.run(run)
    return studio.jobs.add("report", f"Report of {run}", ["report", "--", str(folder)], about=run)


@router.get("/runs/{run}/report", **gives("text/html"))
def report(studio: TheStudio, run: str) -> FileResponse:
    """A run's report, for a frame; its links lead nowhere there. Its own scripts run in an origin of
    their own."""
    path = confined(studio.places.run(run), "report.html")
    if not path.is_file():
        raise MissingError("there is no report.html yet")
    headers = {"content-security-policy": DOCUMENT_POLICY}
    return FileResponse(path, media_type="text/html", headers=headers)


@router.get("/runs/{run}/scores")
def scores(studio: TheStudio, run: str) -> ScoreTable:
    """The scores of its evaluations, the newest first, and what each score means."""
    return score_table(studio.places.run(run))


@router.get("/runs/{run}/evaluation")
def evaluation_files(studio: TheStudio, run: str) -> list[str]:
    """The paths of what evaluations left beside a run: tables and sheets of closest pairs."""
    folder = studio.places.run(run) / "evaluation"
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name.endswith(_SHOWN))


@router.get("/runs/{run}/evaluation/file", **gives("*/*"))
def evaluation_file(
    studio: TheStudio,
    run: str,
    path: Annotated[str, Query(min_length=1, max_length=1000)],
) -> FileResponse:
    """One of these files."""
    folder = confined(studio.places.run(run), "evaluation")
    found = existing(folder, *path.split("/"), what="file")
    if not found.is_file() or found.suffix not in _SHOWN:
        raise MissingError("there is no such file")
    return FileResponse(found)


@router.post("/compare")
def compare(studio: TheStudio, what: Compare) -> Job:
    """A page that compares runs, as a job; what is not evaluated yet is."""
    runs = [str(studio.places.run(run)) for run in what.runs]
    collection = studio.places.collection(what.collection)
    folder = studio.jobs.new_folder()
    arguments = ["compare", f"--data={collection}", f"--out={folder / 'compare.html'}"]
    if what.pictures is not None:
        arguments.append(f"--pictures={what.pictures}")
    return studio.jobs.add(
        "compare",
        f"Compare {len(runs)} runs",
        [*arguments, "--", *runs],
        folder=folder,
        files=["compare.html"],
    )


@router.post("/closest")
def closest(studio: TheStudio, what: Closest) -> ClosestPictures:
    """The training picture nearest to each painted one, by features of lite0. Those of the collection
    are computed once, which takes a while."""
    import torch

    from impasto.evaluation.memorisation import (
        FEWEST_SOURCES,
        RealPictures,
        nearest,
        reference_of,
    )
    from impasto.evaluation.reference import collection_features
    from impasto.features import load_network
    from impasto.training.run_folder import find_collection

    folder = studio.places.model_folder(what.model)
    record = studio.places.model_record(what.model)
    data = None if what.collection is None else studio.places.collection(what.collection)
    collection = find_collection(studio.places.model(what.model), record, data)
    if not collection.path.resolve().is_relative_to(cache_folder().resolve()):  # masters
        inside(collection.path.resolve(), studio.places.collections)
    if record.resolution not in collection.resolutions:
        collection = collection.at(
            next(size for size in collection.resolutions if times(size, record.resolution))
        )
    with studio.models.painter(folder, what.settings(), None) as painter:
        images = painted(painter, folder, what.points)
        network = load_network("lite0", device=painter.sampler.device)
        features = network(torch.from_numpy(images).to(painter.sampler.device)).features.cpu()
    (real,) = collection_features(
        [network], collection, resolution=record.resolution, limit=MOST_TRAINING
    )
    training = RealPictures(real.sample.features, real.rows, real.sources)
    found = nearest(features, training)
    # Training pictures among each other: the held-out ones may be few, and have no features yet.
    reals = reference_of(training, training.some(np.empty(0, np.int64)))
    enough = reals.source_count >= FEWEST_SOURCES
    nearer_than = reals.farther(found.distance)
    table = collection.source_table()
    return ClosestPictures(
        collection=collection.title,
        nearest=[
            Nearest(
                picture=int(row),
                distance=float(found.distance[place]),
                nearer_than=float(nearer_than[place]) if enough else None,
                image=_in_base64(collection.images(np.array([row]))[0]),
                source=table[found.source[place]],
            )
            for place, row in enumerate(found.row)
        ],
    )


def _in_base64(picture: np.ndarray) -> str:
    """A picture [H, W, 3] as WebP of at most 256 pixels a side, in base64."""
    return base64.b64encode(encoded(thumbnail(picture, 256), "webp")).decode("ascii")
