"""Collections: the list, classes, pictures with where they come from, what was left out, forgetting."""

from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from impasto.api.collections import forget as forget_pictures
from impasto.collection import Collection, open_or_pack
from impasto.collection.opening import masters_in_cache
from impasto.collection.overview import contact_sheet
from impasto.collection.provenance import in_words, provenance
from impasto.errors import ImpastoError
from impasto.resolution import recorded
from impasto.studio import sources
from impasto.studio.answers import gives
from impasto.studio.context import Studio, TheStudio
from impasto.studio.pictures import answer, encoded, thumbnail
from impasto.studio.places import MASTERS, MissingError, folders

router = APIRouter(prefix="/collections", tags=["collections"])
MOST_ROWS = 500
Start = Annotated[int, Query(ge=0, le=10**9)]
CountOf = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Side = Annotated[int | None, Query(ge=8, le=4096, description="Longest side in pixels.")]
Hash = Annotated[
    str | None,
    Query(max_length=64, description="Content hash that the collection must have."),
]
OfHash = Annotated[str | None, Field(max_length=64)]
_FORGETTING = Lock()
"""Held while pictures are removed, so that no other removal comes between a check and its removal."""


class ClassCount(BaseModel):
    """A class, and how often it is learned from."""

    name: str
    train: int
    """Training pictures."""


class FieldSummary(BaseModel):
    """A label field with its classes."""

    name: str
    classes: list[ClassCount]
    unknown: int
    """Pictures without a class."""


class CollectionSummary(BaseModel):
    """A collection in a list."""

    name: str
    hash: str
    """Its content hash, which changes when pictures are packed, removed or labelled otherwise."""
    resolution: int | str
    resolutions: list[int | str]
    train: int
    heldout: int
    fit: str
    fields: list[str]


class Collections(BaseModel):
    """The list of collections."""

    collections: list[CollectionSummary]
    unopened: list[str] = Field(default_factory=list)
    """`masters`, until it is opened for the first time, which packs it."""
    unreadable: dict[str, str] = Field(default_factory=dict)
    """Why, by name, a folder cannot be shown."""


class CollectionDetails(BaseModel):
    """A collection with its classes and where its pictures come from."""

    summary: CollectionSummary
    hash: str
    fields: list[FieldSummary]
    sources: int
    """Source pictures."""
    licences: dict[str, int]
    artists: dict[str, int]
    duplicates: int
    """Source pictures that were excluded as copies."""
    sentences: list[str]
    """The same in words."""


class PictureRow(BaseModel):
    """A packed picture and its source."""

    index: int
    heldout: bool
    classes: dict[str, str]
    source: dict[str, str]
    """The row of `sources.csv`: path, title, artist, year, licence, ..."""


class Pictures(BaseModel):
    """A part of the pictures."""

    total: int
    hash: str
    """The content hash of the whole collection, in which they have these numbers."""
    rows: list[PictureRow]


class Table(BaseModel):
    """A part of a table."""

    total: int
    rows: list[dict[str, str]]


class DuplicateRow(BaseModel):
    """A source picture with copies."""

    group: str
    path: str
    kept: bool
    kind: str
    picture: int | None
    """The number of its picture, for `/picture` if it is kept, otherwise for `/excluded`."""


class Duplicates(BaseModel):
    """A part of the duplicates, group by group."""

    total: int
    rows: list[DuplicateRow]


class Forget(BaseModel):
    """Pictures to remove."""

    pictures: list[str] = Field(min_length=1, max_length=10_000)
    """Of each its path in `sources.csv`, or its SHA-256."""
    hash: OfHash = None
    """The content hash of the collection in which they were chosen; refused if it is another now."""


class Forgotten(BaseModel):
    """What was removed."""

    pictures: int
    left: int


def opened(studio: Studio, name: str) -> Collection:
    """The collection of this name."""
    place = studio.places.collection(name)
    return open_or_pack(place, 64) if place == MASTERS else Collection.open(place)


def _shown(studio: Studio, name: str, content: str | None) -> Collection:
    """The collection of this name, whose pictures have the numbers that they had when they were listed.

    Raises:
        MissingError: its content hash is another than `content`.
    """
    collection = opened(studio, name)
    if content is not None and content != collection.content_hash:
        raise MissingError(f"{name} has changed since; list its pictures again")
    return collection


def _summary(collection: Collection, name: str) -> CollectionSummary:
    return CollectionSummary(
        name=name,
        hash=collection.content_hash,
        resolution=recorded(collection.resolution),
        resolutions=[*map(recorded, collection.resolutions)],
        train=len(collection.train_indices),
        heldout=len(collection.heldout_indices),
        fit=collection.fit,
        fields=[field.name for field in collection.fields],
    )


@router.get("")
def collections(studio: TheStudio) -> Collections:
    """All collections, by name; `masters` last."""
    found, unreadable = [], {}
    root = studio.places.collections
    for folder in folders(root, "collection.json"):
        try:
            found.append(_summary(Collection.open(folder), folder.name))
        except ImpastoError as error:
            unreadable[folder.name] = str(error)
    unopened = []
    if not (root / MASTERS).exists():
        if (masters_in_cache(64)[0] / "collection.json").is_file():
            found.append(_summary(open_or_pack(MASTERS, 64), MASTERS))
        else:
            unopened.append(MASTERS)
    return Collections(collections=found, unopened=unopened, unreadable=unreadable)


@router.get("/{name}")
def details(studio: TheStudio, name: str) -> CollectionDetails:
    """A collection with its classes and where its pictures come from."""
    collection = opened(studio, name)
    record = provenance(collection)
    fields = [
        FieldSummary(
            name=field.name,
            classes=[
                ClassCount(name=each, train=count)
                for each, count in zip(field.classes, field.counts, strict=True)
            ],
            unknown=int((collection.labels[collection.indices, column] == -1).sum()),
        )
        for column, field in enumerate(collection.fields)
    ]
    return CollectionDetails(
        summary=_summary(collection, name),
        hash=collection.content_hash,
        fields=fields,
        sources=len(np.unique(collection.sources[collection.indices])),
        licences=record["licences"],
        artists=record["artists"],
        duplicates=record["duplicates"],
        sentences=in_words(record),
    )


@router.get("/{name}/pictures")
def pictures(
    studio: TheStudio,
    name: str,
    start: Start = 0,
    count: CountOf = 100,
    only: Annotated[str | None, Query(max_length=1000)] = None,
) -> Pictures:
    """Some of the pictures with their classes and sources, in order; `only` is a condition as of
    `train --only`, such as `style=Ukiyo-e`."""
    whole = opened(studio, name)
    collection = whole.only(only)
    indices, table = collection.indices, collection.source_table()
    heldout = set(collection.heldout_indices.tolist())
    rows = []
    for index in indices[start : start + count].tolist():
        numbers = collection.labels[index].tolist()
        classes = {
            field.name: field.classes[number]
            for field, number in zip(collection.fields, numbers, strict=True)
            if number >= 0
        }
        source = {key: value for key, value in table[collection.sources[index]].items() if value}
        rows.append(
            PictureRow(index=index, heldout=index in heldout, classes=classes, source=source)
        )
    return Pictures(total=len(indices), hash=whole.content_hash, rows=rows)


@router.get("/{name}/picture/{index}", **gives("image/webp"))
def picture(
    studio: TheStudio, name: str, index: int, side: Side = None, hash: Hash = None
) -> Response:
    """A packed picture, as WebP. Numbers change with the collection; with the `hash` that came with a
    number it is that picture or an error."""
    views = [view for view in _shown(studio, name, hash).views() if index in view.span]
    if not views:
        raise MissingError(f"there is no picture {index} in {name}")
    pixels = views[0].images(np.array([index]))[0]
    return answer(encoded(thumbnail(pixels, side), "webp"), "webp")


@router.get("/{name}/sheet", **gives("image/webp"))
def sheet(studio: TheStudio, name: str, hash: Hash = None) -> Response:
    """An even sample of the training pictures in rows, as WebP."""
    return answer(encoded(contact_sheet(_shown(studio, name, hash)), "webp"), "webp")


@router.get("/{name}/left-out")
def left_out(studio: TheStudio, name: str, start: Start = 0, count: CountOf = 100) -> Table:
    """Unusable files with the reasons, and those beside the pictures of an upload that are none."""
    collection = opened(studio, name)
    rows = [*collection.left_out_table(), *_no_pictures(studio, collection)]
    return Table(total=len(rows), rows=rows[start : start + count])


def _no_pictures(studio: Studio, collection: Collection) -> list[dict[str, str]]:
    """Files of the upload that packing passed over in silence, as long as the upload is there."""
    made, root = sources.made_of(collection.path), studio.places.uploads
    source = Path(str(made.get("source")))
    with suppress(ImpastoError, OSError):  # it is no longer there, or no upload of the page
        if source != root and source.is_relative_to(root):
            upload = source.relative_to(root).parts[0]
            found = sources.beside(root, upload, sources.listed(root, upload))
            return [{"path": path, "reason": reason} for path, reason in found]
    return []


@router.get("/{name}/duplicates")
def duplicates(studio: TheStudio, name: str, start: Start = 0, count: CountOf = 100) -> Duplicates:
    """Source pictures with copies, group by group: which is kept and which are excluded."""
    rows = opened(studio, name).duplicates_table()
    found = [
        DuplicateRow(
            group=row.get("group") or "",
            path=row.get("path") or "",
            kept=row.get("kept") == "1",
            kind=row.get("kind") or "",
            picture=int(row["row"]) if (row.get("row") or "").isdecimal() else None,
        )
        for row in rows[start : start + count]
    ]
    return Duplicates(total=len(rows), rows=found)


@router.get("/{name}/excluded/{number}", **gives("image/webp"))
def excluded(
    studio: TheStudio, name: str, number: int, side: Side = None, hash: Hash = None
) -> Response:
    """A picture that was excluded as a copy, as WebP."""
    reader = _shown(studio, name, hash).excluded()
    if not 0 <= number < len(reader):
        raise MissingError(f"there is no excluded picture {number} in {name}")
    return answer(encoded(thumbnail(reader.pixels(np.array([number]))[0], side), "webp"), "webp")


@router.post("/{name}/forget")
def forget(studio: TheStudio, name: str, what: Forget) -> Forgotten:
    """Remove pictures with all their copies. Models that were trained before have seen them."""
    place = studio.places.collection(name)
    if place == MASTERS:
        raise ImpastoError("masters comes with impasto and stays whole; pack a copy to change it")
    with _FORGETTING:
        collection = opened(studio, name)
        if what.hash not in (None, collection.content_hash):
            raise ImpastoError(
                f"{name} has changed since its pictures were listed; nothing was removed. "
                "Choose the picture again"
            )
        forget_pictures(place, what.pictures)
        left = len(opened(studio, name))
    return Forgotten(pictures=len(collection) - left, left=left)
