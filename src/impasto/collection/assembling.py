"""Write a collection's folder from fitted pictures: shards, arrays, tables and the description."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collection.hashes import content_hash
from impasto.collection.parts import FACTS, FINGERPRINTS, Facts, FactsWriter, Piece
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
"""The tables in a collection, which training does not read."""
LABELS_APART = " | "
"""Separates a picture's classes in `duplicates.csv`."""

_COPIED_BYTES = 2**26
"""Bytes copied at once."""
_LONGEST = 10_000
"""Descriptions are cut to this length; Python's csv reads at most 131,072 letters."""


@dataclass(frozen=True)
class SourceRow:
    """A fitted source picture, and the place of its packed pictures."""

    relative: str
    labels: tuple[str, ...]
    about: dict[str, str]
    piece: Piece
    position: int

    @property
    def count(self) -> int:
        """The number of packed pictures from it."""
        return int(self.piece.facts.counts[self.position])

    @property
    def bucket(self) -> Resolution | None:
        """The size of its pictures, if they are there at one of several only; else None."""
        return self.piece.bucket(self.position)

    @property
    def first(self) -> int:
        """The index of the first of them in its piece, among those of its bucket."""
        return int(self.piece.firsts[self.position])

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height in pixels."""
        width, height = self.piece.facts.sizes[self.position]
        return int(width), int(height)

    @property
    def sha256(self) -> str:
        """Its file's digest, 64 hexadecimal digits."""
        return self.piece.facts.sha256[self.position].tobytes().hex()


@dataclass(frozen=True)
class Copied:
    """A picture's place in a group of copies."""

    group: int
    kind: str
    """`exact`, `near` or `features`."""
    distance: float
    """Distance from the kept picture."""


@dataclass
class CollectionPlan:
    """Everything that a collection is written from."""

    name: str
    fields: list[tuple[str, tuple[str, ...]]]
    """The label fields with their classes, sorted."""
    rows: list[SourceRow]
    """By bucket, if each is in one; see `in_buckets`."""
    heldout: list[bool]
    """Whether each row is held out."""
    duplicates: list[SourceRow]
    """Excluded pictures: duplicates of some of the rows."""
    copies: dict[str, Copied]
    """By name of each picture with copies, kept or excluded."""
    encodings: dict[Resolution, str]
    """The encoding of each resolution, resolutions rising, or of each bucket."""
    fit: dict[str, Any]
    """The fitting options, for the description."""
    made: dict[str, Any]
    """Versions, time and source, for the description."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    forgotten: list[dict[str, str]] = field(default_factory=list)
    """The rows of `forgotten.csv`."""
    unusable: list[tuple[bytes, str]] = field(default_factory=list)
    """Keys and reasons of source pictures that gave no picture."""
    alike: dict[str, int] = field(default_factory=dict)
    """By name of each picture alike others: the number of its set."""

    def alike_sets(self) -> list[list[int]]:
        """The rows of each set of two or more."""
        sets: dict[int, list[int]] = {}
        for index, row in enumerate(self.rows):
            if row.relative in self.alike:
                sets.setdefault(self.alike[row.relative], []).append(index)
        return [rows for _, rows in sorted(sets.items()) if len(rows) > 1]


def _runs(rows: Sequence[SourceRow], most: int) -> Iterator[tuple[Piece, int, int]]:
    """The rows' pictures as (piece, first, count), with adjacent ones merged up to about `most`."""
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
    """Write the pictures of some rows at every resolution, or each in its bucket; gives their
    description for `collection.json`."""
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
    """The order in which rows are written: bucket by bucket, if each is in one."""
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
    facts = _facts(plan)
    facts.write(folder)
    _write_tables(folder, plan, facts)
    arrays = {
        file: sha256_of_file(folder / file) for file in ("labels.npy", "split.npy", "source.npy")
    }
    largest = _usual_size(plan)
    bucketed = are_buckets(list(plan.encodings))
    # That of a collection in buckets covers all, the usual one first.
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


def _usual_size(plan: CollectionPlan) -> Resolution:
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
    """The label fields with their classes and how many pictures each has.

    Args:
        plan: of the collection.
        train_labels: of the pictures for training, [N, F].
        source_labels: of all source pictures, [S, F].
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
    """How often each class is among labels [N], where -1 is unknown."""
    counts: list[int] = np.bincount(labels[labels >= 0], minlength=classes).tolist()
    return counts


def _facts(plan: CollectionPlan) -> Facts:
    """The facts for repacking: of the rows, then their duplicates, then unusable pictures."""
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


def _write_tables(folder: Path, plan: CollectionPlan, facts: Facts) -> None:
    names = [name for name, _ in plan.fields]
    # A label that is also a description (artist) is one column.
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
    """A row for each picture with copies, group by group, the kept one first."""
    lines: list[list[object]] = []
    for rows, kept in ((plan.rows, 1), (plan.duplicates, 0)):
        number = 0
        for row in rows:
            copied = plan.copies.get(row.relative)
            if copied is not None:
                kind, distance = copied.kind, f"{copied.distance:g}"
                size = row.size
                labels = LABELS_APART.join(filter(None, row.labels))
                place = [copied.group, row.relative, kept, kind, distance, number]
                lines.append([*place, *size, row.sha256, labels])
            number += row.count
    lines.sort(key=lambda line: (line[0], -line[2], line[1]))  # type: ignore[operator]
    header = ["group", "path", "kept", "kind", "distance", "row", "width", "height", "sha256"]
    write_table(path, [*header, "labels"], lines)


def _write_alike(path: Path, plan: CollectionPlan) -> None:
    """A row for each picture alike others, set by set."""
    firsts = np.cumsum([0, *(row.count for row in plan.rows)])
    lines = [
        [number, plan.rows[index].relative, firsts[index], *plan.rows[index].size]
        for number, rows in enumerate(plan.alike_sets())
        for index in rows
    ]
    write_table(path, ["set", "path", "row", "width", "height"], lines)
