"""Uploads, previews of how pictures are fitted, and packing as a job."""

import base64
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from impasto.api.collections import pack_options
from impasto.collection import Collection
from impasto.decoding.fit import FITS, describe_fit
from impasto.errors import ImpastoError
from impasto.sources.class_names import Merge
from impasto.studio import sources
from impasto.studio.context import Studio, TheStudio
from impasto.studio.jobs import Job
from impasto.studio.pictures import encoded
from impasto.studio.places import (
    MASTERS,
    confined,
    existing,
    folders,
    inside,
    new_name,
    new_own_name,
)
from impasto.studio.sources import Checked, Upload

router = APIRouter(tags=["uploads and packing"])
Name = Annotated[str, Field(min_length=1, max_length=200)]
Short = Annotated[str, Field(min_length=1, max_length=1000)]
MOST_PREVIEWS = 12


class NewUpload(BaseModel):
    """An upload to begin."""

    name: Name
    files: Annotated[int, Field(ge=1, le=sources.MOST_FILES)] | None = None
    """How many will come."""


class Found(BaseModel):
    """What packing would find in an upload."""

    pictures: int
    left_out: list[tuple[str, str]]
    """File and reason, at most 200: what is no picture by its name. See `unusable` for the others."""
    fields: dict[str, dict[str, int]]
    """Label fields, with the number of pictures of each class, at most 200."""
    notes: list[str]


class Preview(BaseModel):
    """A picture fitted in each way."""

    path: str
    squares: dict[str, str]
    """By fit, a WebP as a `data:` address."""


class Previews(BaseModel):
    """Some pictures of an upload, fitted in each way."""

    fits: dict[str, str]
    """What each does, in words."""
    pictures: list[Preview]


class MergeClasses(BaseModel):
    """Classes that become one."""

    field: Name
    classes: list[Name] = Field(min_length=1, max_length=1000)
    into: Name


class Pack(BaseModel):
    """What to pack. What is left out is as of `impasto pack`, or as in the collection of `like`."""

    name: Name
    """Of the new collection."""
    upload: Name | None = None
    like: Name | None = None
    """A collection to take the pictures and the options of; one of the two."""
    again: bool = False
    """Whether to replace the collection `like`, whose name is also given as `name`."""
    resolution: list[Annotated[int, Field(ge=4, le=4096)]] | None = Field(
        default=None, min_length=1, max_length=8
    )
    labels: list[Name] | None = Field(default=None, max_length=20)
    fit: Literal["crop", "squash", "pad", "tiles", "aspect"] | None = None
    duplicates: Literal["none", "exact", "near", "features"] | None = None
    merge: list[MergeClasses] = Field(default_factory=list, max_length=1000)
    keep: list[Short] = Field(default_factory=list, max_length=1000)
    """Paths in the source of pictures to pack although they are copies."""
    exclude: list[Short] = Field(default_factory=list, max_length=1000)
    """Paths in the source of pictures not to pack."""


@router.get("/uploads")
def uploads(studio: TheStudio) -> list[Upload]:
    """All uploads, by name."""
    return sources.uploads(studio.places.uploads, _packed(studio))


def _packed(studio: Studio) -> list[Path]:
    """What was packed, or is being packed: sources of collections and of jobs that have not ended."""
    found = []
    for folder in folders(studio.places.collections, "collection.json"):
        with suppress(ImpastoError):  # a damaged one, of which the list of collections tells
            found.append(Path(str(sources.made_of(folder).get("source"))))
    packing = (job for job in studio.jobs.all() if job.kind == "pack")
    begun = [job for job in packing if job.goes_on]
    return found + [Path(job.arguments[-2]) for job in begun]


@router.post("/uploads")
def begin(studio: TheStudio, what: NewUpload) -> Upload:
    """Begin an upload; with a name that there is already, go on with it."""
    name = new_name(what.name, "folder of pictures")
    folder = sources.begin(studio.places.uploads, name, what.files)
    return sources.described(folder, _packed(studio))


@router.put("/uploads/{upload}/file")
async def add(
    studio: TheStudio,
    upload: str,
    path: Annotated[str, Query(min_length=1, max_length=2000)],
    request: Request,
) -> dict[str, int]:
    """Add a file, as the body of the request; folders in its path become classes. A file of this path
    is replaced."""
    length = await sources.receive(studio.places.uploads, upload, path, request.stream())
    return {"bytes": length}


@router.delete("/uploads/{upload}")
def remove(studio: TheStudio, upload: str) -> dict[str, bool]:
    """Remove an upload. Collections that were packed from it stay."""
    sources.remove(studio.places.uploads, upload)
    return {"removed": True}


@router.get("/uploads/{upload}")
def found(studio: TheStudio, upload: str) -> Found:
    """What packing would find in it, without decoding."""
    listing = sources.listed(studio.places.uploads, upload)
    left_out = listing.left_out + sources.beside(studio.places.uploads, upload, listing)
    classes: dict[str, dict[str, int]] = {}
    for column, name in enumerate(listing.fields):
        counts: dict[str, int] = {}
        for entry in listing.entries:
            if each := entry.labels[column]:
                counts[each] = counts.get(each, 0) + 1
        classes[name] = dict(sorted(counts.items(), key=lambda pair: -pair[1])[:200])
    return Found(
        pictures=len(listing.entries),
        left_out=left_out[:200],
        fields=classes,
        notes=listing.notes,
    )


@router.get("/uploads/{upload}/unusable")
def unusable(
    studio: TheStudio,
    upload: str,
    start: Annotated[int, Query(ge=0, le=10**9)] = 0,
    resolution: Annotated[int, Query(ge=4, le=4096)] = 64,
    fit: Literal["crop", "squash", "pad", "tiles"] = "crop",
) -> Checked:
    """Which of its pictures cannot be packed, and why: decoded as packing does it, from number `start`
    on for a few seconds. The next portion starts behind those that were `checked`."""
    listing = sources.listed(studio.places.uploads, upload)
    with studio.models.turn():
        return sources.check(listing, start, resolution, fit)


@router.get("/uploads/{upload}/preview")
def preview(
    studio: TheStudio,
    upload: str,
    count: Annotated[int, Query(ge=1, le=MOST_PREVIEWS)] = 6,
    side: Annotated[int, Query(ge=16, le=512)] = 128,
) -> Previews:
    """Some of its pictures, fitted in each way that packing knows; of tiles, the first. They are
    squares of `side` pixels. With `aspect` they have the proportions that are chosen for all of them;
    it needs a `side` that is a multiple of 16."""
    listing = sources.listed(studio.places.uploads, upload)
    with studio.models.turn():
        made = sources.previews(listing, count, side)
    pictures = [
        Preview(
            path=path, squares={fit: _address(encoded(p, "webp")) for fit, p in squares.items()}
        )
        for path, squares in made
    ]
    names = pictures[0].squares if pictures else FITS
    return Previews(fits={name: describe_fit(name, side) for name in names}, pictures=pictures)


def _address(content: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


@router.post("/pack")
def pack(studio: TheStudio, what: Pack) -> Job:
    """Pack a new collection, as a job; with `again` the collection `like` once more, in its place."""
    target = _target(studio, what)
    source, options = _source(studio, what)
    options |= _options(what)
    for mine, other in (("keep", "exclude"), ("exclude", "keep")):
        before = (path for path in options.get(mine, ()) if path not in getattr(what, other))
        options[mine] = list(dict.fromkeys([*before, *getattr(what, mine)]))
    pack_options(None, cast("Any", options))  # so that a wrong one is an answer, not a failed job
    arguments = ["pack", f"--name={what.name}"]
    for option, value in options.items():
        arguments += [f"--{option.replace('_', '-')}={each}" for each in _texts(value)]
    arguments += ["--", str(source), str(target)]
    with studio.jobs.mutex:
        for job in studio.jobs.all():
            if job.kind == "pack" and job.about == what.name and job.goes_on:
                raise ImpastoError(f"'{what.name}' is being packed already; choose another name")
        _target(studio, what)  # a packing that ended meanwhile may have taken the name
        return studio.jobs.add("pack", f"Pack {what.name}", arguments, about=what.name)


def _target(studio: Studio, what: Pack) -> Path:
    """The folder to pack into: a new one, unless a collection is to be packed again.

    Raises:
        ImpastoError: the name is taken, or cannot be one.
    """
    root = studio.places.collections
    if what.again:
        if what.name != what.like:
            raise ImpastoError(
                "a collection is packed again under its own name: give it as like too"
            )
        # Such as `masters` of an earlier version, which could not be made now.
        return existing(root, what.name, what="collection")
    target = confined(root, new_own_name(what.name, "collection"))
    if target.exists():
        raise ImpastoError(f"there is a collection '{what.name}' already; choose another name")
    return target


def _source(studio: Studio, what: Pack) -> tuple[str, dict[str, Any]]:
    """The source to pack, and the options that it was packed with before."""
    if (what.upload is None) == (what.like is None):
        raise ImpastoError("say what to pack: an upload, or a collection that it is to be like")
    if what.upload is not None:
        return str(sources.source_of(studio.places.uploads, what.upload)), {}
    assert what.like is not None
    if what.like == MASTERS and studio.places.collection(MASTERS) == MASTERS:
        return MASTERS, {"fit": "tiles", "labels": "style,genre,artist"}
    folder = confined(studio.places.collections, what.like)
    made = sources.made_of(folder)
    source, before = made.get("source"), made.get("options", {})
    if source != MASTERS:
        try:
            inside(studio.places.uploads.joinpath(str(source)).resolve(), studio.places.uploads)
        except ImpastoError:
            raise ImpastoError(
                f"the pictures of {what.like} were packed from {source}, which is not among the "
                "uploads; pack them again in a terminal"
            ) from None
    kept = ("fit", "duplicates", "heldout", "min_class", "where", "seed", "max_upscale")
    options = {name: before[name] for name in kept if before.get(name) is not None}
    sides = [*before.get("smaller", ()), before.get("resolution", 64)]
    options["resolution"] = ",".join(map(str, sides))
    if before.get("labels"):
        options["labels"] = ",".join(before["labels"])
    for name in ("merge", "keep", "exclude"):
        options[name] = list(before.get(name, ()))
    if what.name != what.like:
        # They are still in the source, and the new collection does not know that they were forgotten.
        forgotten = (row.get("path") for row in Collection.open(folder).forgotten_table())
        options["exclude"] += [path for path in forgotten if path]
    return str(source), options


def _options(what: Pack) -> dict[str, Any]:
    given = {"fit": what.fit, "duplicates": what.duplicates}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if what.resolution is not None:
        options["resolution"] = ",".join(map(str, what.resolution))
    if what.labels is not None:
        options["labels"] = ",".join(what.labels)
    if what.merge:
        merges = (Merge(each.field, each.into, tuple(each.classes)) for each in what.merge)
        options["merge"] = [str(each) for each in merges]
    return options


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
