"""Read JSON files beside pictures: `x.jpg.json` (gallery-dl) or `x.json` describes `x.jpg`."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.sources.columns import NO_CLASS, LabelColumns, about_of
from impasto.sources.json_tables import loads, row_cells
from impasto.sources.listing import ABOUT, Entry, Listing, could_be_labels, is_picture
from impasto.sources.trees import Tree, decoded_file
from impasto.tabular import LONGEST

_SAMPLE = 100
"""The number of files that are read to find the columns."""


def _file_beside(tree: Tree, picture: str) -> str | None:
    """The JSON file that describes a picture; None if there is none."""
    stem = picture.rpartition(".")[0]
    return next((name for name in (f"{picture}.json", f"{stem}.json") if name in tree.files), None)


def _cells_of(tree: Tree, name: str) -> dict[str, str]:
    """The values of a JSON file as texts, by column.

    Raises:
        ImpastoError: the file cannot be read, or is no text.
        ValueError: it is no JSON object, or has a name twice.
    """
    described = row_cells(loads(decoded_file(tree, name)[0]))
    return {column: cell for column, cell in described.items() if len(cell) <= LONGEST}


def sidecars_of(tree: Tree) -> dict[str, str]:
    """By picture: the JSON file that describes it; empty if not most pictures have one."""
    if not any(name.endswith(".json") for name in tree.files):
        return {}
    names = [file.name for file in tree.files.values() if is_picture(file, tree)]
    found = {name: beside for name in names if (beside := _file_beside(tree, name))}
    return found if 2 * len(found) > len(names) else {}


def columns_of(tree: Tree, beside: Mapping[str, str]) -> list[str]:
    """The columns in the first 100 of these files.

    Args:
        tree: of the source.
        beside: the result of `sidecars_of`.
    """
    columns: dict[str, None] = {}
    for name in islice(beside.values(), _SAMPLE):
        try:
            columns |= dict.fromkeys(_cells_of(tree, name))
        except (ImpastoError, ValueError):
            continue
    return list(columns)


def add_descriptions(tree: Tree, listing: Listing) -> None:
    """Add descriptions, but no classes, from the JSON files beside the pictures to a listing."""
    fields = listing.fields
    add_columns(tree, listing, None)
    abouts = [entry.about for entry in listing.entries]
    if not fields and (could := could_be_labels(abouts, NO_CLASS)):
        listing.notes.append(
            "JSON files beside the pictures describe them; --labels can take any of: "
            f"{', '.join(sorted(could)[:20])}"
        )


def add_columns(tree: Tree, listing: Listing, classes: LabelColumns | None) -> None:
    """Add the columns of the JSON files beside the pictures to a listing.

    Args:
        tree: of the source.
        listing: its entries and notes are changed.
        classes: reads the entries' classes from the columns; None: they keep theirs.
    """
    beside, strings = sidecars_of(tree), dict[str, str]()
    if not beside and classes is None:
        return
    passed_over = set(listing.fields)
    if classes:
        passed_over = {name for name in classes.columns.values() if name not in ABOUT}
    unreadable: list[str] = []
    entries: list[Entry] = []
    for entry in listing.entries:
        described: dict[str, str] = {}
        if name := beside.get(entry.relative):
            try:
                described = _cells_of(tree, name)
            except (ImpastoError, ValueError):
                unreadable.append(name)
        about = about_of(described, passed_over, strings)
        picked = classes.of(described, strings) if classes else entry.labels
        entries.append(replace(entry, labels=picked, about={**about, **entry.about}))
    listing.entries = entries
    if classes:
        listing.notes += classes.notes()
    if unreadable:
        listing.notes.append(
            f"{counted(len(unreadable), 'JSON file')} beside pictures not readable, such as "
            f"{unreadable[0]}; its columns are unknown"
        )
