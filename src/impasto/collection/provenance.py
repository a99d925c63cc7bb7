"""A short record of where a collection's pictures come from, kept in runs and models."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from impasto.collection.store import Collection
from impasto.files import read_json
from impasto.formatting import counted

_LISTED = 20
"""Most licences and artists that are listed."""
_UNKNOWN = "unknown"


def provenance(collection: Collection) -> dict[str, Any]:
    """Summarise a collection's source tables.

    Returns:
        `kind`: the kind of source, in words.
        `licences`, `artists`: the number of source pictures with training pictures, by licence and by
            artist. If no artist is known, `artists` is empty.
        `duplicates`: the number of source pictures that were excluded as duplicates.
        `forgotten`: the number of source pictures that `impasto forget` removed, by day.

    Raises:
        ImpastoError: a table is missing or cannot be read.
    """
    made = read_json(collection.path / "collection.json", "collection").get("made")
    rows = collection.source_table()
    copies = collection.duplicates_table()
    if collection.condition is not None:
        part = np.unique(collection.sources[collection.indices])
        paths = {rows[source].get("path") for source in part}
        groups = {row.get("group") for row in copies if row.get("path") in paths}
        copies = [row for row in copies if row.get("group") in groups]
    rows = [rows[source] for source in np.unique(collection.sources[collection.train_indices])]
    artists = _counts(row.get("artist") for row in rows)
    return {
        "kind": str(made.get("kind", "")) if isinstance(made, dict) else "",
        "licences": _counts(row.get("licence") for row in rows),
        "artists": {} if artists.keys() == {_UNKNOWN} else artists,
        "duplicates": sum(row.get("kept") == "0" for row in copies),
        "forgotten": _forgotten(collection),
    }


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    """The number of each value, the most frequent first; beyond `_LISTED` the rest as `12 others`."""
    counts = Counter(value or _UNKNOWN for value in values).most_common()
    named, rest = counts[:_LISTED], counts[_LISTED:]
    if len(rest) > 1:
        return {**dict(named), f"{len(rest):,} others": sum(count for _, count in rest)}
    return dict(counts)


def _forgotten(collection: Collection) -> dict[str, int]:
    """The number of removed source pictures by day, such as 2026-11-22."""
    days = Counter((row.get("when") or _UNKNOWN)[:10] for row in collection.forgotten_table())
    return dict(sorted(days.items()))


def in_words(record: Mapping[str, Any]) -> list[str]:
    """The result of `provenance` as sentences.

    Args:
        record: the result, as a run or a model keeps it; it may lack entries. `only` is the condition of
            a part of the collection.
    """
    said = [f"A part of the collection: only {only}."] if (only := record.get("only")) else []
    for name in ("licences", "artists"):
        if counts := record.get(name):
            listed = ", ".join(f"{each} ({count:,})" for each, count in counts.items())
            # Earlier runs counted pictures that were held out, too.
            more = sum(counts.values()) > record.get("sources", math.inf)
            held = ", those held out from training among them" if more else " trained on"
            said.append(f"{name.capitalize()}, by source pictures{held}: {listed}.")
    if copies := record.get("duplicates"):
        pictures = counted(copies, "source picture")
        said.append(f"{pictures} {'was' if copies == 1 else 'were'} excluded as copies of others.")
    if days := record.get("forgotten"):
        said.append(f"{taken_out(days)}.")
    return said


def taken_out(days: Mapping[str, int]) -> str:
    """`3 pictures were taken out of this collection on 2026-11-22 (impasto forget)`; '' if none."""
    if not days:
        return ""
    count, first, last = sum(days.values()), min(days), max(days)
    when = f"on {first}" if first == last else f"from {first} to {last}"
    return (
        f"{counted(count, 'picture')} {'was' if count == 1 else 'were'} taken out of this collection "
        f"{when} (impasto forget)"
    )


def taken_out_since(collection: Collection, record: Mapping[str, Any]) -> str:
    """A sentence on the pictures that were removed from a collection since a model was trained on it, as
    from `taken_out`; '' if none.

    Args:
        collection: as it is now.
        record: the model's record of the collection, with `name` and `forgotten`. If the name is another
            one, the result is ''.

    Raises:
        ImpastoError: `forgotten.csv` cannot be read.
    """
    if record.get("name") != collection.name:
        return ""
    known = record.get("forgotten")
    known = known if isinstance(known, dict) else {}
    now = _forgotten(collection)
    return taken_out(
        {day: n - known.get(day, 0) for day, n in now.items() if n > known.get(day, 0)}
    )
