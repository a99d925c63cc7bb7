"""What one does with a model: mixing, walks, canvases, directions, own pictures inverted."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from impasto.collection import PackOptions
from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.sampling.point_text import PointsRecord
from impasto.sampling.seeds import check_seeds
from impasto.studio.answers import gives
from impasto.studio.context import Studio, TheStudio
from impasto.studio.jobs import Job
from impasto.studio.painting import (
    ClassesIn,
    How,
    Name,
    PointIn,
    Seed,
    Truncation,
    check_size,
    labels_of,
    points_of,
)
from impasto.studio.pictures import answer, encoded
from impasto.studio.places import MissingError, existing
from impasto.studio.routes.gallery import Points
from impasto.studio.routes.models import ModelName
from impasto.studio.sources import MOST_UPSCALE, reasons

router = APIRouter(prefix="/gallery", tags=["exploring"])
POINTS_FILE = "points.safetensors"
MOST_PREVIEW = 60
"""Frames of a preview."""
MOST_CANVAS = 2**21
"""Pixels of a canvas that is painted at once."""
SomePoints = Annotated[list[PointIn], Field(min_length=1, max_length=64)]


class Mix(How):
    """Coarse levels of some points with fine levels of others, half of the levels each."""

    coarse: Annotated[list[PointIn], Field(min_length=1, max_length=12)]
    fine: Annotated[list[PointIn], Field(min_length=1, max_length=12)]


class Walk(How):
    """A walk from point to point."""

    points: SomePoints
    seconds: float = Field(default=12, gt=0, le=3600)
    fps: int = Field(default=30, ge=1, le=60)
    loop: bool = False


class WalkJob(Walk):
    """A walk as a video."""

    format: Literal["mp4", "gif", "webp"] = "mp4"


class Canvas(How):
    """A picture of any size."""

    points: Annotated[list[PointIn], Field(min_length=1, max_length=256)]
    width: int = Field(ge=16, le=16384)
    height: int = Field(ge=16, le=16384)
    columns: int | None = Field(default=None, ge=1, le=256)
    """Of the points' layout, with `rows`."""
    rows: int | None = Field(default=None, ge=1, le=256)
    variety: float | None = Field(default=None, ge=0, le=1)
    tile: bool = False


class MoreLike(How):
    """A picture, and the seeds among whose pictures those most like it are looked for."""

    point: PointIn
    first: Seed = 0
    seeds: int = Field(default=512, ge=1, le=4096)
    """How many, from the first one on."""
    count: int = Field(default=15, ge=1, le=64)
    """How many to find."""
    classes: ClassesIn = Field(default_factory=dict, max_length=50)
    """Of the seeds, as those of a `PointIn`."""
    truncation: Truncation | None = None
    """Of the seeds' latents."""


class Alike(BaseModel):
    """The pictures most like one, the nearest first."""

    points: list[PointsRecord]
    distances: list[float]
    """Of their features (lite0) from those of the picture."""


class Directions(BaseModel):
    """A model's directions, if they were looked for."""

    found: bool
    directions: list[dict[str, Any]]
    """Of each its `name`, `how` it was found, the `first` and `last` amounts of its strip, `start` (the
    class that it begins with), and the `correlation` on held-out pictures."""


class FindDirections(BaseModel):
    """Where to look for directions."""

    model: Name


class Invert(BaseModel):
    """Own pictures to find in a model."""

    model: Name
    upload: Name
    """The upload that has them."""
    paths: list[Annotated[str, Field(min_length=1, max_length=2000)]] = Field(
        min_length=1, max_length=64
    )
    """Of the files in it."""


@router.post("/mix", **gives("image/webp"))
def mix(studio: TheStudio, what: Mix) -> Response:
    """A grid: the pictures of the coarse points at the left, of the fine ones above, mixed between."""
    from impasto.exploring.mixing import mix_of
    from impasto.sampling.grid import grid_picture

    folder = studio.places.model_folder(what.model)
    cells = (len(what.coarse) + 1) * (len(what.fine) + 1)
    check_size(cells, studio.places.model_record(what.model).resolution)
    with studio.models.painter(folder, what.settings(), None) as painter:
        rows = points_of(painter, folder, what.coarse)
        columns = points_of(painter, folder, what.fine)
        images = mix_of(painter, rows, columns).grid(painter)
    return answer(encoded(grid_picture(images, len(what.fine) + 1), "webp"), "webp")


@router.post("/more-like")
def more_like(studio: TheStudio, what: MoreLike) -> Alike:
    """The pictures most like one among those of many seeds, by features, as `impasto sample --more-like`
    finds them. The first search among them takes as long as painting them all."""
    from impasto.exploring.likeness import most_alike
    from impasto.features import load_network

    folder = studio.places.model_folder(what.model)
    with studio.models.painter(folder, what.settings(), what.truncation) as painter:
        seeds = check_seeds(range(what.first, what.first + what.seeds))
        found = most_alike(
            painter,
            points_of(painter, folder, [what.point]),
            seeds,
            labels_of(painter, seeds, what.classes),
            load_network("lite0", device=painter.sampler.device),
            count=what.count,
        )
    return Alike(
        points=[found.points.single(1 + number) for number in range(len(found.seeds))],
        distances=list(found.distances),
    )


@router.post("/walk/preview", **gives("image/webp"))
def preview(studio: TheStudio, what: Walk) -> Response:
    """A short animated WebP of a walk, in at most 60 frames."""
    from impasto.exploring.walk_options import WalkOptions, film_of
    from impasto.exploring.walks import Style

    folder = studio.places.model_folder(what.model)
    rate = max(1, int(min(what.fps, MOST_PREVIEW / what.seconds)))
    seconds = min(what.seconds, MOST_PREVIEW / rate)
    check_size(int(seconds * rate), studio.places.model_record(what.model).resolution)
    with studio.models.painter(folder, what.settings(), None) as painter:
        found = points_of(painter, folder, what.points)
        options = WalkOptions(points=[found], style=Style(what.loop))
        film = film_of(painter, options, seconds=seconds, rate=rate)
        with tempfile.TemporaryDirectory() as place:
            film.write(Path(place) / "walk.webp")
            content = (Path(place) / "walk.webp").read_bytes()
    return answer(content, "webp")


def _saved_points(studio: Studio, how: How, wanted: list[PointIn], folder: Path) -> None:
    """Write points into a job's folder, from which its command reads them."""
    model = studio.places.model_folder(how.model)
    with studio.models.painter(model, how.settings(), None) as painter:
        points_of(painter, model, wanted).save(folder / POINTS_FILE)


def _add_with_points(
    studio: Studio,
    kind: Literal["walk", "canvas"],
    title: str,
    how: How,
    wanted: list[PointIn],
    options: list[str],
    file: str,
) -> Job:
    """Add a job of a command that takes `--points` and writes one file."""
    folder = studio.jobs.new_folder()
    try:
        _saved_points(studio, how, wanted, folder)
    except ImpastoError:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        raise
    arguments = [kind, *options, *how.arguments(), f"--points={folder / POINTS_FILE}"]
    arguments += [f"--out={folder / file}", "--", str(_place(studio, how.model))]
    return studio.jobs.add(kind, title, arguments, folder=folder, about=how.model, files=[file])


def _place(studio: Studio, model: str) -> Path:
    """What a command takes for a model."""
    studio.places.model_folder(model)
    return studio.places.model(model)


@router.post("/walk")
def walk(studio: TheStudio, what: WalkJob) -> Job:
    """A walk as a video, as a job."""
    options = [f"--seconds={what.seconds:g}", f"--fps={what.fps}"]
    if what.loop:
        options.append("--loop")
    title = f"Walk through {len(what.points)} pictures of {what.model}"
    return _add_with_points(
        studio, "walk", title, what, what.points, options, f"walk.{what.format}"
    )


@router.post("/canvas")
def canvas(studio: TheStudio, what: Canvas) -> Job:
    """A picture of any size, as a job."""
    _check_no_aspect(what)
    options = [f"--size={what.width}x{what.height}"]
    if what.columns is not None and what.rows is not None:
        options.append(f"--layout={what.columns}x{what.rows}")
    if what.variety is not None:
        options.append(f"--variety={what.variety:g}")
    if what.tile:
        options.append("--tile")
    title = f"Canvas of {what.width} × {what.height} by {what.model}"
    return _add_with_points(studio, "canvas", title, what, what.points, options, "canvas.png")


@router.post("/canvas/preview", **gives("image/png"))
def canvas_now(studio: TheStudio, what: Canvas) -> Response:
    """A canvas that is small enough to be painted at once, as PNG."""
    from impasto.exploring.canvases import CanvasOptions, canvas_of

    _check_no_aspect(what)
    if what.width * what.height > MOST_CANVAS:
        raise ImpastoError(
            f"a canvas of {what.width} x {what.height} pixels is painted as a job; at once at most "
            f"{MOST_CANVAS:,} pixels are painted"
        )
    folder = studio.places.model_folder(what.model)
    given = what.columns is not None and what.rows is not None
    with studio.models.painter(folder, what.settings(), None) as painter:
        options = CanvasOptions(
            what.width,
            what.height,
            points=[points_of(painter, folder, what.points)],
            layout=(what.columns or 1, what.rows or 1) if given else None,
            variety=what.variety,
            tile=what.tile,
        )
        picture = canvas_of(painter, options).paint()
    return answer(encoded(picture, "png"), "png")


def _check_no_aspect(what: Canvas) -> None:
    if what.aspect is not None:
        raise ImpastoError("a canvas has a width and a height of its own; leave out the aspect")


@router.get("/directions")
def directions(studio: TheStudio, model: ModelName) -> Directions:
    """A model's directions; a point is moved along them by its `edits`."""
    from impasto.exploring.directions import Directions as Known
    from impasto.exploring.directions import usual_path

    path = usual_path(studio.places.model_folder(model))
    if not path.is_file():
        return Directions(found=False, directions=[])
    known = Known.load(path, studio.places.model_record(model))
    return Directions(found=True, directions=[each.model_dump(mode="json") for each in known.about])


@router.post("/directions")
def find_directions(studio: TheStudio, what: FindDirections) -> Job:
    """Look for directions, as a job; they are kept beside the model."""
    place = str(_place(studio, what.model))
    title = f"Directions of {what.model}"
    return studio.jobs.add("directions", title, ["directions", "--", place], about=what.model)


@router.post("/invert")
def invert(studio: TheStudio, what: Invert) -> Job:
    """Find the points nearest to uploaded pictures, as a job. It has copies of them, so the upload can
    be removed."""
    upload = existing(studio.places.uploads, what.upload, what="upload")
    found = [existing(upload, *path.split("/"), what="picture") for path in what.paths]
    resolution = studio.places.model_record(what.model).resolution
    fitting = PackOptions(resolution=resolution, max_upscale=MOST_UPSCALE)
    with studio.models.turn():
        for path, reason in zip(found, reasons(found, fitting), strict=True):
            if reason:
                raise ImpastoError(f"{path.name} cannot be looked for: {reason}")
    folder = studio.jobs.new_folder()
    files = []
    for path in found:
        copy = folder / "pictures" / path.relative_to(upload)
        copy.parent.mkdir(parents=True, exist_ok=True)
        files.append(str(shutil.copyfile(path, copy)))
    place = str(_place(studio, what.model))
    return studio.jobs.add(
        "invert",
        f"Find {counted(len(files), 'picture')} in {what.model}",
        ["invert", f"--out={folder / POINTS_FILE}", "--", place, *files],
        folder=folder,
        about=what.model,
        files=["points.png", POINTS_FILE],
    )


@router.get("/inverted/{job}")
def inverted(studio: TheStudio, job: str) -> Points:
    """The points that a job of `invert` has found."""
    from impasto.sampling.points import Points as Known

    known = studio.jobs.get(job)
    if known.kind != "invert" or known.about is None:
        raise MissingError(f"'{job[:100]}' is no job that looks for pictures")
    path = existing(studio.jobs.folder, job, POINTS_FILE, what="file of points")
    found = Known.load(path, studio.places.model_record(known.about))
    return Points(points=[found.single(number) for number in range(len(found))])
