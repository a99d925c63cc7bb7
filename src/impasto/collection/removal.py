"""Remove pictures from a collection for good: their pixels and rows, and those of their copies.

The collection is rewritten without them. `forgotten.csv` keeps their names and digests, so that
packing the source again does not bring them back.
"""

import datetime
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.collection.assembling import LABEL_SEPARATOR, CollectionPlan, Copied, SourceRow
from impasto.collection.parts import Piece, piece_of_collection
from impasto.collection.replacing import collection_folder, recover, replace_collection
from impasto.collection.store import Collection
from impasto.errors import ImpastoError, choices
from impasto.files import read_json
from impasto.resolution import parse_resolution
from impasto.sources.listing import ABOUT

_PREFIX = 8
"""Fewest digits of a SHA-256 that may name a picture."""


@dataclass(frozen=True)
class Forgotten:
    """The result of a removal."""

    collection: Collection
    """The collection after the removal."""
    asked_for: list[str]
    """The paths of the requested pictures."""
    copies: list[str]
    """The paths of their copies, which were removed too."""
    pictures: int
    """The number of packed pictures removed, without excluded duplicates."""


def forget(path: Path, ids: Sequence[str]) -> Forgotten:
    """Remove source pictures from a collection.

    Args:
        path: the collection's folder.
        ids: for each picture its path in `sources.csv` or `duplicates.csv`, or its file's SHA-256. A
            unique beginning of the SHA-256 with at least eight digits is enough.

    Raises:
        ImpastoError: a picture is unknown, no training picture would be left, or the collection is
            damaged or too old to change. The collection is unchanged then.
    """
    if str(path) == "masters" and not path.exists():
        raise ImpastoError(
            "masters is a part of impasto and stays as it is; pack them into a collection of your "
            "own first: impasto pack masters my-masters --fit tiles"
        )
    place = collection_folder(path)
    recover(place)
    collection = Collection.open(path)
    plan = plan_of(collection)
    everything = [*plan.rows, *plan.duplicates]
    chosen = {_find(everything, each, collection) for each in ids}
    groups = {plan.copies[name].group for name in chosen if name in plan.copies}
    copies = {name for name, copied in plan.copies.items() if copied.group in groups} - chosen
    gone = chosen | copies

    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    reason = f"forgotten: on {when}, by impasto forget"
    for row in everything:
        if row.relative in gone:
            plan.forgotten.append({"path": row.relative, "sha256": row.sha256, "when": when})
            plan.left_out.append((row.relative, reason))
    pictures = sum(row.count for row in plan.rows if row.relative in gone)
    stay = [row.relative not in gone for row in plan.rows]
    plan.heldout = [held for held, keep in zip(plan.heldout, stay, strict=True) if keep]
    plan.rows = [row for row in plan.rows if row.relative not in gone]
    plan.duplicates = [row for row in plan.duplicates if row.relative not in gone]
    plan.copies = {name: copied for name, copied in plan.copies.items() if name not in gone}
    plan.alike = {name: number for name, number in plan.alike.items() if name not in gone}
    if not plan.rows or all(plan.heldout):
        raise ImpastoError(
            f"nothing would be left in {path} to train on; remove the folder instead"
        )
    # The digest of the source's listing does not describe the collection any more.
    plan.made = {**plan.made, "listing": "", "forgotten": when}
    replace_collection(place, plan)
    return Forgotten(Collection.open(path), sorted(chosen), sorted(copies), pictures)


def _find(rows: Sequence[SourceRow], wanted: str, collection: Collection) -> str:
    """The path of the picture with this path or SHA-256.

    Raises:
        ImpastoError: there is none, or several.
    """
    if any(row.relative == wanted for row in rows):
        return wanted
    is_digest = len(wanted) >= _PREFIX and set(wanted.lower()) <= set("0123456789abcdef")
    if is_digest:
        found = {row.sha256: row.relative for row in rows if row.sha256.startswith(wanted.lower())}
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise ImpastoError(
                f"several pictures in {collection.path} have a SHA-256 that begins with {wanted}; "
                "give more of it"
            )
    for row in collection.forgotten_table():
        if row["path"] == wanted or (is_digest and row["sha256"].startswith(wanted.lower())):
            raise ImpastoError(
                f"'{wanted}' was taken out of {collection.path} already, on {row['when']}"
            )
    near = difflib.get_close_matches(wanted, [row.relative for row in rows], 3)
    hint = f", but {choices(near)}" if near else ""
    raise ImpastoError(
        f"no picture '{wanted}' in {collection.path}{hint}; give a path from its sources.csv, or a "
        f"SHA-256 or at least its first {_PREFIX} digits"
    )


def plan_of(collection: Collection) -> CollectionPlan:
    """The plan of a packed collection, read from its files.

    Raises:
        ImpastoError: the files are damaged, or of an earlier format.
    """
    # The collection is rewritten from these files, so verify them first.
    collection.verify(everything=True)
    path = collection.path
    description = read_json(path / "collection.json", "collection")
    try:
        piece = piece_of_collection(path, description)
        table = collection.source_table()
        labels = np.full((len(table), len(collection.fields)), -1)
        heldout = np.zeros(len(table), np.uint8)
        labels[collection.sources] = collection.labels
        heldout[collection.sources] = collection.split
        rows = []
        for position, record in enumerate(table):
            about = {name: record[name] for name in ABOUT if record.get(name)}
            classes = tuple(
                field.classes[label] if label >= 0 else ""
                for field, label in zip(collection.fields, labels[position], strict=True)
            )
            rows.append(SourceRow(record["path"], classes, about, piece, position))
        copies, duplicates = _copies(collection, piece, len(rows))
        count = len(rows) + len(duplicates)
        unusable = [
            (piece.facts.keys[position].tobytes(), str(piece.reason(position)))
            for position in range(count, len(piece.facts.keys))
        ]
        return CollectionPlan(
            name=collection.name,
            fields=[(field.name, field.classes) for field in collection.fields],
            rows=rows,
            heldout=(heldout == 1).tolist(),
            duplicates=duplicates,
            copies=copies,
            encodings={
                parse_resolution(each["resolution"]): each["encoding"]
                for each in description["pixels"]
            },
            fit=description["fit"],
            made=description["made"],
            left_out=[(row["path"], row["reason"]) for row in collection.left_out_table()],
            forgotten=collection.forgotten_table(),
            unusable=unusable,
            alike={row["path"]: int(row["set"]) for row in collection.alike_table()},
        )
    except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
        raise ImpastoError(
            f"{path} cannot be changed: it is damaged or was packed by an earlier impasto ({error}); "
            "pack it again"
        ) from error


def _copies(
    collection: Collection, piece: Piece, kept: int
) -> tuple[dict[str, Copied], list[SourceRow]]:
    """The duplicates by path, and the rows of the excluded ones.

    Args:
        collection: the opened collection.
        piece: the same collection as a piece.
        kept: the number of its source pictures that are not excluded.
    """
    copies: dict[str, Copied] = {}
    excluded: list[tuple[int, str, tuple[str, ...]]] = []
    for row in collection.duplicates_table():
        copies[row["path"]] = Copied(int(row["group"]), row["kind"], float(row["distance"]))
        if row["kept"] == "0":
            labels = tuple((row.get("labels") or "").split(LABEL_SEPARATOR))
            excluded.append((int(row["row"]), row["path"], labels))
    rows = [
        SourceRow(name, labels, {}, piece, kept + number)
        for number, (_, name, labels) in enumerate(sorted(excluded))
    ]
    return copies, rows
