"""Write a collection's folder from fitted pictures: shards, arrays, tables and the description."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collection.facts import FACTS, FINGERPRINTS, Facts, FactsWriter
from impasto.collection.hashes import content_hash
from impasto.collection.parts import Piece
from impasto.collection.store import BUCKETS_VERSION, FORMAT, FORMAT_VERSION
from impasto.collection.tables import write_table
from impasto.collection.writer import ShardWriter, shard_prefix
from impasto.files import sha256_of_file, write_json
from impasto.resolution import Resolution, are_buckets, area, recorded
from impasto.sources.listing import ABOUT

LEFT_OUT, DUPLICATES, FORGOTTEN = "left-out.csv", "duplicates.csv", "forgotten.csv"
ALIKE = "alike.csv"
TABLES = (
    "sources.csv",
    "pictures.csv",
    LEFT_OUT,
    DUPLICATES,
    ALIKE,
    FORGOTTEN,
    FACTS,
    FINGERPRINTS,
)
"""The files of a collection that training does not read."""
LABEL_SEPARATOR = " | "
"""Separates a picture's classes in `duplicates.csv`."""

_COPIED_BYTES = 2**26
"""Most bytes of pixels that are copied at once."""
_LONGEST = 10_000
"""Descriptions are cut to this many characters; Python's csv reads cells of at most 131,072."""


@dataclass(frozen=True)
class SourceRow:
    """A fitted source picture, and where its packed pictures are."""

    relative: str
    """Its path in the source."""
    labels: tuple[str, ...]
    """A class name for each label field; empty where unknown."""
    about: dict[str, str]
    """Its descriptions by column, see `Entry.about`."""
    piece: Piece
    """The part or the collection that has its packed pictures."""
    position: int
    """Its index among the source pictures of the piece."""

    @property
    def count(self) -> int:
        """The number of pictures packed from it."""
        return int(self.piece.facts.counts[self.position])

    @property
    def bucket(self) -> Resolution | None:
        """The bucket of its pictures; None if the collection has no buckets."""
        return self.piece.bucket(self.position)

    @property
    def first(self) -> int:
        """The index of its first picture in the piece, among those of its bucket."""
        return int(self.piece.firsts[self.position])

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height in pixels."""
        width, height = self.piece.facts.sizes[self.position]
        return int(width), int(height)

    @property
    def sha256(self) -> str:
        """The SHA-256 of its file, 64 hexadecimal digits."""
        return self.piece.facts.sha256[self.position].tobytes().hex()


@dataclass(frozen=True)
class Copied:
    """A picture's part in a group of duplicates; see `Duplicates`."""

    group: int
    kind: str
    """`exact`, `near` or `features`."""
    distance: float
    """Distance from the kept picture, from 0 to 1."""


@dataclass
class CollectionPlan:
    """Everything that a collection is written from."""

    name: str
    fields: list[tuple[str, tuple[str, ...]]]
    """The label fields with their classes, sorted."""
    rows: list[SourceRow]
    """The packed source pictures, sorted by bucket if there are buckets; see `in_buckets`."""
    heldout: list[bool]
    """Whether each row is held out."""
    duplicates: list[SourceRow]
    """The excluded pictures, which are duplicates of some of the rows."""
    copies: dict[str, Copied]
    """By path, for each picture with duplicates, kept or excluded."""
    encodings: dict[Resolution, str]
    """By resolution, rising, or by bucket: the encoding."""
    fit: dict[str, Any]
    """The fitting options, for the description."""
    made: dict[str, Any]
    """Versions, time and source, for the description."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of each file that is not packed."""
    forgotten: list[dict[str, str]] = field(default_factory=list)
    """The rows of `forgotten.csv`."""
    unusable: list[tuple[bytes, str]] = field(default_factory=list)
    """Key and reason of each source picture that cannot be used."""
    alike: dict[str, int] = field(default_factory=dict)
    """By path of each picture that is alike others: the number of its set."""

    def alike_sets(self) -> list[list[int]]:
        """The row indices of each set of at least two rows."""
        sets: dict[int, list[int]] = {}
        for index, row in enumerate(self.rows):
            if row.relative in self.alike:
                sets.setdefault(self.alike[row.relative], []).append(index)
        return [rows for _, rows in sorted(sets.items()) if len(rows) > 1]


def _runs(rows: Sequence[SourceRow], most: int) -> Iterator[tuple[Piece, int, int]]:
    """The rows' pictures as (piece, first, count). Adjacent pictures are merged up to `most`."""
    piece, first, count = None, 0, 0
    for row in rows:
        if row.piece is piece and row.first == first + count and count + row.count <= most:
            count += row.count
            continue
        if piece is not None:
            yield piece, first, count
        piece, first, count = row.piece, row.first, row.count
    if piece is not None:
        yield piece, first, count


def _write_pixels(
    folder: Path, rows: Sequence[SourceRow], encodings: dict[Resolution, str], kind: str
) -> list[dict[str, Any]]:
    """Write the pictures of some rows at every resolution, or each in its bucket.

    Args:
        folder: the collection's folder.
        rows: the source pictures.
        encodings: by resolution or bucket.
        kind: first part of the files' names, `images` or `aside`.

    Returns:
        Their description for `collection.json`.
    """
    described, written = [], 0
    for resolution, encoding in encodings.items():
        mine = [row for row in rows if row.bucket in (None, resolution)]
        prefix = shard_prefix(resolution, list(encodings), kind)
        most = max(1, _COPIED_BYTES // (area(resolution) * 3))
        with ShardWriter(folder, resolution, encoding, prefix) as writer:
            for piece, first, count in _runs(mine, most):
                for stored in piece.stored(resolution, first, count):
                    writer.append_stored(stored)
        each: dict[str, Any] = {"resolution": recorded(resolution), "encoding": encoding}
        if are_buckets(list(encodings)):
            each |= {"first": written, "pictures": sum(row.count for row in mine)}
            written += each["pictures"]
        described.append({**each, "shards": writer.describe()})
    return described


def in_buckets(rows: Sequence[SourceRow], sizes: Iterable[Resolution]) -> list[int]:
    """The indices of the rows in the order in which they are written: by bucket, if there are
    buckets."""
    order: dict[Resolution | None, int] = {size: place for place, size in enumerate(sizes)}
    return sorted(range(len(rows)), key=lambda number: order.get(rows[number].bucket, 0))


def write_collection(folder: Path, plan: CollectionPlan) -> None:
    """Write a collection into an empty folder."""
    pixels = _write_pixels(folder, plan.rows, plan.encodings, "images")
    excluded: list[dict[str, Any]] = []
    if plan.duplicates:
        excluded = _write_pixels(folder, plan.duplicates, plan.encodings, "aside")
    source_labels = _labels(plan)
    counts = [row.count for row in plan.rows]
    source_of = np.repeat(np.arange(len(plan.rows), dtype=np.int64), counts)
    labels = source_labels[source_of]
    split = np.asarray(plan.heldout, dtype=np.uint8)[source_of]
    for name, array in (("labels", labels), ("split", split), ("source", source_of)):
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    _facts(plan).write(folder)
    _write_tables(folder, plan)
    arrays = {
        file: sha256_of_file(folder / file) for file in ("labels.npy", "split.npy", "source.npy")
    }
    largest = _default_size(plan)
    bucketed = are_buckets(list(plan.encodings))
    # The content hash of a collection in buckets covers all of them, the default one first.
    hashed = sorted(pixels, key=lambda each: bool(each["resolution"] != recorded(largest)))
    hashed = hashed if bucketed else hashed[:1]
    description: dict[str, Any] = {
        "format": FORMAT,
        "format_version": BUCKETS_VERSION if bucketed else FORMAT_VERSION,
        "name": plan.name,
        "count": len(source_of),
        "source_count": len(plan.rows),
        "resolution": recorded(largest),
        "fit": plan.fit,
        "fields": _described_fields(plan, labels[split == 0], source_labels),
        "splits": {
            split_name: {
                "pictures": int((split == value).sum()),
                "sources": plan.heldout.count(bool(value)),
            }
            for value, split_name in enumerate(("train", "heldout"))
        },
        "set_aside": {
            "sources": len(plan.duplicates),
            "groups": len({copied.group for copied in plan.copies.values()}),
        },
        "forgotten": len(plan.forgotten),
        "content_hash": content_hash(
            largest,
            [shard["sha256"] for each in hashed for shard in each["shards"]],
            arrays["labels.npy"],
            arrays["split.npy"],
            plan.fields,
        ),
        "pixels": pixels,
        "aside": excluded,
        "arrays": arrays,
        "tables": {file: sha256_of_file(folder / file) for file in TABLES},
        "made": plan.made,
    }
    write_json(folder / "collection.json", description)


def _default_size(plan: CollectionPlan) -> Resolution:
    """The size that a collection is opened at by default: the largest, or the bucket with the most
    training pictures."""
    if not are_buckets(list(plan.encodings)):
        return max(plan.encodings, key=area)
    rows = zip(plan.rows, plan.heldout, strict=True)
    counted = Counter(row.bucket for row, held in rows if not held)
    return max(plan.encodings, key=lambda size: counted[size])


def _described_fields(
    plan: CollectionPlan, train_labels: np.ndarray, source_labels: np.ndarray
) -> list[dict[str, Any]]:
    """The label fields with their classes, and the number of pictures of each class.

    Args:
        plan: the collection's plan.
        train_labels: labels of the training pictures, [T, F].
        source_labels: labels of all source pictures, [S, F].
    """
    return [
        {
            "name": name,
            "classes": [
                {"name": label, "train_pictures": train, "sources": sources}
                for label, train, sources in zip(
                    classes,
                    _count(train_labels[:, column], len(classes)),
                    _count(source_labels[:, column], len(classes)),
                    strict=True,
                )
            ],
        }
        for column, (name, classes) in enumerate(plan.fields)
    ]


def _labels(plan: CollectionPlan) -> np.ndarray:
    """The labels of the source pictures, int64 [S, F]; -1 is unknown."""
    labels = np.full((len(plan.rows), len(plan.fields)), -1, dtype=np.int64)
    for column, (_, classes) in enumerate(plan.fields):
        index = {label: position for position, label in enumerate(classes)}
        labels[:, column] = [index.get(row.labels[column], -1) for row in plan.rows]
    return labels


def _count(labels: np.ndarray, classes: int) -> list[int]:
    """The number of labels [N] of each class; -1 is unknown."""
    counts: list[int] = np.bincount(labels[labels >= 0], minlength=classes).tolist()
    return counts


def _facts(plan: CollectionPlan) -> Facts:
    """The facts that the next packing reads: of the rows, their duplicates and the unusable pictures, in
    this order."""
    writer = FactsWriter()
    for row in (*plan.rows, *plan.duplicates):
        facts, position = row.piece.facts, row.position
        writer.add(
            facts.keys[position].tobytes(),
            facts.sha256[position].tobytes(),
            row.size,
            row.piece.frames(position),
            facts.fingerprints[position],
            bool(facts.salvaged[position]),
            int(facts.file_bytes[position]),
            int(facts.guessed_bits[position]),
        )
    for key, reason in plan.unusable:
        writer.add_unusable(key, reason)
    return writer.facts()


def _write_tables(folder: Path, plan: CollectionPlan) -> None:
    """Write the tables for people."""
    names = [name for name, _ in plan.fields]
    # A label field that is also a description, such as artist, has one column.
    extra = [name for name in names if name not in ABOUT]

    def source(index: int) -> list[str | int]:
        row = plan.rows[index]
        cells = dict(zip(names, row.labels, strict=True)) | row.about
        return [
            index,
            row.relative,
            *(cells.get(name, "")[:_LONGEST] for name in ABOUT),
            row.sha256,
            *row.size,
            "heldout" if plan.heldout[index] else "train",
            *(cells[name] for name in extra),
        ]

    header = ["index", "path", *ABOUT, "sha256", "width", "height", "split", *extra]
    write_table(folder / "sources.csv", header, map(source, range(len(plan.rows))))

    def pictures() -> Iterator[list[object]]:
        number = 0
        for index, row in enumerate(plan.rows):
            for *box, mirrored in row.piece.frames(row.position):
                yield [number, index, *(f"{edge:g}" for edge in box), int(mirrored)]
                number += 1

    header = ["index", "source", "left", "top", "right", "bottom", "mirrored"]
    write_table(folder / "pictures.csv", header, pictures())
    write_table(folder / LEFT_OUT, ["path", "reason"], plan.left_out)
    _write_duplicates(folder / DUPLICATES, plan)
    _write_alike(folder / ALIKE, plan)
    header = ["path", "sha256", "when"]
    forgotten = ([row[name] for name in header] for row in plan.forgotten)
    write_table(folder / FORGOTTEN, header, forgotten)


def _write_duplicates(path: Path, plan: CollectionPlan) -> None:
    """Write a row for each picture with duplicates, sorted by group, the kept picture first."""
    lines: list[list[object]] = []
    for rows, kept in ((plan.rows, 1), (plan.duplicates, 0)):
        number = 0
        for row in rows:
            copied = plan.copies.get(row.relative)
            if copied is not None:
                kind, distance = copied.kind, f"{copied.distance:g}"
                size = row.size
                labels = LABEL_SEPARATOR.join(filter(None, row.labels))
                place = [copied.group, row.relative, kept, kind, distance, number]
                lines.append([*place, *size, row.sha256, labels])
            number += row.count
    lines.sort(key=lambda line: (line[0], -line[2], line[1]))  # type: ignore[operator]
    header = ["group", "path", "kept", "kind", "distance", "row", "width", "height", "sha256"]
    write_table(path, [*header, "labels"], lines)


def _write_alike(path: Path, plan: CollectionPlan) -> None:
    """Write a row for each picture that is alike others, sorted by set."""
    firsts = np.cumsum([0, *(row.count for row in plan.rows)])
    lines = [
        [number, plan.rows[index].relative, firsts[index], *plan.rows[index].size]
        for number, rows in enumerate(plan.alike_sets())
        for index in rows
    ]
    write_table(path, ["set", "path", "row", "width", "height"], lines)
