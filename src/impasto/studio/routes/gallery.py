"""The gallery: sheets and single pictures, favourites, variations."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from starlette.requests import ClientDisconnect

from impasto.errors import ImpastoError, in_words
from impasto.sampling.point_text import PointsRecord
from impasto.sampling.records import ModelRecord
from impasto.sampling.shipped import SHIPPED
from impasto.studio.answers import gives
from impasto.studio.context import Gone, Studio, TheStudio
from impasto.studio.painting import (
    MOST_POINTS,
    Aspect,
    How,
    Name,
    PointIn,
    Seed,
    check_size,
    points_of,
)
from impasto.studio.pictures import Format, answer, encoded
from impasto.studio.routes.models import ModelName

router = APIRouter(prefix="/gallery", tags=["gallery"])
Enlarge = Annotated[
    Literal[1, 2, 4],
    # Queries are texts.
    BeforeValidator(lambda value: int(value) if value in ("1", "2", "4") else value),
]
"""How many times as wide and high."""
Columns = Annotated[int | None, Field(ge=1, le=MOST_POINTS)]


class Sheet(How):
    """Pictures in rows."""

    points: list[PointIn] = Field(min_length=1, max_length=MOST_POINTS)
    columns: Columns = None
    """None: as many as rows."""
    format: Format = "webp"


class Points(BaseModel):
    """Points that can be painted, kept and downloaded."""

    points: list[PointsRecord]


class Favourite(BaseModel):
    """A favourite."""

    name: str
    point: PointsRecord


class EarlierFavourites(BaseModel):
    """The favourites of one of a run's earlier checkpoints."""

    model: str
    """The checkpoint's name, as the API takes it."""
    favourites: list[Favourite]


class Keep(How):
    """What becomes a favourite."""

    name: Name
    point: PointIn
    before: Name | None = None
    """The favourite that it comes before; None, or there is none: after all."""


class Variations(How):
    """Points near one."""

    point: PointIn
    seeds: list[Seed] = Field(min_length=1, max_length=MOST_POINTS)
    spread: float = Field(default=0.3, gt=0, le=1)


def _painted(
    studio: Studio, gone: Callable[[], bool], how: How, wanted: list[PointIn], enlarge: int = 1
) -> tuple[np.ndarray, list[str]]:
    """Pictures [B, H, W, 3], and the texts of their points.

    Raises:
        ClientDisconnect: nobody waits for them when their turn comes.
    """
    folder = studio.places.model_folder(how.model)
    check_size(len(wanted), studio.places.model_record(how.model).resolution, enlarge)
    with studio.models.painter(folder, how.settings(), None) as painter:
        if gone():
            raise ClientDisconnect
        if enlarge > 1:
            from impasto.enlarging import finisher

            painter = replace(painter, finish=finisher(enlarge, painter.sampler.device))
        points = points_of(painter, folder, wanted)
        images = np.concatenate(list(painter.paint_points(points)))
    return images, [points.text(number) for number in range(len(points))]


def _grid(images: np.ndarray, columns: int | None) -> Any:
    from impasto.sampling.grid import grid_picture

    return grid_picture(images, columns)


@router.get("/sheet", **gives("image/webp"))
def sheet_of_seeds(
    studio: TheStudio,
    gone: Gone,
    model: ModelName,
    seeds: Annotated[str, Query(max_length=2000, description="Such as 0-15 or 1,5,9.")] = "0-15",
    columns: Annotated[int | None, Query(ge=1, le=MOST_POINTS)] = None,
) -> Response:
    """The pictures of seeds in rows, without gaps."""
    from impasto.sampling.seeds import parse_seeds

    ends = [part.partition("-") for part in seeds.split(",")]
    if sum(_length(first, last) for first, _, last in ends) > MOST_POINTS:
        raise ImpastoError(f"at most {MOST_POINTS} seeds are painted at once")
    wanted = [PointIn(seed=seed) for seed in parse_seeds(seeds)]
    images, _ = _painted(studio, gone, How(model=model), wanted)
    return answer(encoded(_grid(images, columns), "webp"), "webp", cached=_stays(model))


def _length(first: str, last: str) -> int:
    """How many seeds a range has; what is no range is refused when it is parsed."""
    if first.strip().isdecimal() and last.strip().isdecimal():
        return int(last) - int(first) + 1
    return 1


def _stays(model: str) -> bool:
    """Whether a name always means the same model."""
    return "/checkpoints/" in model or model in SHIPPED


@router.post("/sheet", **gives("image/webp", "image/png"))
def sheet(studio: TheStudio, gone: Gone, what: Sheet) -> Response:
    """Pictures of any points in rows, without gaps."""
    images, _ = _painted(studio, gone, what, what.points)
    return answer(encoded(_grid(images, what.columns), what.format), what.format)


@router.get("/picture", **gives("image/webp", "image/png"))
def picture(
    studio: TheStudio,
    gone: Gone,
    model: ModelName,
    point: Annotated[str, Query(max_length=200_000, description="A point, as JSON.")],
    guidance: Annotated[float | None, Query(ge=-100, le=100, allow_inf_nan=False)] = None,
    aspect: Aspect = None,
    format: Format = "webp",
    enlarge: Enlarge = 1,
    download: bool = False,
) -> Response:
    """One picture. A PNG carries its point, so that it can be painted again."""
    try:
        wanted = PointIn.model_validate_json(point)
    except ValidationError as error:
        raise ImpastoError(f"point: {in_words(error.errors()[0])}") from error
    how = How(model=model, guidance=guidance, aspect=aspect)
    images, texts = _painted(studio, gone, how, [wanted], enlarge)
    name = f"{wanted.favourite or 'picture'}"
    if wanted.seed is not None:
        name = f"seed-{wanted.seed:08d}"
    return answer(
        encoded(images[0], format, texts[0]),
        format,
        name=f"{name}.{format}" if download else None,
        cached=_stays(model) and wanted.favourite is None and not wanted.edits,
    )


class OnePicture(How):
    """One point to paint."""

    point: PointIn
    format: Format = "webp"
    enlarge: Enlarge = 1


@router.post("/picture", **gives("image/webp", "image/png"))
def picture_of_point(studio: TheStudio, gone: Gone, what: OnePicture) -> Response:
    """One picture, as `GET`; for points that are too long for an address."""
    images, texts = _painted(studio, gone, what, [what.point], what.enlarge)
    return answer(encoded(images[0], what.format, texts[0]), what.format)


@router.post("/points")
def points(studio: TheStudio, what: Sheet) -> Points:
    """The whole points of seeds, favourites and edits, without painting them."""
    folder = studio.places.model_folder(what.model)
    with studio.models.painter(folder, what.settings(), None) as painter:
        found = points_of(painter, folder, what.points)
    return Points(points=[found.single(number) for number in range(len(found))])


@router.get("/favourites")
def favourites(studio: TheStudio, model: ModelName) -> list[Favourite]:
    """A model's favourites, as `impasto sample --keep` keeps them."""
    return _favourites_in(studio.places.model_folder(model))


def _favourites_in(folder: Path) -> list[Favourite]:
    from impasto.exploring.favourites import load_favourites

    found = load_favourites(folder, ModelRecord.of(folder))
    return [Favourite(name=name, point=each.single(0)) for name, each in found.items()]


@router.get("/favourites/earlier")
def earlier_favourites(studio: TheStudio, model: ModelName) -> list[EarlierFavourites]:
    """Of a run: the favourites of its checkpoints before the newest one, the latest first. They are of
    other weights, so they are painted with the model that is named beside them; a checkpoint with
    favourites is kept."""
    from impasto.sampling.model import checkpoint_folders, run_of

    newest = studio.places.model_folder(model)
    run = run_of(newest)
    found = []
    for folder in [] if run is None else reversed(checkpoint_folders(run)):
        if folder < newest and (kept := _favourites_in(folder)):
            name = f"runs/{folder.relative_to(studio.places.runs).as_posix()}"
            found.append(EarlierFavourites(model=name, favourites=kept))
    return found


@router.post("/favourites")
def keep(studio: TheStudio, what: Keep) -> list[Favourite]:
    """Keep a point as a favourite; gives all."""
    from impasto.exploring.favourites import keep_favourites

    folder = studio.places.model_folder(what.model)
    with studio.models.painter(folder, what.settings(), None) as painter:
        found = points_of(painter, folder, [what.point])
        keep_favourites(folder, painter.record, what.name, found, before=what.before)
    return favourites(studio, what.model)


@router.delete("/favourites")
def drop(studio: TheStudio, model: ModelName, name: Name) -> list[Favourite]:
    """Take a favourite back; gives those that are left. One that is gone already is no error."""
    from impasto.exploring.favourites import drop_favourite

    drop_favourite(studio.places.model_folder(model), name, missing_ok=True)
    return favourites(studio, model)


@router.post("/variations")
def variations(studio: TheStudio, what: Variations) -> Points:
    """Points near one, each on the way from it to the latent of a seed."""
    from impasto.exploring.mixing import variations_of

    folder = studio.places.model_folder(what.model)
    with studio.models.painter(folder, what.settings(), None) as painter:
        centre = points_of(painter, folder, [what.point])
        found = variations_of(painter, centre, what.seeds, what.spread)
    return Points(points=[found.single(number) for number in range(len(found))])
